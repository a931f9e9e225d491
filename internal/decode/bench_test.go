package decode

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bucketload/bucketload"
)

var standard = bucketload.CSV{Delimiter: ",", Quote: `"`, Escape: `"`, Header: true}

// weather makes rows as in GSOD: every field quoted, numbers padded.
func weather(rows int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`"STATION","DATE","LATITUDE","LONGITUDE","ELEVATION","NAME","TEMP","TEMP_ATTRIBUTES","DEWP","DEWP_ATTRIBUTES","SLP","SLP_ATTRIBUTES","STP","STP_ATTRIBUTES","VISIB","VISIB_ATTRIBUTES","WDSP","WDSP_ATTRIBUTES","MXSPD","GUST","MAX","MAX_ATTRIBUTES","MIN","MIN_ATTRIBUTES","PRCP","PRCP_ATTRIBUTES","SNDP","FRSHTT"` + "\n")
	for i := range rows {
		fmt.Fprintf(&b, `"01001099999","2022-%02d-%02d","70.9333333","-8.6666667","9.0","JAN MAYEN NOR NAVY, NO"`, i/28%12+1, i%28+1)
		for _, f := range []struct {
			format string
			max    float64
		}{{"%6.1f", 99}, {"%6.1f", 99}, {"%6.1f", 1040}, {"%06.1f", 99}, {"%5.1f", 99}, {"%5.1f", 50}} {
			fmt.Fprintf(&b, `,"`+f.format+`","%2d"`, r.Float64()*f.max, r.IntN(25))
		}
		fmt.Fprintf(&b, `," %4.1f"," 999.9","%6.1f"," ","%6.1f"," ","%5.2f","E","999.9","001000"`+"\n", r.Float64()*50, r.Float64()*99, r.Float64()*99, r.Float64())
	}
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	quoted := weather(20_000)
	for name, data := range map[string][]byte{
		"quoted":   quoted,
		"unquoted": []byte(strings.ReplaceAll(strings.ReplaceAll(string(quoted), "NAVY, NO", "NAVY NO"), `"`, "")),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				c, err := NewCSV(bytes.NewReader(data), standard)
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err = c.Next(); err != nil {
						break
					}
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}
