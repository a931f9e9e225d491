package steps

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// mended gives the load of a run, changed.
func (b *bench) mended(run string, change func(*bucketload.Load)) *bucketload.Load {
	b.t.Helper()
	r, err := b.Ledger.Run(b.t.Context(), run)
	b.must(err)
	load := *r.Load
	load.Columns = slices.Clone(load.Columns)
	load.CSVOpen = []string{"delimiter", "quote", "escape", "decimal", "thousands"}
	change(&load)
	return &load
}

// nulls has values of column n mean NULL.
func nulls(values ...string) func(*bucketload.Load) {
	return func(l *bucketload.Load) {
		l.Columns = []bucketload.Column{{Name: "n", NullIf: values}}
	}
}

// TestReplay mends in turn what rows are rejected for: each is loaded once, and
// what still fails has its new reason.
func TestReplay(t *testing.T) {
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, major)
			b.exec("CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0); CREATE TABLE t (f text, n int, d date, e even)")
			load := b.load(map[string]string{
				"a.csv": "f,n,d,e\na,1,2022-01-01,2\na,-,2022-01-02,\na,N/A,2022-01-03,3\n\"a\n,\"\"\",-,2022-01-04,4\na,3,05.01.2022,",
				"b.csv": "d,e,n,f\n2022-02-01,2,1,b\n02.02.2022,4,-,b\n",
			}, tolerating(t, "90%", ""))
			r, err := b.whole(load)
			b.must(err)
			if r.Rows != (bucketload.RowCount{Loaded: 2, Rejected: 5}) {
				t.Fatalf("%+v: %v", r.Rows, b.rejects(*r.ID))
			}
			replay := func(load *bucketload.Load, replayed, left int64, rows string, rejects ...string) {
				t.Helper()
				out, err := b.Replay(t.Context(), *r.ID, load)
				b.must(err)
				if want := (ReplayOutput{*r.ID, "public.t", replayed, left}); out != want {
					t.Errorf("%+v, want %+v", out, want)
				}
				if got := b.value(`SELECT string_agg(concat_ws('/', f, n, d, e), ' ' ORDER BY d) FROM t`); got != rows {
					t.Errorf("rows %q, want %q", got, rows)
				}
				if got := b.rejects(*r.ID); !slices.Equal(got, rejects) {
					t.Errorf("rejects\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(rejects, "\n"))
				}
			}
			replay(b.mended(*r.ID, nulls("-")), 2, 3, "a/1/2022-01-01/2 a/2022-01-02 a\n,\"/2022-01-04/4 b/1/2022-02-01/2",
				`a.csv:4+41 value n "N/A" "a,N/A,2022-01-03,3\n"`, `a.csv:7+83 value d "05.01.2022" "a,3,05.01.2022,"`, `b.csv:3+25 value d "02.02.2022" "02.02.2022,4,-,b\n"`)
			mended := b.mended(*r.ID, nulls("-", "N/A"))
			mended.Columns = append(mended.Columns, bucketload.Column{Name: "d", Format: []string{"YYYY-MM-DD", "DD.MM.YYYY"}})
			const all = "a/1/2022-01-01/2 a/2022-01-02 a\n,\"/2022-01-04/4 a/3/2022-01-05 b/1/2022-02-01/2 b/2022-02-02/4"
			replay(mended, 2, 1, all, `a.csv:4+41 value e "3" "a,N/A,2022-01-03,3\n"`)
			replay(mended, 0, 1, all, `a.csv:4+41 value e "3" "a,N/A,2022-01-03,3\n"`)
			after, err := b.Ledger.Run(t.Context(), *r.ID)
			b.must(err)
			if files := b.files(*r.ID); files["a.csv"].Rejected != 1 || files["a.csv"].Rows != 4 || files["b.csv"].Rejected != 0 ||
				after.Rows != (bucketload.RowCount{Loaded: 6, Rejected: 1}) || after.Status != bucketload.StatusPartial {
				t.Errorf("%+v, %s %+v", files, after.Status, after.Rows)
			}
			b.exec("ALTER DOMAIN even DROP CONSTRAINT even_check")
			replay(mended, 1, 0, strings.Replace(all, " a\n", " a/2022-01-03/3 a\n", 1))
			after, err = b.Ledger.Run(t.Context(), *r.ID)
			b.must(err)
			if after.Status != bucketload.StatusSucceeded || after.Rows != (bucketload.RowCount{Loaded: 7}) {
				t.Errorf("%s %+v", after.Status, after.Rows)
			}
			if n, err := b.Ledger.Replayed(t.Context(), *r.ID); n != 5 || err != nil {
				t.Errorf("%d replayed, %v", n, err)
			}
		})
	}
}

