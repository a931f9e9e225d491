package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// contradictions judges a load as a whole: keys that are right by themselves,
// and not together. said are the paths that the table and the flags set.
func contradictions(l *bucketload.Load, said []string) error {
	if rows := l.Checks.Rows; rows.Max > 0 && rows.Min > rows.Max {
		return &bucketload.Error{Message: "checks.rows.min is more than checks.rows.max"}
	}
	if err := merging(l, said); err != nil {
		return err
	}
	if keeps := l.OnDuplicate; l.Mode == bucketload.ModeAppend && keeps != "" && keeps != bucketload.PolicyReject {
		return &bucketload.Error{Message: fmt.Sprintf("on_duplicate: %s means nothing with mode: append: rows go straight into the live table, which has its own already", keeps),
			Hint: "leave it out, and let rows whose key is there be rejected: tolerate: {rows: 1%}; or write mode: replace"}
	}
	if l.Mode == bucketload.ModeAppend && l.Checks.Any() {
		return &bucketload.Error{Message: "checks mean nothing with mode: append: rows go straight into the live table, and there is nothing to check before",
			Hint: "leave them out, or write mode: replace"}
	}
	for _, judge := range []func() error{
		func() error { return ofFormat(l, said) },
		func() error { return dialect(l.CSV) },
		func() error { return ownColumns(l) },
		func() error { return serverReads(l) },
	} {
		if err := judge(); err != nil {
			return err
		}
	}
	for _, c := range l.Columns {
		if err := column(c); err != nil {
			return under("columns."+c.Name, nil, err)
		}
	}
	return nil
}

// merging refuses what has no meaning with a mode, or lacks for one.
func merging(l *bucketload.Load, said []string) error {
	refuse := func(what, hint string) error {
		return &bucketload.Error{Message: what + " means nothing with mode: " + string(l.Mode), Hint: hint}
	}
	switch keeps := l.OnDuplicate == bucketload.KeepFirst || l.OnDuplicate == bucketload.KeepLast; {
	case l.Mode == bucketload.ModeAppend && l.OnChanged == bucketload.PolicyReload:
		return &bucketload.Error{Message: "on_changed: reload would double rows with mode: append",
			Hint: "write mode: upsert or replace_partition, with key:; or on_changed: ignore"}
	case l.InPlace && l.Mode != bucketload.ModeReplace && slices.Contains(said, "replace"):
		return refuse("replace: in_place", "leave it out, or write mode: replace")
	case !l.Mode.Merges() && len(l.KeyColumns) > 0 && slices.Contains(said, "key"):
		return refuse("key", "leave it out, or write mode: upsert or replace_partition; a table's own key is primary_key")
	case !l.Mode.Merges():
		return nil
	case len(l.KeyColumns) == 0:
		return &bucketload.Error{Message: fmt.Sprintf("mode: %s needs key, the columns by which rows give way", l.Mode), Hint: "write for example key: [station_id, date]"}
	case l.Checks.VsLive > 0:
		return refuse("checks.vs_live", "leave it out: the load is not all of the table; checks.rows.min is for the load alone")
	case l.Mode == bucketload.ModeReplacePartition && keeps:
		return refuse("on_duplicate: "+l.OnDuplicate, "leave it out")
	case l.Mode == bucketload.ModeUpsert && l.OnDuplicate == bucketload.KeepFirst,
		l.Mode == bucketload.ModeUpsert && slices.Contains(said, "on_duplicate") && l.OnDuplicate == bucketload.PolicyReject:
		return refuse("on_duplicate: "+l.OnDuplicate, "leave it out: of rows with the same key the last one stays")
	case l.Mode == bucketload.ModeUpsert && slices.Contains(said, "primary_key"):
		return refuse("primary_key", "leave it out: key is the primary key of a table that the load makes")
	}
	return nil
}

