package temp

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy passes TCP connections on to another address and lets their network
// fail: Cut, Stall, Slow, Forget.
type Proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	change  *sync.Cond
	conns   map[net.Conn]bool // of either side; true: forgotten
	stalled bool
	rate    int // bytes a second, of each direction of a connection; 0: no limit
	closed  bool
}

// StartProxy listens on a free port of 127.0.0.1 for connections to target,
// until Close.
func StartProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.change = sync.NewCond(&p.mu)
	go p.accept()
	return p, nil
}

// Addr is where it listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets (RST) every connection there is.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// Stall stops all bytes, without a word to either side, until it is called with
// false. Connections are taken all the while.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.change.Broadcast()
}

// Forget stops all bytes of the connections there are, for ever and without a
// word, as NAT does that has lost its table. New ones are passed on.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.conns[c] = true
	}
}

// Slow lets so many bytes a second through, of each direction of a connection; 0
// is no limit.
func (p *Proxy) Slow(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Close ends the proxy and resets its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.change.Broadcast()
	p.mu.Unlock()
	p.Cut()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.connect(c)
	}
}

func (p *Proxy) connect(c net.Conn) {
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(c)
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[s] = false, false
	closed := p.closed
	p.mu.Unlock()
	if closed {
		p.Cut()
	}
	var other sync.WaitGroup
	other.Go(func() { p.pass(c, s) })
	p.pass(s, c)
	other.Wait()
	_ = c.Close() // reset already where that was the end
	_ = s.Close()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, s)
	p.mu.Unlock()
}

// pass copies one direction. How it ends is how the other side learns of it: in
// order, or by a reset.
func (p *Proxy) pass(to, from net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		rate := p.wait(from)
		if n > 0 {
			if rate > 0 {
				time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = to.(*net.TCPConn).CloseWrite()
			} else {
				reset(to)
				reset(from)
			}
			return
		}
	}
}

// wait returns once bytes may pass, and how fast.
func (p *Proxy) wait(from net.Conn) (rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.stalled || p.conns[from]) && !p.closed {
		p.change.Wait()
	}
	return p.rate
}

// reset closes a connection by RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
