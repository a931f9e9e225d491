package temptest_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

func TestMain(m *testing.M) { os.Exit(temptest.Run(m)) }

func TestDatabasesAreApart(t *testing.T) {
	for _, major := range temptest.Majors(t) {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			one, two := temptest.Database(t, major), temptest.Database(t, major)
			if one == two {
				t.Fatal("one database for both")
			}
			for _, dsn := range []string{one, two} {
				conn, err := pgx.Connect(t.Context(), dsn)
				if err != nil {
					t.Fatal(err)
				}
				var version int
				if err := conn.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil || version != major {
					t.Errorf("version %d: %v", version, err)
				}
				if _, err := conn.Exec(t.Context(), "CREATE TABLE t (i int)"); err != nil {
					t.Error(err)
				}
				// The connection stays open: dropping the database must not mind.
			}
		})
	}
}

func TestAbsentMajor(t *testing.T) {
	if !t.Run("skipped", func(t *testing.T) {
		temptest.Database(t, 9)
		t.Error("there is no PostgreSQL 9")
	}) {
		t.Error("absent versions are to be skipped")
	}
}

func TestNewest(t *testing.T) {
	if temptest.Database(t, 0) == "" {
		t.Error("no database")
	}
}
