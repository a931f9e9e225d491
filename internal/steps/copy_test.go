package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
	"github.com/bucketload/bucketload/internal/temp"
	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func zip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// rows makes a file: a column that names the file, and a number.
func rows(file string, n int) string {
	var b strings.Builder
	b.WriteString("f,n\n")
	for i := range n {
		fmt.Fprintf(&b, "%s,%d\n", file, i)
	}
	return b.String()
}

var columnsFN = []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}}

func withColumns(columns ...bucketload.Column) func(*bucketload.Load) {
	return func(l *bucketload.Load) { l.Columns = columns }
}

// perFile is the rows in a table of each file that column f names.
func (b *bench) perFile(table string) map[string]int64 {
	b.t.Helper()
	rows, err := b.Pool.Query(b.t.Context(), "SELECT f, count(*) FROM "+table+" GROUP BY f")
	b.must(err)
	counts := map[string]int64{}
	var f string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&f, &n}, func() error {
		counts[f] = n
		return nil
	})
	b.must(err)
	return counts
}

func TestOneBadFileCostsThatFile(t *testing.T) {
	good := strings.Repeat("x,1\n", 10)
	files := map[string]struct{ content, want string }{
		"a_good.csv":      {"f,n\n" + good, "loaded 10"},
		"b_ragged.csv":    {"f,n\nb,1\nb\nb,3\n", `failed ragged line 3 column "" value ""`},
		"c_type.csv":      {"f,n\nc,1\nc,2\nc,two\n", `failed value line 4 column "n" value "two"`},
		"d_quote.csv":     {"f,n\nd,1\n\"d,2\nd,3\n", `failed quote line 3 column "" value ""`},
		"e_utf8.csv":      {"f,n\ne\xff,1\n", `failed invalid_utf8 line 2 column "f" value "e` + "\uFFFD" + `"`},
		"f_nul.csv":       {"f,n\nf,1\nf\x00,2\n", `failed nul line 3 column "f" value "f` + "\uFFFD" + `"`},
		"g_missing.csv":   {"f\ng\n", `failed missing_column line 1 column "n" value ""`},
		"h_unknown.csv":   {"f,n,z\nh,1,2\n", `failed unknown_column line 1 column "" value "z"`},
		"i_cut.csv.gz":    {zip("f,n\n" + good)[:30], `failed corrupt line 1 column "" value ""`},
		"j_gone.csv":      {"f,n\nj,1\n", `failed object_missing line 0 column "" value ""`},
		"k_changed.csv":   {"f,n\nk,1\n", `failed object_changed line 0 column "" value ""`},
		"l_empty.csv":     {"", "loaded 0"},
		"m_header.csv":    {"f,n\n", "loaded 0"},
		"n_nothing.csv":   {"f,n", "loaded 0"},
		"o_good.csv.gz":   {zip("f,n\n" + good), "loaded 10"},
		"p_order.csv":     {"n,f\n7,p\n", "loaded 1"},
		"q_multiline.csv": {"f,n\n\"q\nq\",1\nq,x\n", `failed value line 4 column "n" value "x"`},
		"r_long.csv":      {"f,n\nr,99999999999\n", `failed value line 2 column "n" value "99999999999"`},
		"s_blank.csv":     {"\n\nf,n\n\ns,1\n", "loaded 1"},
		"z_last.csv":      {"f,n\nz,1\nz,2", "loaded 2"},
	}
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, major)
			load := b.load(nil, withColumns(columnsFN...))
			for name, f := range files {
				b.put(name, f.content)
			}
			run := b.prepared(load)
			b.must(os.Remove(filepath.Join(b.dir, "j_gone.csv")))
			b.put("k_changed.csv", "f,n\nk,1\nk,2\n")
			b.must(b.copyAll(run))
			for name, got := range b.files(run) {
				if want := files[name].want; outcome(got) != want {
					t.Errorf("%s: %s, want %s", name, outcome(got), want)
				}
				if e := got.Error; e != nil && e.Hint == "" {
					t.Errorf("%s: no hint with %s", name, e.Message)
				}
			}
			want := map[string]int64{"x": 20, "p": 1, "s": 1, "z": 2}
			if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, want) {
				t.Errorf("rows %v, want %v", got, want)
			}
			if b.Progress.Bytes.Load() != b.Progress.PlannedBytes.Load() || b.Progress.LoadedFiles.Load() != 8 || b.Progress.FailedFiles.Load() != 12 {
				t.Errorf("progress: %d of %d bytes, %d loaded, %d failed", b.Progress.Bytes.Load(), b.Progress.PlannedBytes.Load(),
					b.Progress.LoadedFiles.Load(), b.Progress.FailedFiles.Load())
			}
		})
	}
}

