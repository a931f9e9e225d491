package temp

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is what goes wrong with one request. The parts combine: a delay first,
// then an error instead of the answer, or the answer cut short.
type Fault struct {
	Delay  time.Duration // before anything else; ends early when the client goes
	Header http.Header   // added to the answer
	Status int           // answer with this HTTP status and an error document
	Code   string        // its S3 code, for example SlowDown; with no Status, 503

	// CutAfter resets the connection (RST) after at most so many bytes of the
	// body, Truncate closes it in order after exactly so many, although the
	// header promises more. 0 is no cut; a negative number cuts before the answer.
	CutAfter int64
	Truncate int64

	// Excess is by how much Content-Length exceeds the body that follows; a
	// negative number promises less than comes. Shift moves both ends of
	// Content-Range. Answers without these headers stay as they are; neither goes
	// with a cut.
	Excess int64
	Shift  int64
}

// Latency is for S3.Fault: every request waits for d before it is answered, as
// on the way to a store far away.
func Latency(d time.Duration) func(*http.Request) *Fault {
	fault := &Fault{Delay: d}
	return func(*http.Request) *Fault { return fault }
}

// apply gives the writer for the answer, or nil if there is to be none.
func (f *Fault) apply(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	maps.Copy(w.Header(), f.Header)
	if f.Status != 0 || f.Code != "" {
		writeError(w, r, cmp.Or(f.Status, http.StatusServiceUnavailable), cmp.Or(f.Code, "InternalError"))
		return nil
	}
	if f.Excess != 0 || f.Shift != 0 {
		return &liar{ResponseWriter: w, fault: f}
	}
	if f.CutAfter == 0 && f.Truncate == 0 {
		return w
	}
	c := &cutter{ResponseWriter: w, left: cmp.Or(f.CutAfter, f.Truncate), reset: f.CutAfter != 0}
	if c.left < 0 {
		c.cut()
	}
	return c
}

// liar sends headers that do not fit the body. net/http would not, so what
// follows them goes to the connection itself, which ends with it.
type liar struct {
	http.ResponseWriter
	fault   *Fault
	started bool
	conn    net.Conn // nil: net/http has it
}

func (l *liar) WriteHeader(status int) {
	if l.started {
		return
	}
	l.started = true
	h := l.Header()
	var from, to, size int64
	if n, _ := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &size); n == 3 {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from+l.fault.Shift, to+l.fault.Shift, size))
	}
	length, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || l.fault.Excess == 0 || status >= 300 {
		l.ResponseWriter.WriteHeader(status)
		return
	}
	h.Set("Content-Length", strconv.FormatInt(max(0, length+l.fault.Excess), 10))
	h.Set("Connection", "close") // or the client takes what comes too much for its next answer
	conn, _, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	l.conn = conn
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status)) // the client may have gone
	_ = h.Write(conn)
	_, _ = io.WriteString(conn, "\r\n")
}

func (l *liar) Write(b []byte) (int, error) {
	l.WriteHeader(http.StatusOK)
	if l.conn != nil {
		return l.conn.Write(b)
	}
	return l.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (l *liar) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// end ends the answer.
func (l *liar) end() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// cutter passes on so many bytes and then ends the connection.
type cutter struct {
	http.ResponseWriter
	left  int64
	reset bool
}

func (c *cutter) Write(b []byte) (int, error) {
	if int64(len(b)) <= c.left {
		n, err := c.ResponseWriter.Write(b)
		c.left -= int64(n)
		return n, err
	}
	if _, err := c.ResponseWriter.Write(b[:c.left]); err != nil {
		return 0, err
	}
	if err := http.NewResponseController(c.ResponseWriter).Flush(); err != nil {
		return 0, err
	}
	c.cut()
	return 0, errors.New("unreachable")
}

// cut leaves the handler by the panic that net/http keeps silent about.
func (c *cutter) cut() {
	if c.reset {
		if conn, _, err := http.NewResponseController(c.ResponseWriter).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // makes Close send RST
			}
			_ = conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}
