package steps

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/bucketload/bucketload"
	"github.com/bucketload/bucketload/internal/infer"
)

// hiveNull is how Hive and Spark write NULL into a path. Source: Apache Hive,
// hive.exec.default.partition.name.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// pathKey is a folder key=value of an object's URI, with what is
// percent-encoded in it decoded, as Hive and Spark encode it.
type pathKey struct {
	folder string // as the URI has it
	name   string
	value  bucketload.Field
}

// pathKeys gives the keys in the path of a URI, in order. Of a key that is
// there twice the deepest counts.
func pathKeys(uri string) []pathKey {
	_, path, _ := strings.Cut(uri, "://")
	end := strings.LastIndexByte(path, '/')
	if end < 0 || !strings.Contains(path[:end], "=") {
		return nil
	}
	var keys []pathKey
	for folder := range strings.SplitSeq(path[:end], "/") {
		name, value, ok := strings.Cut(folder, "=")
		if !ok || name == "" {
			continue
		}
		k := pathKey{folder: folder, name: decoded(name)}
		if value != hiveNull {
			k.value = bucketload.Field{Bytes: []byte(decoded(value)), Quoted: true}
		}
		keys = append(slices.DeleteFunc(keys, func(other pathKey) bool { return other.name == k.name }), k)
	}
	return keys
}

// decoded is without percent-encoding; as it is where that is broken.
func decoded(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// besides gives the keys that none of these headers stands for.
func besides(keys []pathKey, header []string, lower bool) []pathKey {
	return slices.DeleteFunc(keys, func(k pathKey) bool {
		return slices.ContainsFunc(header, func(h string) bool { return sameColumn(h, k.name, lower) })
	})
}

func sameColumn(a, b string, lower bool) bool {
	return infer.ColumnName(a, lower) == infer.ColumnName(b, lower)
}

func keyNames(keys []pathKey) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// pathSurvey finds out the columns that the paths of a load's objects make.
type pathSurvey struct {
	values *infer.Survey
	folder string // of the last object
	keys   []pathKey
	files  int64
	with   map[string]int64  // files by key
	like   map[string]string // a folder by key
}

func newPathSurvey(load *bucketload.Load) *pathSurvey {
	return &pathSurvey{values: infer.NewSurvey(infer.Options{LowerCase: load.LowerCase, AllText: load.AllText}),
		with: map[string]int64{}, like: map[string]string{}}
}

// add takes in an object. The values of a folder count once.
func (p *pathSurvey) add(uri string) error {
	p.files++
	folder := uri[:strings.LastIndexByte(uri, '/')+1]
	if folder != p.folder {
		p.folder, p.keys = folder, pathKeys(uri)
		row := make([]infer.Value, len(p.keys))
		for i, k := range p.keys {
			row[i].Text = string(k.value.Bytes)
			if _, ok := p.like[k.name]; !ok {
				p.like[k.name] = k.folder
			}
		}
		if err := p.values.Add(infer.Sample{URI: folder, Header: keyNames(p.keys), Rows: [][]infer.Value{row}}); err != nil {
			return err
		}
	}
	for _, k := range p.keys {
		p.with[k.name]++
	}
	return nil
}

// columns gives the columns that the keys make, beside those that files have
// themselves: of keys that most objects have, or any object where a column may
// be missing, or every one is wanted. rare are the names of the other keys.
func (p *pathSurvey) columns(inferred []infer.Column, load *bucketload.Load) (columns []infer.Column, rare []string) {
	for _, c := range p.values.Columns() {
		if slices.ContainsFunc(inferred, func(in infer.Column) bool { return in.Name == c.Name }) {
			continue
		}
		var n int64
		for _, name := range c.From {
			n += p.with[name]
		}
		if 2*n <= p.files && load.Missing != bucketload.PolicyNull && load.Unknown != bucketload.PolicyAdd {
			rare = append(rare, c.From[0])
			continue
		}
		c.Evidence = "from the path, " + p.like[c.From[0]] + "/: " + c.Evidence
		columns = append(columns, c)
	}
	return columns, rare
}

// surveyPaths looks at the paths of all objects, where one of these has keys in
// its path.
func surveyPaths(ctx context.Context, load *bucketload.Load, objects []bucketload.Object, all objectsOf) (*pathSurvey, error) {
	p := newPathSurvey(load)
	if load.Loader == bucketload.LoaderAWSS3 || !slices.ContainsFunc(objects, func(o bucketload.Object) bool { return len(pathKeys(o.URI)) > 0 }) {
		return p, nil
	}
	return p, all(ctx, func(o bucketload.Object) error { return p.add(o.URI) })
}

// used gives the keys that columns are filled from. JSON has no header by which
// a file could say that it has the key itself, so there what records have
// counts as theirs in all files.
func (p *pathSurvey) used(columns []bucketload.Column, format bucketload.Format, inferred []infer.Column, load *bucketload.Load) []string {
	var used []string
	for _, key := range slices.Sorted(maps.Keys(p.with)) {
		if format == bucketload.FormatJSON && slices.ContainsFunc(inferred, func(in infer.Column) bool { return in.Name == infer.ColumnName(key, load.LowerCase) }) {
			continue
		}
		if slices.ContainsFunc(columns, func(c bucketload.Column) bool {
			return slices.ContainsFunc(c.Sources(), func(from string) bool { return sameColumn(from, key, load.LowerCase) })
		}) {
			used = append(used, key)
		}
	}
	return used
}