// fullOf is how many rows of wide fill what is held back.
const fullOf = heldBack >> 13

// wide makes a file of n rows of 8 KiB, and a little more; row number bad (from
// 0) has no number. As wideColumns has it, it is sent in binary.
func wide(file string, n, bad int) string {
	var b strings.Builder
	b.WriteString("f,n,m,pad\n")
	pad := strings.Repeat("p", 1<<13)
	for i := range n {
		if i == bad {
			b.WriteString(file + ",bad,0," + pad + "\n")
			continue
		}
		fmt.Fprintf(&b, "%s,%d,0,%s\n", file, i, pad)
	}
	return b.String()
}

var wideColumns = []bucketload.Column{{Name: "f", Type: "text"}, {Name: "n", Type: "int"}, {Name: "m", Type: "int"}, {Name: "pad", Type: "text"}}

// TestBigFiles is about files around and above what is held back, among small
// ones in one batch.
func TestBigFiles(t *testing.T) {
	const big = fullOf + 100 // rows
	cases := map[string]struct {
		n, bad int
		want   string
	}{
		"a_small.csv":      {3, -1, "loaded 3"},
		"b_big.csv":        {big, -1, fmt.Sprintf("loaded %d", big)},
		"c_bad_end.csv":    {big, big - 1, fmt.Sprintf(`failed value line %d column "n" value "bad"`, big+1)},
		"d_bad_begin.csv":  {big, 0, `failed value line 2 column "n" value "bad"`},
		"e_small.csv":      {2, -1, "loaded 2"},
		"f_small_bad.csv":  {2, 1, `failed value line 3 column "n" value "bad"`},
		"g_big.csv":        {big, -1, fmt.Sprintf("loaded %d", big)},
		"i_below.csv":      {fullOf - 10, -1, fmt.Sprintf("loaded %d", fullOf-10)},
		"j_below_bad.csv":  {fullOf - 10, fullOf - 11, fmt.Sprintf(`failed value line %d column "n" value "bad"`, fullOf-10+1)},
		"k_small_last.csv": {1, -1, "loaded 1"},
	}
	for _, typ := range []string{"int", "text"} { // binary and text format
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			b := sharedBench(t, 0)
			columns := slices.Clone(wideColumns)
			columns[2].Type = typ
			load := b.load(nil, withColumns(columns...))
			truth := map[string]int64{}
			for name, c := range cases {
				b.put(name, wide(name, c.n, c.bad))
				if strings.HasPrefix(c.want, "loaded") {
					truth[name] = int64(c.n)
				}
			}
			run := b.prepared(load)
			b.must(b.copyAll(run))
			for name, got := range b.files(run) {
				if outcome(got) != cases[name].want {
					t.Errorf("%s: %s, want %s", name, outcome(got), cases[name].want)
				}
			}
			if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, truth) {
				t.Errorf("rows %v, want %v", got, truth)
			}
		})
	}
}

