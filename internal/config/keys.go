package config

import (
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
)

// key is one setting: its path in the file, what it means and where its value
// goes. The file, --set, the flags, the JSON Schema and what init prints all
// come from the lists below.
type key[T any] struct {
	path  string
	usage string
	words string       // the words that it or its items take, if not any text
	at    func(*T) any // a pointer; assign says which types it may have
	min   int64        // of a number
	check func(string) error
	sets  string // the path that this one is another word for
	// splits gives the paths that a value sets in place of this one, with their
	// values; nil where it is a value of this one.
	splits func(string) [][2]string
}

var fileKeys = []key[File]{
	{path: "version", usage: "version of this format: 1", at: func(f *File) any { return (*version)(&f.version) }},
	{path: "to", usage: "target database: a DSN with ${VAR} in it, env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME#key", at: func(f *File) any { return &f.to }},
	{path: "s3.region", usage: "AWS region of the bucket", at: func(f *File) any { return &f.s3.Region }},
	{path: "s3.profile", usage: "AWS profile", at: func(f *File) any { return &f.s3.Profile }},
	{path: "s3.endpoint_url", usage: "endpoint of an S3-compatible store", at: func(f *File) any { return &f.s3.EndpointURL }, check: noSecret},
	{path: "s3.path_style", usage: "put the bucket into the path instead of the host name", at: func(f *File) any { return &f.s3.PathStyle }},
	{path: "s3.anonymous", usage: "do not sign requests (public buckets)", at: func(f *File) any { return &f.s3.Anonymous }},
	{path: "s3.assume_role", usage: "ARN of a role to assume", at: func(f *File) any { return &f.s3.AssumeRole }},
	{path: "s3.requester_pays", usage: "accept the costs of a requester-pays bucket", at: func(f *File) any { return &f.s3.RequesterPays }},
	{path: "notify.sns", usage: "ARN of an SNS topic to tell of failed and partial runs", at: func(f *File) any { return &f.notifySNS }, check: isTopic},
	{path: "source", usage: "bucket with a folder per table, for tables without from", at: func(f *File) any { return &f.source }},
	{path: "defaults", usage: "keys for all tables", at: func(f *File) any { return &f.defaults }},
	{path: "tables", usage: "the tables, by name", at: func(f *File) any { return &f.tables }},
}

