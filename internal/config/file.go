// Package config reads bucketload.yaml and the flags into loads: built-in
// defaults, then the file's defaults, the table's keys and the flags, each laid
// over the one before. It also finds the target's DSN, and keeps it out of
// every message.
package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bucketload/bucketload"
)

// File is a configuration that was read and found right.
type File struct {
	name      string // as the user gave it, for messages; local paths in it are relative to its directory
	version   int
	to        string // not resolved: it may be a secret
	s3        bucketload.S3
	notifySNS string
	source    string
	defaults  *node
	tables    *node
	entries   []entry
	base      bucketload.Load // built-in defaults and the file's
}

// entry is a table of the file. load has every layer but the flags.
type entry struct {
	at   *node
	load bucketload.Load
	said []string // paths that the table itself sets
}

// Read reads the file at path.
func Read(path string) (*File, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage("bucketload init URI > bucketload.yaml writes one; or load without a file with TABLE --from URI", "there is no file %s", path)
	case err != nil:
		e := usage("", "%s cannot be read", path)
		e.Err = err
		return nil, e
	}
	return Parse(path, data)
}

// Parse reads a file's content. name is its path: it is shown in errors, which
// are name:line:column: key: why, and local paths are relative to its directory.
func Parse(name string, data []byte) (*File, error) {
	return ParseOver(&File{base: builtin()}, name, data)
}

// ParseOver is Parse for a file that lies over another one: where it says
// nothing of source or defaults, the file below counts.
func ParseOver(below *File, name string, data []byte) (*File, error) {
	root, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, source: below.source, base: below.base}
	if err := f.read(root); err != nil {
		return nil, report(name, err)
	}
	return f, nil
}

func (f *File) read(root *node) error {
	if root.kind != mapping && root.kind != null {
		return usage("it begins with version: 1", "%s:%d:%d: the file must be a mapping", f.name, root.line, root.column)
	}
	if err := newLayer(fileKeys, f).apply("", root); err != nil {
		return err
	}
	f.source = f.local(f.source)
	if _, err := f.layTable(&f.base, f.defaults); err != nil {
		return under("defaults", f.defaults, err)
	}
	if f.tables == nil {
		return nil
	}
	for _, p := range f.tables.pairs {
		e := entry{at: p.key, load: f.base}
		var err error
		if e.said, err = f.readTable(&e.load, p.key.text, p.value); err != nil {
			return under("tables."+p.key.text, p.key, err)
		}
		f.entries = append(f.entries, e)
	}
	return nil
}

// readTable reads a table's keys and gives the paths that they set.
func (f *File) readTable(l *bucketload.Load, key string, n *node) ([]string, error) {
	if key == "" {
		return nil, errors.New("a table needs a name")
	}
	l.Key = key
	if n.kind != mapping && n.kind != null {
		return nil, &bucketload.Error{Message: "must be a mapping", Hint: "write for example from: s3://bucket/prefix/ under it"}
	}
	if _, named := n.get("table"); !named && l.Table == (bucketload.TableName{}) {
		table, err := bucketload.ParseTableName(key)
		if err != nil {
			return nil, err
		}
		l.Table = table
	}
	return f.layTable(l, n)
}

// layTable lays keys of the file over l, and gives the paths that they set.
func (f *File) layTable(l *bucketload.Load, n *node) ([]string, error) {
	y := newLayer(tableKeys, l)
	if err := y.apply("", n); err != nil {
		return nil, err
	}
	if y.done["from"] != "" {
		for i, uri := range l.From {
			l.From[i] = f.local(uri)
		}
	}
	return settle(l, y), nil
}

// settle takes the csv keys that a layer has set from those that are open, and
// gives all paths that it has set. A delimiter that is set to nothing is open.
func settle(l *bucketload.Load, y *layer[bucketload.Load]) []string {
	l.CSVOpen = slices.DeleteFunc(slices.Clone(l.CSVOpen), func(name string) bool {
		return y.done["csv."+name] != "" && (name != "delimiter" || l.CSV.Delimiter != "")
	})
	return slices.Collect(maps.Keys(y.done))
}

// local makes a relative path of the file relative to its directory. A slash
// at the end stays, as it says that the path is a directory.
func (f *File) local(path string) string {
	if path == "" || strings.Contains(path, "://") || filepath.IsAbs(path) {
		return path
	}
	joined := filepath.Join(filepath.Dir(f.name), path)
	if strings.HasSuffix(path, "/") {
		joined += "/"
	}
	return joined
}

// builtin is a load in which nothing was said.
func builtin() bucketload.Load {
	return bucketload.Load{
		Format:      bucketload.FormatAuto,
		Compression: "auto",
		CSV: bucketload.CSV{
			Quote: `"`, Escape: `"`, Header: true, Encoding: "utf-8",
			UnquotedBlanks: bucketload.PolicyKeep, StrayQuotes: bucketload.PolicyReject,
			Ragged: bucketload.PolicyReject, InvalidUTF8: bucketload.PolicyReject, NUL: bucketload.PolicyReject,
		},
		CSVOpen:          []string{"delimiter", "quote", "escape", "header", "encoding", "comment", "skip_head", "skip_foot", "unquoted_blanks", "decimal", "thousands"},
		Loader:           bucketload.LoaderStream,
		Mode:             bucketload.ModeReplace,
		OnChanged:        bucketload.PolicyFail,
		LowerCase:        true,
		Unknown:          bucketload.PolicyFail,
		Missing:          bucketload.PolicyFail,
		OnDuplicate:      bucketload.PolicyReject,
		MaxConcurrency:   4,
		MaxItemsPerBatch: 25,
		MinBatchBytes:    8e6,
		Retries:          1,
		KeepBackups:      1,
		LockTimeout:      2 * time.Second,
	}
}