// TestServerRefusals is about values that only Postgres can judge.
func TestServerRefusals(t *testing.T) {
	const types = `CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN short AS varchar(3);`
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			whole := sharedBench(t, major)
			whole.exec(types)
			cases := []struct {
				name, live string
				header     string
				good       string
				files      map[string][2]string // rows, outcome
			}{
				{"not null, binary", "f text, n int NOT NULL, x float8", "f,n,x", "good,1,1\ngood,2,2\n", map[string][2]string{
					"b.csv": {"b,1,1\nb,,2\n", `failed not_null line 3 column "n" value ""`},
					"c.csv": {"c,3,\n", "loaded 1"}}},
				{"not null, text", "f text, n text NOT NULL", "f,n", "good,1\n", map[string][2]string{
					"b.csv": {"b,1\n\nb,x\nb,\n", `failed not_null line 5 column "n" value ""`},
					"c.csv": {"c,3\n", "loaded 1"}}},
				{"enum", "f text, m mood", "f,m", "good,glad\n", map[string][2]string{
					"b.csv": {"\"b\nb\",sad\nb,angry\n", `failed value line 4 column "m" value "angry"`},
					"c.csv": {"c,sad\nc,\n", "loaded 2"}}},
				{"domain", "f text, p positive", "p,f", "1,good\n", map[string][2]string{
					"b.csv": {"1,b\n-1,b\n", `failed value line 3 column "p" value "-1"`},
					"c.csv": {"2,c\n", "loaded 1"},
					"d.csv": {"0,d\n", `failed value line 2 column "p" value "0"`}}},
				{"short domain", "f text, s short", "f,s", "good,abc\n", map[string][2]string{
					"b.csv": {"b,abcd\n", `failed value line 2 column "s" value "abcd"`},
					"c.csv": {"c,x\n", "loaded 1"}}},
			}
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					b := whole.part(t)
					b.exec("CREATE TABLE " + b.table + " (" + c.live + ")")
					b.Progress.Reset()
					load := b.load(map[string]string{"a.csv": c.header + "\n" + c.good, "z.csv": c.header + "\n" + c.good})
					truth := map[string]int64{"good": int64(2 * strings.Count(c.good, "\n"))}
					for name, f := range c.files {
						b.put(name, c.header+"\n"+f[0])
						if n, ok := strings.CutPrefix(f[1], "loaded "); ok {
							truth[name[:1]], _ = strconv.ParseInt(n, 10, 64)
						}
					}
					run := b.prepared(load)
					b.must(b.copyAll(run))
					got := b.files(run)
					for name, f := range c.files {
						if outcome(got[name]) != f[1] {
							t.Errorf("%s: %s, want %s (%+v)", name, outcome(got[name]), f[1], got[name].Error)
						}
					}
					if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, truth) {
						t.Errorf("rows %v, want %v", got, truth)
					}
					if b.Progress.Bytes.Load() != b.Progress.PlannedBytes.Load() {
						t.Errorf("progress: %d of %d bytes", b.Progress.Bytes.Load(), b.Progress.PlannedBytes.Load())
					}
				})
			}
		})
	}
}

