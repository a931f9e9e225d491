package infer

import "testing"

func TestShapes(t *testing.T) {
	for want, values := range map[shape][]string{
		blank:  {"", " ", "NA", "-", "|", "#"},
		figure: {"0", "-1", "+2.5", ".5", "1,5", "1.234,56", "1,234.56", "1 234,5", "1'234'567", "$74.69", "12 %", "1e-05", "€5", "-£1,000", "00501"},
		moment: {"2020-01-31", "31/1/20", "1.2.2020", "10:30", "10:30:15.25", "2020-01-31T10:30:00Z", "31/12/2020 11:30 PM", "1.2.3.4", "2020-01"},
		truth:  {"true", "FALSE"},
		code:   {"123e4567-e89b-12d3-a456-426614174000"},
		prose:  {"a", "1a", "1-2", "1:2", "1 2 3", "319 320", "1,23,4", "12/34", "http://x/1", "1.2.", "e5", "--5", "5 apples", "1,5;2"},
	} {
		for _, value := range values {
			if got := shapeOf([]byte(value)); got != want {
				t.Errorf("%q is of shape %d, want %d", value, got, want)
			}
		}
	}
}

func TestMarks(t *testing.T) {
	for value, want := range map[string]written{
		"5": {}, "1.5": {decimal: '.'}, "1,5": {decimal: ','}, "0,123": {decimal: ','}, "1234,567": {decimal: ','},
		"1,234": {either: ','}, "1.234": {either: '.'}, "1,234,567": {thousands: ','}, "1.234,5": {decimal: ',', thousands: '.'},
		"1 234,5": {decimal: ',', thousands: ' '}, "1'234": {thousands: '\''},
	} {
		if got, ok := readFigure([]byte(value)); !ok || got != want {
			t.Errorf("%q: %+v, %v, want %+v", value, got, ok, want)
		}
	}
}