// rejected is a run of which all but a row of 250 are rejected.
func (b *bench) rejected() string {
	b.t.Helper()
	r, err := b.whole(b.load(map[string]string{"a.csv": "f,n\na,1\n" + strings.Repeat("a,-\n", 249)}, withColumns(columnsFN...), tolerating(b.t, "100%", ""),
		func(l *bucketload.Load) { l.CSV.Delimiter = "," }))
	b.must(err)
	return *r.ID
}

// TestReplayOnce: neither by two at once, nor by one whose commit is not heard
// of, nor by one that is killed in its middle, is a row loaded twice or lost.
func TestReplayOnce(t *testing.T) {
	t.Parallel()
	t.Run("at once", func(t *testing.T) {
		b := newBench(t, 0)
		run := b.rejected()
		load := b.mended(run, nulls("-"))
		var wg sync.WaitGroup
		var sum atomic.Int64
		for range 3 {
			wg.Go(func() {
				out, err := b.Replay(context.WithoutCancel(t.Context()), run, load)
				if err != nil {
					t.Error(err)
				}
				sum.Add(out.Replayed)
			})
		}
		wg.Wait()
		if got := b.value("SELECT count(*) FROM t"); got != "250" || sum.Load() != 249 {
			t.Errorf("%s rows, %d replayed", got, sum.Load())
		}
	})
	t.Run("lost commit", func(t *testing.T) {
		var left atomic.Int64
		b := newBench(t, 0, losing(&left))
		run := b.rejected()
		left.Store(1)
		if _, err := b.Replay(t.Context(), run, b.mended(run, nulls("-"))); !bucketload.IsTransient(err) {
			t.Fatalf("%v is not a lost reply", err)
		}
		out, err := b.Replay(t.Context(), run, b.mended(run, nulls("-")))
		b.must(err)
		if got := b.value("SELECT count(*) FROM t"); got != "250" || out.Replayed != 0 || out.Left != 0 {
			t.Errorf("%s rows, %+v", got, out)
		}
	})
	t.Run("killed", func(t *testing.T) {
		b := newBench(t, 0)
		run := b.rejected()
		b.exec(`CREATE SEQUENCE calls; CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN IF nextval(''calls'') = 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END';
			CREATE TRIGGER die AFTER UPDATE ON bucketload.rejects EXECUTE FUNCTION die()`)
		if _, err := b.Replay(t.Context(), run, b.mended(run, nulls("-"))); !bucketload.IsTransient(err) || b.value("SELECT last_value FROM calls") != "2" {
			t.Fatalf("%v is not of a killed backend", err)
		}
		if got := b.value("SELECT count(*) FROM t"); got != "1" || len(b.rejects(run)) != 249 {
			t.Errorf("%s rows, %d rejects", got, len(b.rejects(run)))
		}
		out, err := b.Replay(t.Context(), run, b.mended(run, nulls("-")))
		b.must(err)
		if got := b.value("SELECT count(*) FROM t"); got != "250" || out.Replayed != 249 {
			t.Errorf("%s rows, %+v", got, out)
		}
	})
}

