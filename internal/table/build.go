package table

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bucketload/bucketload"
)

// Step is one statement that finishes a staging table.
type Step struct {
	Key string `json:"key"` // the key of the configuration it comes from, or what of the live table it carries over
	SQL string `json:"sql"`
	// For what is carried over: its definition, to leave it out where the
	// load made the same by itself; its name in staging, and the one it gets.
	Definition string   `json:"definition,omitempty"`
	Name       string   `json:"name,omitempty"`
	Final      string   `json:"final,omitempty"`
	Columns    []string `json:"columns,omitempty"` // that it needs
	Judged     []string `json:"judged,omitempty"`  // once it is built: the foreign keys that have judged the rows by then
	Refers     bool     `json:"refers,omitempty"`  // it has the foreign key of that name judge the rows; those of the load that did not, where there is no name and SQL is for people only
}

// Steps gives the statements that finish the run's staging table, in order:
// the primary key, indexes, constraints, statistics and SQL of the load, then
// what of these the live table has and the load did not make. Where the rows are
// replaced in place, only what judges rows, and likewise where they are merged.
func Steps(ctx context.Context, q Queryer, load *bucketload.Load, run string, live *Live) ([]Step, error) {
	staging := bucketload.StagingTable(run)
	t := Quote(staging)
	var steps []Step
	add := func(key, sql string) { steps = append(steps, Step{Key: key, SQL: sql}) }
	if key := primaryKey(load); len(key) > 0 {
		add("primary_key", "ALTER TABLE "+t+" ADD PRIMARY KEY ("+quoteAll(key)+")")
	}
	for _, definition := range load.Indexes {
		add("indexes", indexDDL(definition, t))
	}
	keys, others := foreignKeys(load.Constraints)
	for _, definition := range keys {
		add("constraints", "ALTER TABLE "+t+" ADD "+definition+" NOT VALID")
	}
	if len(keys) > 0 {
		steps = append(steps, Step{Key: "constraints", Refers: true, SQL: "-- and for each of these foreign keys: ALTER TABLE " + t + " VALIDATE CONSTRAINT its name"})
	}
	for _, definition := range others {
		add("constraints", "ALTER TABLE "+t+" ADD "+definition)
	}
	for i, definition := range load.Statistics {
		name := Quote(bucketload.TableName{Schema: staging.Schema, Name: fmt.Sprintf("%s_stat%d", staging.Name, i+1)})
		add("statistics", "CREATE STATISTICS "+name+" "+statisticsBody(definition)+" FROM "+t)
	}
	for _, sql := range load.BeforeSwapSQL {
		add("before_swap_sql", expand(sql, load, run))
	}
	if live == nil {
		return steps, nil
	}
	carried, err := carried(ctx, q, live.OID, load, run)
	steps = append(steps, carried...)
	if Merges(load, live) {
		return mergeSteps(load, steps), err
	}
	if InPlace(load, live) {
		steps = slices.DeleteFunc(steps, func(s Step) bool { return !s.judges() })
	}
	return steps, err
}

