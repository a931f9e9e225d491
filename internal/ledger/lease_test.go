package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// lease joins a run, and takes a batch of it.
func lease(ctx context.Context, tx pgx.Tx, try ledger.Try, batch int) ([]bucketload.Entry, error) {
	if err := ledger.Join(ctx, tx, try.Run); err != nil {
		return nil, err
	}
	return ledger.Lease(ctx, tx, try, batch)
}

func testLease(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(2, "a", "b", "!", "c")
	try := func(batch int) (files []string, err error) {
		err = r.tx(func(tx pgx.Tx) error {
			entries, err := lease(t.Context(), tx, ledger.Try{Run: r.id}, batch)
			for _, e := range entries {
				files = append(files, e.URI)
			}
			return err
		})
		return files, err
	}
	_, err := try(0)
	want(t, err, bucketload.CodeFenced, r.id) // not copying yet
	r.prepare(true)
	for batch, uris := range [][]string{{"a", "b"}, {"c"}} {
		if got, err := try(batch); !slices.Equal(got, uris) || err != nil {
			t.Errorf("batch %d: %v, %v", batch, got, err)
		}
	}
	_, err = try(2)
	want(t, err, bucketload.CodeInternal, "no batch 2")

	// One worker has a batch; another's is free.
	d.must(r.tx(func(tx pgx.Tx) error {
		if _, err := lease(t.Context(), tx, ledger.Try{Run: r.id}, 0); err != nil {
			return err
		}
		if _, err := try(0); !errors.Is(err, ledger.ErrBusy) {
			t.Errorf("error %v, want busy", err)
		}
		_, err := try(1)
		return err
	}))
	d.must(r.copy(0))
	if got, err := try(0); len(got) > 0 || err != nil {
		t.Errorf("a batch that is done: %v, %v", got, err)
	}
	if open, err := d.OpenBatches(t.Context(), r.id); len(open) != 1 || open[0].No != 1 || err != nil {
		t.Errorf("open %v, %v", open, err)
	}

	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCheck))
	_, err = try(1)
	want(t, err, bucketload.CodeFenced)
	// A state is never entered again in the same try, nor by a call of another.
	want(t, d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy), bucketload.CodeFenced)
	d.must(again(d, r.id))
	want(t, d.Enter(t.Context(), ledger.Try{Run: r.id, Attempt: 1}, ledger.StateCopy), bucketload.CodeFenced)
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id, Attempt: 2}, ledger.StateCopy))
	want(t, r.tx(func(tx pgx.Tx) error {
		_, err := lease(t.Context(), tx, ledger.Try{Run: r.id, Attempt: 1}, 1)
		return err
	}), bucketload.CodeFenced)
	r.fail()
	_, err = try(1)
	want(t, err, bucketload.CodeFenced)
}