// TestServerRefusesInBigFile has the refusal behind rows that went out long
// before, and beside a small file that is refused, too.
func TestServerRefusesInBigFile(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec("CREATE DOMAIN known AS int CHECK (VALUE >= 0); CREATE TABLE t (f text, n known, m int, pad text)")
	const big = fullOf + 300
	refused := strings.Replace(wide("b", big, big-10), ",bad,", ",-1,", 1)
	load := b.load(map[string]string{"a.csv": wide("a", 2, -1), "b.csv": refused, "c.csv": wide("c", 2, -1), "d.csv": "f,n,m,pad\nd,-2,,\n", "e.csv": wide("e", 1, -1)})
	run := b.prepared(load)
	b.must(b.copyAll(run))
	got := b.files(run)
	for name, want := range map[string]string{"a.csv": "loaded 2", "c.csv": "loaded 2", "e.csv": "loaded 1",
		"b.csv": fmt.Sprintf(`failed value line %d column "n" value "-1"`, big-10+2), "d.csv": `failed value line 2 column "n" value "-2"`} {
		if outcome(got[name]) != want {
			t.Errorf("%s: %s, want %s", name, outcome(got[name]), want)
		}
	}
	if got, want := b.perFile("dataimport.r_"+run), map[string]int64{"a": 2, "c": 2, "e": 1}; !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestAppendRefusals(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec(`CREATE TABLE t (f text, n int UNIQUE, CONSTRAINT small CHECK (n < 100)); INSERT INTO t VALUES ('old', 7)`)
	load := b.load(map[string]string{"a.csv": "f,n\na,1\n", "b.csv": "f,n\nb,2\nb,7\n", "c.csv": "f,n\nc,3\nc,4\nc,100\n", "d.csv": "f,n\nd,5\n"},
		func(l *bucketload.Load) { l.Mode = bucketload.ModeAppend })
	r, err := b.whole(load)
	b.must(err)
	got := b.files(*r.ID)
	for name, want := range map[string]string{"b.csv": `failed duplicate line 3 column "" value ""`, "c.csv": `failed value line 4 column "" value ""`} {
		if outcome(got[name]) != want {
			t.Errorf("%s: %s, want %s", name, outcome(got[name]), want)
		}
	}
	if m := got["b.csv"].Error.Message; !strings.Contains(m, "(n)=(7)") {
		t.Errorf("%q does not say which key", m)
	}
	if got, want := b.perFile("t"), map[string]int64{"old": 1, "a": 1, "d": 1}; !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
	if r.Status != bucketload.StatusPartial {
		t.Errorf("status %s", r.Status)
	}
}

// TestRowsEqualTruth loads random sets of files with random faults and batch
// sizes: the table has each good file's rows once, and the receipts say so.
func TestRowsEqualTruth(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	b.exec("CREATE TYPE mood AS ENUM ('glad', 'sad')")
	rapid.Check(t, func(rt *rapid.T) {
		b.t, b.dir = t, t.TempDir()
		typ := rapid.SampledFrom([]string{"bigint", "mood"}).Draw(rt, "type") // binary, text
		value := map[string]string{"bigint": "12", "mood": "sad"}[typ]
		truth, outcomes := map[string]int64{}, map[string]string{}
		load := b.load(nil, withColumns(bucketload.Column{Name: "f", Type: "text"}, bucketload.Column{Name: "v", Type: typ}, bucketload.Column{Name: "w", Type: "int"}),
			func(l *bucketload.Load) {
				l.CSV.Delimiter = ","
				l.MaxItemsPerBatch = rapid.IntRange(1, 5).Draw(rt, "items")
				l.MinBatchBytes = bucketload.Bytes(rapid.SampledFrom([]int{0, 100, 1e6}).Draw(rt, "bytes"))
			})
		for i := range rapid.IntRange(1, 12).Draw(rt, "files") {
			name := fmt.Sprintf("f%02d", i)
			n := rapid.IntRange(0, 4).Draw(rt, "rows")
			header, body := "f,v,w\n", strings.Repeat(name+","+value+",1\n", n)
			want := fmt.Sprintf("loaded %d", n)
			at := n + 2
			switch fault := rapid.SampledFrom([]string{"", "", "", "order", "here", "server", "ragged", "header"}).Draw(rt, "fault"); fault {
			case "order":
				header, body = "w,v,f\n", strings.Repeat("1,"+value+","+name+"\n", n)
			case "here":
				body += name + "," + value + ",x\n"
				want = fmt.Sprintf(`failed value line %d column "w" value "x"`, at)
			case "server":
				body += name + ",other,1\n"
				want = fmt.Sprintf(`failed value line %d column "v" value "other"`, at)
			case "ragged":
				body += name + "\n"
				want = fmt.Sprintf(`failed ragged line %d column "" value ""`, at)
			case "header":
				header = "f,v\n"
				want = `failed missing_column line 1 column "w" value ""`
			}
			if want == fmt.Sprintf("loaded %d", n) && n > 0 {
				truth[name] = int64(n)
			}
			outcomes[name+".csv"] = want
			b.put(name+".csv", header+body)
		}
		run := b.prepared(load)
		if err := b.copyAll(run); err != nil {
			rt.Fatal(err)
		}
		var sum int64
		for name, f := range b.files(run) {
			sum += f.Rows
			if outcome(f) != outcomes[name] {
				rt.Errorf("%s: %s, want %s", name, outcome(f), outcomes[name])
			}
		}
		r, err := b.Ledger.Run(t.Context(), run)
		b.must(err)
		if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, truth) || r.Rows.Loaded != sum {
			rt.Errorf("rows %v, want %v; the run says %d, its files %d", got, truth, r.Rows.Loaded, sum)
		}
		b.must(b.Ledger.End(t.Context(), ledger.Try{Run: run}, bucketload.StatusFailed, nil))
		b.held[run]()
	})
}

func TestThousandsOfFiles(t *testing.T) {
	t.Parallel()
	b := sharedBench(t, 0)
	load := b.load(nil, withColumns(columnsFN...), func(l *bucketload.Load) { l.MaxItemsPerBatch = 5000 })
	for i := range 1100 {
		b.put(fmt.Sprintf("%04d.csv", i), rows("x", 2))
	}
	b.put("0700a.csv", "f,n\nx,?\n")
	r, err := b.whole(load)
	b.must(err)
	if r.Rows.Loaded != 2200 || r.Files.Failed != 1 || b.value("SELECT count(*) FROM t") != "2200" {
		t.Errorf("%+v %+v", r.Rows, r.Files)
	}
}

