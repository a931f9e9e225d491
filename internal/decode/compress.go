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
	"github.com/klauspost/compress/zstd"

	"github.com/bucketload/bucketload"
)

const (
	// inputBuffer is what is read of the compressed data at once.
	inputBuffer = 32 << 10
	// maxWindow is the longest window of a zstd frame that is taken, and with it
	// the memory that one file may need: what `zstd -d` takes without --long.
	maxWindow = 128 << 20
	// magicLen is how many bytes tell the compressions apart.
	magicLen = 10
)

// refused are compressions that are known by their first bytes but not read.
var refused = []struct{ name, magic string }{
	{"xz", "\xfd7zXZ\x00"},
	{"lz4", "\x04\x22\x4d\x18"},
	{"zip", "PK\x03\x04"},
	{"7z", "7z\xbc\xaf\x27\x1c"},
	{"snappy", "\xff\x06\x00\x00sNaPpY"},
	{"compress", "\x1f\x9d"},
}

// Decompress gives the plain bytes of r and which compression it has: "gzip"
// (any number of members), "zstd" (any number of frames), "bzip2" or "" for
// none. The first bytes tell, never the name, which is for errors only.
//
// Damaged or cut-off data is an error of code corrupt, here or while reading;
// an error of r itself is passed on as it is. Close gives memory back for the
// next file; it does not close r.
func Decompress(r io.Reader, name string) (plain io.ReadCloser, compression string, err error) {
	src := &remember{r: r}
	in := bufio.NewReaderSize(src, inputBuffer)
	magic, err := in.Peek(magicLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	d := &decompressor{src: src, name: name}
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		d.compression = "gzip"
		err = d.gzip(in)
	case isZstd(magic):
		d.compression = "zstd"
		err = d.zstd(in)
	case isBzip2(magic):
		d.compression = "bzip2"
		d.r, d.free = bzip2.NewReader(in), func() {}
	default:
		for _, c := range refused {
			if bytes.HasPrefix(magic, []byte(c.magic)) {
				return nil, "", &bucketload.Error{Code: bucketload.CodeSource, URI: name,
					Message: "the file is compressed with " + c.name + ", which is not read", Hint: "gzip, zstd and bzip2 are; compress it with one of these, or leave it out with --exclude"}
			}
		}
		return io.NopCloser(in), "", nil
	}
	if err != nil {
		return nil, "", d.explain(err)
	}
	return d, d.compression, nil
}

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
	gzips sync.Pool // *gzip.Reader
	zstds sync.Pool // *zstd.Decoder
)

// decompressor is the plain side of a compressed object.
type decompressor struct {
	r                 io.Reader
	free              func() // gives r back; nil after that
	src               *remember
	name, compression string
}

func (d *decompressor) gzip(in io.Reader) error {
	z, ok := gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	d.r, d.free = z, func() { gzips.Put(z) }
	return z.Reset(in)
}

func (d *decompressor) zstd(in io.Reader) error {
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

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.explain(err)
	}
	return n, err
}

// Close must not be followed by Read.
func (d *decompressor) Close() error {
	if d.free != nil {
		d.free()
		d.free = nil
	}
	return nil
}

// explain tells what is wrong with the data from what is wrong with the source.
func (d *decompressor) explain(err error) error {
	if d.src.err != nil {
		return d.src.err
	}
	e := &bucketload.Error{Code: bucketload.CodeCorrupt, URI: d.name, Err: err,
		Message: fmt.Sprintf("the %s data is damaged", d.compression),
		Hint:    fmt.Sprintf("check the file with `%s -t` and upload it again, or leave it out with --exclude", d.compression)}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Message, e.Err = fmt.Sprintf("the %s data is cut off", d.compression), nil
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		e.Code, e.Message = bucketload.CodeSource, fmt.Sprintf("the zstd data needs more than %s of memory", bucketload.Bytes(maxWindow))
		e.Hint = "compress the file again without --long"
	}
	return e
}

// remember keeps the error that reading r ended with, unless that is io.EOF.
type remember struct {
	r   io.Reader
	err error
}

func (m *remember) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
