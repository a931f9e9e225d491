package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bucketload/bucketload"
)

const (
	// inputBuffer is what is read of the compressed data at once.
	inputBuffer = 32 << 10
	// maxWindow is the longest window of zstd and dictionary of xz that is taken,
	// and with it the memory that one file may need: what `zstd -d` takes without
	// --long, and twice what `xz -9` makes.
	maxWindow = 128 << 20
	// magicLen is how many bytes tell the compressions apart.
	magicLen = 10
)

// limits stop a file that unpacks to more than anybody can have meant.
type limits struct {
	most  int64 // bytes
	free  int64 // bytes that any file may unpack to
	ratio int64 // beyond that, the most bytes that one compressed byte may stand for
}

// fileLimits let all data pass that gzip can hold: it has no more than 1032
// bytes for one. Rows that others pack still tighter, which are all the same,
// have a gibibyte.
var fileLimits = limits{most: 1 << 40, free: 1 << 30, ratio: 2000}

// codec is a compression that is read.
type codec struct {
	name string // as compression: has it
	is   func(in *bufio.Reader, magic []byte) (bool, error)
	open func(d *decompressor, in *bufio.Reader) error
}

var codecs = []codec{
	{"gzip", begins("\x1f\x8b"), (*decompressor).gzip},
	{"zstd", magic(isZstd), (*decompressor).zstd},
	{"bzip2", magic(isBzip2), (*decompressor).bzip2},
	{"xz", begins("\xfd7zXZ\x00"), (*decompressor).xz},
	{"lz4", begins("\x04\x22\x4d\x18", "\x02\x21\x4c\x18"), (*decompressor).lz4}, // frames, and those of before 2013
	{"snappy", begins("\xff\x06\x00\x00sNaPpY", "\xff\x06\x00\x00S2sTwO"), (*decompressor).snappy},
	{"zlib", isZlib, (*decompressor).zlib},
}

// refused are compressions that are known by their first bytes but not read.
var refused = []struct{ name, magic string }{
	{"zip", "PK\x03\x04"},
	{"7z", "7z\xbc\xaf\x27\x1c"},
	{"compress", "\x1f\x9d"},
	{"rar", "Rar!\x1a\x07"},
}

// begins knows a compression by its first bytes.
func begins(with ...string) func(*bufio.Reader, []byte) (bool, error) {
	return magic(func(magic []byte) bool {
		for _, s := range with {
			if bytes.HasPrefix(magic, []byte(s)) {
				return true
			}
		}
		return false
	})
}

func magic(is func([]byte) bool) func(*bufio.Reader, []byte) (bool, error) {
	return func(_ *bufio.Reader, magic []byte) (bool, error) { return is(magic), nil }
}

// Decompress gives the plain bytes of r and which compression it has: gzip,
// zstd, bzip2, xz, lz4, snappy (framed), zlib, or "" for none. Several members,
// frames or streams may follow one another, but of zlib. The first bytes tell,
// never the name, which is for errors only.
//
// Damaged or cut-off data is an error of code corrupt, data that unpacks to more
// than it may one of code limit, here or while reading; an error of r itself is
// passed on as it is. Frames of snappy and the old ones of lz4 have no end: cut
// off between two blocks they are whole. Close gives memory back for the next
// file; it does not close r.
func Decompress(r io.Reader, name string) (plain io.ReadCloser, compression string, err error) {
	return DecompressAs(r, name, "auto")
}

// DecompressAs is Decompress of what is said to have a compression, a word of
// those above, "none", or "auto" and "" for what its first bytes tell. If they
// tell another one that is an error of code source.
func DecompressAs(r io.Reader, name, compression string) (plain io.ReadCloser, found string, err error) {
	return new(Decompressor).Open(r, name, compression)
}

// Decompressor opens one file after the other, which saves each its buffer. The
// zero value is ready. A file is to be read no more when the next is opened.
type Decompressor struct{ in *bufio.Reader }

// Open is DecompressAs.
func (o *Decompressor) Open(r io.Reader, name, compression string) (plain io.ReadCloser, found string, err error) {
	d := &decompressor{src: &counted{r: r}, in: o.in, name: name, limits: fileLimits}
	found, err = d.start(compression)
	o.in = d.in
	switch {
	case err != nil:
		return nil, found, err
	case found == "":
		return io.NopCloser(d.r), "", nil
	}
	return d, found, nil
}

