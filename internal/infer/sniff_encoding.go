package infer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode/utf32"
)

// writing is how a file's first bytes are opened, as far as can be seen
// without knowing its language.
type writing string

const (
	plainASCII writing = ""
	inUTF8     writing = "utf-8"
	inUTF16LE  writing = "utf-16le"
	inUTF16BE  writing = "utf-16be"
	inUTF32LE  writing = "utf-32le" // by its mark only
	inUTF32BE  writing = "utf-32be"
	inBytes    writing = "a character set of single bytes"
)

// byteOrderMarks are what files may begin with, and what that says, longer ones
// first.
var byteOrderMarks = []struct {
	mark string
	says writing
}{{"\xff\xfe\x00\x00", inUTF32LE}, {"\x00\x00\xfe\xff", inUTF32BE}, {"\xef\xbb\xbf", inUTF8}, {"\xff\xfe", inUTF16LE}, {"\xfe\xff", inUTF16BE}}

// writingOf judges a head. mark is its byte order mark, if it has one.
func writingOf(head []byte) (w writing, mark string) {
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.says, m.mark
		}
	}
	head = head[:min(len(head), sampleBytes)]
	if w := nulPattern(head); w != plainASCII {
		return w, ""
	}
	valid, invalid := 0, 0
	for i := 0; i < len(head); {
		if head[i] < utf8.RuneSelf {
			i++
			continue
		}
		if !utf8.FullRune(head[i:]) {
			break // cut off
		}
		r, n := utf8.DecodeRune(head[i:])
		if r != utf8.RuneError || n > 1 {
			valid++
		} else {
			invalid++
		}
		i += n
	}
	switch {
	case valid > 4*invalid: // a damaged byte here and there: what is valid is not so by chance
		return inUTF8, ""
	case invalid > 0:
		return inBytes, ""
	}
	return plainASCII, ""
}

// nulPattern finds UTF-16 by its bytes for ASCII: every other one is NUL.
func nulPattern(head []byte) writing {
	head = head[:min(len(head), 4<<10)&^1]
	var nul [2]int
	for i, c := range head {
		if c == 0 {
			nul[i%2]++
		}
	}
	pairs := len(head) / 2
	for i, w := range []writing{inUTF16BE, inUTF16LE} {
		if pairs > 1 && 5*nul[i] > 2*pairs && 50*nul[1-i] <= pairs {
			return w
		}
	}
	return plainASCII
}

// decode gives the heads in UTF-8, and finds their encoding where it is open.
// A byte order mark says for its file what is true.
func (s *sniffer) decode(heads [][]byte) ([][]byte, error) {
	seen := make([]opened, len(heads))
	for i, head := range heads {
		seen[i].writing, seen[i].mark = writingOf(head)
		seen[i].head = head[len(seen[i].mark):]
	}
	if s.open.has("encoding") {
		if err := s.encoding(seen); err != nil {
			return nil, err
		}
	}
	texts := make([][]byte, len(heads))
	for i, w := range seen {
		name := s.given.Encoding
		if w.mark != "" {
			name = string(w.writing)
		}
		texts[i] = toUTF8(w.head, name)
	}
	return texts, nil
}

// opened is a head without its byte order mark, and how it is opened.
type opened struct {
	writing
	mark string
	head []byte
}

// toUTF8 decodes a head; one in an encoding that is not known stays as it is.
func toUTF8(head []byte, name string) []byte {
	e, err := htmlindex.Get(cmp.Or(name, string(inUTF8)))
	switch writing(name) {
	case inUTF32LE:
		e, err = utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM), nil
	case inUTF32BE:
		e, err = utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM), nil
	}
	if err != nil {
		return head
	}
	if canonical, err := htmlindex.Name(e); err == nil && canonical == string(inUTF8) {
		return head
	}
	text, err := e.NewDecoder().Bytes(head)
	if err != nil {
		return head
	}
	return text
}