// ofFormat refuses keys of another format than the files have. Those of
// defaults may be for other tables, and what is as it is by itself does no harm.
func ofFormat(l *bucketload.Load, said []string) error {
	base := builtin()
	base.JSON.Records = "$" // what an empty one means
	slices.Sort(said)
	for _, path := range said {
		group, _, _ := strings.Cut(path, ".")
		if group != "csv" && group != "json" || l.Format == bucketload.FormatAuto || string(l.Format) == group {
			continue
		}
		if k, _ := find(tableKeys, path); render(k.at(l)) != render(k.at(&base)) {
			return &bucketload.Error{Message: fmt.Sprintf("%s means nothing with format: %s", path, l.Format),
				Hint: "leave it out, or write format: " + group}
		}
	}
	return nil
}

// dialect refuses marks that cannot be told apart.
func dialect(d bucketload.CSV) error {
	decimal := d.Decimal
	if decimal == "" {
		decimal = "."
	}
	const number = "0123456789+-eE"
	switch {
	case d.Delimiter != "" && (d.Delimiter == d.Escape || d.Delimiter == d.Comment || d.Quote != "" && strings.Contains(d.Delimiter, d.Quote)),
		d.Comment != "" && (d.Comment == d.Escape || d.Quote != "" && strings.HasPrefix(d.Comment, d.Quote)):
		return &bucketload.Error{Message: "two of csv.delimiter, quote, escape and comment are the same, or one has the other in it",
			Hint: "only quote and escape may be the same"}
	case d.Thousands == decimal:
		return &bucketload.Error{Message: fmt.Sprintf("%q is both csv.decimal and csv.thousands", decimal),
			Hint: `write for example csv: {decimal: ",", thousands: "."}`}
	case d.Decimal != "" && strings.Contains(number, d.Decimal), d.Thousands != "" && strings.Contains(number, d.Thousands):
		return &bucketload.Error{Message: "csv.decimal or csv.thousands is a character that numbers have anyway",
			Hint: `write for example csv: {decimal: ",", thousands: "."}`}
	case d.Quote == "" && d.Delimiter != "" && (d.Delimiter == decimal || d.Delimiter == d.Thousands):
		return &bucketload.Error{Message: fmt.Sprintf("%q is between fields and in numbers, and nothing is quoted", d.Delimiter),
			Hint: "give csv.quote, or another csv.delimiter, decimal or thousands"}
	}
	return nil
}

// ownColumns refuses columns with the names of those that bucketload fills.
func ownColumns(l *bucketload.Load) error {
	for i, name := range l.Lineage {
		if slices.Contains(l.Lineage[:i], name) {
			return &bucketload.Error{Message: "lineage has " + name + " twice", Hint: "keep one of them"}
		}
	}
	for _, c := range l.Columns {
		switch {
		case slices.Contains(l.Lineage, c.Name):
			return &bucketload.Error{Message: "both columns and lineage have " + c.Name, Hint: "rename the column, and keep its source: columns: {file: {from: " + c.Name + "}}"}
		case l.Unknown == bucketload.PolicyRescue && c.Name == bucketload.RescueColumn:
			return &bucketload.Error{Message: "unknown: rescue fills the column " + c.Name + " itself", Hint: "leave it out of columns"}
		}
	}
	return nil
}

// column judges a column as a whole.
func column(c bucketload.Column) error {
	twice := slices.IndexFunc(c.TrueIf, func(word string) bool { return slices.Contains(c.FalseIf, word) })
	typ := strings.ToLower(c.Type)
	switch {
	case c.Default != nil && slices.Contains(c.NullIf, *c.Default):
		return &bucketload.Error{Message: fmt.Sprintf("the default %s is in null_if", quote(*c.Default)), Hint: "leave one of them out"}
	case twice >= 0:
		return &bucketload.Error{Message: quote(c.TrueIf[twice]) + " is in true_if and in false_if", Hint: "leave it out of one"}
	case len(c.TrueIf)+len(c.FalseIf) > 0 && typ != "" && typ != "bool" && typ != "boolean":
		return &bucketload.Error{Message: "true_if and false_if mean nothing with type " + c.Type, Hint: "write type: boolean"}
	}
	return nil
}
