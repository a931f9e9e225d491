package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// recorder stands between a client and Postgres, and keeps every COPY stream
// into a schema that the client sends in a file: the statement, a line end, the
// stream.
type recorder struct {
	listener net.Listener
	server   string // address
	into     string // how such a statement begins
	dir      string

	mu      sync.Mutex
	streams int
	failed  error
	open    sync.WaitGroup
}

// stagingSchema is where bucketload copies to.
const stagingSchema = "dataimport"

func startRecorder(server, schema, dir string) (*recorder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{listener: l, server: server, into: `COPY "` + schema + `".`, dir: dir}
	r.open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.open.Go(func() { r.note(r.pass(client)) })
		}
	})
	return r, nil
}

func (r *recorder) address() string { return r.listener.Addr().String() }

// Close waits for the clients to go, and says what went wrong.
func (r *recorder) Close() error {
	err := r.listener.Close()
	r.open.Wait()
	return errors.Join(err, r.failed)
}

func (r *recorder) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = errors.Join(r.failed, err)
}

// pass hands a connection's bytes on as they are, and reads along.
func (r *recorder) pass(client net.Conn) error {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	r.open.Go(func() {
		_, _ = io.Copy(client, server) // an end of either ends the other
		_ = client.Close()
	})
	if err := r.read(bufio.NewReaderSize(io.TeeReader(client, server), 1<<16)); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// read follows the client's messages. Source: PostgreSQL's manual, "Message
// Formats": a startup message has no type; all others have one byte of type,
// then the length with its own four bytes.
func (r *recorder) read(client *bufio.Reader) (err error) {
	var head [5]byte
	if _, err := io.ReadFull(client, head[1:]); err != nil {
		return err
	}
	var out *os.File
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	for statement := ""; ; {
		length := int64(binary.BigEndian.Uint32(head[1:])) - 4
		body := io.LimitReader(client, length)
		switch head[0] {
		case 'Q':
			text, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			statement = strings.TrimRight(string(text), "\x00")
		case 'd':
			if out == nil && strings.HasPrefix(statement, r.into) {
				if out, err = r.create(statement); err != nil {
					return err
				}
			}
			if out != nil {
				if _, err := io.Copy(out, body); err != nil {
					return err
				}
			}
		case 'c': // CopyDone
			if out != nil {
				if err := out.Close(); err != nil {
					return err
				}
				out = nil
			}
		case 'f':
			if out != nil {
				return fmt.Errorf("the client gave up %q", statement)
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
	}
}

// create begins a stream's file; the bench's table stands for the client's.
func (r *recorder) create(statement string) (*os.File, error) {
	columns := strings.Index(statement, "(")
	if columns < 0 || strings.Contains(statement, "\n") {
		return nil, fmt.Errorf("a stream of %q, which has no columns on one line", statement)
	}
	r.mu.Lock()
	r.streams++
	name := fmt.Sprintf("%06d.copy", r.streams)
	r.mu.Unlock()
	f, err := os.Create(filepath.Join(r.dir, name))
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("COPY " + target + " " + statement[columns:] + "\n")
	return f, err
}

// replay sends recorded streams, as they were: bench replay DSN DIR.
func replay(ctx context.Context, args []string) (err error) {
	conn, err := pgx.Connect(ctx, args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	paths, err := filepath.Glob(filepath.Join(args[1], "*.copy"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := send(ctx, conn, path); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, conn *pgx.Conn, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	stream := bufio.NewReaderSize(f, 1<<16)
	statement, err := stream.ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = conn.PgConn().CopyFrom(ctx, stream, statement)
	return err
}