// Tables gives the names of the file's tables, in its order.
func (f *File) Tables() []string {
	names := make([]string, len(f.entries))
	for i, e := range f.entries {
		names[i] = e.load.Key
	}
	return names
}

// Table gives the live table that a name stands for, as Loads finds it; false
// where it is the name of none.
func (f *File) Table(name string) (bucketload.TableName, bool) {
	e, err := f.find(name)
	return e.load.Table, err == nil
}

// Known gives what the file, nil for none, says of a table without asking where
// its files are. The name is as for Loads.
func (f *File) Known(name string) (*bucketload.Load, error) {
	if f == nil {
		f = &File{base: builtin()}
	}
	e, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return &e.load, nil
}

// Loads gives the loads of the named tables, of all when none is named, with
// the flags laid over every one of them. A name is a key of the file, or a live
// table that one of them loads. Any other is loaded from --from, or from its
// folder in source, with everything inferred.
func (f *File) Loads(names []string, flags Flags) ([]*bucketload.Load, error) {
	if len(names) == 0 {
		names = f.Tables()
	}
	if len(names) == 0 {
		return nil, usage("bucketload load TABLE --from URI", "no table is named")
	}
	top := *f
	if err := flags.applyFile(&top); err != nil {
		return nil, err
	}
	var loads []*bucketload.Load
	for _, name := range names {
		e, err := f.find(name)
		if err != nil {
			return nil, err
		}
		l := e.load
		l.S3, l.NotifySNS = top.s3, top.notifySNS
		said, err := flags.apply(&l)
		if err != nil {
			return nil, err
		}
		if err := f.complete(&l, slices.Concat(e.said, said)); err != nil {
			return nil, report(f.name, under("table "+l.Key, e.at, err))
		}
		if !slices.ContainsFunc(loads, func(o *bucketload.Load) bool { return o.Key == l.Key }) {
			loads = append(loads, &l)
		}
	}
	return loads, distinct(loads)
}

// AdHoc gives the load of a table without a file: from --from, with everything
// else inferred or in flags.
func AdHoc(table string, flags Flags) (*bucketload.Load, error) {
	loads, err := (&File{base: builtin()}).Loads([]string{table}, flags)
	if err != nil {
		return nil, err
	}
	return loads[0], nil
}

// find gives the table with that key, else the one that loads that live table,
// else a new one.
func (f *File) find(name string) (entry, error) {
	for _, e := range f.entries {
		if e.load.Key == name {
			return e, nil
		}
	}
	table, err := bucketload.ParseTableName(name)
	if err != nil {
		return entry{}, err
	}
	var found []entry
	for _, e := range f.entries {
		if e.load.Table == table {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		l := f.base
		l.Key, l.Table = name, table
		return entry{load: l}, nil
	case 1:
		return found[0], nil
	}
	return entry{}, usage("name one of them", "%s and %s both load %s", found[0].load.Key, found[1].load.Key, table)
}

// complete fills in where the load comes from and judges it as a whole. said
// are the paths that the table and the flags set.
func (f *File) complete(l *bucketload.Load, said []string) error {
	if len(l.From) == 0 && f.source != "" {
		folder, err := bucketload.ParseTableName(l.Key)
		if err != nil {
			return err
		}
		if strings.ContainsAny(folder.Name, `*?[{\`) {
			return &bucketload.Error{Message: "the name cannot be a folder of source, as it has wildcards in it", Hint: "give --from URI"}
		}
		l.From = []string{strings.TrimSuffix(f.source, "/") + "/" + folder.Name + "/"}
	}
	if len(l.From) == 0 {
		return f.nowhere(l.Key)
	}
	return contradictions(l, said)
}

// nowhere says that there is nothing to load a table from.
func (f *File) nowhere(name string) error {
	tables := f.Tables()
	if len(tables) == 0 || slices.Contains(tables, name) {
		return &bucketload.Error{Message: "it is not said where to load it from", Hint: "give --from URI, or from: in the file"}
	}
	hint := "give --from URI to load a table that is not in the file"
	if near := nearest(name, tables); near != "" {
		hint = "did you mean " + near + "? Or " + hint
	}
	return &bucketload.Error{Message: "there is no such table in " + f.name + ", only " + strings.Join(tables, ", "), Hint: hint}
}

// distinct refuses loads of one call that would undo each other.
func distinct(loads []*bucketload.Load) error {
	for i, l := range loads {
		for _, o := range loads[:i] {
			if l.Table == o.Table && (l.Mode == bucketload.ModeReplace || o.Mode == bucketload.ModeReplace) {
				return usage("load one of them, or give them different tables", "%s and %s would replace the same table %s", o.Key, l.Key, l.Table)
			}
		}
	}
	return nil
}