// TestReplayWaitsForSwap: a swap that is under way decides whose table it is.
func TestReplayWaitsForSwap(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	run := b.rejected()
	load := b.mended(run, nulls("-"))
	next := b.prepared(load)
	b.must(b.copyAll(next))
	reader, err := b.Pool.Begin(t.Context())
	b.must(err)
	_, err = reader.Exec(t.Context(), "LOCK TABLE t IN ACCESS EXCLUSIVE MODE; ALTER TABLE t RENAME TO was; CREATE TABLE t AS SELECT * FROM was; UPDATE bucketload.runs SET published_at = clock_timestamp(), generation = id, status = 'succeeded' WHERE id = '"+next+"'")
	b.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := b.Replay(context.WithoutCancel(t.Context()), run, load)
		done <- err
	}()
	for b.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == "0" {
		select {
		case err := <-done:
			t.Fatalf("the replay did not wait: %v", err)
		default:
		}
	}
	b.must(reader.Commit(t.Context()))
	wantCode(t, <-done, bucketload.CodeConflict, "no longer what run "+run)
	if got := b.value("SELECT count(*) FROM t"); got != "1" {
		t.Errorf("%s rows", got)
	}
}

func TestReplayRefused(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0)
	refused := func(b *bench, run string, words ...string) {
		b.t.Helper()
		_, err := b.Replay(b.t.Context(), run, b.mended(run, nulls("-")))
		wantCode(b.t, err, bucketload.CodeConflict, words...)
	}
	load := func(b *bench, change ...func(*bucketload.Load)) *bucketload.Load {
		return b.load(map[string]string{"a.csv": "f,n\na,1\na,-\n"}, append(change, withColumns(columnsFN...), tolerating(t, "100%", ""))...)
	}
	t.Run("replaced", func(t *testing.T) {
		b := whole.part(t)
		r, err := b.whole(load(b))
		b.must(err)
		_, err = b.whole(load(b))
		b.must(err)
		refused(b, *r.ID, "public."+b.table+" is no longer what run "+*r.ID+" has loaded", "bucketload runs")
	})
	t.Run("appended to", func(t *testing.T) {
		b := whole.part(t)
		later := load(b)
		r, err := b.whole(later)
		b.must(err)
		later.Mode = bucketload.ModeAppend
		b.put("b.csv", "f,n\nb,-\n")
		appended, err := b.whole(later)
		b.must(err)
		for _, run := range []string{*r.ID, *appended.ID} {
			if out, err := b.Replay(t.Context(), run, b.mended(run, nulls("-"))); err != nil || out.Replayed != 1 {
				t.Errorf("%+v, %v", out, err)
			}
		}
		if got := fmt.Sprint(b.perFile(b.table)); got != "map[a:2 b:1]" {
			t.Errorf("rows %s", got)
		}
		_, err = b.whole(load(b))
		b.must(err)
		refused(b, *appended.ID, "no longer")
	})
	t.Run("dropped", func(t *testing.T) {
		b := whole.part(t)
		r, err := b.whole(load(b))
		b.must(err)
		b.exec("DROP TABLE " + b.table)
		refused(b, *r.ID, "no longer", "bucketload load t")
	})
	t.Run("under way", func(t *testing.T) {
		b := whole.part(t)
		run := b.prepared(load(b))
		b.must(b.copyAll(run))
		refused(b, run, "is under way", "bucketload status "+run)
		b.must(b.end(run, nil))
		b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
		refused(b, run, "has ended as failed", "bucketload load t")
	})
	t.Run("trial", func(t *testing.T) {
		b := whole.part(t)
		r, err := b.whole(load(b, func(l *bucketload.Load) { l.LimitFiles = 1 }))
		b.must(err)
		refused(b, *r.ID, "was a trial")
	})
	t.Run("before_swap_sql", func(t *testing.T) {
		b := whole.part(t)
		r, err := b.whole(load(b, func(l *bucketload.Load) { l.BeforeSwapSQL = []string{"SELECT 1"} }))
		b.must(err)
		refused(b, *r.ID, "before_swap_sql")
	})
	t.Run("cut", func(t *testing.T) {
		b := whole.part(t)
		run := load(b)
		b.put("a.csv", "f,n\na,1\n"+strings.Repeat("a", maxRaw)+",-\na,-\n")
		r, err := b.whole(run)
		b.must(err)
		out, err := b.Replay(t.Context(), *r.ID, b.mended(*r.ID, nulls("-")))
		b.must(err)
		if out.Replayed != 1 || out.Left != 1 {
			t.Errorf("%+v", out)
		}
		b.must(b.Ledger.Rejects(t.Context(), *r.ID, 1, func(r *ledger.Rejected) error {
			if r.Code != bucketload.CodeTooLong || r.Line != 3 || r.Hint != "load its file again" {
				t.Errorf("%+v", r.FileError)
			}
			return nil
		}))
	})
	if _, err := whole.Replay(t.Context(), "none", &bucketload.Load{}); !errors.As(err, new(*bucketload.Error)) {
		t.Error(err)
	}
}

