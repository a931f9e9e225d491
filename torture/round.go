package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hangLimit is how long one command may take. The longest that one rightly takes
// is a minute of silence from S3, and the tries after it.
const hangLimit = 3 * time.Minute

// redrives is how often the operator goes on before the round has failed.
const redrives = 6

// restartTime is what a server that was killed gets to answer again.
const restartTime = 30 * time.Second

// oldRows are in the live table before the load, as lines of the file "old".
const oldRows = 500

// modes are those in which a round can load, the first more often than others.
var modes = []string{modeReplace, modeReplace, modeReplace, modeInPlace, "append", "upsert", "replace_partition"}

const (
	modeReplace = "replace"
	modeInPlace = "in_place" // mode: replace, with replace: in_place
)

// replaces says whether the old rows go.
func (r *round) replaces() bool { return r.mode == modeReplace || r.mode == modeInPlace }

// merges says whether rows of the table give way to those of the files with
// their key.
func (r *round) merges() bool { return r.mode == "upsert" || r.mode == "replace_partition" }

// states are those of a run, at which a fault can come.
var states = []string{"Plan", "Prepare", "Copy", "Check", "Build", "Analyze", "Swap"}

// round is a load into a database of its own, and the faults that it meets.
type round struct {
	*site
	program, dir string
	seed         uint64
	faults       []strike
	mode         string
	slow         bool           // the build, or the merge, takes a while, so that faults can come to it
	back         *strike        // of the rollback at the end, and the way back from that; nil: there is none
	truth        map[string]int // file -> lines
	stale        int            // rows in the table before that give way to those of f00.csv
	database     string
	direct       *pgx.Conn

	waited time.Duration // the longest that the reader waited for an answer, but where a fault held the swap open
	holds  atomic.Int64  // moments at which a fault has begun or ended to hold the swap open

	mu    sync.Mutex
	mixed []string // what the reader saw that it must not
	came  []came
	notes []string // faults that did not come about
}

// came is a fault that has come about, and the state of the run that it met.
type came struct{ fault, state string }

// inRollback is the state of a fault that comes to a rollback.
const inRollback = "rollback"

// strike is a fault, and when it comes: a while after the run has entered a state.
type strike struct {
	fault
	state string // "": the beginning of the command
	after time.Duration
	pick  uint64 // what the fault chooses by
}

// verdict is what a round has come to.
type verdict struct {
	lost, doubled, left int
	hang                bool
	problems            []string
	commands            int
	seconds             float64
}

func (v verdict) bad() bool {
	return v.lost+v.doubled+v.left > 0 || v.hang || len(v.problems) > 0
}

func (v verdict) String() string {
	if !v.bad() {
		return fmt.Sprintf("ok after %d commands, %.1f s", v.commands, v.seconds)
	}
	return fmt.Sprintf("WRONG: %d rows lost, %d doubled, %d leftovers, hang %v; %s", v.lost, v.doubled, v.left, v.hang, strings.Join(v.problems, "; "))
}

// String names the faults.
func (r *round) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "PostgreSQL %d, %s", r.major, r.mode)
	for _, f := range r.faults {
		fmt.Fprintf(&b, ", %s in %s +%d ms", f.name, f.state, f.after.Milliseconds())
	}
	if r.back != nil {
		fmt.Fprintf(&b, ", %s in a rollback +%d ms", r.back.name, r.back.after.Milliseconds())
	}
	return b.String()
}

