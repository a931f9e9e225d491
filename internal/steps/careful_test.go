package steps

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp"
)

// TestReadTwice: however many rows the server refuses, a file is read twice at
// most.
func TestReadTwice(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	s3, err := temp.StartS3(temp.S3Options{})
	b.must(err)
	defer func() { _ = s3.Close() }()
	b.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0); CREATE TABLE t (f text, n known, m int)")
	var reads [4]atomic.Int64
	for i := range reads {
		var file strings.Builder
		file.WriteString("f,n,m\n")
		for n := range 3000 {
			if n%7 == i {
				fmt.Fprintf(&file, "%d,-1,\n", i)
			} else {
				fmt.Fprintf(&file, "%d,%d,\n", i, n)
			}
		}
		b.must(s3.Put("bucket", fmt.Sprintf("%d.csv", i), []byte(file.String())))
	}
	load := b.load(nil, tolerating(t, "50%", ""), func(l *bucketload.Load) {
		l.From = []string{"s3://bucket/"}
		l.S3 = bucketload.S3{EndpointURL: s3.URL(), PathStyle: true, Anonymous: true, Region: "us-east-1"}
	})
	run := b.prepared(load)
	s3.Fault(func(r *http.Request) *temp.Fault {
		if name := path.Base(r.URL.Path); r.Method == http.MethodGet && strings.HasSuffix(name, ".csv") {
			reads[name[0]-'0'].Add(1)
		}
		return nil
	})
	b.must(b.copyAll(run))
	for i := range reads {
		if n := reads[i].Load(); n > 2 {
			t.Errorf("file %d was read %d times", i, n)
		}
	}
	for f, n := range b.perFile("dataimport.r_" + run) {
		if n+b.count("SELECT count(*) FROM bucketload.rejects WHERE run = $1 AND file = $2", run, f) != 3000 {
			t.Errorf("file %s has %d rows", f, n)
		}
	}
}

// TestRejectsNotRecorded: rows must not be where their neighbours' rejects are
// not.
func TestRejectsNotRecorded(t *testing.T) {
	t.Parallel()
	for _, server := range []bool{false, true} {
		b := newBench(t, 0)
		b.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0); CREATE TABLE t (f text, n known, m int)")
		run := b.prepared(b.load(map[string]string{"a.csv": "f,n,m\na,1,\na,x,\n" + map[bool]string{true: "a,-1,\n"}[server]}, tolerating(t, "5", "")))
		b.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no rejects today''; END';
			CREATE TRIGGER no BEFORE INSERT ON bucketload.rejects FOR EACH ROW EXECUTE FUNCTION no()`)
		err := b.copyAll(run)
		wantCode(t, err, bucketload.CodeDatabase, "no rejects today")
		if got := b.value("SELECT count(*) FROM dataimport.r_" + run); got != "0" {
			t.Errorf("%s rows without the rejects", got)
		}
		b.exec("DROP TRIGGER no ON bucketload.rejects")
		b.must(b.copyAll(run))
		if got, rejects := b.perFile("dataimport.r_"+run), b.rejects(run); got["a"] != 1 || len(rejects) != 1+map[bool]int{true: 1}[server] {
			t.Errorf("rows %v, rejects %v", got, rejects)
		}
	}
}

// TestRejectsOnce: neither a copy whose commit is not heard of, nor a killed
// backend, nor a redrive doubles a reject.
func TestRejectsOnce(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	b := newBench(t, 0, losing(&left))
	b.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0); CREATE TABLE t (f text, n known, m int)")
	load := b.load(map[string]string{"a.csv": "f,n,m\na,1,\na,x,\na,-1,\n", "b.csv": "f,n,m\nb,y,\nb,2,\n", "c.csv": "f,n,m\nc,y,\nc,y,\nc,y,\nc,1,\n"},
		tolerating(t, "2", ""), func(l *bucketload.Load) { l.Tolerate.Files = bucketload.Share{} })
	run := b.prepared(load)
	b.exec(`CREATE SEQUENCE calls; CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN IF nextval(''calls'') = 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END';
		CREATE TRIGGER die AFTER INSERT ON bucketload.rejects FOR EACH ROW EXECUTE FUNCTION die()`)
	if err := b.copyFree(run); !bucketload.IsTransient(err) || b.value("SELECT last_value FROM calls") != "2" {
		t.Fatalf("killed: %v", err)
	}
	if got := b.rejects(run); len(got) > 0 {
		t.Errorf("a killed backend left %q", got)
	}
	left.Store(1)
	if err := b.copyFree(run); !bucketload.IsTransient(err) {
		t.Fatalf("lost: %v", err)
	}
	b.must(b.copyFree(run))
	want := []string{`a.csv:3+11 value n "x" "a,x,\n"`, `a.csv:4+16 value n "-1" "a,-1,\n"`, `b.csv:2+6 value n "y" "b,y,\n"`}
	if got := b.rejects(run); !slices.Equal(got, want) {
		t.Errorf("rejects %q", got)
	}
	_, err := b.Finish(t.Context(), ledger.Try{Run: run})
	wantCode(t, err, bucketload.CodeTolerance, "c.csv:2", "(3 of the first 3 rows cannot be loaded, more than the 2 tolerated)")

	b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
	b.put("c.csv", "f,n,m\nc,1,\nc,-1,\n")
	b.resume(run)
	b.must(b.Ledger.Enter(t.Context(), ledger.Try{Run: run}, ledger.StateCopy))
	b.must(b.copyAll(run))
	r, err := b.Finish(t.Context(), ledger.Try{Run: run})
	b.must(err)
	if got := b.rejects(run); !slices.Equal(got, append(want, `c.csv:3+11 value n "-1" "c,-1,\n"`)) || r.Rows != (bucketload.RowCount{Loaded: 3, Rejected: 4}) {
		t.Errorf("rejects %q, %+v", got, r.Rows)
	}
}

// TestNothingSent: a refusal before there is a row is no row's fault.
func TestNothingSent(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"", "100%"} {
		b := newBench(t, 0)
		b.exec(`CREATE TABLE t (f text, n int); CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''closed today''; END';
			CREATE TRIGGER no BEFORE INSERT ON t EXECUTE FUNCTION no()`)
		load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": rows("b", 3)}, tolerating(t, limit, ""), func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend })
		run := b.prepared(load)
		if err := b.copyAll(run); err != nil { // else both files are to blame
			wantCode(t, err, bucketload.CodeDatabase, "closed today")
		}
		if got := b.value("SELECT count(*) FROM t"); got != "0" {
			t.Errorf("%s rows", got)
		}
	}
}