// TestReplayNoHeader reads rows of a file without a header again, whose number
// of fields nothing else tells.
func TestReplayNoHeader(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"a.csv": "a;1;x\ra;-;y\ra;2;z"}, withColumns(columnsFN[0], columnsFN[1], bucketload.Column{Name: "g", Type: "text"}), tolerating(t, "1", ""))
	load.CSV.Header, load.CSV.Delimiter = false, ";"
	r, err := b.whole(load)
	b.must(err)
	out, err := b.Replay(t.Context(), *r.ID, b.mended(*r.ID, nulls("-")))
	b.must(err)
	if got := b.value("SELECT string_agg(concat_ws('/', f, n, g), ' ' ORDER BY g) FROM t"); out.Replayed != 1 || got != "a/1/x a/y a/2/z" {
		t.Errorf("%+v, %s", out, got)
	}
}

// TestReplayLineage: a row that is loaded later says where it came from as the
// others do.
func TestReplayLineage(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(map[string]string{"y=2022/a.csv": "f,n\na,1\na,-\na,3\n"}, tolerating(t, "1", ""), func(l *bucketload.Load) {
		l.Lineage = []string{bucketload.FileColumn, bucketload.LineColumn, bucketload.RunColumn}
		l.Columns = []bucketload.Column{{Name: "n", Type: "int"}}
		l.ColumnsOverride = true
	})
	r, err := b.whole(load)
	b.must(err)
	out, err := b.Replay(t.Context(), *r.ID, b.mended(*r.ID, nulls("-")))
	b.must(err)
	if got := b.value(`SELECT string_agg(concat_ws('/', f, n, y, _line, _file LIKE '%/y=2022/a.csv', _run = $1), ' ' ORDER BY _line) FROM t`, *r.ID); out.Replayed != 1 || got != "a/1/2022/2/t/t a/2022/3/t/t a/3/2022/4/t/t" {
		t.Errorf("%+v, %s", out, got)
	}
}