var tableKeys = []key[bucketload.Load]{
	{path: "table", usage: "live table, SCHEMA.TABLE without quotes (default public.<name>)", at: func(l *bucketload.Load) any { return (*tableName)(&l.Table) }},
	{path: "from", usage: "URIs to load from: prefixes, globs, objects, directories", at: func(l *bucketload.Load) any { return &l.From }, check: isSource},
	{path: "exclude", usage: "globs of objects to leave out", at: func(l *bucketload.Load) any { return &l.Exclude }, check: notBlank},
	{path: "format", usage: "format of the files; auto goes by their names", words: "auto csv json parquet", at: func(l *bucketload.Load) any { return (*string)(&l.Format) }},
	{path: "compression", usage: "compression of the files; auto goes by their first bytes", words: "auto none gzip zstd bzip2 lz4 xz snappy zlib", at: func(l *bucketload.Load) any { return &l.Compression }},
	{path: "csv.delimiter", usage: "what stands between fields, of one byte or several; tab or \\t is a tab", at: func(l *bucketload.Load) any { return (*mark)(&l.CSV.Delimiter) }},
	{path: "csv.quote", usage: "one byte around fields; empty: no quoting", at: func(l *bucketload.Load) any { return (*char)(&l.CSV.Quote) }},
	{path: "csv.escape", usage: "one byte before a quote inside quotes", at: func(l *bucketload.Load) any { return (*char)(&l.CSV.Escape) }},
	{path: "csv.header", usage: "the first line names the columns; a number: that line does, and those before it are skipped", splits: headerLine, at: func(l *bucketload.Load) any { return &l.CSV.Header }},
	{path: "csv.encoding", usage: "character encoding, by its IANA or WHATWG name", at: func(l *bucketload.Load) any { return (*encodingName)(&l.CSV.Encoding) }},
	{path: "csv.comment", usage: "what a comment line begins with, of one byte or several; empty: there are none", at: func(l *bucketload.Load) any { return (*mark)(&l.CSV.Comment) }},
	{path: "csv.skip_head", usage: "lines to skip before the header", at: func(l *bucketload.Load) any { return &l.CSV.SkipHead }},
	{path: "csv.skip_foot", usage: "lines to skip at the end", at: func(l *bucketload.Load) any { return &l.CSV.SkipFoot }},
	{path: "csv.unquoted_blanks", usage: "spaces and tabs around fields, or around their quotes: trim leaves them out", words: "keep trim", at: func(l *bucketload.Load) any { return &l.CSV.UnquotedBlanks }},
	{path: "csv.stray_quotes", usage: "quotes in fields that do not begin with one: keep takes them as they are", words: "reject keep", at: func(l *bucketload.Load) any { return &l.CSV.StrayQuotes }},
	{path: "csv.ragged", usage: "rows with too few or too many fields: pad fills up the short ones, truncate also cuts the long ones", words: "reject pad truncate", at: func(l *bucketload.Load) any { return &l.CSV.Ragged }},
	{path: "csv.invalid_utf8", usage: "bytes that are not of the encoding: replace puts U+FFFD in their place", words: "reject replace strip", at: func(l *bucketload.Load) any { return &l.CSV.InvalidUTF8 }},
	{path: "csv.nul", usage: "NUL bytes, which Postgres text cannot hold: replace puts U+FFFD in their place", words: "reject replace strip", at: func(l *bucketload.Load) any { return &l.CSV.NUL }},
	{path: "csv.decimal", usage: "the decimal mark of numbers, one byte (default: .)", at: func(l *bucketload.Load) any { return (*char)(&l.CSV.Decimal) }},
	{path: "csv.thousands", usage: "one byte between groups of three digits; empty: there is none", at: func(l *bucketload.Load) any { return (*char)(&l.CSV.Thousands) }},
	{path: "json.records", usage: "path of the records: $ for one value after the other, or one such as $.data.items", at: func(l *bucketload.Load) any { return &l.JSON.Records }, check: isPath},
	{path: "loader", usage: "who reads the objects: bucketload, or the server by its extension aws_s3 (RDS, Aurora)", words: "stream aws_s3", at: func(l *bucketload.Load) any { return &l.Loader }},
	{path: "mode", usage: "replace the table, append to it, or put rows in the place of those with their key", words: "replace append upsert replace_partition", at: func(l *bucketload.Load) any { return (*string)(&l.Mode) }},
	{path: "replace", usage: "how the table is replaced: by another, or its rows in one transaction", words: "swap in_place", at: func(l *bucketload.Load) any { return (*replaceHow)(&l.InPlace) }},
	{path: "key", usage: "columns by which rows give way: upsert has each value once, replace_partition replaces all rows that have one", at: func(l *bucketload.Load) any { return &l.KeyColumns }, check: notBlank},
	{path: "on_changed", usage: "objects that changed since they were loaded into a table that stays", words: "fail reload ignore", at: func(l *bucketload.Load) any { return &l.OnChanged }},
	{path: "on_duplicate", usage: "rows with a key that another row has", words: "reject keep_first keep_last", at: func(l *bucketload.Load) any { return &l.OnDuplicate }},
	{path: "allow_empty", usage: "swap in a table even when there is nothing to load", at: func(l *bucketload.Load) any { return &l.AllowEmpty }},
	{path: "all_text", usage: "make every column text", at: func(l *bucketload.Load) any { return &l.AllText }},
	{path: "lower_case", usage: "inferred column names in lower case", at: func(l *bucketload.Load) any { return &l.LowerCase }},
	{path: "columns", usage: "columns in table order: name to type, or to {from, type, null_if, trim, format, default, true_if, false_if}", at: func(l *bucketload.Load) any { return &l.Columns }},
	{path: "columns_mode", usage: "columns is complete, or overrides inferred ones", words: "complete override", at: func(l *bucketload.Load) any { return (*columnsMode)(&l.ColumnsOverride) }},
	{path: "unknown", usage: "a header that is not in columns: rescue keeps its values in the column _rescued", words: "fail ignore add rescue", at: func(l *bucketload.Load) any { return &l.Unknown }},
	{path: "missing", usage: "a column that is not in the header: null, or its default", words: "fail null", at: func(l *bucketload.Load) any { return &l.Missing }},
	{path: "lineage", usage: "columns that say where a row came from", words: "_file _line _run", at: func(l *bucketload.Load) any { return &l.Lineage }},
	{path: "max_concurrency", usage: "batches at once", at: func(l *bucketload.Load) any { return &l.MaxConcurrency }, min: 1},
	{path: "max_items_per_batch", usage: "files per batch", at: func(l *bucketload.Load) any { return &l.MaxItemsPerBatch }, min: 1},
	{path: "min_batch_bytes", usage: "join small files up to this size even past the count", at: func(l *bucketload.Load) any { return &l.MinBatchBytes }},
	{path: "retries", usage: "further tries of a failed run", at: func(l *bucketload.Load) any { return &l.Retries }},
	{path: "tolerate.files", usage: "files that may fail: a count or a percentage", at: func(l *bucketload.Load) any { return &l.Tolerate.Files }},
	{path: "tolerate.rows_per_file", usage: "rows of a file that may be rejected, or it fails: a count or a percentage", at: func(l *bucketload.Load) any { return &l.Tolerate.RowsPerFile }},
	{path: "tolerate.rows", usage: "rows that may be rejected, or the run fails: a count or a percentage", at: func(l *bucketload.Load) any { return &l.Tolerate.Rows }},
	{path: "tolerated_failure_percentage", usage: "tolerate.files as a percentage", sets: "tolerate.files", at: func(l *bucketload.Load) any { return (*percentage)(&l.Tolerate.Files) }},
	{path: "tolerated_failure_count", usage: "tolerate.files as a count", sets: "tolerate.files", at: func(l *bucketload.Load) any { return (*count)(&l.Tolerate.Files) }},
	{path: "primary_key", usage: "columns of the primary key", at: func(l *bucketload.Load) any { return &l.PrimaryKey }, check: notBlank},
	{path: "indexes", usage: "indexes to build before the swap, such as (station_id, date)", at: func(l *bucketload.Load) any { return &l.Indexes }, check: notBlank},
	{path: "constraints", usage: "table constraints to add before the swap", at: func(l *bucketload.Load) any { return &l.Constraints }, check: notBlank},
	{path: "statistics", usage: "extended statistics to create before the swap", at: func(l *bucketload.Load) any { return &l.Statistics }, check: notBlank},
	{path: "before_swap_sql", usage: "SQL to run before the swap; {staging} is the new table, to be changed, {table} the live one, to be read", at: func(l *bucketload.Load) any { return &l.BeforeSwapSQL }, check: notBlank},
	{path: "checks.rows.min", usage: "fewer rows fail the run", at: func(l *bucketload.Load) any { return &l.Checks.Rows.Min }},
	{path: "checks.rows.max", usage: "more rows fail the run; 0: no bound", at: func(l *bucketload.Load) any { return &l.Checks.Rows.Max }},
	{path: "checks.vs_live", usage: "fewer rows than this percentage of the live table's fail the run", at: func(l *bucketload.Load) any { return (*ratio)(&l.Checks.VsLive) }},
	{path: "checks.null_share", usage: "rows that may have NULL in a column, by its name: a count or a percentage", at: func(l *bucketload.Load) any { return &l.Checks.NullShare }},
	{path: "checks.unique", usage: "lists of columns that together must be unique", at: func(l *bucketload.Load) any { return &l.Checks.Unique }},
	{path: "checks.sql", usage: "queries that must give no row; {staging} and {table} are the tables", at: func(l *bucketload.Load) any { return &l.Checks.SQL }, check: notBlank},
	{path: "keep_backups", usage: "previous tables to keep; 0: none", at: func(l *bucketload.Load) any { return &l.KeepBackups }},
	{path: "source_after_load", usage: "what becomes of objects of which every row is in the table", words: "keep delete", at: func(l *bucketload.Load) any { return (*sourceAfter)(&l.DeleteSources) }},
	{path: "lock_timeout", usage: "how long the swap waits for a lock before it tries again", at: func(l *bucketload.Load) any { return (*duration)(&l.LockTimeout) }},
}

