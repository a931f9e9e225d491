package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"unsafe"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/bucketload/bucketload"
)

// Compression pqCodecs of pages.
const (
	pqUncompressed = 0
	pqSnappy       = 1
	pqGzip         = 2
	pqLZO          = 3
	pqBrotli       = 4
	pqLZ4          = 5
	pqZstd         = 6
	pqLZ4Raw       = 7
)

// pqMaxHeld is how much one file may hold of metadata, pages, dictionaries and
// batches at once, in bytes. Pages are meant to be of about 1 MiB; some writers make one page of
// all that a row group has of a column.
const pqMaxHeld = 512 << 20

// pqBudget counts what a file holds, and what a row costs.
type pqBudget struct {
	used    int // bytes
	entries int // decoded since the row began
}

// charge counts n bytes more, unless that is too much.
func (m *pqBudget) charge(n int) error {
	if n > pqMaxHeld-m.used {
		return pqTooLarge("pages and metadata")
	}
	m.used += n
	return nil
}

// release takes back what was charged and is not held any more.
func (m *pqBudget) release(n int) { m.used -= n }

// decode counts n entries that a row needs. A few bytes may stand for any number
// of them.
func (m *pqBudget) decode(n int) error {
	if m.entries += n; m.entries > pqMaxEntries {
		return errPqEntries
	}
	return nil
}

// resize gives a slice of n bytes, the first of them those of b.
func (m *pqBudget) resize(b []byte, n int) ([]byte, error) {
	if n <= cap(b) {
		return b[:n], nil
	}
	room := max(n, min(n+n/8, pqMaxHeld))
	if err := m.charge(room - cap(b)); err != nil {
		return b, err
	}
	grown := make([]byte, n, room)
	copy(grown, b)
	return grown, nil
}

// sized gives a slice of n elements, whatever they are.
func sized[T any](m *pqBudget, s []T, n int) ([]T, error) {
	if n <= cap(s) {
		return s[:n], nil
	}
	var one T
	if err := m.charge((n - cap(s)) * int(unsafe.Sizeof(one))); err != nil {
		return s, err
	}
	return make([]T, n), nil
}

// push appends an element, whatever it is, and counts what the slice takes.
func push[T any](m *pqBudget, s []T, one T) ([]T, error) {
	if len(s) == cap(s) {
		room := cap(s) + cap(s)/4 + 4
		if err := m.charge((room - cap(s)) * int(unsafe.Sizeof(one))); err != nil {
			return s, err
		}
		s = append(make([]T, 0, room), s...)
	}
	return append(s, one), nil
}

// pqCodecs are decompressors that are used for one page after the other.
type pqCodecs struct {
	src    bytes.Reader
	gzip   *gzip.Reader
	brotli *brotli.Reader
	zstd   *zstd.Decoder
}

// pqCodecPool keeps decompressors for the next file: each has tables and a window.
var pqCodecPool = sync.Pool{New: func() any { return new(pqCodecs) }}

// unpack decompresses src, whose plain form has size bytes, into dst and gives
// that back. dst grows with what there really is.
func (c *pqCodecs) unpack(m *pqBudget, codec int64, dst, src []byte, size int) ([]byte, error) {
	if size == 0 {
		return dst[:0], nil
	}
	var r io.Reader
	var err error
	switch codec {
	case pqSnappy:
		n, err := snappy.DecodedLen(src)
		if err != nil || n != size || n > len(src)*24 { // a copy of 64 bytes takes 3
			return dst, errors.Join(err, errPqSize)
		}
		if dst, err = m.resize(dst, size); err != nil {
			return dst, err
		}
		_, err = snappy.Decode(dst, src)
		return dst, err
	case pqLZ4Raw, pqLZ4:
		if size > (len(src)+1)*255 { // a byte of length stands for 255
			return dst, errPqSize
		}
		if dst, err = m.resize(dst, size); err != nil {
			return dst, err
		}
		if codec == pqLZ4 && (framedLZ4(dst, src) || hadoopLZ4(dst, src)) {
			return dst, nil
		}
		n, err := lz4.UncompressBlock(src, dst)
		if err == nil && n != size {
			err = errPqSize
		}
		return dst, err
	case pqGzip:
		r, err = c.gunzip(src)
	case pqBrotli:
		c.src.Reset(src)
		if c.brotli == nil {
			c.brotli = brotli.NewReader(&c.src)
		} else {
			err = c.brotli.Reset(&c.src)
		}
		r = c.brotli
	case pqZstd:
		r, err = c.unzstd(src)
	default:
		return dst, unknownCodec(codec)
	}
	if err != nil {
		return dst, err
	}
	return drainPage(m, r, dst, size)
}