// TestReceiveFails: rows without receipts must not be.
func TestReceiveFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...)))
	b.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no receipts today''; END';
		CREATE TRIGGER no BEFORE UPDATE ON bucketload.files FOR EACH ROW EXECUTE FUNCTION no()`)
	err := b.copyAll(run)
	wantCode(t, err, bucketload.CodeDatabase, "no receipts today")
	if got := b.value("SELECT count(*) FROM dataimport.r_" + run); got != "0" {
		t.Errorf("%s rows without a receipt", got)
	}
	if p := &b.Progress; p.Rows.Load() != 0 || p.Bytes.Load() != 0 || p.LoadedFiles.Load() != 0 || p.FailedFiles.Load() != 0 {
		t.Errorf("progress counts what was rolled back")
	}
	b.exec("DROP TRIGGER no ON bucketload.files")
	b.must(b.copyAll(run))
	if got := b.perFile("dataimport.r_" + run); !maps.Equal(got, map[string]int64{"a": 3}) {
		t.Errorf("rows %v", got)
	}
}

// loser is a connection to Postgres that loses the reply to a COMMIT: the
// server has committed, and the client does not know.
type loser struct {
	net.Conn
	left   *atomic.Int64 // commits up to the one that is lost
	losing atomic.Bool
}

func (l *loser) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("commit\x00")) && l.left.Add(-1) == 0 {
		l.losing.Store(true)
	}
	return l.Conn.Write(p)
}

func (l *loser) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err == nil && l.losing.Load() {
		_ = l.Close()
		return 0, syscall.ECONNRESET
	}
	return n, err
}

// losing has the pool's connections lose the reply to one commit.
func losing(left *atomic.Int64) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) {
		dial := c.ConnConfig.DialFunc
		c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return &loser{Conn: conn, left: left}, err
		}
	}
}

func TestLostReplies(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	b := newBench(t, 0, losing(&left))
	ctx := t.Context()
	load := b.load(map[string]string{"a.csv": rows("a", 3), "b.csv": "f,n\nb,?\n"}, withColumns(columnsFN...))
	run := b.begin(load)
	// lost does a step whose commit is not heard of, and once more.
	lost := func(do func() error) {
		t.Helper()
		left.Store(1)
		if err := do(); !bucketload.IsTransient(err) {
			t.Fatalf("%v is not a lost reply, and transient", err)
		}
		b.must(do())
	}
	lost(func() error { _, err := b.Plan(ctx, PlanInput{Try: ledger.Try{Run: run}, Load: load}); return err })
	lost(func() error { return b.Prepare(ctx, ledger.Try{Run: run}) })
	lost(func() error { _, err := b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 0}); return err })
	for n := int64(1); ; n++ { // each of its transactions in turn
		left.Store(n)
		r, err := b.Finish(ctx, ledger.Try{Run: run})
		if err == nil {
			if r.Status != bucketload.StatusPartial || r.Rows.Loaded != 3 || n < 3 {
				t.Errorf("%s %+v after %d lost commits", r.Status, r.Rows, n-1)
			}
			break
		}
		if !bucketload.IsTransient(err) {
			t.Fatal(err)
		}
	}
	if got := b.perFile("t"); !maps.Equal(got, map[string]int64{"a": 3}) {
		t.Errorf("rows %v", got)
	}
}

// bucket gives a load of wide files with so many rows, from S3.
func (b *bench) bucket(files map[string]int) (*temp.S3, *bucketload.Load) {
	b.t.Helper()
	s3, err := temp.StartS3(temp.S3Options{})
	b.must(err)
	b.t.Cleanup(func() { _ = s3.Close() })
	for name, n := range files {
		b.must(s3.Put("bucket", name+".csv", []byte(wide(name, n, -1))))
	}
	return s3, b.load(nil, withColumns(wideColumns...), func(l *bucketload.Load) {
		l.From = []string{"s3://bucket/"}
		l.S3 = bucketload.S3{EndpointURL: s3.URL(), PathStyle: true, Anonymous: true, Region: "us-east-1"}
	})
}

// copyFree is copyAll once no killed backend holds a batch any more.
func (b *bench) copyFree(run string) error {
	err := b.copyAll(run)
	for errors.Is(err, ledger.ErrBusy) {
		err = b.copyAll(run)
	}
	return err
}

// TestBackendKilled ends the COPY's backend before the first file, before a big
// one, in its middle and behind it.
func TestBackendKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	const big = fullOf + 300
	s3, load := b.bucket(map[string]int{"a": 3, "b": 3, "c": big, "d": 2})
	run := b.prepared(load)
	for _, at := range []struct{ key, bytes string }{{"/bucket/a.csv", ""}, {"/bucket/c.csv", ""}, {"/bucket/c.csv", "bytes="}, {"/bucket/d.csv", ""}} {
		var killed atomic.Bool
		var one sync.Mutex
		s3.Fault(func(r *http.Request) *temp.Fault {
			one.Lock()
			defer one.Unlock()
			if r.URL.Path == at.key && strings.HasPrefix(r.Header.Get("Range"), at.bytes) && killed.CompareAndSwap(false, true) {
				// What the copy before had read ahead may come only now, and finds nobody.
				killed.Store(b.value(`SELECT coalesce(bool_or(pg_terminate_backend(pid, 5000)), false) FROM pg_locks WHERE locktype = 'advisory'
					AND mode = 'ShareLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == "true")
			}
			if r.URL.Path == at.key && at.bytes != "" && r.Header.Get("Range") == "" {
				return &temp.Fault{CutAfter: 5_500_000}
			}
			return nil
		})
		if err := b.copyFree(run); !killed.Load() || !bucketload.IsTransient(err) {
			t.Errorf("killed at %s %s: %v is not transient", at.key, at.bytes, err)
		}
	}
	s3.Fault(nil)
	b.must(b.copyFree(run))
	if got, want := b.perFile("dataimport.r_"+run), (map[string]int64{"a": 3, "b": 3, "c": big, "d": 2}); !maps.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

