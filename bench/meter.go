package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sample is what one load took.
type Sample struct {
	Wall   float64 `json:"wall"`   // seconds
	Client float64 `json:"client"` // CPU seconds, user and system, of the loading processes
	Server float64 `json:"server"` // CPU seconds of Postgres: all its processes, also those that have ended
	// Analyze is what an ANALYZE afterwards takes of Postgres, where the program leaves
	// that to the server: it is not in Server.
	Analyze float64 `json:"analyze,omitempty"`
	S3      float64 `json:"s3"`     // CPU seconds of the S3 server
	WAL     float64 `json:"wal"`    // bytes
	Memory  float64 `json:"memory"` // bytes, the loading processes' largest resident sets
	Others  float64 `json:"others"` // CPU seconds that nothing of the bench took
}

func (s Sample) String() string {
	return fmt.Sprintf("wall %6.2f  client %6.2f  server %6.2f  s3 %5.2f  others %5.2f  WAL %5.0f MB  memory %4.0f MiB",
		s.Wall, s.Client, s.Server, s.S3, s.Others, s.WAL/1e6, s.Memory/(1<<20))
}

// ticksPerSecond is the unit of the times in /proc/PID/stat: USER_HZ, 100 on
// every architecture that Linux and Go share. Source: proc(5), time(7).
const ticksPerSecond = 100

// processTime gives the CPU seconds of a process and of the children that it
// has waited for, and its parent. A process that is gone took none.
func processTime(pid int) (seconds float64, parent int) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third: a name may have blanks
	if len(fields) < 15 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, _ := strconv.ParseInt(f, 10, 64)
		seconds += float64(ticks) / ticksPerSecond
	}
	return seconds, parent
}

// treeTime gives the CPU seconds of a process with all its children, those that
// run and those that have ended; 0 for pid 0. A child that ends meanwhile would
// be missed where its parent was read before and it itself after, so both are
// read again until the parent stays as it was.
func treeTime(pid int) float64 {
	if pid == 0 {
		return 0
	}
	for own, _ := processTime(pid); ; {
		sum := own
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, stat := range stats {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if seconds, parent := processTime(child); parent == pid {
				sum += seconds
			}
		}
		now, _ := processTime(pid)
		if now == own {
			return sum
		}
		own = now
	}
}

// peakMemory is the sum of the largest resident sets so far, in bytes, of a
// process and its children, and theirs. (That of getrusage begins with the
// parent's.)
func peakMemory(pid int) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var sum float64
	_, _ = fmt.Sscan(rest, &sum)
	sum *= 1024
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				sum += peakMemory(pid)
			}
		}
	}
	return sum
}

// busyTime gives the CPU seconds that all processors were busy since they
// started. Source: proc_stat(5).
func busyTime() (seconds float64) {
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7, 8: // user, nice, system, irq, softirq, steal; guest is in user
			ticks, _ := strconv.ParseFloat(f, 64)
			seconds += ticks / ticksPerSecond
		}
	}
	return seconds
}

// machineLoad says what others keep the machine busy with, by looking for a
// while.
func machineLoad(ctx context.Context) string {
	const while = 3 * time.Second
	average, _ := os.ReadFile("/proc/loadavg")
	before := busyTime()
	select {
	case <-time.After(while):
	case <-ctx.Done():
	}
	busy := (busyTime() - before) / while.Seconds() / float64(runtime.NumCPU())
	return fmt.Sprintf("load averages %s, processors %.0f %% busy", strings.Join(strings.Fields(string(average))[:3], " "), 100*busy)
}

// measure runs commands at the same time and says what they took. conn is a
// connection to the server of process postmaster; s3 is a process, or 0.
func measure(ctx context.Context, conn *pgx.Conn, postmaster, s3 int, commands []*exec.Cmd) (Sample, error) {
	var s Sample
	var before string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&before); err != nil {
		return s, err
	}
	own, _ := processTime(os.Getpid())
	server, store, busy, start := treeTime(postmaster), treeTime(s3), busyTime(), time.Now()
	ended := make(chan error, len(commands))
	for i, c := range commands {
		var log bytes.Buffer
		c.Stdout, c.Stderr = &log, &log
		c.WaitDelay = 5 * time.Second // a killed one's children may keep its output open
		if err := c.Start(); err != nil {
			for _, started := range commands[:i] {
				_ = started.Process.Kill()
				err = errors.Join(err, <-ended)
			}
			return s, err
		}
		go func() {
			err := c.Wait()
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, lastLine(log.Bytes(), nil))
			}
			ended <- err
		}()
	}
	peaks := make([]float64, len(commands))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var failed error
	for running := len(commands); running > 0; {
		select {
		case <-tick.C:
			for i, c := range commands {
				peaks[i] = max(peaks[i], peakMemory(c.Process.Pid))
			}
		case err := <-ended:
			running--
			if err != nil {
				failed = err
			}
		}
	}
	s.Wall = time.Since(start).Seconds()
	s.Server, s.S3, s.Others = treeTime(postmaster)-server, treeTime(s3)-store, busyTime()-busy
	for i, c := range commands {
		s.Client += (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
		s.Memory += peaks[i]
	}
	ownNow, _ := processTime(os.Getpid()) // with what it has waited for: the clients
	s.Others = max(0, s.Others-s.Server-s.S3-(ownNow-own))
	if failed != nil {
		return s, failed
	}
	err := conn.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::float8", before).Scan(&s.WAL)
	return s, err
}