// TestReplayFormats: rows are read again as their files were, whatever these
// are.
func TestReplayFormats(t *testing.T) {
	t.Parallel()
	majors := temptest.Majors(t)
	type number struct {
		F   string  `parquet:"f"`
		N   string  `parquet:"n"`
		Who who     `parquet:"who"`
		X   *string `parquet:"x,optional"`
	}
	mail := "b@x.org"
	utf16 := func(s string) string {
		b := []byte("\xff\xfe")
		for _, u := range s {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	for i, c := range []struct {
		name     string
		files    map[string]string
		change   func(*bucketload.Load)
		rejected int64
		mend     func(*bucketload.Load)
		rows     string // what is in f, n and m at the end
		left     int64
	}{
		{"pipes that nothing quotes", map[string]string{"a.csv": "f|n|m\n\"a|1|\nb\"|-|x\n"}, func(l *bucketload.Load) { l.CSV.Delimiter, l.CSV.Quote = "|", "" }, 1, nulls("-"), `"a/1 b"/x`, 0},
		{"several bytes between fields", map[string]string{"a.csv": "f::n::m\na::-::x:\n"}, func(l *bucketload.Load) { l.CSV.Delimiter = "::" }, 1, nulls("-"), "a/x:", 0},
		{"a delimiter behind every row", map[string]string{"a.csv": "f,n,m,\na,1,x,\nb,-,y,\nc,-,\"z\n\",\n"}, nil, 2, nulls("-"), "a/1/x b/y c/z\n", 0},
		{"Latin-1", map[string]string{"a.csv": "f,n,m\n\xe4,1,x\n\xe9,-,\xfc\n"}, func(l *bucketload.Load) { l.CSV.Encoding = "latin1" }, 1, nulls("-"), "ä/1/x é/ü", 0},
		{"UTF-16", map[string]string{"a.csv": utf16("f,n,m\r\nä,1,x\r\né,-,ü\r\n")}, func(l *bucketload.Load) { l.CSV.Encoding = "utf-16le" }, 1, nulls("-"), "ä/1/x é/ü", 0},
		{"skipped lines and comments", map[string]string{"a.csv": "title\n\nf,n,m\n#x\na,-,x\nb,1,y\nfoot\n"}, func(l *bucketload.Load) { l.CSV.SkipHead, l.CSV.SkipFoot, l.CSV.Comment = 1, 1, "#" }, 1, nulls("-"), "a/x b/1/y", 0},
		{"ragged rows are padded", map[string]string{"a.csv": "f,n,m\na\nb,2,x\nc,3,y,z\n"}, nil, 2, func(l *bucketload.Load) { l.CSV.Ragged = bucketload.PolicyPad }, "a b/2/x", 1},
		{"and cut", map[string]string{"a.csv": "f,n,m\na\nb,2,x\nc,3,y,z\n"}, nil, 2, func(l *bucketload.Load) { l.CSV.Ragged = bucketload.PolicyTruncate }, "a b/2/x c/3/y", 0},
		{"what is no text is replaced", map[string]string{"a.csv": "f,n,m\na\xff,1,x\nb\x00,2,y\n"}, nil, 2, func(l *bucketload.Load) {
			l.CSV.InvalidUTF8, l.CSV.NUL = bucketload.PolicyReplace, bucketload.PolicyStrip
		}, "a\uFFFD/1/x b/2/y", 0},
		{"a stray quote", map[string]string{"a.csv": "f,n,m\na\"a,1,x\n" + strings.Repeat("b,2,y\n", 30)}, nil, 1, func(l *bucketload.Load) { l.CSV.Quote = ""; l.CSVOpen = []string{"delimiter"} },
			strings.TrimSpace(`a"a/1/x ` + strings.Repeat("b/2/y ", 30)), 0},
		{"a stray quote that is kept", map[string]string{"a.csv": "f,n,m\na\"a,1,x\n" + strings.Repeat("b,2,y\n", 30)}, nil, 1, func(l *bucketload.Load) { l.CSV.StrayQuotes = bucketload.PolicyKeep },
			strings.TrimSpace(`a"a/1/x ` + strings.Repeat("b/2/y ", 30)), 0},
		{"blanks around quotes", map[string]string{"a.csv": "f,n,m\n \"a,a\" ,1,x\n" + strings.Repeat("b,2,y\n", 30)}, nil, 1, func(l *bucketload.Load) { l.CSV.UnquotedBlanks = bucketload.PolicyTrim },
			strings.TrimSpace(`a,a/1/x ` + strings.Repeat("b/2/y ", 30)), 0},
		{"a decimal comma", map[string]string{"a.csv": "f;n;m\na;1,0;x\nb;2;y\n"}, func(l *bucketload.Load) {
			l.Columns, l.CSV.Delimiter = []bucketload.Column{{Name: "f"}, {Name: "n", Type: "numeric"}, {Name: "m"}}, ";"
		}, 1, func(l *bucketload.Load) { l.CSV.Decimal, l.CSVOpen = ",", []string{"delimiter", "quote", "escape"} }, "a/1.0/x b/2/y", 0},
		{"JSON", map[string]string{"a.json": `{"f": "a", "n": 1, "m": "x"}` + "\n" + `{"n": "-", "f": "b\n", "m": {"k": [1, 2]}}` + "\n", "b.json": `[["c", "-", "z"]]`}, func(l *bucketload.Load) {
			l.Columns = []bucketload.Column{{Name: "f", From: []string{"f", "column_1"}, Type: "text"}, {Name: "n", From: []string{"n", "column_2"}, Type: "int"}, {Name: "m", From: []string{"m", "column_3"}, Type: "text"}}
		}, 2, nulls("-"), "a/1/x b\n/{\"k\": [1, 2]} c/z", 0},
		{"JSON, records inside", map[string]string{"a.json": `{"data": [{"f": "a", "n": "-"}, {"f": "b", "n": 2, "m": null}]}`}, func(l *bucketload.Load) { l.JSON.Records = "$.data" }, 1, nulls("-"), "a b/2", 0},
		{"Parquet", map[string]string{"a.parquet": parquetOf(t, []number{{"a", "1", who{"Ann", nil}, nil}, {"b", "-", who{"Bob\n", &mail}, nil}})}, func(l *bucketload.Load) {
			l.Unknown = bucketload.PolicyIgnore
			l.Columns = []bucketload.Column{{Name: "f"}, {Name: "n", Type: "int"}, {Name: "m", From: []string{"who.name"}, Type: "text"}}
		}, 1, nulls("-"), "a/1/Ann b/Bob\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, majors[i%len(majors)])
			load := b.load(c.files, tolerating(t, "100%", ""), withColumns(bucketload.Column{Name: "f", Type: "text"}, bucketload.Column{Name: "n", Type: "int"}, bucketload.Column{Name: "m", Type: "text"}))
			load.CSV.Delimiter = ","
			load.AllowEmpty = true
			if c.change != nil {
				c.change(load)
			}
			r, err := b.whole(load)
			b.must(err)
			if r.Rows.Rejected != c.rejected {
				t.Errorf("%+v: %q", r.Rows, b.rejects(*r.ID))
			}
			b.must(b.Ledger.Rejects(t.Context(), *r.ID, maxRaw, func(r *ledger.Rejected) error {
				if name := path.Base(r.URI); path.Ext(name) != ".parquet" && !strings.HasPrefix(c.files[name][r.Offset:], string(r.Raw)) {
					t.Errorf("%s:%d: %q at %d is not what the file has there", name, r.Line, r.Raw, r.Offset)
				}
				return nil
			}))
			out, err := b.Replay(t.Context(), *r.ID, b.mended(*r.ID, func(l *bucketload.Load) {}))
			b.must(err)
			if out.Replayed != 0 || out.Left != c.rejected {
				t.Errorf("with nothing mended: %+v", out)
			}
			out, err = b.Replay(t.Context(), *r.ID, b.mended(*r.ID, c.mend))
			b.must(err)
			if out.Replayed != c.rejected-c.left || out.Left != c.left {
				t.Errorf("%+v: %q", out, b.rejects(*r.ID))
			}
			if got := b.value(`SELECT string_agg(concat_ws('/', f, n, m), ' ' ORDER BY f COLLATE "C") FROM t`); got != c.rows {
				t.Errorf("rows %q, want %q", got, c.rows)
			}
		})
	}
}
