package steps

import (
	"fmt"
	"sync"
	"testing"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/ledger"
)

// TestSwapsOfOneName: tables of one name in several schemas are swapped at the
// same time, with indexes of one name, and each backup has a name of its own.
func TestSwapsOfOneName(t *testing.T) {
	t.Parallel()
	whole := newBench(t, 0, manyConns) // a swap takes two, and must not wait for another's
	const tables = 4
	runs := make([]string, tables)
	for i := range runs {
		b := whole.part(t)
		b.schema, b.table = fmt.Sprintf("s%d", i), "t"
		b.exec(fmt.Sprintf("CREATE SCHEMA s%d; CREATE TABLE s%[1]d.t (f text, n int); CREATE INDEX by_n ON s%[1]d.t (n)", i))
		runs[i] = b.prepared(b.load(map[string]string{"a.csv": rows("a", i)}, withColumns(columnsFN...), func(l *bucketload.Load) { l.AllowEmpty = true }))
		b.must(b.copyAll(runs[i]))
	}
	var swaps sync.WaitGroup
	for _, run := range runs {
		swaps.Go(func() {
			if _, err := whole.Finish(t.Context(), ledger.Try{Run: run}); err != nil {
				t.Error(err)
			}
		})
	}
	swaps.Wait()
	for i := range tables {
		if n := whole.count(fmt.Sprintf("SELECT count(*) FROM s%d.t", i)); n != int64(i) {
			t.Errorf("table %d has %d rows", i, n)
		}
	}
	if n := whole.count("SELECT count(DISTINCT (table_schema, backup_name)) FROM bucketload.backups WHERE to_regclass(format('%I.%I', backup_schema, backup_name)) = backup_oid"); n != tables {
		t.Errorf("%d backups", n)
	}
}