// TestBusyBatch: of two workers with one batch one is told to come again.
func TestBusyBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	ctx := t.Context()
	run := b.prepared(b.load(map[string]string{"a.csv": rows("a", 3)}, withColumns(columnsFN...)))
	tx, err := b.Pool.Begin(ctx)
	b.must(err)
	_, err = lease(ctx, tx, ledger.Try{Run: run}, 0)
	b.must(err)
	_, err = b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 0})
	wantCode(t, err, bucketload.CodeConflict, "batch 0", "redrive "+run)
	if !bucketload.IsTransient(err) {
		t.Error("not transient")
	}
	b.must(tx.Rollback(ctx))
	out, err := b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 0})
	b.must(err)
	if out != (CopyOutput{Loaded: 1, Rows: 3}) {
		t.Errorf("%+v", out)
	}
	if out, err = b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 0}); err != nil || out != (CopyOutput{}) {
		t.Errorf("once more: %+v, %v", out, err)
	}
	_, err = b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 1})
	wantCode(t, err, bucketload.CodeInternal, "no batch 1")
}

// TestManyWorkers has every batch copied by several at once.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	load := b.load(nil, withColumns(columnsFN...), func(l *bucketload.Load) { l.MaxItemsPerBatch, l.MinBatchBytes = 1, 0 })
	for i := range 6 {
		b.put(fmt.Sprintf("%d.csv", i), rows("x", 100))
	}
	run := b.prepared(load)
	var wg sync.WaitGroup
	for i := range 18 {
		wg.Go(func() {
			if _, err := b.Copy(t.Context(), CopyInput{ledger.Try{Run: run}, i % 6}); err != nil && !bucketload.IsTransient(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.must(b.copyAll(run))
	if got := b.perFile("dataimport.r_" + run); got["x"] != 600 || b.Progress.Rows.Load() != 600 {
		t.Errorf("rows %v, progress %d", got, b.Progress.Rows.Load())
	}
}

// TestCancelledCopy cancels in the middle of a big file, behind rows that went
// out.
func TestCancelledCopy(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	s3, load := b.bucket(map[string]int{"a": fullOf + 300})
	run := b.prepared(load)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s3.Fault(func(r *http.Request) *temp.Fault {
		if r.Header.Get("Range") != "" {
			cancel()
		}
		return &temp.Fault{CutAfter: 5_500_000}
	})
	if _, err := b.Copy(ctx, CopyInput{ledger.Try{Run: run}, 0}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not a cancelled context's", err)
	}
	if b.Progress.Bytes.Load() != 0 || b.Progress.Rows.Load() != 0 {
		t.Error("progress counts what was rolled back")
	}
	s3.Fault(nil)
	b.must(b.Cleanup(t.Context(), ledger.Try{Run: run}))
	b.again(run)
	b.must(b.copyAll(run))
	if got := b.perFile("dataimport.r_" + run); got["a"] != fullOf+300 {
		t.Errorf("rows %v", got)
	}
}
