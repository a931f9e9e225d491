package decode

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// notText stands for bytes that an encoding does not have, in its text as
// UTF-8, which never has it.
const notText = 0xff

// marks are the byte order marks, longer ones first.
var marks = []struct{ mark, charset string }{
	{"\xef\xbb\xbf", "utf-8"},
	{"\xff\xfe\x00\x00", "utf-32le"}, {"\x00\x00\xfe\xff", "utf-32be"},
	{"\xff\xfe", "utf-16le"}, {"\xfe\xff", "utf-16be"},
}

var byteOrderMark = []byte(marks[0].mark)

var aliases = regexp.MustCompile(`^(utf|latin|windows|cp|iso)[-_ ]?([0-9].*)$`)

// charset gives an encoding's name as the registries spell it.
func charset(name string) string {
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
	switch m := aliases.FindStringSubmatch(name); {
	case name == "", name == "ascii", name == "us-ascii":
		return "utf-8"
	case m == nil:
		return name
	case m[1] == "latin", m[1] == "cp":
		return m[1] + m[2]
	case m[1] == "utf":
		return "utf-" + strings.ReplaceAll(m[2], "-", "")
	default:
		return m[1] + "-" + m[2]
	}
}

// recoder makes UTF-8 of the text in an encoding; nil for UTF-8 itself. It is
// false for an encoding that is not known.
func recoder(charset string) (transform.Transformer, bool) {
	switch charset {
	case "utf-8":
		return nil, true
	case "utf-16le":
		return &fromUTF16{}, true
	case "utf-16be", "utf-16": // the order of one without a mark is found out before
		return &fromUTF16{big: true}, true
	case "utf-32le":
		return marked{utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM).NewDecoder()}, true
	case "utf-32be", "utf-32":
		return marked{utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM).NewDecoder()}, true
	}
	enc := registered(charset)
	if enc == nil {
		return nil, false
	}
	return marked{enc.NewDecoder()}, true
}

// registered gives an encoding by its name; nil where it is not known.
func registered(charset string) encoding.Encoding {
	enc, err := ianaindex.IANA.Encoding(charset)
	if err != nil || enc == nil {
		enc, err = htmlindex.Get(charset)
	}
	if err != nil || enc == encoding.Replacement {
		return nil
	}
	return enc
}

// transparent says whether a byte of ASCII is that character wherever it stands
// in text of the encoding, so that a line end can be seen without reading what
// is before it: in UTF-8, and where every character is one byte.
func transparent(charset string) bool {
	if charset == "utf-8" {
		return true
	}
	bytewise, ok := registered(charset).(*charmap.Charmap)
	for b := byte(0); ok && b < utf8.RuneSelf; b++ {
		ok = bytewise.DecodeByte(b) == rune(b)
	}
	return ok
}

// decode reads the byte order mark, if there is one, and has the rest read as
// UTF-8.
func (c *CSV) decode() error {
	r := c.mark
	r.Reset(c.r)
	head, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	from, mark := c.charset, 0
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			from, mark = m.charset, len(m.mark)
			break
		}
	}
	if from == "utf-16" && len(head) > 0 {
		if from = order(head); from == "" {
			return c.orderless()
		}
	}
	c.encoding = from
	if from == "utf-8" {
		mark = 0 // it counts, as the file has it
	}
	if _, err := r.Discard(mark); err != nil {
		return err
	}
	if c.r = r; from != "utf-8" {
		c.plain = recoded(r, from, int64(mark), 0)
		c.r, c.checks = c.plain, true
	}
	if err := c.fill(); err != nil {
		return err
	}
	if bytes.HasPrefix(c.buf[:c.filled], byteOrderMark) && c.plain == nil {
		c.pos = len(byteOrderMark)
		c.row, c.end = c.pos, max(c.end, c.pos)
	}
	return nil
}

// order tells the byte order of UTF-16 without a mark, where the first
// character is of ASCII, as most are.
func order(head []byte) string {
	switch {
	case len(head) < 2 || (head[0] == 0) == (head[1] == 0):
		return ""
	case head[0] == 0:
		return "utf-16be"
	}
	return "utf-16le"
}

// fromUTF16 makes UTF-8 of UTF-16; of each half of a character that stands
// alone, notText.
type fromUTF16 struct {
	transform.NopResetter
	big bool
}

func (t *fromUTF16) unit(src []byte) rune {
	if t.big {
		return rune(src[0])<<8 | rune(src[1])
	}
	return rune(src[1])<<8 | rune(src[0])
}

// Transform is that of transform.Transformer.
func (t *fromUTF16) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if nDst+utf8.UTFMax > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		rest := src[nSrc:]
		if len(rest) == 1 {
			if !atEOF {
				return nDst, nSrc, transform.ErrShortSrc
			}
			dst[nDst] = notText
			return nDst + 1, nSrc + 1, nil
		}
		r, n := t.unit(rest), 2
		if utf16.IsSurrogate(r) {
			if len(rest) < 4 && !atEOF {
				return nDst, nSrc, transform.ErrShortSrc
			}
			pair := rune(utf8.RuneError)
			if len(rest) >= 4 {
				pair = utf16.DecodeRune(r, t.unit(rest[2:]))
			}
			if pair == utf8.RuneError {
				dst[nDst] = notText
				nDst, nSrc = nDst+1, nSrc+2
				continue
			}
			r, n = pair, 4
		}
		if r < utf8.RuneSelf {
			dst[nDst] = byte(r)
			nDst++
		} else {
			nDst += utf8.EncodeRune(dst[nDst:], r)
		}
		nSrc += n
	}
	return nDst, nSrc, nil
}

// marked makes notText of the U+FFFD with which a decoder answers to bytes that
// its encoding does not have. The few encodings that have this character itself
// (UTF-32, GB 18030) lose it to that: a file that has it was damaged before.
type marked struct{ transform.Transformer }

var replacement = []byte(string(utf8.RuneError))

// Transform is that of transform.Transformer.
func (t marked) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	nDst, nSrc, err = t.Transformer.Transform(dst, src, atEOF)
	i := bytes.Index(dst[:nDst], replacement)
	if i < 0 {
		return nDst, nSrc, err
	}
	to := i
	for i < nDst {
		if bytes.HasPrefix(dst[i:nDst], replacement) {
			dst[to] = notText
			to, i = to+1, i+len(replacement)
			continue
		}
		dst[to] = dst[i]
		to, i = to+1, i+1
	}
	return to, nSrc, err
}
