package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// A process that wakes late has no say over what has come meanwhile.
func testOutdatedLate(t *testing.T, d *db) {
	first := d.begin(replace("t"))
	first.publish()
	second := d.begin(replace("t")) // fails before the first has swept
	d.exec(`CREATE TABLE dataimport.r_` + second.id + ` ()`)
	second.fail()
	if got, err := d.Outdated(t.Context(), first.load.Table, first.id); err != nil || len(got) > 0 {
		t.Errorf("the first run would drop %v, %v", got, err)
	}
	third := d.begin(replace("t"))
	if got, err := d.Outdated(t.Context(), third.load.Table, third.id); err != nil || len(got) != 1 {
		t.Errorf("the running one would drop %v, %v", got, err)
	}
	third.fail()
	if got, err := d.Outdated(t.Context(), third.load.Table, third.id); err != nil || len(got) > 0 {
		t.Errorf("the ended one would drop %v, %v", got, err)
	}
}

// What a running run has is never dropped, whatever an earlier look said.
func testDiscard(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	d.exec(`CREATE TABLE dataimport.r_` + r.id + ` ()`)
	drop := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `DROP TABLE dataimport.r_`+r.id)
		return err
	}
	if dropped, err := d.Discard(t.Context(), r.id, drop); dropped || err != nil {
		t.Error("the running run's table is dropped", err)
	}
	r.fail()
	left, err := d.Leftovers(t.Context(), 0)
	if err != nil || len(left) != 1 || left[0].Run != r.id || left[0].Useless || left[0].EndedAt == nil {
		t.Errorf("%+v, %v", left, err)
	}
	// Somebody is just making it running again.
	d.must(r.tx(func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `UPDATE bucketload.runs SET status = 'running' WHERE id = $1`, r.id); err != nil {
			return err
		}
		if dropped, err := d.Discard(t.Context(), r.id, drop); dropped || err != nil {
			t.Error("the table of a run that goes on is dropped", err)
		}
		_, err := tx.Exec(t.Context(), `UPDATE bucketload.runs SET status = 'failed' WHERE id = $1`, r.id)
		return err
	}))
	if dropped, err := d.Discard(t.Context(), r.id, func(tx pgx.Tx) error {
		if n, err := d.EndCopies(t.Context(), r.id); n != 0 || err != nil {
			t.Errorf("another that ends the run's copies takes %d for one, %v", n, err)
		}
		return drop(tx)
	}); !dropped || err != nil {
		t.Error("not dropped", err)
	}
	if left, err := d.Leftovers(t.Context(), 0); len(left) > 0 || err != nil {
		t.Errorf("%+v, %v", left, err)
	}
}

// How long ago a run has ended is told by the clock that has recorded it: the
// server's, which is a month behind this machine's here.
func testLeftoversByTheServersClock(t *testing.T, d *db) {
	r := d.begin(replace("t"))
	d.exec(`CREATE TABLE dataimport.r_` + r.id + ` ()`)
	r.fail()
	behind := d.shadowed(`CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
		$$SELECT pg_catalog.clock_timestamp() - interval '30 days'$$`)
	const week = 7 * 24 * time.Hour
	for days, useless := range map[int]bool{30: false, 36: false, 38: true} { // ago
		d.exec(fmt.Sprintf(`UPDATE bucketload.runs SET ended_at = now() - interval '%d days' WHERE id = '%s'`, days, r.id))
		if left, err := behind.Leftovers(t.Context(), week); err != nil || len(left) != 1 || left[0].Useless != useless {
			t.Errorf("%d days: %+v, %v", days, left, err)
		}
	}
	if left, err := d.Leftovers(t.Context(), 0); err != nil || len(left) != 1 || left[0].Useless {
		t.Errorf("of any age: %+v, %v", left, err)
	}
}

func testCancel(t *testing.T, d *db) {
	ended := func(held interface{ Done() <-chan struct{} }) {
		t.Helper()
		select {
		case <-held.Done():
		case <-time.After(time.Minute):
			t.Error("the conductor is not told")
		}
	}
	load := replace("t")
	begin := func(id string) (held interface{ Done() <-chan struct{} }, release func()) {
		t.Helper()
		ctx, release, err := d.Hold(t.Context(), id)
		d.must(err)
		t.Cleanup(release)
		_, err = d.Begin(t.Context(), id, load, ledger.Conductor{})
		d.must(err)
		return ctx, release
	}
	held, release := begin("cancelled000")
	was, err := d.Cancel(t.Context(), "cancelled000")
	d.must(err)
	ended(held)
	release()
	if forced, err := d.EndHold(t.Context(), was, time.Minute); forced || err != nil {
		t.Error("it has let go, and was made to", err)
	}
	// holds takes a run's lock as a process does that will not hear of anything.
	holds := func(id string) (frozen *pgx.Conn) {
		t.Helper()
		frozen, err := pgx.Connect(t.Context(), d.dsn)
		d.must(err)
		t.Cleanup(func() { _ = frozen.Close(context.WithoutCancel(t.Context())) })
		_, err = frozen.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('bucketload hold ' || $1, 0))`, id)
		d.must(err)
		return frozen
	}
	_, err = d.Begin(t.Context(), "frozen000000", load, ledger.Conductor{})
	d.must(err)
	frozen := holds("frozen000000")
	was, err = d.Cancel(t.Context(), "frozen000000")
	d.must(err)
	if forced, err := d.EndHold(t.Context(), was, time.Millisecond); !forced || err != nil {
		t.Error("a frozen process holds it, and keeps it", err)
	}
	// A server process that is ended lets go of its locks before it is gone.
	for d.value(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, frozen.PgConn().PID()) != "0" {
		d.must(t.Context().Err())
	}
	// Who has come since is another one.
	next := holds("frozen000000")
	if forced, err := d.EndHold(t.Context(), was, time.Millisecond); forced || err != nil {
		t.Error("it is taken from one that goes on with it", err)
	}
	d.must(next.Ping(t.Context()))
	want(t, d.Enter(t.Context(), ledger.Try{Run: "cancelled000"}, ledger.StateCopy), bucketload.CodeFenced, "cancelled000")
	_, err = d.Cancel(t.Context(), "cancelled000")
	want(t, err, bucketload.CodeConflict, "has ended as cancelled")

	// What is said while the connection is broken is heard later.
	held, _ = begin("unheard00000")
	d.exec(`UPDATE bucketload.runs SET status = 'cancelled' WHERE id = 'unheard00000'`)
	d.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	ended(held)
}
