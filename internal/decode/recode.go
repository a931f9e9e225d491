package decode

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sort"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// recoding makes UTF-8 of a file in another encoding, and can tell which of its
// bytes a line of the text was made of.
type recoding struct {
	r   io.Reader
	t   transform.Transformer
	end func(src []byte) int // what is behind the first line end of src; 0 where it has none
	err error                // of r

	src   []byte     // bytes of the file: text was made of src[:done]
	done  int        //
	base  int64      // the offset of src[0] in the file
	text  int64      // how much text was made of the file so far
	lines []textLine // that begin in src, in order
	buf   []byte
	ready []byte // of buf; text that is still to be given
}

// textLine is where a line begins, in the text and in the file.
type textLine struct{ text, plain int64 }

const (
	recodeRead = 32 << 10 // bytes of the file at once
	recodeText = 4 << 10  // of text
)

// recoded makes UTF-8 of what r has, from byte plain of the file on; the text
// counts from text. nil for a file of UTF-8.
func recoded(r io.Reader, charset string, plain, text int64) *recoding {
	t, _ := recoder(charset)
	if t == nil {
		return nil
	}
	return &recoding{r: r, t: t, end: lineEnder(charset), base: plain, text: text, lines: []textLine{{text, plain}}, buf: make([]byte, recodeText)}
}

// Text makes UTF-8 of rows that are Raw of a CSV of that Encoding; what the
// encoding does not have is a byte 0xFF. Of no encoding, or one that is not
// known, they are themselves.
func Text(raw []byte, encoding string) []byte {
	t, _ := recoder(charset(encoding))
	if t == nil {
		return raw
	}
	text, _, err := transform.Bytes(t, raw)
	if err != nil {
		return raw
	}
	return text
}

// lineEnder finds line ends in bytes of the encoding that begin with a character.
func lineEnder(charset string) func([]byte) int {
	switch charset {
	case "utf-16le":
		return units(2, 0)
	case "utf-16be", "utf-16":
		return units(2, 1)
	case "utf-32le":
		return units(4, 0)
	case "utf-32be", "utf-32":
		return units(4, 3)
	}
	// In encodings of several bytes a character, none of the others is one of these.
	lf, cr := byte('\n'), byte('\r')
	if bytewise, ok := registered(charset).(*charmap.Charmap); ok { // in EBCDIC they are others
		for b := range 256 {
			switch bytewise.DecodeByte(byte(b)) {
			case '\n':
				lf = byte(b)
			case '\r':
				cr = byte(b)
			}
		}
	}
	return func(src []byte) int {
		n := bytes.IndexByte(src, lf)
		if n < 0 {
			n = len(src)
		}
		switch i := bytes.IndexByte(src[:n], cr); {
		case i >= 0 && (i+1 < n || n == len(src)):
			return i + 1
		case n == len(src):
			return 0
		}
		return n + 1
	}
}

// units is for characters of size bytes, of which the one at low is that of
// ASCII and the others are zero.
func units(size, low int) func([]byte) int {
	return func(src []byte) int {
		for i := 0; i+size <= len(src); i += size {
			character := int(src[i+low])
			for at, b := range src[i : i+size] {
				if at != low {
					character |= int(b) << 8
				}
			}
			if character == '\n' || character == '\r' {
				return i + size
			}
		}
		return 0
	}
}

// Read gives text in UTF-8, and behind it the error of the file.
func (r *recoding) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if err := r.make(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// make makes some text, or reads; an error is that of the file, at its end.
func (r *recoding) make() error {
	n := 0
	for n < len(r.buf) {
		src := r.src[r.done:]
		line := r.end(src)
		if line > 0 {
			src = src[:line]
		}
		made, of, err := r.t.Transform(r.buf[n:], src, line == 0 && r.err != nil)
		if line > 0 && errors.Is(err, transform.ErrShortSrc) { // a character that is broken by the line's end
			line = 0
			made, of, err = r.t.Transform(r.buf[n:], r.src[r.done:], r.err != nil)
		}
		n += made
		r.text += int64(made)
		r.done += of
		if line > 0 && of == line {
			r.lines = append(r.lines, textLine{r.text, r.base + int64(r.done)})
			continue
		}
		if err != nil && !errors.Is(err, transform.ErrShortSrc) && !errors.Is(err, transform.ErrShortDst) {
			return err
		}
		break
	}
	r.ready = r.buf[:n]
	switch {
	case n > 0:
		return nil
	case r.err != nil:
		return r.err
	}
	r.src = slices.Grow(r.src, recodeRead)
	more, err := r.r.Read(r.src[len(r.src):cap(r.src)])
	r.src, r.err = r.src[:len(r.src)+more], err
	return nil
}

// forget lets go of what comes before byte text of the text.
func (r *recoding) forget(text int64) {
	i := r.line(text)
	r.lines = slices.Delete(r.lines, 0, i)
	gone := int(r.lines[0].plain - r.base)
	r.src = r.src[:copy(r.src, r.src[gone:])]
	r.done -= gone
	r.base += int64(gone)
}

// line is the number of the last line that begins at byte text or before it.
func (r *recoding) line(text int64) int {
	return max(0, sort.Search(len(r.lines), func(i int) bool { return r.lines[i].text > text })-1)
}

// plain is the offset in the file of byte text of the text, where a line begins
// or the text ends; of another byte, that of the next such place.
func (r *recoding) plain(text int64) int64 {
	i := r.line(text)
	switch {
	case r.lines[i].text >= text:
		return r.lines[i].plain
	case i+1 < len(r.lines):
		return r.lines[i+1].plain
	}
	return r.base + int64(r.done)
}

// bytes are those of the file of which the text from one byte to the other was
// made, valid until Read.
func (r *recoding) bytes(from, to int64) []byte {
	return r.src[r.plain(from)-r.base : r.plain(to)-r.base]
}
