package infer_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDialect judges 200 heads of 48 KiB, as many as are sampled at most.
func BenchmarkDialect(b *testing.B) {
	rows := map[string]string{
		"quoted": "\"0100%d\",\"2022-01-%02d\",\"78.25\",\"28.2\",\"  29.0\",\"9999.9\",\"JAN MAYEN NOR NAVY, NO\"\n",
		"mixed":  "%d;2022-01-%02d 10:30;'it''s \"5\\\" || x';1.234,50;# 12;http://example.com/a?b=c&d=e\n",
	}
	for name, row := range rows {
		b.Run(name, func(b *testing.B) {
			var heads [][]byte
			for i := range 200 {
				var text strings.Builder
				for j := 0; text.Len() < 48<<10; j++ {
					fmt.Fprintf(&text, row, i, j%28+1)
				}
				heads = append(heads, []byte(text.String()))
			}
			b.SetBytes(200 * 48 << 10)
			for b.Loop() {
				if _, _, err := sniff(heads...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
