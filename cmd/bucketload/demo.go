package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/conduct"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/steps"
	"github.com/bucketload/bucketload/internal/temp"
)

//go:embed demo.yaml
var demoYAML []byte

// The demonstration's bucket.
const (
	demoBucket   = "noaa-gsod-demo"
	demoStations = 400
	demoDays     = 120
	demoSeed     = 2022
)

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Load a bucket of weather stations into a temporary Postgres",
		Long: `Starts a temporary Postgres and an S3 server, fills a bucket with files shaped
like NOAA's Global Surface Summary of the Day, one of them corrupt, and loads it
twice into public.year_2022. Everything is gone afterwards, except with --keep.`,
		Args: needArgs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave Postgres running and print its DSN")
	return cmd
}

func (a *app) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

func (a *app) demo(ctx context.Context, keep bool) error {
	pg, err := temp.StartPostgres(ctx, temp.PostgresOptions{KeepRunning: keep, Log: a.errs})
	if err != nil {
		return err
	}
	if !keep {
		defer pg.Stop() //nolint:errcheck // it dies with this process in any case
	}
	s3, err := temp.StartS3(temp.S3Options{})
	if err != nil {
		return err
	}
	defer s3.Close() //nolint:errcheck // nobody is left to talk to it
	corrupt := temp.CorruptStation(demoSeed, demoDays)
	if err := fillBucket(s3, corrupt); err != nil {
		return err
	}
	a.say("A temporary PostgreSQL %s and an S3 server are running. s3://%s/2022/ holds", pg.Version(), demoBucket)
	a.say("%d stations' files with the traps of the real data, one of them corrupt, and a note.\n", demoStations+1)

	file, err := config.Parse("demo.yaml", demoYAML)
	if err != nil {
		return err
	}
	loads, err := file.Loads(nil, config.Flags{Set: []string{"s3.endpoint_url=" + s3.URL(), "s3.path_style=true", "s3.anonymous=true", "s3.region=us-east-1"}})
	if err != nil {
		return err
	}
	a.to = pg.DSN()
	s, closePool, err := a.connect(ctx, nil, loads[0].MaxConcurrency)
	if err != nil {
		return err
	}
	defer closePool()
	load := func() {
		a.one(ctx, s, loads[0].Table.String(), func() (*bucketload.Run, error) { return conduct.Load(ctx, s, loads[0]) })
	}

	a.say("$ bucketload load year_2022")
	load()
	if a.code != exitPartial {
		return nil
	}
	a.say("\nOne file was bad: it is named with line, column and value, and the rest is in, as")
	a.say("1 %% of the files may fail. (Exit code 3, partial.) Now the file is mended, and the")
	a.say("table loaded anew while readers go on with the old one.\n")
	mended := bytes.Replace(corrupt.Content, []byte(corrupt.Value), []byte("  21.1"), 1)
	if err := s3.Put(demoBucket, "2022/"+corrupt.Name, mended); err != nil {
		return err
	}
	a.say("$ bucketload load year_2022")
	a.code = exitOK
	load()
	if a.code != exitOK {
		return nil
	}
	if err := a.demoQuery(ctx, s); err != nil {
		return err
	}
	a.farewell(pg, keep)
	return nil
}

// fillBucket puts the demonstration's files into the S3 server.
func fillBucket(s3 *temp.S3, corrupt temp.Corrupt) error {
	for name, content := range temp.Stations(demoStations, demoSeed, demoDays) {
		if err := s3.Put(demoBucket, "2022/"+name, content); err != nil {
			return err
		}
	}
	if err := s3.Put(demoBucket, "2022/"+corrupt.Name, corrupt.Content); err != nil {
		return err
	}
	return s3.Put(demoBucket, "2022/README.md", []byte("Not data: its name does not fit, so it is listed as skipped.\n"))
}

// demoQuery shows what is in the database after the second load.
func (a *app) demoQuery(ctx context.Context, s *steps.Steps) error {
	const sql = `
SELECT 'public.year_2022' AS "table", count(*) AS rows, count(DISTINCT station_id) AS stations, round(avg(temp), 1)::text AS avg_temp FROM public.year_2022
UNION ALL
SELECT 'databackup.year_2022', count(*), count(DISTINCT station_id), round(avg(temp), 1)::text FROM databackup.year_2022
ORDER BY 1 DESC`
	a.say("\nThe second load swapped its table in; the first one is the backup:\n")
	rows, err := s.Pool.Query(ctx, sql)
	if err != nil {
		return bucketload.DatabaseError("demo", err)
	}
	defer rows.Close()
	a.say("  %-22s %8s %9s %9s", "table", "rows", "stations", "avg temp")
	for rows.Next() {
		var table, temp string
		var n, stations int64
		if err := rows.Scan(&table, &n, &stations, &temp); err != nil {
			return err
		}
		a.say("  %-22s %8s %9d %9s", table, count(n), stations, temp)
	}
	return rows.Err()
}

func (a *app) farewell(pg *temp.Postgres, keep bool) {
	program := os.Args[0]
	a.say("\nTry next:")
	if keep {
		a.say("  psql '%s'", pg.DSN())
		a.say("  export BUCKETLOAD_TO='%s'", pg.DSN())
		a.say("  %-37s # then: status RUN, files RUN --status failed", program+" runs")
		a.say("  %-37s # ends the temporary Postgres; its data: rm -r %s", pg.StopCommand(), pg.Dir())
	} else {
		a.say("  %-37s # leaves Postgres running, to look around with psql", program+" demo --keep")
	}
	a.say("  %s init s3://YOUR-BUCKET/PREFIX/ > bucketload.yaml", program)
	a.say("  %s load TABLE --from s3://YOUR-BUCKET/PREFIX/ --to postgres://user@host/db", program)
}