// newRound makes all the choices of a seed.
func newRound(s *site, program, dir string, seed uint64, only string) (*round, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &round{site: s, program: program, dir: dir, seed: seed, truth: map[string]int{},
		mode: modes[random.IntN(len(modes))], slow: random.IntN(2) == 0}
	for i := range 3 + random.IntN(10) {
		r.truth[fmt.Sprintf("f%02d.csv", i)] = 1 + random.IntN(3000)
	}
	if r.merges() {
		r.stale = r.truth["f00.csv"] / 2
	}
	known := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.name == diskFull && s.disk == nil })
	if only != "" {
		known = slices.DeleteFunc(known, func(f fault) bool { return f.name != only })
		if len(known) == 0 {
			return nil, fmt.Errorf("there is no fault %q here", only)
		}
	}
	at := append(slices.Clone(states), "Copy", "Copy") // where most of the time goes, and most can go wrong
	for range 1 + random.IntN(3) {
		f := known[random.IntN(len(known))]
		state := at[random.IntN(len(at))]
		if len(f.in) > 0 {
			state = f.in[random.IntN(len(f.in))]
		}
		r.faults = append(r.faults, strike{fault: f, state: state, after: time.Duration(random.IntN(60)) * time.Millisecond, pick: random.Uint64()})
	}
	anywhere := slices.DeleteFunc(slices.Clone(known), func(f fault) bool { return len(f.in) > 0 })
	if r.mode == modeReplace && len(anywhere) > 0 && random.IntN(2) == 0 {
		r.back = &strike{fault: anywhere[random.IntN(len(anywhere))], after: time.Duration(random.IntN(200)) * time.Millisecond, pick: random.Uint64()}
	}
	return r, nil
}

// run loads, breaks, goes on until it is done, and counts.
func (r *round) run(ctx context.Context) (v verdict) {
	started := time.Now()
	defer func() { v.seconds = time.Since(started).Seconds() }()
	fail := func(err error) verdict {
		v.problems = append(v.problems, err.Error())
		return v
	}
	if err := r.prepare(ctx); err != nil {
		return fail(err)
	}
	defer r.clear()
	watching, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { r.read(watching) })
	defer reader.Wait()
	defer stop()

	next := r.load()
	for v.commands = 1; ; v.commands++ {
		var strikes []strike
		if v.commands == 1 {
			strikes = r.faults[:1]
		} else if v.commands <= len(r.faults) {
			strikes = r.faults[v.commands-1 : v.commands]
		}
		code, errs, err := r.command(ctx, v.commands, next, strikes)
		r.heal()
		r.mend()
		if errors.Is(err, errHang) {
			v.hang = true
			return v
		}
		if err != nil {
			return fail(err)
		}
		id, status, err := r.newest(ctx)
		if err != nil {
			return fail(err)
		}
		if status == "succeeded" {
			// Another load would put right what this one has got wrong.
			r.count(ctx, &v)
			if v.bad() || v.commands >= len(r.faults) {
				break
			}
		}
		if code > 0 && !strings.Contains(errs, "next: ") && !strings.Contains(errs, "hint: ") {
			v.problems = append(v.problems, fmt.Sprintf("command %d, %s, does not say what to type next", v.commands, next[0]))
		}
		if v.commands == redrives+len(r.faults) {
			return fail(fmt.Errorf("it is not done after %d commands, and %s", v.commands, status))
		}
		switch {
		case id == "", strings.Contains(errs, "load again: "), status == "succeeded":
			next = r.load()
		default:
			next = []string{"redrive", id}
		}
	}
	if r.back != nil && !v.bad() {
		r.rollBack(ctx, &v)
	}
	stop()
	reader.Wait()
	v.problems = append(v.problems, r.mixed...)
	r.leftovers(ctx, &v)
	return v
}

// load is the command that begins.
func (r *round) load() []string {
	patience := "300ms"
	if r.meets(deadlocked) {
		patience = "5s" // for longer than the server takes to find one
	}
	args := []string{"load", "t", "--set", "max_items_per_batch=2", "--set", "min_batch_bytes=1", "--set", "lock_timeout=" + patience, "--set", `indexes=["(line)"]`}
	switch r.mode {
	case modeReplace:
		args = append(args, "--set", "keep_backups=20") // the old table is among them, however often it loads
	case modeInPlace:
		args = append(args, "--set", "replace=in_place")
	case "upsert":
		args = append(args, "--set", "mode=upsert", "--set", "key=[file, line]")
	case "replace_partition":
		args = append(args, "--set", "mode=replace_partition", "--set", "key=[file]")
	default:
		args = append(args, "--set", "mode="+r.mode)
	}
	if r.slow && r.replaces() {
		args = append(args, "--set", `before_swap_sql=["SELECT pg_sleep(0.2)"]`)
	}
	return append(args, "--from", "s3://"+r.database+"/", "--anonymous", "--path-style",
		"--column", "file=file:text", "--column", "line=line:int", "--column", "v=v:text")
}