// encoding sets given.Encoding by the files' votes. Files in ASCII have none.
func (s *sniffer) encoding(heads []opened) error {
	files := map[writing]int{}
	voices, plain, marked := 0, 0, 0
	for _, w := range heads {
		switch {
		case len(w.head) == 0:
			continue
		case w.writing == plainASCII:
			plain++
			continue
		case w.mark != "":
			marked++
		}
		voices++
		files[w.writing]++
	}
	if voices == 0 {
		return nil
	}
	most := inUTF8
	for _, w := range []writing{inUTF16LE, inUTF16BE, inUTF32LE, inUTF32BE, inBytes} {
		if files[w] > files[most] {
			most = w
		}
	}
	switch {
	case marked == voices && (plain > 0 || files[most] < voices):
		most = inUTF8 // the marks say it of the others
	case most == inBytes && files[inUTF8] > 0:
		// UTF-8 is read as if it were right in any character set of single bytes;
		// the other way round the reader refuses it.
		return s.mixed(files)
	case mostVoices*files[most] < (mostVoices-1)*voices, plain > 0 && (most == inUTF16LE || most == inUTF16BE):
		return s.mixed(files)
	case most == inBytes:
		return s.characterSet(heads)
	}
	if most != inUTF8 {
		s.say("encoding %s in %s", most, count(files[most], "file"))
	}
	s.given.Encoding = string(most)
	return nil
}

// mostVoices is such that one voice of so many does not decide.
const mostVoices = 5

func (s *sniffer) mixed(files map[writing]int) error {
	var seen, values []string
	for _, w := range []writing{inUTF8, inUTF16LE, inUTF16BE, inUTF32LE, inUTF32BE, inBytes} {
		if files[w] > 0 {
			seen = append(seen, fmt.Sprintf("%s in %s", w, count(files[w], "file")))
			if w == inBytes {
				w = "windows-1252"
			}
			values = append(values, string(w))
		}
	}
	return unclear("encoding", seen, values, "; files that differ are better loaded by themselves")
}

// characterSet picks the single-byte character set under which the files read
// best. The ordinary one goes before others that read as well.
func (s *sniffer) characterSet(heads []opened) error {
	heads = slices.DeleteFunc(slices.Clone(heads), func(w opened) bool { return w.writing != inBytes })
	var total contexts
	for _, w := range heads {
		total.add(w.head)
	}
	verdicts := total.judge()
	best := verdicts[0]
	rivals := slices.DeleteFunc(slices.Clone(verdicts[1:]), func(v verdict) bool {
		return v.share < best.share-sureLead || total.same(v.set, best.set)
	})
	if best.share >= sureShare && (len(rivals) == 0 || best.set.name == characterSets[0].name) {
		s.given.Encoding = best.set.name
		s.say("encoding %s: not UTF-8, and %s beyond ASCII such as %s read well", best.set.name, count(total.n, "character"), total.examples(best.set))
		return nil
	}
	var seen, values []string
	for _, v := range verdicts[:3] {
		seen = append(seen, fmt.Sprintf("%s makes words of %.0f %% of the bytes beyond ASCII", v.set.name, 100*v.share))
		values = append(values, v.set.name)
	}
	for _, name := range multiByte {
		if !slices.ContainsFunc(heads, func(w opened) bool { return !decodes(w.head, name) }) {
			seen = append(seen, name+" decodes them")
			values = append(values, name)
		}
	}
	return unclear("encoding", seen, values, "; or what the files' origin says")
}

// multiByte are the encodings of East Asia, which need their languages to be
// told apart.
var multiByte = []string{"shift_jis", "euc-jp", "euc-kr", "gbk", "big5"}

// decodes is whether a head has no byte that the encoding does not know, but
// for a last one that may be cut.
func decodes(head []byte, name string) bool {
	e, err := htmlindex.Get(name)
	if err != nil {
		return false
	}
	text, err := e.NewDecoder().Bytes(head)
	return err == nil && !bytes.ContainsRune(text[:max(0, len(text)-utf8.UTFMax)], utf8.RuneError)
}