// Judged gives the names of the foreign keys of the run's staging table that have
// judged its rows.
func Judged(ctx context.Context, q Queryer, run string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'f' AND convalidated AND conparentid = 0 ORDER BY 1`,
		Quote(bucketload.StagingTable(run)))
	if err != nil {
		return nil, bucketload.DatabaseError("finish", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, bucketload.DatabaseError("finish", err)
}

// Judging gives, of steps that are all built, those by which the foreign keys that
// have judged the rows do so again: the swap of a table that they refer to has made
// them NOT VALID. What the load wants NOT VALID has never judged.
func Judging(steps []Step) (judging []Step) {
	known := map[string]bool{}
	for _, s := range steps {
		for _, name := range s.Judged {
			if !known[name] {
				known[name] = true
				judging = append(judging, Step{Key: s.Key, Name: name, Refers: true})
			}
		}
	}
	return judging
}

// Missing gives the steps of now that carry something over which then, made
// earlier for the same run, does not.
func Missing(then, now []Step) []Step {
	return slices.DeleteFunc(slices.Clone(now), func(n Step) bool {
		return n.Definition == "" || slices.ContainsFunc(then, func(t Step) bool { return t.Key == n.Key && t.Definition == n.Definition })
	})
}

// Lost gives what the live table has on columns that the new one lacks.
func Lost(steps []Step, columns []Column) []string {
	var lost []string
	for _, s := range steps {
		for _, name := range s.Columns {
			if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == name }) {
				lost = append(lost, fmt.Sprintf("%s, on column %q", s.Key, name))
			}
		}
	}
	return lost
}

var unique = regexp.MustCompile(`(?i)^\s*unique\b\s*`)

// indexDDL makes a statement of "(a, b)", "using gin (c)" or "unique (a) where b".
func indexDDL(definition, table string) string {
	if m := unique.FindString(definition); m != "" {
		return "CREATE UNIQUE INDEX ON " + table + " " + definition[len(m):]
	}
	return "CREATE INDEX ON " + table + " " + definition
}

// identifier is an SQL name, quoted or not.
const identifier = `("([^"]|"")+"|[^\s"(),;.]+)`

// foreignKey is a definition that is a foreign key and nothing else, the rows of
// which are to be judged.
var foreignKey = regexp.MustCompile(`(?i)^\s*(CONSTRAINT\s+` + identifier + `\s+)?FOREIGN\s+KEY\s*\([^()]*\)\s*` +
	`REFERENCES\s+(?P<to>` + identifier + `(\s*\.\s*` + identifier + `)?)\s*(\([^()]*\))?` +
	`(\s*\b(MATCH\s+\w+|ON\s+(DELETE|UPDATE)\s+(NO\s+ACTION|RESTRICT|CASCADE|SET\s+(NULL|DEFAULT)(\s*\([^()]*\))?)|` +
	`(NOT\s+)?DEFERRABLE|INITIALLY\s+(DEFERRED|IMMEDIATE)))*\s*$`)

// foreignKeys gives those of the definitions that can be added without a look at
// the rows, which then have a step of their own, as carried ones have.
func foreignKeys(definitions []string) (keys, others []string) {
	for _, definition := range definitions {
		if foreignKey.MatchString(definition) {
			keys = append(keys, definition)
		} else {
			others = append(others, definition)
		}
	}
	return keys, others
}

var on = regexp.MustCompile(`(?i)^(\([a-z, ]*\)\s*)?on\b`)

// statisticsBody makes "(kinds) on a, b", "a, b" or "(a, b)" what CREATE
// STATISTICS wants between the name and FROM. A lone expression needs two
// pairs of parentheses.
func statisticsBody(definition string) string {
	d := strings.TrimSpace(definition)
	if on.MatchString(d) {
		return d
	}
	if enclosed(d) {
		d = d[1 : len(d)-1]
	}
	return "ON " + d
}

// enclosed says whether the first parenthesis closes at the end.
func enclosed(s string) bool {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return i > 0 && i == len(s)-1
		}
	}
	return false
}

// part is a constraint, an index or a statistics object of a table.
type part struct {
	Kind       string
	Name       string
	Definition string   // without the names of the part and its table
	Unique     string   // "UNIQUE " for such an index
	Columns    []string // that it needs
	Comment    string   // as an SQL literal; "" is none
	Options    string   // what ALTER of the index or the statistics sets beside, as SQL
	Space      string   // the tablespace of its index; "" is the database's
	IndexNote  string   // the comment on a constraint's index, as an SQL literal
	Clustered  bool     // CLUSTER goes by it
	Replica    bool     // it is the replica identity
	Foreign    bool     // a foreign key whose rows have been judged
	NotValid   bool     // a constraint whose rows have not; Definition does not say so
}

// key says what the part is, for people and to find it again.
func (p part) key() string { return p.Kind + " " + quote(p.Name) + " of the live table" }

// targets gives, as actions of ALTER INDEX, the statistics targets of the columns
// of index i; they have no names.
const targets = `(SELECT string_agg(format('ALTER COLUMN %s SET STATISTICS %s', attnum, attstattarget), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = i.oid AND attstattarget >= 0)`

// What constraint c is, and whether it has yet to judge the rows: that changes by
// VALIDATE, and by the swap of what it refers to.
const (
	constraintDefinition = `regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', '')`
	constraintNotValid   = `pg_get_constraintdef(c.oid) LIKE '% NOT VALID'`
)