// prepare makes the database, its live table and the files.
func (r *round) prepare(ctx context.Context) error {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	r.database = fmt.Sprintf("round-%d", r.seed)
	create := `CREATE DATABASE "` + r.database + `" OWNER ` + role
	if r.disk != nil {
		create += " TABLESPACE " + smallSpace
	}
	for _, sql := range []string{`DROP DATABASE IF EXISTS "` + r.database + `"`, create} {
		if err := r.exec(ctx, sql); err != nil {
			return err
		}
	}
	var err error
	if r.direct, err = pgx.Connect(ctx, r.dsn(r.database, false)); err != nil {
		return err
	}
	if _, err := r.direct.Exec(ctx, fmt.Sprintf(`CREATE TABLE public.t (file text, line int, v text);
		INSERT INTO public.t SELECT 'old', n, 'x' FROM generate_series(1, %d) n;
		INSERT INTO public.t SELECT 'f00.csv', n, 'stale' FROM generate_series(1, %d) n;
		CREATE STATISTICS public.t_both ON file, line FROM public.t;
		ALTER STATISTICS public.t_both OWNER TO %[3]s; ALTER TABLE public.t OWNER TO %[3]s; GRANT CREATE ON SCHEMA public TO %[3]s`, oldRows, r.stale, role)); err != nil {
		return err
	}
	if r.merges() {
		if _, err := r.direct.Exec(ctx, `CREATE UNIQUE INDEX ON public.t (file, line)`); err != nil {
			return err
		}
	}
	if r.meets(deadlocked) {
		if _, err := r.direct.Exec(ctx, `CREATE TABLE public.files (file text PRIMARY KEY); ALTER TABLE public.files OWNER TO `+role+`;
			INSERT INTO public.files VALUES ('old'), ('changed'), ('`+strings.Join(slices.Collect(maps.Keys(r.truth)), "'), ('")+`');
			ALTER TABLE public.t ADD FOREIGN KEY (file) REFERENCES public.files`); err != nil {
			return err
		}
	}
	if r.slow && (r.merges() || r.mode == modeInPlace) {
		if _, err := r.direct.Exec(ctx, `CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';
			CREATE TRIGGER slow AFTER INSERT OR UPDATE OR DELETE ON public.t FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`); err != nil {
			return err
		}
	}
	for name := range r.truth {
		if err := r.put(name); err != nil {
			return err
		}
	}
	return nil
}

// put stores a file: each row says of which file and line it is.
func (r *round) put(name string) error {
	var b bytes.Buffer
	b.WriteString("file,line,v\n")
	for line := 1; line <= r.truth[name]; line++ {
		fmt.Fprintf(&b, "%s,%d,%032d\n", name, line, line)
	}
	return r.s3.Put(r.database, name, b.Bytes())
}

// mend puts back what a fault has taken from the bucket.
func (r *round) mend() {
	for name := range r.truth {
		_ = r.put(name) // in memory
	}
}

var errHang = errors.New("a command hangs")

// command runs the program once, with the strikes against it, and gives its exit
// code, -1 where it was killed, and what it said.
func (r *round) command(ctx context.Context, n int, args []string, strikes []strike) (code int, errs string, err error) {
	limited, cancel := context.WithTimeout(ctx, hangLimit)
	defer cancel()
	file, err := os.Create(filepath.Join(r.dir, fmt.Sprintf("%d-%s.log", n, args[0])))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = file.Close() }()
	cmd := r.start(limited, args, file)
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	done := make(chan struct{})
	var striking sync.WaitGroup
	for _, s := range strikes {
		striking.Go(func() {
			v := &victim{round: r, cmd: cmd, done: done, random: rand.New(rand.NewPCG(s.pick, 0))}
			if err := v.strike(limited, s); err != nil {
				r.note("%s in %s: %v", s.name, s.state, err)
				return
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.came = append(r.came, came{s.name, v.state})
		})
	}
	_ = cmd.Wait() // its exit code says it
	close(done)
	r.heal()
	striking.Wait()
	said, readErr := os.ReadFile(file.Name())
	if limited.Err() != nil && ctx.Err() == nil {
		return 0, string(said), errHang
	}
	return cmd.ProcessState.ExitCode(), string(said), errors.Join(readErr, ctx.Err())
}

