package infer

import (
	"slices"
	"testing"
)

func TestNotation(t *testing.T) {
	european := notation{decimal: ",", thousands: "."}
	for _, c := range []struct {
		notation notation
		text     string
		want     kind
		plain    string
	}{
		{notation{}, "1.5", decimal, "1.5"}, {notation{}, "1,5", words, ""},
		{european, "1,5", decimal, "1.5"}, {european, "1.234,5", decimal, "1234.5"}, {european, "-1.234.567", integer, "-1234567"},
		{european, "1.5", words, ""}, {european, "1.23,5", words, ""}, {european, "0.123", words, ""}, {european, "1,2,3", words, ""}, {european, "1,2.345", words, ""},
		{european, "007", leadingZero, "007"}, {european, "2022-01-01", date, ""}, {european, "true", boolean, ""}, {european, "12345678901234567890", hugeInteger, "12345678901234567890"},
		{notation{thousands: ","}, "1,234.5", decimal, "1234.5"}, {notation{thousands: ","}, "12,34", words, ""}, {notation{thousands: " "}, "1 234", integer, "1234"},
		{notation{thousands: " "}, "1,234 567", words, ""}, {notation{decimal: ","}, "1.234", words, ""}, {notation{decimal: ","}, "1,5e3", decimal, "1.5e3"},
	} {
		if got := c.notation.classify(c.text); got != c.want {
			t.Errorf("%+v %q: %d, want %d", c.notation, c.text, got, c.want)
		}
		if got, ok := c.notation.plain(c.text); ok != (c.plain != "") || ok && got != c.plain {
			t.Errorf("%+v %q: %q %v, want %q", c.notation, c.text, got, ok, c.plain)
		}
	}
}

// TestSentinelsInNotation: what is proposed is spelt as the files have it.
func TestSentinelsInNotation(t *testing.T) {
	sample := Sample{URI: "a.csv", Header: []string{"t"}}
	for _, text := range []string{"1.234,5", "9999,9", "-3,0", "9999,9", "12,25"} {
		sample.Rows = append(sample.Rows, []Value{{Text: text}})
	}
	survey := NewSurvey(Options{Decimal: ",", Thousands: "."})
	if err := survey.Add(sample); err != nil {
		t.Fatal(err)
	}
	got := survey.Columns()[0]
	if got.Type != "numeric" || !slices.Equal(got.Sentinels, []string{"9999,9"}) {
		t.Errorf("%+v", got)
	}
}
