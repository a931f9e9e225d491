package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bucketload/bucketload"
)

// progress is how many bytes a connection must have brought for the tries to
// count anew: a store that breaks every one at once must not be asked for ever.
const progress = 1 << 20

var errClosed = errors.New("read after close")

// body reads bytes [at, end) of an object. When the connection breaks or ends
// early it asks for the rest. It gives exactly end-at bytes or an error.
type body struct {
	ctx     context.Context
	uri     string
	get     func(at int64) (io.ReadCloser, error) // the bytes [at, end)
	backoff func(try int) time.Duration

	src     io.ReadCloser // nil after it broke
	broke   error         // why
	at, end int64
	mark    int64 // at when tries was last 0
	tries   int
	err     error // final
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.ctx.Err() != nil {
		return 0, cancelled(b.ctx, b.uri)
	}
	for b.at < b.end {
		if b.src == nil {
			if b.err = b.resume(); b.err != nil {
				return 0, b.err
			}
		}
		n, err := b.src.Read(p[:min(int64(len(p)), b.end-b.at)])
		b.at += int64(n)
		if err != nil && b.at < b.end {
			b.drop(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	b.err = b.finish()
	return 0, b.err
}

func (b *body) drop(err error) {
	_ = b.src.Close() // it is broken already
	b.src, b.broke = nil, err
}

// resume waits and asks for the bytes that are left.
func (b *body) resume() error {
	if b.at-b.mark >= progress {
		b.mark, b.tries = b.at, 0
	}
	if b.ctx.Err() != nil {
		return cancelled(b.ctx, b.uri)
	}
	if b.tries == maxTries {
		if errors.Is(b.broke, io.EOF) {
			b.broke = io.ErrUnexpectedEOF
		}
		return &bucketload.Error{Code: bucketload.CodeConnect, URI: b.uri, Transient: true,
			Message: fmt.Sprintf("the connection broke %d times, at byte %d of %d at last", b.tries+1, b.at, b.end),
			Hint:    "check the network, then run it again", Err: b.broke}
	}
	wait := time.NewTimer(b.backoff(b.tries))
	defer wait.Stop()
	b.tries++
	select {
	case <-wait.C:
	case <-b.ctx.Done():
		return cancelled(b.ctx, b.uri)
	}
	var err error
	b.src, err = b.get(b.at)
	return err
}

// finish sees that nothing comes after the last byte, and so lets the
// connection be used again.
func (b *body) finish() error {
	if b.src == nil {
		return io.EOF
	}
	var more [1]byte
	if n, _ := b.src.Read(more[:]); n > 0 {
		return changed(b.uri, fmt.Sprintf(": it goes on after byte %d", b.end), nil)
	}
	return io.EOF
}

func (b *body) Close() error {
	if b.err == nil {
		b.err = errClosed
	}
	if b.src == nil {
		return nil
	}
	return b.src.Close()
}
