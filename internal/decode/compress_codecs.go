package decode

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/bucketload/bucketload"
)

// isZstd knows a frame and a skippable frame (RFC 8878, sections 3.1.1 and 3.1.2).
func isZstd(magic []byte) bool {
	return bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")) ||
		len(magic) >= 4 && magic[0]&0xf0 == 0x50 && string(magic[1:4]) == "\x2a\x4d\x18"
}

// isBzip2 knows a block's magic (π) and that of the end (√π), which an empty
// file begins with; "BZh9" alone may be a word in a header.
func isBzip2(magic []byte) bool {
	if len(magic) < magicLen || string(magic[:3]) != "BZh" || magic[3] < '1' || magic[3] > '9' {
		return false
	}
	block := string(magic[4:])
	return block == "\x31\x41\x59\x26\x53\x59" || block == "\x17\x72\x45\x38\x50\x90"
}

// Decoders are kept for the next file: each has tables and a window.
var (
	gzips   sync.Pool // *gzip.Reader
	zstds   sync.Pool // *zstd.Decoder
	lz4s    sync.Pool // *lz4.Reader
	snappys sync.Pool // *s2.Reader
	zlibs   sync.Pool // io.ReadCloser, which is a zlib.Resetter
)

// errFollowed is for what comes after the end.
var errFollowed = errors.New("something else follows its end")

// sequence reads a stream and what follows it: nothing, zeros that fill up a
// block of storage, or, where next is not nil, another stream.
type sequence struct {
	io.Reader
	in   *bufio.Reader
	next func() error // begins the stream that in comes to
	is   string       // what that one begins with
}

func (s *sequence) Read(p []byte) (int, error) {
	for {
		n, err := s.Reader.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil // it comes again
			}
			return n, err
		}
		if err := s.follow(); err != nil {
			return 0, err
		}
	}
}

// follow is io.EOF where nothing but zeros follows.
func (s *sequence) follow() error {
	for zeros := false; ; zeros = true {
		b, err := s.in.ReadByte()
		switch {
		case err != nil:
			return err // io.EOF, or what is wrong with the source
		case b == 0:
			continue
		}
		if err := s.in.UnreadByte(); err != nil {
			return err
		}
		head, err := s.in.Peek(len(s.is))
		if s.next != nil && !zeros && string(head) == s.is {
			return unexpected(s.next())
		}
		if err != nil && err != io.EOF {
			return err
		}
		return errFollowed
	}
}

// unexpected is for the end of the data where there must be more.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *decompressor) gzip(in *bufio.Reader) error {
	z, ok := gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	next := func() error {
		err := z.Reset(in)
		z.Multistream(false)
		return err
	}
	d.r, d.free = &sequence{z, in, next, "\x1f\x8b"}, func() { gzips.Put(z) }
	return unexpected(next())
}

func (d *decompressor) zlib(in *bufio.Reader) (err error) {
	z, ok := zlibs.Get().(io.ReadCloser)
	if ok {
		err = z.(zlib.Resetter).Reset(in, nil)
	} else {
		z, err = zlib.NewReader(in)
	}
	if err != nil {
		return unexpected(err)
	}
	d.r, d.free = &sequence{Reader: z, in: in}, func() { zlibs.Put(z) }
	return nil
}

func (d *decompressor) bzip2(in *bufio.Reader) error {
	d.r = bzip2.NewReader(in)
	return nil
}

func (d *decompressor) zstd(in *bufio.Reader) error {
	z, ok := zstds.Get().(*zstd.Decoder)
	if !ok {
		var err error
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return err
		}
	}
	d.r, d.free = z, func() {
		_ = z.Reset(nil) // lets go of in
		zstds.Put(z)
	}
	return z.Reset(in)
}

// lz4 has blocks of up to 4 MiB, the old format of 8 MiB.
func (d *decompressor) lz4(in *bufio.Reader) error {
	z, ok := lz4s.Get().(*lz4.Reader)
	if !ok {
		z = lz4.NewReader(nil)
	}
	z.Reset(in)
	d.r, d.free = z, func() {
		z.Reset(nil)
		lz4s.Put(z)
	}
	return nil
}

// snappy has blocks of 64 KiB, its variant S2 of up to 4 MiB.
func (d *decompressor) snappy(in *bufio.Reader) error {
	z, ok := snappys.Get().(*s2.Reader)
	if !ok {
		z = s2.NewReader(nil, s2.ReaderAllocBlock(64<<10))
	}
	z.Reset(in)
	d.r, d.free = z, func() {
		z.Reset(nil)
		snappys.Put(z)
	}
	return nil
}

func (d *decompressor) xz(in *bufio.Reader) error {
	// The dictionary is as long as each block says.
	z, err := xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(bufio.NewReaderSize(&xzGuard{in: in}, inputBuffer))
	d.r = z
	return err
}

// explain tells what is wrong with the data from what is wrong with the source.
func (d *decompressor) explain(err error) error {
	ended := errors.Is(d.src.err, io.EOF)
	if d.src.err != nil && !ended {
		return d.src.err
	}
	ended = ended && d.in.Buffered() == 0
	at := d.src.n - int64(d.in.Buffered())
	e := &bucketload.Error{Code: bucketload.CodeCorrupt, URI: d.name, Err: err,
		Message: fmt.Sprintf("the %s data is damaged near byte %d", d.compression, at),
		Hint:    fmt.Sprintf("check the file with `%s -t` and upload it again, or leave it out with --exclude", d.compression)}
	if d.compression == "snappy" || d.compression == "zlib" {
		e.Hint = "upload the file again, or leave it out with --exclude"
	}
	switch {
	case ended && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, s2.ErrCorrupt)):
		e.Message, e.Err = fmt.Sprintf("the %s data is cut off after %d bytes", d.compression, d.src.n), nil
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errDictionary):
		e.Code, e.Message, e.Err = bucketload.CodeSource, fmt.Sprintf("the %s data needs more than %s of memory", d.compression, bucketload.Bytes(maxWindow)), nil
		e.Hint = "compress the file again without --long"
		if d.compression == "xz" {
			e.Hint = "compress the file again with a preset, such as xz -9"
		}
	}
	return e
}