// readableCodec says that a codec is not read.
func readableCodec(codec int64) error {
	if codec < pqUncompressed || codec > pqLZ4Raw || codec == pqLZO {
		return unknownCodec(codec)
	}
	return nil
}

func unknownCodec(codec int64) error {
	name := fmt.Sprintf("a codec that is not known (number %d)", codec)
	if codec == pqLZO {
		name = "LZO"
	}
	return &bucketload.Error{Code: bucketload.CodeSource, Message: "the Parquet file is compressed with " + name + ", which is not read",
		Hint: "write it again with snappy, gzip, zstd, brotli, lz4_raw or uncompressed, or leave it out with --exclude"}
}

func (c *pqCodecs) gunzip(src []byte) (io.Reader, error) {
	c.src.Reset(src)
	if c.gzip == nil {
		c.gzip = new(gzip.Reader)
	}
	return c.gzip, c.gzip.Reset(&c.src)
}

func (c *pqCodecs) unzstd(src []byte) (io.Reader, error) {
	c.src.Reset(src)
	if c.zstd == nil {
		var err error
		c.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(pqMaxHeld))
		if err != nil {
			return nil, err
		}
	}
	return c.zstd, c.zstd.Reset(&c.src)
}

// drainPage reads exactly size bytes of r into dst.
func drainPage(m *pqBudget, r io.Reader, dst []byte, size int) ([]byte, error) {
	const first = 64 << 10
	dst = dst[:0]
	for len(dst) < size {
		had := len(dst)
		var err error
		if dst, err = m.resize(dst, min(size, max(2*had, cap(dst), first))); err != nil {
			return dst, err
		}
		if n, err := io.ReadFull(r, dst[had:]); err != nil {
			return dst[:had+n], err
		}
	}
	var more [1]byte
	if n, err := io.ReadFull(r, more[:]); n > 0 {
		return dst, errPqSize
	} else if !errors.Is(err, io.EOF) {
		return dst, err
	}
	return dst, nil
}

// framedLZ4 reads a frame, as some writers have stored for LZ4.
func framedLZ4(dst, src []byte) bool {
	if !bytes.HasPrefix(src, []byte("\x04\x22\x4d\x18")) {
		return false
	}
	r := lz4.NewReader(bytes.NewReader(src))
	if _, err := io.ReadFull(r, dst); err != nil {
		return false
	}
	n, err := r.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

// hadoopLZ4 reads blocks as Hadoop stores them, which LZ4 stands for most often:
// before each its plain and its stored size, big-endian.
func hadoopLZ4(dst, src []byte) bool {
	for len(dst) > 0 {
		if len(src) < 8 {
			return false
		}
		plain, stored := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:])
		src = src[8:]
		if uint64(plain) > uint64(len(dst)) || uint64(stored) > uint64(len(src)) || plain == 0 {
			return false
		}
		if n, err := lz4.UncompressBlock(src[:stored], dst[:plain]); err != nil || n != int(plain) {
			return false
		}
		dst, src = dst[plain:], src[stored:]
	}
	return len(src) == 0
}