var columnKeys = []key[bucketload.Column]{
	{path: "from", usage: "header names, the first that a file has (default: the column's name)", at: func(c *bucketload.Column) any { return &c.From }},
	{path: "type", usage: "Postgres type (default: inferred)", at: func(c *bucketload.Column) any { return &c.Type }, check: notBlank},
	{path: "null_if", usage: "values that mean NULL", at: func(c *bucketload.Column) any { return (*verbatim)(&c.NullIf) }},
	{path: "trim", usage: "cut blanks off (default: except for text)", at: func(c *bucketload.Column) any { return &c.Trim }},
	{path: "format", usage: "patterns of dates and times, such as YYYY-MM-DD", at: func(c *bucketload.Column) any { return &c.Format }, check: notBlank},
	{path: "default", usage: "value of rows that have none", at: func(c *bucketload.Column) any { return &c.Default }},
	{path: "true_if", usage: "words for true, in place of Postgres' own", at: func(c *bucketload.Column) any { return (*verbatim)(&c.TrueIf) }},
	{path: "false_if", usage: "words for false, in place of Postgres' own", at: func(c *bucketload.Column) any { return (*verbatim)(&c.FalseIf) }},
}

// judge says what is wrong with a word; nil when it is accepted.
func (k key[T]) judge(word string) error {
	if slices.Contains(strings.Fields(k.words), word) {
		return nil
	}
	name := k.path[strings.LastIndexByte(k.path, '.')+1:]
	return &bucketload.Error{Message: quote(word) + " is not known here", Hint: "write " + name + ": " + strings.Join(strings.Fields(k.words), " or ")}
}

// find gives the key with that path.
func find[T any](keys []key[T], path string) (key[T], bool) {
	i := slices.IndexFunc(keys, func(k key[T]) bool { return k.path == path })
	if i < 0 {
		return key[T]{}, false
	}
	return keys[i], true
}

// children gives the names under a path ("": the top), in order.
func children[T any](keys []key[T], path string) []string {
	var names []string
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k.path, path)
		if path != "" && ok {
			rest, ok = strings.CutPrefix(rest, ".")
		}
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