// parts lists what a table has. The names that pg_get_*def writes around a
// definition are known, so their length is too.
func parts(ctx context.Context, q Queryer, oid uint32) ([]part, error) {
	rows, err := q.Query(ctx, `
		SELECT 'constraint', conname, `+constraintDefinition+`, '', ARRAY(
			SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)),
			coalesce(quote_literal(obj_description(c.oid, 'pg_constraint')), ''),
			concat_ws(', ', (SELECT 'SET (' || string_agg(format('%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')'
				FROM unnest(i.reloptions) o WHERE contype <> 'x'), `+targets+`),
			coalesce((SELECT spcname FROM pg_tablespace WHERE oid = i.reltablespace), ''),
			coalesce(quote_literal(obj_description(i.oid, 'pg_class')), ''),
			coalesce(x.indisclustered, false), coalesce(x.indisreplident, false), contype = 'f' AND convalidated, `+constraintNotValid+`
		FROM pg_constraint c LEFT JOIN pg_index x ON x.indexrelid = conindid AND x.indrelid = conrelid LEFT JOIN pg_class i ON i.oid = x.indexrelid
		WHERE conrelid = $1 AND contype IN ('p', 'u', 'x', 'c', 'f') AND confrelid <> conrelid AND conparentid = 0 -- its own keys follow in the swap, and those for partitions theirs
		UNION ALL
		SELECT 'index', i.relname, substr(pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %I.%I ',
			CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, i.relname, n.nspname, t.relname)) + 1),
			CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, ARRAY(
			SELECT attname FROM pg_depend d JOIN pg_attribute ON attrelid = d.refobjid AND attnum = d.refobjsubid
			WHERE d.classid = 'pg_class'::regclass AND d.objid = i.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
			ORDER BY attnum),
			coalesce(quote_literal(obj_description(i.oid, 'pg_class')), ''), coalesce(`+targets+`, ''),
			coalesce((SELECT spcname FROM pg_tablespace WHERE oid = i.reltablespace), ''), '', x.indisclustered, x.indisreplident, false, false
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE x.indrelid = $1 AND x.indisvalid AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid AND c.conrelid = $1)
		UNION ALL
		SELECT 'statistics', s.stxname, left(substr(pg_get_statisticsobjdef(s.oid), length(format('CREATE STATISTICS %I.%I ', n.nspname, s.stxname)) + 1),
			-length(' FROM ' || s.stxrelid::regclass)), '', ARRAY(
			SELECT attname FROM pg_depend d JOIN pg_attribute ON attrelid = d.refobjid AND attnum = d.refobjsubid
			WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
			ORDER BY attnum),
			coalesce(quote_literal(obj_description(s.oid, 'pg_statistic_ext')), ''),
			CASE WHEN s.stxstattarget >= 0 THEN 'SET STATISTICS ' || s.stxstattarget ELSE '' END, '', '', false, false, false, false
		FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = $1
		ORDER BY 1, 2`, oid)
	if err != nil {
		return nil, bucketload.DatabaseError("finish", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[part])
	return list, bucketload.DatabaseError("finish", err)
}

// carriedPrefix begins the names that carried parts have until the swap gives
// them their own.
func carriedPrefix(run string) string { return "c_" + run + "_" }

// carried gives the steps that make on staging what the live table has. A
// primary key of the load's own takes the place of the live one. A foreign key is
// added without a look at the rows, which have a step of their own: writers of the
// table that it refers to wait for the one and go on during the other.
func carried(ctx context.Context, q Queryer, oid uint32, load *bucketload.Load, run string) ([]Step, error) {
	all, err := parts(ctx, q, oid)
	if err != nil {
		return nil, err
	}
	staging := bucketload.StagingTable(run)
	t := Quote(staging)
	var steps []Step
	for _, p := range all {
		if len(primaryKey(load)) > 0 && strings.HasPrefix(p.Definition, "PRIMARY KEY ") {
			continue
		}
		hash := fnv.New64a()
		hash.Write([]byte(p.key()))
		s := Step{Key: p.key(), Definition: p.Unique + p.Definition, Final: p.Name, Columns: p.Columns,
			Name: carriedPrefix(run) + strconv.FormatUint(hash.Sum64(), 36)}
		name := quote(s.Name)
		inSchema := Quote(bucketload.TableName{Schema: staging.Schema, Name: s.Name})
		commented := inSchema
		switch p.Kind {
		case "constraint":
			s.SQL = "ALTER TABLE " + t + " ADD CONSTRAINT " + name + " " + p.Definition
			if p.Foreign || p.NotValid {
				s.SQL += " NOT VALID"
			}
			commented = name + " ON " + t
		case "index":
			s.SQL = "CREATE " + p.Unique + "INDEX " + name + " ON " + t + " " + p.Definition
		case "statistics":
			s.SQL = "CREATE STATISTICS " + inSchema + " " + p.Definition + " FROM " + t
		}
		if p.Options != "" {
			object := "INDEX"
			if p.Kind == "statistics" {
				object = "STATISTICS"
			}
			s.SQL += ";\nALTER " + object + " " + inSchema + " " + p.Options
		}
		if p.Space != "" {
			s.SQL = "SET LOCAL default_tablespace = " + quote(p.Space) + ";\n" + s.SQL + ";\nRESET default_tablespace"
		}
		if p.IndexNote != "" {
			s.SQL += ";\nCOMMENT ON INDEX " + inSchema + " IS " + p.IndexNote
		}
		if p.Clustered {
			s.SQL += ";\nALTER TABLE " + t + " CLUSTER ON " + name
		}
		if p.Replica {
			s.SQL += ";\nALTER TABLE " + t + " REPLICA IDENTITY USING INDEX " + name
		}
		if p.Comment != "" {
			s.SQL += ";\nCOMMENT ON " + strings.ToUpper(p.Kind) + " " + commented + " IS " + p.Comment
		}
		steps = append(steps, s)
		if p.Foreign {
			steps = append(steps, Step{Key: "validation of the " + p.key(), Name: s.Name, Refers: true, SQL: "ALTER TABLE " + t + " VALIDATE CONSTRAINT " + name})
		}
	}
	return steps, nil
}

// Build runs one step on the run's staging table, unless it is to carry
// something over that the load made by itself: by the same definition, or
// another one under that name.
func Build(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, step Step) error {
	if step.Definition != "" {
		made, err := made(ctx, tx, run, step)
		if err != nil || made {
			return err
		}
		columns, err := Columns(ctx, tx, bucketload.StagingTable(run))
		if err != nil {
			return err
		}
		if (load.InPlace || load.Mode.Merges()) && len(Lost([]Step{step}, columns)) > 0 {
			return nil // the live table, which keeps the column, judges by itself
		}
	}
	if step.Refers { // none is there where the load has made the same by itself
		var err error
		if step.SQL, err = validation(ctx, tx, run, step); err != nil || step.SQL == "" {
			return bucketload.DatabaseError("finish", err)
		}
	}
	if step.Refers || step.Key != "before_swap_sql" { // which waits as it says
		if err := WaitAtMost(ctx, tx, load.LockTimeout); err != nil {
			return err
		}
	}
	if err := within(ctx, tx, load, run, step); err != nil {
		return err
	}
	switch step.Key {
	case "constraints":
		return notToItself(ctx, tx, load, run)
	case "before_swap_sql":
		return stillThere(ctx, tx, load, run)
	}
	return nil
}

// within runs the step, which commits with its record and so must not end the
// transaction itself: the savepoint would end with it, whatever it begins anew.
func within(ctx context.Context, tx pgx.Tx, load *bucketload.Load, run string, step Step) error {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return bucketload.DatabaseError("finish", err)
	}
	if _, err := savepoint.Exec(ctx, step.SQL); err != nil {
		return buildError(err, load, run, step)
	}
	err = savepoint.Commit(ctx)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "25P01" || pg.Code == "3B001") { // no_active_sql_transaction, invalid_savepoint_specification
		return &bucketload.Error{Op: "finish", Code: bucketload.CodeUsage, Message: step.Key + " has ended the transaction that it was run in",
			Hint: fmt.Sprintf("leave out COMMIT, ROLLBACK and the like: each entry is committed with the record that it was run; mend %s of %s, then load again", step.Key, load.Key)}
	}
	return bucketload.DatabaseError("finish", err)
}

