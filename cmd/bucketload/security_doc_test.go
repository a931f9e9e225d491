package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bucketload/bucketload/internal/temp/temptest"
)

// TestSecurityDocument gives a role what docs/security.md says that it needs,
// and does with it what it is for; with any line of that left out, it fails.
func TestSecurityDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	const twice = "load year_2022 --from data/; load year_2022 --from data/"
	uses := map[string]struct{ before, commands string }{
		"It makes its schemas itself":               {"", twice},
		"It may not make schemas":                   {"", twice},
		"It only adds rows to a table of another's": {"CREATE TABLE public.year_2022 (id bigint)", "load year_2022 --from data/ --mode append"},
		"It merges rows into a table of another's": {"CREATE TABLE public.year_2022 (id bigint PRIMARY KEY); INSERT INTO public.year_2022 VALUES (2)",
			strings.ReplaceAll(twice, "data/", "data/ --mode upsert --set key=[id] --force")},
		"It replaces partitions of a table of another's": {"CREATE TABLE public.year_2022 (id bigint); INSERT INTO public.year_2022 VALUES (2)",
			strings.ReplaceAll(twice, "data/", "data/ --mode replace_partition --set key=[id] --force")},
		"It replaces the rows of a table of another's": {"CREATE TABLE public.year_2022 (id bigint); INSERT INTO public.year_2022 VALUES (7)", strings.ReplaceAll(twice, "data/", "data/ --replace in_place")},
		"Who only looks": {"loaded", "runs; status RUN; files RUN; history RUN; rejects RUN; backups year_2022"},
		"Who verifies":   {"loaded", "verify year_2022"},
	}
	dir := t.TempDir()
	writeExample(t, filepath.Join(dir, "data", "a.csv"), "id\n1\n2\n", nil)
	for _, section := range example.Split(string(document), -1)[1:] {
		title, _, _ := strings.Cut(section, "\n")
		use, ok := uses[title]
		delete(uses, title)
		var grants []string
		for _, b := range fence.FindAllStringSubmatch(section, -1) {
			grants = append(grants, strings.Split(strings.TrimSuffix(b[2], ";\n"), ";\n")...)
		}
		if !ok || len(grants) == 0 {
			t.Fatalf("%q: nothing is tried with %q", title, grants)
		}
		for without := -1; without < len(grants); without++ {
			name := title
			if without >= 0 {
				name += ", without " + grants[without]
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := privileged(t, dir, use.before, grants, without, use.commands)
				if (err != nil) != (without >= 0) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	for title := range uses {
		t.Errorf("the document does not say %q", title)
	}
}

// privileged runs commands as a role that has the grants but one, and gives the
// error of the first that fails.
func privileged(t *testing.T, dir, before string, grants []string, without int, commands string) error {
	dsn := temptest.Database(t, 0)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	role := "r_" + conn.Config().Database
	admin := func(sql string) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	admin("CREATE ROLE " + role + " LOGIN PASSWORD 'x'")
	if before == "loaded" {
		stderr, _ := runBucketload(t, dir, dsn, "load", "year_2022", "--from", "data/")
		var id string
		if err := conn.QueryRow(t.Context(), "SELECT id FROM bucketload.runs").Scan(&id); err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		commands = strings.ReplaceAll(commands, "RUN", id)
	} else {
		admin(before)
	}
	names := strings.NewReplacer("loader", role, "viewer", role, "weather", conn.Config().Database)
	for i, sql := range grants {
		if i != without {
			admin(names.Replace(sql))
		}
	}
	as := fmt.Sprintf("postgres://%s:x@%s:%d/%s?sslmode=disable", role, conn.Config().Host, conn.Config().Port, conn.Config().Database)
	for command := range strings.SplitSeq(commands, "; ") {
		if stderr, code := runBucketload(t, dir, as, strings.Fields(command)...); code != 0 {
			return fmt.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
	}
	return nil
}
