package pgcopy

import (
	"testing"

	"github.com/bucketload/bucketload"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		column      Column
		format      []string
		value, want string // want "": refused
	}{
		{dateColumn, []string{"YYYY-MM-DD"}, "2022-01-31", "2022-01-31"},
		{dateColumn, []string{"DD.MM.YYYY"}, "31.12.2022", "2022-12-31"},
		{dateColumn, []string{"DD.MM.YYYY"}, "1.2.2022", "2022-02-01"},
		{dateColumn, []string{"MM/DD/YY"}, "1/2/69", "2069-01-02"},
		{dateColumn, []string{"MM/DD/YY"}, "1/2/70", "1970-01-02"},
		{dateColumn, []string{"YYYYMMDD"}, "20220131", "2022-01-31"},
		{dateColumn, []string{"YYYYMMDD"}, "2022131", ""},
		{dateColumn, []string{"DD Mon YYYY"}, "5 feb 2022", "2022-02-05"},
		{dateColumn, []string{"DD-Mon-YY"}, "05-DEC-99", "1999-12-05"},
		{dateColumn, []string{"DDMonYYYY"}, "5Dec2022", "2022-12-05"},
		{dateColumn, []string{"DD Mon YYYY"}, "5 February 2022", ""},
		{dateColumn, []string{"DD.MM.YYYY"}, "30.02.2022", ""},
		{dateColumn, []string{"DD.MM.YYYY"}, "2022-02-01", ""},
		{dateColumn, []string{"DD.MM.YYYY"}, "01.02.2022 ", "2022-02-01"},
		{dateColumn, []string{"DD.MM.YYYY"}, "01.02.22", ""},
		{dateColumn, []string{"DD.MM.YYYY", "YYYY-MM-DD"}, "2022-02-01", "2022-02-01"},
		{dateColumn, []string{"MM/DD/YYYY HH12:MI:SS AM"}, "01/31/2022 12:00:00 AM", "2022-01-31"},
		{dateColumn, []string{"MM/DD/YYYY HH12:MI:SS AM"}, "01/31/2022 01:00:00 AM", ""},
		{dateColumn, []string{"DD.MM.YYYY"}, "infinity", "infinity"},
		{timeColumn, []string{"HH:MI AM"}, "1:05 pm", "13:05:00.000000"},
		{timeColumn, []string{"HH:MI AM"}, "12:05 PM", "12:05:00.000000"},
		{timeColumn, []string{"HH12:MI PM"}, "12:05 AM", "00:05:00.000000"},
		{timeColumn, []string{"HH12:MI PM"}, "13:05 AM", ""},
		{timeColumn, []string{"HH24MISS"}, "235959", "23:59:59.000000"},
		{timeColumn, []string{"HH24:MI:SS,MS"}, "23:59:59,5", "23:59:59.500000"},
		{timeColumn, []string{"HH24:MI:SS,MS"}, "23:59:59,5678", ""},
		{stampColumn, []string{"YYYY-MM-DDTHH24:MI:SS.US"}, "2022-01-31T23:59:59.123456", "2022-01-31 23:59:59.123456"},
		{stampColumn, []string{"DD/MM/YYYY HH24:MI"}, "31/1/2022 3:07", "2022-01-31 03:07:00.000000"},
		{stampColumn, []string{"DD/MM/YYYY"}, "31/1/2022", "2022-01-31 00:00:00.000000"},
		{stampColumn, []string{`DD/MM/YYYY "at" HH"h"MI`}, "31/1/2022 at 3h07", "2022-01-31 03:07:00.000000"},
		{stampColumn, []string{"YYYY-MM-DD HH24:MI:SS.F"}, "2022-01-31 00:00:00.1234560000", "2022-01-31 00:00:00.123456"},
		{stampColumn, []string{"YYYY-MM-DD HH24:MI:SS.F"}, "2022-01-31 00:00:00.1234561", ""},
		{stampColumn, []string{"YYYY-MM-DD HH24:MIZ"}, "2022-01-31 00:00Z", ""},
		{zonedColumn, []string{"YYYYMMDDTHH24MISSZ"}, "20220131T123456Z", "2022-01-31 12:34:56.000000+00:00:00"},
		{zonedColumn, []string{"DD.MM.YYYY HH24:MI TZH:TZM"}, "31.01.2022 12:34 -03:30", "2022-01-31 12:34:00.000000-03:30:00"},
		{zonedColumn, []string{"DD.MM.YYYY HH24:MITZHTZM"}, "31.01.2022 12:34+0200", "2022-01-31 12:34:00.000000+02:00:00"},
		{zonedColumn, []string{"DD.MM.YYYY HH24:MI TZH"}, "31.01.2022 12:34 +17", ""},
		{zonedColumn, []string{"DD.MM.YYYY HH24:MI"}, "31.01.2022 12:34", "2022-01-31 12:34:00.000000+00:00:00"},
	}
	for _, test := range tests {
		t.Run(test.format[0]+" "+test.value, func(t *testing.T) {
			c := test.column
			c.Format = test.format
			got, err := encodeOne(Text, c, test.value)
			if test.want == "" {
				if err == nil {
					t.Errorf("got %q", got)
				}
				return
			}
			if err != nil || string(got) != test.want+"\n" {
				t.Errorf("want %q, got %q, %v", test.want, got, err)
			}
		})
	}
}

func TestBadPattern(t *testing.T) {
	tests := []struct {
		column Column
		format string
	}{
		{dateColumn, ""}, {dateColumn, "yyyy-mm-dd"}, {dateColumn, "%Y-%m-%d"}, {dateColumn, "YYYY-MM"}, {dateColumn, "YYYY-MM-DD YY"}, {dateColumn, `YYYY-MM-DD "`},
		{dateColumn, "YYYY-MM-DD at"}, {dateColumn, "2006-01-02"},
		{timeColumn, "HH24"}, {timeColumn, "YYYY-MM-DD HH24:MI"}, {timeColumn, "HH12:MI"}, {timeColumn, "HH24:MI.F"}, {timeColumn, "HH24:MI TZM"},
		{stampColumn, "HH24:MI"}, {stampColumn, "YYYY-MM-DD MI"}, {stampColumn, "YYYY-MM-DD HH24:MI HH12 AM"},
		{numericColumn, "YYYY-MM-DD"}, {textColumn, "YYYY-MM-DD"},
	}
	for _, test := range tests {
		c := test.column
		c.Format = []string{test.format}
		_, err := NewEncoder(Text, []Column{c})
		if e := bucketload.AsError(err); e == nil || e.Code != bucketload.CodeUsage || e.Hint == "" {
			t.Errorf("%q for %s: %v", test.format, c.TypeName, err)
		}
	}
}
