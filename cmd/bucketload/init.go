package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/config"
	"github.com/bucketload/bucketload/internal/steps"
)

func (a *app) initCommand() *cobra.Command {
	var flags loadFlags
	var name string
	var schema bool
	cmd := &cobra.Command{
		Use:   "init URI",
		Short: "Print a configuration for the files at a URI",
		Long: `Samples the files and prints a ready bucketload.yaml with a column for each
header, its type, and the evidence for it. It needs no database.`,
		Example: `  bucketload init s3://noaa-gsod-pds/2022/ --anonymous > bucketload.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if schema {
				return needArgs(0, 0, "no arguments with --schema")(cmd, args)
			}
			return needArgs(1, 1, "one URI")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if schema {
				_, err := a.out.Write(config.Schema())
				return err
			}
			flags.From = append(args, flags.From...)
			if name == "" {
				name = tableFrom(args[0])
			}
			load, err := config.AdHoc(name, flags.Flags)
			if err != nil {
				return err
			}
			guess, err := steps.New(nil, a.log()).Guess(cmd.Context(), load)
			if err != nil {
				return err
			}
			load.CSV, load.Columns, load.ColumnsOverride = guess.CSV, guess.Columns, false
			if guess.Format == bucketload.FormatCSV {
				load.CSVOpen = nil // it is found out, and loads are to go by what is written
			} else {
				load.Format = guess.Format
			}
			notes := map[string]config.Note{}
			for _, c := range guess.Columns {
				notes[c.Name] = config.Note{Evidence: guess.Evidence[c.Name], NullIf: guess.Sentinels[c.Name].Sentinels}
			}
			_, err = a.out.Write(config.Write(load, []string{
				found(guess),
				"look at it, then: bucketload plan, bucketload load",
			}, notes))
			return err
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of bucketload.yaml, for editors")
	cmd.Flags().StringVar(&name, "name", "", "the table's name (default: the last part of the URI)")
	return cmd
}

// found is what the configuration rests on, in one line.
func found(guess *steps.Guess) string {
	line := fmt.Sprintf("%s, %d of them sampled, %s, %s", plural(int(guess.Files), "file"), guess.Sampled, plural(len(guess.Shapes), "shape"), guess.Format)
	if guess.DialectEvidence != "" {
		line += ": " + guess.DialectEvidence
	}
	return line
}

// tableFrom makes a table's name of a URI: the last directory, or the file's
// base name.
func tableFrom(uri string) string {
	for strings.ContainsAny(path.Base(uri), "*?[{") {
		uri = path.Dir(uri)
	}
	name := path.Base(strings.TrimRight(uri, "/"))
	if base, _, ok := strings.Cut(name, "."); ok && base != "" {
		name = base
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	if strings.Trim(name, "_") == "" {
		return "files"
	}
	if name[0] >= '0' && name[0] <= '9' {
		return "t_" + name
	}
	return name
}
