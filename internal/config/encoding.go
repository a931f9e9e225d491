package config

import (
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/bucketload/bucketload"
)

// encodingName is the name of a character encoding in lower case, by the WHATWG
// or by IANA.
type encodingName string

func (e *encodingName) UnmarshalText(text []byte) error {
	name := strings.ToLower(strings.TrimSpace(string(text)))
	if name == "" || isEncoding(name) || isEncoding(strings.ReplaceAll(name, "_", "-")) {
		*e = encodingName(name)
		return nil
	}
	hint := "write for example encoding: utf-16, iso-8859-15 or windows-1252"
	if near := nearEncodings(name); near != nil {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return &bucketload.Error{Message: quote(name) + " is not a character encoding that is known here", Hint: hint}
}

// isEncoding goes by the WHATWG's names and IANA's; UTF-32 is in neither list.
func isEncoding(name string) bool {
	if slices.Contains([]string{"utf-32", "utf-32le", "utf-32be"}, name) {
		return true
	}
	if found, err := htmlindex.Get(name); err == nil {
		return found != encoding.Replacement // the WHATWG's word for those that are not to be read
	}
	found, err := ianaindex.IANA.Encoding(name)
	return err == nil && found != nil
}

// nearEncodings gives the names that differ in punctuation, or in a letter or
// two, from the one given.
func nearEncodings(name string) []string {
	bare := func(s string) string { return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(s) }
	best, least := []string(nil), min(3, len(bare(name))/3)
	for _, known := range encodingNames() {
		switch d := distance(bare(name), bare(known)); {
		case len(name) > maxShown || d > least:
		case d < least:
			best, least = []string{known}, d
		case !slices.Contains(best, known):
			best = append(best, known)
		}
	}
	return best[:min(len(best), 3)]
}

// encodingNames gives the preferred name of every encoding.
func encodingNames() []string {
	var names []string
	for _, of := range [][]encoding.Encoding{unicode.All, charmap.All, japanese.All, korean.All, simplifiedchinese.All, traditionalchinese.All} {
		for _, e := range of {
			name, err := htmlindex.Name(e)
			if err != nil {
				name, err = ianaindex.MIME.Name(e)
			}
			if err == nil && name != "" && name != "x-user-defined" {
				names = append(names, strings.ToLower(name))
			}
		}
	}
	return names
}
