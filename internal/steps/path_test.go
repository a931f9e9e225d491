package steps

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/bucketload/bucketload"
)

func TestPathKeys(t *testing.T) {
	for uri, want := range map[string]string{
		"s3://b/year=2022/month=01/a.csv":                     `year="2022" month="01"`,
		"s3://b/a=1/x/b=2/a=3/c.csv":                          `b="2" a="3"`,
		"s3://b/a%20b=c%3Dd/x.csv":                            `a b="c=d"`,
		"s3://b/d=__HIVE_DEFAULT_PARTITION__/e=/f=100%/x.csv": `d=NULL e="" f="100%"`,
		"s3://b/k=v=w/x.csv":                                  `k="v=w"`,
		"s3://b/=v/x/y=1.csv":                                 "",
		"file:///data/y=1/x.csv":                              `y="1"`,
		"s3://y=1/x.csv":                                      `y="1"`, // no bucket's name has it
		"s3://b/year=2022/":                                   `year="2022"`,
		"x":                                                   "",
		"s3://b/plain/prefix/data.csv":                        "",
		"s3://b/ключ=значение/data.csv":                       `ключ="значение"`,
	} {
		var got []string
		for _, k := range pathKeys(uri) {
			value := "NULL"
			if k.value.Quoted {
				value = fmt.Sprintf("%q", k.value.Bytes)
			}
			got = append(got, k.name+"="+value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func FuzzPathKeys(f *testing.F) {
	for _, uri := range []string{"s3://b/a=1/b=%zz/x", "file:///a=/=b/==/x", "://=/=", "s3://b/%3D=%00/x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		seen := map[string]bool{}
		for _, k := range pathKeys(uri) {
			if seen[k.name] || !strings.Contains(uri, k.folder+"/") || !strings.Contains(k.folder, "=") {
				t.Errorf("%q: %+v", uri, k)
			}
			seen[k.name] = true
		}
	})
}

// TestAppendJSON: what is appended is the text itself, as encoding/json reads it.
func TestAppendJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var back string
		if err := json.Unmarshal(appendJSON(nil, []byte(text)), &back); err != nil || utf8.ValidString(text) && back != text {
			t.Fatalf("%q: %q, %v", text, back, err)
		}
	})
}

func TestSimilar(t *testing.T) {
	for _, c := range []struct {
		source  string
		headers string
		want    string
	}{
		{"Incident_Rate", "x,Incidence_Rate", "Incidence_Rate"}, {"Lat", "Latitude,Longitude", "Latitude"}, {"Long_", "Latitude,Longitude", "Longitude"},
		{"Last Update", "Last_Update", "Last_Update"}, {"Country/Region", "Country_Region,Province_State", "Country_Region"},
		{"temp", "TEMP,temp.", ""}, {"id", "idea", ""}, {"name", "age", ""}, {"Deaths", "Recovered", ""}, {"a", "A", ""},
	} {
		if got := similar(bucketload.Column{Name: "c", From: []string{c.source}}, strings.Split(c.headers, ",")); got != c.want {
			t.Errorf("%s among %s: %q, want %q", c.source, c.headers, got, c.want)
		}
	}
}
