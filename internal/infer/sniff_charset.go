package infer

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

const (
	// sureShare is the share of characters beyond ASCII that must read well;
	// sureLead how far any other character set must be behind.
	sureShare, sureLead = 0.85, 0.05
	// mixedWeight is for texts in several languages, where nearly any letter
	// may be: a single language says more.
	mixedWeight = 0.9
	// commonShare is what the ten most common letters make up at least in a text
	// of a language that is not written in Latin letters; two thirds is usual.
	commonShare = 0.45
)

// characterSet is a single-byte one with the letters beyond ASCII of languages
// that are written in it.
type characterSet struct {
	name      string
	table     *charmap.Charmap
	languages []string
	mixed     string // the letters of all of them, where texts may be in several
	common    string // the most common letters, of languages in other than Latin letters
}

var (
	western = []string{"àâçéèêëîïôùûüÿæœ", "äöüß", "áéíñóúü", "áàâãçéêíóôõúü", "àèéìíòóùú", "åäöæøéü",
		"áðéíóúýþæö", "éëïóöèü", "àçèéíïòóúü"}
	westernMixed = "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿßœšž"

	central  = []string{"ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß"}
	cyrillic = []string{"абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "абвгдђежзијклљмнњопрстћуфхцчџш"}
	greek    = []string{"αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"}
)

// characterSets, the most usual first.
var characterSets = []characterSet{
	{"windows-1252", charmap.Windows1252, western, westernMixed, ""},
	{"iso-8859-15", charmap.ISO8859_15, western, westernMixed, ""},
	{"windows-1250", charmap.Windows1250, central, "", ""},
	{"iso-8859-2", charmap.ISO8859_2, central, "", ""},
	{"windows-1254", charmap.Windows1254, []string{"çğıöşüâîi̇"}, "", ""},
	{"windows-1251", charmap.Windows1251, cyrillic, "", "оеаинтсрвл"},
	{"koi8-r", charmap.KOI8R, cyrillic, "", "оеаинтсрвл"},
	{"ibm866", charmap.CodePage866, cyrillic, "", "оеаинтсрвл"},
	{"iso-8859-5", charmap.ISO8859_5, cyrillic, "", "оеаинтсрвл"},
	{"windows-1253", charmap.Windows1253, greek, "", "αοιετσνηυρ"},
	{"iso-8859-7", charmap.ISO8859_7, greek, "", "αοιετσνηυρ"},
	{"macintosh", charmap.Macintosh, western, westernMixed, ""},
}

// usualSigns are what texts have beside letters; joints stand within words,
// loneLetters are words of one letter.
const (
	usualSigns  = "“”‘’„‚‹›«»–—…•·€£¥¢©®™°±²³¹¼½¾µ§¶¿¡×÷¨´†‡‰ªº\u00a0\u00ad"
	loneLetters = "àáâèéêìíòóôùúåæø" // of one letter
	joints      = "’·´\u00a0\u00ad–—"
)

// contexts counts bytes beyond ASCII with their neighbours.
type contexts struct {
	count map[[3]byte]int
	n     int
}

func (c *contexts) add(head []byte) {
	if c.count == nil {
		c.count = map[[3]byte]int{}
	}
	for i, b := range head {
		if b < utf8.RuneSelf {
			continue
		}
		context := [3]byte{' ', b, ' '}
		if i > 0 {
			context[0] = head[i-1]
		}
		if i+1 < len(head) {
			context[2] = head[i+1]
		}
		c.count[context]++
		c.n++
	}
}

// verdict is how well the bytes read in a character set.
type verdict struct {
	set   characterSet
	share float64
}

// judge gives the verdicts, the best first and of equals the usual.
func (c *contexts) judge() []verdict {
	var all []verdict
	for _, set := range characterSets {
		v := verdict{set: set}
		if set.mixed != "" {
			v.share = mixedWeight * c.share(set, set.mixed)
		}
		for _, letters := range set.languages {
			v.share = max(v.share, c.share(set, letters))
		}
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b verdict) int { return cmp.Compare(b.share, a.share) })
	return all
}

// share is the share of the bytes that read well as the letters of a language.
func (c *contexts) share(set characterSet, letters string) float64 {
	well, common, lettered := 0, 0, 0
	for context, n := range c.count {
		before, r, after := set.table.DecodeByte(context[0]), set.table.DecodeByte(context[1]), set.table.DecodeByte(context[2])
		if unicode.IsLetter(r) {
			lettered += n
			if strings.ContainsRune(set.common, unicode.ToLower(r)) {
				common += n
			}
		}
		if readsWell(before, r, after, letters) {
			well += n
		}
	}
	share := float64(well) / float64(c.n)
	if set.common != "" && lettered > 0 {
		share *= min(1, float64(common)/float64(lettered)/commonShare)
	}
	return share
}

// readsWell is whether a character makes sense between its neighbours.
func readsWell(before, r, after rune, letters string) bool {
	within := unicode.IsLetter(before) && unicode.IsLetter(after)
	if !unicode.IsLetter(r) || strings.ContainsRune("ªº", r) {
		return strings.ContainsRune(usualSigns, r) && (!within || strings.ContainsRune(joints, r))
	}
	latin := unicode.Is(unicode.Latin, r)
	switch {
	case !strings.ContainsRune(letters, unicode.ToLower(r)):
		return false
	case unicode.IsDigit(before), unicode.IsDigit(after):
		return false
	case unicode.IsUpper(r) && unicode.IsLower(before):
		return false
	case latin && before >= utf8.RuneSelf && after >= utf8.RuneSelf && within:
		return false // hardly a word has three of them in a row
	case !latin:
		return !isLatin(before) && !isLatin(after)
	}
	return unicode.IsLetter(before) || unicode.IsLetter(after) || strings.ContainsRune(loneLetters, r)
}

func isLatin(r rune) bool { return unicode.IsLetter(r) && unicode.Is(unicode.Latin, r) }

// same is whether two character sets read all bytes alike.
func (c *contexts) same(a, b characterSet) bool {
	for context := range c.count {
		if a.table.DecodeByte(context[1]) != b.table.DecodeByte(context[1]) {
			return false
		}
	}
	return true
}

// examples are the most common characters beyond ASCII.
func (c *contexts) examples(set characterSet) string {
	counts := map[rune]int{}
	for context, n := range c.count {
		counts[set.table.DecodeByte(context[1])] += n
	}
	runes := slices.SortedFunc(maps.Keys(counts), func(a, b rune) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var b bytes.Buffer
	for i, r := range runes[:min(len(runes), 5)] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