// decompressor is the plain side of a compressed object.
type decompressor struct {
	r                 io.Reader
	free              func() // gives r back; nil after that
	src               *counted
	in                *bufio.Reader
	name, compression string
	limits            limits
	out               int64 // bytes given so far
}

// start finds the compression and opens it; "" is none.
func (d *decompressor) start(said string) (compression string, err error) {
	if d.in == nil {
		d.in = bufio.NewReaderSize(d.src, inputBuffer)
	} else {
		d.in.Reset(d.src)
	}
	c, err := d.find(said)
	if err != nil {
		return "", err
	}
	if err := d.agree(said, c); err != nil {
		return "", err
	}
	if c == nil {
		d.r = d.in
		return "", nil
	}
	d.compression, d.free = c.name, func() {}
	if err := c.open(d, d.in); err != nil {
		_ = d.Close()
		return "", d.explain(err)
	}
	return c.name, nil
}

// find gives the compression that the first bytes tell; nil is none. A word
// that was said settles what they only suggest: whether it is zlib.
func (d *decompressor) find(said string) (*codec, error) {
	magic, err := d.in.Peek(magicLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i := range codecs {
		c := &codecs[i]
		switch {
		case c.name == "zlib" && said == "none":
			continue
		case c.name == "zlib" && said == "zlib":
			if isZlibHeader(magic) {
				return c, nil
			}
			continue
		}
		if ok, err := c.is(d.in, magic); ok || err != nil {
			return c, err
		}
	}
	for _, c := range refused {
		if bytes.HasPrefix(magic, []byte(c.magic)) {
			return nil, &bucketload.Error{Code: bucketload.CodeSource, URI: d.name,
				Message: "the file is compressed with " + c.name + ", which is not read", Hint: readable() + " are; compress it with one of these, or leave it out with --exclude"}
		}
	}
	return nil, nil
}

// agree says whether what was found is what was said.
func (d *decompressor) agree(said string, found *codec) error {
	is := "not compressed"
	if found != nil {
		is = "compressed with " + found.name
	}
	switch said {
	case "", "auto":
		return nil
	case "none":
		if found == nil {
			return nil
		}
	default:
		if found != nil && found.name == said {
			return nil
		}
		if known(said) {
			break
		}
		return &bucketload.Error{Code: bucketload.CodeUsage, Message: fmt.Sprintf("compression: %q is none that is read", said), Hint: "write auto, none, " + readable()}
	}
	return &bucketload.Error{Code: bucketload.CodeSource, URI: d.name, Message: fmt.Sprintf("the file is %s, and compression: %s is set", is, said),
		Hint: "with compression: auto the first bytes of each file tell; or leave it out with --exclude"}
}

func known(name string) bool {
	for _, c := range codecs {
		if c.name == name {
			return true
		}
	}
	return false
}

// readable lists what is read, for people.
func readable() string {
	names := make([]string, len(codecs))
	for i, c := range codecs {
		names[i] = c.name
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.out += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		err = d.explain(err)
	case d.out > d.limits.most:
		err = d.tooMuch(fmt.Sprintf("the %s data unpacks to more than %s", d.compression, bucketload.Bytes(d.limits.most)), "split the file")
	case d.out > d.limits.free && d.out/d.limits.ratio > d.src.n:
		err = d.tooMuch(fmt.Sprintf("%s of %s data unpack to %s and more, over %d to 1", bucketload.Bytes(d.src.n), d.compression, bucketload.Bytes(d.out), d.limits.ratio),
			"if the data is really so, compress the file with gzip")
	}
	return n, err
}

func (d *decompressor) tooMuch(message, hint string) error {
	return &bucketload.Error{Code: bucketload.CodeLimit, URI: d.name, Message: message, Hint: hint + ", or leave it out with --exclude"}
}

// Close must not be followed by Read.
func (d *decompressor) Close() error {
	if d.free != nil {
		d.free()
		d.free = nil
	}
	return nil
}

// counted counts the bytes of r, and keeps the error that reading ended with.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
