package judges

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// plainCSV reads CSV as Python's csv module does: the clean forms are written
// and measured with it. Lines end in LF, CRLF or CR, also in quotes; a blank
// line is a row without cells; a quote inside of an unquoted cell is a character.
func plainCSV(text string) [][]string {
	text = strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\r", "\n")
	var rows [][]string
	var row []string
	var cell strings.Builder
	begun, quoted := false, false // the row; inside of quotes
	end := func() { row = append(row, cell.String()); cell.Reset() }
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '"' && strings.HasPrefix(text[i+1:], `"`):
			cell.WriteByte(b)
			i++
		case quoted && b == '"':
			quoted = false
		case quoted:
			cell.WriteByte(b)
		case b == '"' && cell.Len() == 0:
			begun, quoted = true, true
		case b == ',':
			begun = true
			end()
		case b == '\n':
			if begun {
				end()
			}
			rows, row, begun = append(rows, row), nil, false
		default:
			begun = true
			cell.WriteByte(b)
		}
	}
	if begun {
		end()
		rows = append(rows, row)
	}
	return rows
}

func readPlain(t *testing.T, path string) [][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return plainCSV(string(data))
}

func TestPlainCSV(t *testing.T) {
	for text, want := range map[string][][]string{
		"":                      nil,
		"a,b\r\n1,\"x\"\"y\"\n": {{"a", "b"}, {"1", `x"y`}},
		"\"a\r\nb\",\n\n\"\"":   {{"a\nb", ""}, nil, {""}},
		"5\" pipe,\"q\"z":       {{`5" pipe`, "qz"}},
	} {
		if got := plainCSV(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