// stillThere is an error where SQL of the load's own has taken staging away.
func stillThere(ctx context.Context, q Queryer, load *bucketload.Load, run string) error {
	staging := bucketload.StagingTable(run)
	there, err := Exists(ctx, q, staging)
	if err != nil || there {
		return err
	}
	return &bucketload.Error{Op: "finish", Code: bucketload.CodeUsage, Message: fmt.Sprintf("before_swap_sql has dropped or renamed {staging}, %s, which is to become %s", staging, load.Table),
		Hint: fmt.Sprintf("nothing was changed; change the rows of {staging} and keep the table: mend before_swap_sql of %s, then load again", load.Key)}
}

// validation gives the statement by which the foreign keys of the step judge the
// rows; none where they have.
func validation(ctx context.Context, tx pgx.Tx, run string, step Step) (sql string, err error) {
	err = tx.QueryRow(ctx, `SELECT format('ALTER TABLE %s %s', $1::text, string_agg(format('VALIDATE CONSTRAINT %I', conname), ', ' ORDER BY conname))
		FROM pg_constraint c WHERE conrelid = $1::text::regclass AND contype = 'f' AND conparentid = 0 AND `+constraintNotValid+`
		AND CASE $2 WHEN '' THEN NOT starts_with(conname, $3) ELSE conname = $2 END HAVING count(*) > 0`,
		Quote(bucketload.StagingTable(run)), step.Name, carriedPrefix(run)).Scan(&sql)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return sql, err
}