// start is the program as an operator starts it.
func (r *round) start(ctx context.Context, args []string, log *os.File) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.program, append(args, "--to", r.dsn(r.database, true))...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_S3=http://"+r.toS3.Addr(), "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
	cmd.Stdout, cmd.Stderr = log, log
	return cmd
}

// rollBack brings the old table back, while something breaks, and then the new
// one again. Whatever happens the table is one of them.
func (r *round) rollBack(ctx context.Context, v *verdict) {
	problem := func(format string, args ...any) { v.problems = append(v.problems, fmt.Sprintf(format, args...)) }
	for _, toOld := range []bool{true, false} {
		for n := 1; ; n++ {
			var strikes []strike
			if toOld && n == 1 {
				strikes = []strike{*r.back}
			}
			args := []string{"rollback", "t"}
			if toOld {
				var name string
				if err := r.query(ctx, `SELECT backup_schema || '.' || backup_name FROM bucketload.backups WHERE generation IS NULL`, &name); err != nil {
					problem("the backup of the old table: %v", err)
					return
				}
				args = append(args, "--to", name)
			}
			v.commands++
			_, _, err := r.command(ctx, v.commands, args, strikes)
			r.heal()
			if errors.Is(err, errHang) {
				v.hang = true
				return
			}
			var old, all int
			if err == nil {
				err = r.query(ctx, `SELECT count(*) FILTER (WHERE file = 'old'), count(*) FROM public.t`, &old, &all)
			}
			switch {
			case err != nil:
				problem("rollback: %v", err)
				return
			case old != 0 && (old != oldRows || all != oldRows), old == 0 && all != r.lines():
				problem("after a rollback there are %d rows, %d of them old", all, old)
				return
			}
			if toOld == (old == oldRows) {
				break
			}
			if n == redrives {
				problem("the rollback is not done after %d tries", n)
				return
			}
		}
	}
	r.count(ctx, v)
}

// meets says whether a fault is among the round's.
func (r *round) meets(name string) bool {
	return slices.ContainsFunc(r.faults, func(s strike) bool { return s.name == name })
}

// lines are those of all files.
func (r *round) lines() (n int) {
	for _, lines := range r.truth {
		n += lines
	}
	return n
}

// newest gives the run that was begun last and how it stands; "" where none was.
func (r *round) newest(ctx context.Context) (id, status string, err error) {
	err = r.query(ctx, `SELECT id, status FROM bucketload.runs WHERE mode <> 'rollback' ORDER BY started_at DESC, id DESC LIMIT 1`, &id, &status)
	pg, answered := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, pgx.ErrNoRows) || answered && pg.Code == "42P01" { // undefined_table
		return "", "", nil
	}
	return id, status, err
}

// query reads a row over the round's own connection, made anew where the server
// has been restarted.
func (r *round) query(ctx context.Context, sql string, into ...any) error {
	for deadline := time.Now().Add(restartTime); ; time.Sleep(20 * time.Millisecond) {
		err := r.queryOnce(ctx, sql, into...)
		if !broken(err) || time.Now().After(deadline) {
			return err
		}
	}
}

func (r *round) queryOnce(ctx context.Context, sql string, into ...any) error {
	if r.direct.IsClosed() {
		conn, err := pgx.Connect(ctx, r.dsn(r.database, false))
		if err != nil {
			return err
		}
		r.direct = conn
	}
	err := r.direct.QueryRow(ctx, sql).Scan(into...)
	if broken(err) {
		_ = r.direct.Close(ctx)
	}
	return err
}

func (r *round) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// clear drops the round's database.
func (r *round) clear() {
	ctx := context.Background()
	if len(r.notes) > 0 {
		data, _ := json.MarshalIndent(r.notes, "", " ")
		_ = os.WriteFile(filepath.Join(r.dir, "notes"), data, 0o644)
	}
	_ = r.direct.Close(ctx)
	_ = r.exec(ctx, `DROP DATABASE IF EXISTS "`+r.database+`" WITH (FORCE)`)
}
