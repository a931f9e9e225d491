package infer

import "time"

// layout is a way to write a date that is not ISO's: the pattern as the
// configuration has it, and as package time has it.
type layout struct {
	pattern, golang string
	clock           bool
}

func (l layout) fits(s string) bool {
	_, err := time.Parse(l.golang, s)
	return err == nil
}

// typ is the type that takes such values.
func (l layout) typ() string {
	if l.clock {
		return "timestamp"
	}
	return "date"
}

var layouts = allLayouts()

func allLayouts() []layout {
	var all []layout
	for _, sep := range []string{"/", ".", "-"} {
		days := []layout{
			{pattern: "DD" + sep + "MM" + sep + "YYYY", golang: "2" + sep + "1" + sep + "2006"},
			{pattern: "MM" + sep + "DD" + sep + "YYYY", golang: "1" + sep + "2" + sep + "2006"},
			{pattern: "DD" + sep + "MM" + sep + "YY", golang: "2" + sep + "1" + sep + "06"},
			{pattern: "MM" + sep + "DD" + sep + "YY", golang: "1" + sep + "2" + sep + "06"},
		}
		if sep != "-" {
			days = append(days, layout{pattern: "YYYY" + sep + "MM" + sep + "DD", golang: "2006" + sep + "1" + sep + "2"})
		}
		for _, d := range days {
			all = append(all, d,
				layout{pattern: d.pattern + " HH24:MI", golang: d.golang + " 15:04", clock: true},
				layout{pattern: d.pattern + " HH24:MI:SS", golang: d.golang + " 15:04:05", clock: true})
		}
	}
	return all
}