// Rows and receipts commit together, or neither does.
func testReceipts(t *testing.T, d *db) {
	d.exec(`CREATE TABLE rows (a int)`)
	r := d.begin(replace("t"))
	r.plan(2, "a", "b")
	r.prepare(true)
	broken := errors.New("the connection broke")
	for _, end := range []error{broken, nil} {
		err := r.tx(func(tx pgx.Tx) error {
			files, err := lease(t.Context(), tx, ledger.Try{Run: r.id}, 0)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO rows VALUES (1)`); err != nil {
				return err
			}
			if _, _, err := ledger.Receive(t.Context(), tx, r.id, 0, []ledger.Receipt{{No: files[0].No, Rows: 1 << 40}}); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		if end != nil && (r.states() != "planned:0 planned:0" || d.value(`SELECT count(*) FROM rows`) != "0") {
			t.Errorf("a part of it is there: %s", r.states())
		}
	}
	// A batch is not done before its last file.
	if r.states() != "loaded:1 planned:0" || r.batches() != "false:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	d.must(r.copy(0))
	if r.states() != "loaded:1 loaded:1" || r.batches() != "true:0" {
		t.Errorf("files %s, batches %s", r.states(), r.batches())
	}
	run, err := d.Run(t.Context(), r.id)
	if err != nil || run.Rows.Loaded != 1<<40+10 {
		t.Errorf("rows %d, %v", run.Rows.Loaded, err)
	}
}

// Settle waits for the copies in flight and keeps new ones out, whatever the
// default isolation is.
func testSettle(t *testing.T, d *db) {
	name := d.pool.Config().ConnConfig.Database
	d.exec(`ALTER DATABASE ` + name + ` SET default_transaction_isolation = 'repeatable read'`)
	defer d.exec(`ALTER DATABASE ` + name + ` RESET ALL`)
	d.pool.Reset()
	r := d.begin(replace("t"))
	r.plan(1, "a", "b")
	r.prepare(true)

	copying, err := d.pool.Begin(t.Context())
	d.must(err)
	files, err := lease(t.Context(), copying, ledger.Try{Run: r.id}, 0)
	d.must(err)

	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCheck))
	settled, proceed := make(chan string), make(chan struct{})
	finished := make(chan error)
	go func() {
		finished <- r.tx(func(tx pgx.Tx) error {
			if err := ledger.Settle(t.Context(), tx, r.id); err != nil {
				return err
			}
			settled <- r.states()
			<-proceed
			return nil
		})
	}()
	d.waits(1)
	_, _, err = ledger.Receive(t.Context(), copying, r.id, 0, []ledger.Receipt{{No: files[0].No}})
	d.must(err)
	d.must(copying.Commit(t.Context()))
	if states := <-settled; states != "loaded:1 planned:0" {
		t.Errorf("settled at %s, before the copy's end", states)
	}

	// A straggler that saw the run copying comes now. It waits, and is fenced.
	late := make(chan error)
	go func() { late <- r.copy(1) }()
	d.waits(1)
	close(proceed)
	d.must(<-finished)
	want(t, <-late, bucketload.CodeFenced)

	// One that waits while the run moves on is fenced too: it took its
	// snapshot, if it had one, when the run was copying.
	d.must(again(d, r.id))
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCopy))
	d.must(r.tx(func(tx pgx.Tx) error {
		if err := ledger.Settle(t.Context(), tx, r.id); err != nil {
			return err
		}
		go func() { late <- r.copy(1) }()
		d.waits(1)
		// What nobody could end, were it frozen now, keeps no batch from others.
		if n := d.value(`SELECT count(*) FROM (SELECT FROM bucketload.batches WHERE run = '` + r.id + `' AND no = 1 FOR UPDATE SKIP LOCKED) b`); n != "1" {
			t.Error("a copy that waits for the run's lock holds its batch")
		}
		return d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCheck)
	}))
	want(t, <-late, bucketload.CodeFenced)
	if r.states() != "loaded:1 planned:0" {
		t.Errorf("files %s", r.states())
	}
}

// A copy that does not stop by itself is ended, and leaves nothing.
func testEndCopies(t *testing.T, d *db) {
	d.exec(`CREATE TABLE rows (a int)`)
	r, other := d.begin(replace("t")), d.begin(replace("other"))
	for _, c := range []*conducted{r, other} {
		c.plan(1, "a")
		c.prepare(true)
	}
	var txs []pgx.Tx
	for _, c := range []*conducted{r, other} {
		tx, err := d.pool.Begin(t.Context())
		d.must(err)
		_, err = lease(t.Context(), tx, ledger.Try{Run: c.id}, 0)
		d.must(err)
		_, err = tx.Exec(t.Context(), `INSERT INTO rows VALUES (1)`)
		d.must(err)
		txs = append(txs, tx)
	}
	d.must(d.Enter(t.Context(), ledger.Try{Run: r.id}, ledger.StateCleanup))
	if n, err := d.EndCopies(t.Context(), r.id); n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	d.must(r.tx(func(tx pgx.Tx) error { return ledger.Settle(t.Context(), tx, r.id) })) // it is gone, or this would wait for ever
	if err := bucketload.DatabaseError("copy", txs[0].Commit(t.Context())); err == nil || !bucketload.IsTransient(err) {
		t.Errorf("the straggler's commit: %v", err)
	}
	d.must(txs[1].Commit(t.Context())) // the other run's copy does not notice
	if n := d.value(`SELECT count(*) FROM rows`); n != "1" {
		t.Errorf("%s rows, want the other run's", n)
	}
	if n, err := d.EndCopies(t.Context(), r.id); n != 0 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
}

// Of several that end a run's copies at once, one whose own connection another of
// them ends does it again.
func testEndedMeanwhile(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	r.plan(1, "a")
	r.prepare(true)
	tx, err := d.pool.Begin(t.Context())
	d.must(err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lease(t.Context(), tx, ledger.Try{Run: r.id}, 0)
	d.must(err)
	one := d.shadowed(`CREATE SEQUENCE shadow.ends; CREATE FUNCTION shadow.pg_terminate_backend(pid int) RETURNS bool LANGUAGE sql AS
		$$SELECT pg_catalog.pg_terminate_backend(CASE WHEN nextval('shadow.ends') = 1 THEN pg_catalog.pg_backend_pid() ELSE pid END)$$`)
	_, err = one.Cancel(t.Context(), r.id)
	d.must(err)
	if n := d.value(`SELECT last_value FROM shadow.ends`); n != "2" {
		t.Errorf("ended %s times", n)
	}
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("the copy goes on")
	}
}
