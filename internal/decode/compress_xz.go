package decode

import (
	"bufio"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// errDictionary is for a dictionary beyond maxWindow.
var errDictionary = errors.New("the dictionary is too long")

// xzGuard passes xz data on and looks at each block's header on the way: the
// reader behind it makes any dictionary that a file asks for, up to 4 GiB.
// Where the data is not as it should be it only passes on, and the reader
// finds out. Source: The .xz File Format, version 1.2.1.
type xzGuard struct {
	in     *bufio.Reader
	ready  []byte // to be passed on first
	skip   int64  // bytes to be passed on after that
	blind  bool   // nothing is looked at any more
	after  func(*xzGuard) error
	inside bool   // of a stream: the file does not end here
	check  int    // bytes of a block's check
	size   int64  // bytes of the block or the index so far
	left   uint64 // numbers of the index
	buf    [1024]byte
}

func (g *xzGuard) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(g.ready) == 0 && g.skip == 0 && !g.blind {
		if g.after == nil {
			g.after = (*xzGuard).stream
		}
		if err := g.after(g); err != nil {
			if g.inside {
				err = unexpected(err)
			}
			return 0, err
		}
	}
	switch {
	case len(g.ready) > 0:
		n := copy(p, g.ready)
		g.ready = g.ready[n:]
		return n, nil
	case g.skip > 0:
		p = p[:min(int64(len(p)), g.skip)]
	}
	n, err := g.in.Read(p)
	g.skip = max(0, g.skip-int64(n))
	if g.inside {
		err = unexpected(err)
	}
	return n, err
}

// take reads n bytes behind those that are ready. Where they are cut off it
// gives nil and goes blind; io.EOF is that there is nothing at all.
func (g *xzGuard) take(n int) ([]byte, error) {
	at := len(g.ready)
	if at == 0 {
		g.ready = g.buf[:0]
	}
	read, err := io.ReadFull(g.in, g.buf[at:at+n])
	g.ready = g.buf[:at+read]
	if err == io.ErrUnexpectedEOF || err == io.EOF && at > 0 {
		g.blind = true
		return nil, nil
	}
	return g.ready[at:], err
}

// stream passes over a stream's header, or the zeros between streams.
func (g *xzGuard) stream() error {
	g.inside = false
	head, err := g.take(4)
	if head == nil || err != nil || string(head) == "\x00\x00\x00\x00" {
		return err
	}
	rest, err := g.take(8)
	if rest == nil || err != nil {
		return err
	}
	// Bytes of the check, by its number. Source: section 2.1.1.2.
	g.check = [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[rest[3]&0x0f]
	g.inside, g.after = true, (*xzGuard).block
	return nil
}

// block judges a block's header.
func (g *xzGuard) block() error {
	first, err := g.take(1)
	if first == nil || err != nil {
		return err
	}
	if first[0] == 0 {
		g.after = (*xzGuard).index
		return nil
	}
	length := (int(first[0]) + 1) * 4
	header, err := g.take(length - 1)
	if header == nil || err != nil {
		return err
	}
	if dictionary(header) > maxWindow {
		return errDictionary
	}
	g.size = int64(length)
	g.after = (*xzGuard).chunk
	return nil
}

// dictionary gives the length that a block's header, without its first byte,
// asks for. It is 0 where there is none.
func dictionary(header []byte) int64 {
	const lzma2 = 0x21
	flags, rest := header[0], header[1:]
	number := func() (n uint64) {
		for shift := 0; len(rest) > 0 && shift < 63; shift += 7 {
			b := rest[0]
			rest = rest[1:]
			n |= uint64(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
		return n
	}
	for _, sized := range []byte{0x40, 0x80} {
		if flags&sized != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		filter, properties := number(), number()
		if properties > uint64(len(rest)) {
			return 0
		}
		if filter == lzma2 && properties == 1 {
			n, err := lzma.DecodeDictCap(rest[0])
			if err != nil {
				return 0
			}
			return n
		}
		rest = rest[properties:]
	}
	return 0
}

// chunk passes over a chunk of a block, or what follows its last one: zeros up
// to a multiple of four, and the check. Source: LZMA2, as xz-java and lzma.txt
// of the LZMA SDK have it.
func (g *xzGuard) chunk() error {
	control, err := g.take(1)
	if control == nil || err != nil {
		return err
	}
	g.size++
	switch b := control[0]; {
	case b == 0:
		g.skip = (4-g.size%4)%4 + int64(g.check)
		g.after = (*xzGuard).block
		return nil
	case b < 0x80: // not compressed
		size, err := g.take(2)
		if size == nil || err != nil {
			return err
		}
		g.skip = int64(size[0])<<8 + int64(size[1]) + 1
		g.size += 2 + g.skip
	default:
		sizes, err := g.take(4)
		if sizes == nil || err != nil {
			return err
		}
		g.skip = int64(sizes[2])<<8 + int64(sizes[3]) + 1
		if b >= 0xc0 {
			g.skip++ // properties
		}
		g.size += 4 + g.skip
	}
	return nil
}

// index reads how many records a stream's index has.
func (g *xzGuard) index() (err error) {
	g.size = 1
	records, err := g.number()
	g.left = 2 * records
	g.after = (*xzGuard).record
	return err
}

// record passes over half a record, or what follows the last: zeros, the index'
// checksum, and the footer.
func (g *xzGuard) record() error {
	if g.left > 0 {
		g.left--
		_, err := g.number()
		return err
	}
	g.skip = (4-g.size%4)%4 + 4 + 12
	g.after = (*xzGuard).stream
	return nil
}

// number reads one of variable length.
func (g *xzGuard) number() (n uint64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		b, err := g.take(1)
		if b == nil || err != nil {
			return n, err
		}
		g.size++
		n |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			break
		}
	}
	return n, nil
}