func made(ctx context.Context, tx pgx.Tx, run string, step Step) (bool, error) {
	var oid uint32
	if err := tx.QueryRow(ctx, `SELECT $1::text::regclass::oid`, Quote(bucketload.StagingTable(run))).Scan(&oid); err != nil {
		return false, bucketload.DatabaseError("finish", err)
	}
	all, err := parts(ctx, tx, oid)
	return slices.ContainsFunc(all, func(p part) bool {
		return !strings.HasPrefix(p.Name, carriedPrefix(run)) && (p.Unique+p.Definition == step.Definition || p.key() == step.Key)
	}), err
}

// detailed adds what the server says of the rows.
func detailed(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Detail != "" {
		return fmt.Errorf("%w: %s", err, pg.Detail)
	}
	return err
}

func buildError(err error, load *bucketload.Load, run string, step Step) error {
	if err == nil {
		return nil
	}
	e := *bucketload.AsError(bucketload.DatabaseError("finish", err))
	e.Message = step.Key
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		e.Err = detailed(err)
		if pg.Code == "23505" { // unique_violation
			e.Hint = "keep one of them with on_duplicate: keep_first or keep_last, or let the others go to the rejects with tolerate: {rows: 1%}"
		}
		if e.Hint == "" {
			e.Hint = fmt.Sprintf("look at the rows in %s, mend the data or %s of %s, then load again", bucketload.StagingTable(run), step.Key, load.Key)
		}
	}
	return &e
}

// Analyze gathers the planner's statistics of the run's staging table.
func Analyze(ctx context.Context, tx pgx.Tx, run string) error {
	_, err := tx.Exec(ctx, "ANALYZE "+Quote(bucketload.StagingTable(run)))
	return bucketload.DatabaseError("finish", err)
}

// Count counts the table's rows. What it is for is for the caller to say.
func Count(ctx context.Context, q Queryer, name bucketload.TableName) (int64, error) {
	var n int64
	err := q.QueryRow(ctx, "SELECT count(*) FROM "+Quote(name)).Scan(&n)
	return n, err
}

// CountByFile counts the table's rows by the text of a column.
func CountByFile(ctx context.Context, q Queryer, name bucketload.TableName, column string) (map[string]int64, error) {
	rows, err := q.Query(ctx, "SELECT coalesce("+quote(column)+"::text, ''), count(*) FROM "+Quote(name)+" GROUP BY 1")
	if err != nil {
		return nil, bucketload.DatabaseError("verify", err)
	}
	counts := map[string]int64{}
	var uri string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&uri, &n}, func() error { counts[uri] = n; return nil })
	return counts, bucketload.DatabaseError("verify", err)
}
