package temp

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"net/http"
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
	if f.CutAfter == 0 && f.Truncate == 0 {
		return w
	}
	c := &cutter{ResponseWriter: w, left: cmp.Or(f.CutAfter, f.Truncate), reset: f.CutAfter != 0}
	if c.left < 0 {
		c.cut()
	}
	return c
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
