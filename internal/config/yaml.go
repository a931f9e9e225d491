package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. They are far above what people write; they keep a damaged
// or hostile file from taking the machine with it.
const (
	maxFileBytes = 4 << 20
	maxNodes     = 1 << 20 // with every alias written out
	maxDepth     = 64
)

type kind int

const (
	null kind = iota
	scalar
	list
	mapping
)

// node is as much of YAML as a configuration needs. A scalar is its text as
// written, so 999.90, 007 and no stay what they are; anchors, aliases and merge
// keys are resolved.
type node struct {
	kind         kind
	text         string // of a scalar; of a null as written, mostly empty
	items        []*node
	pairs        []pair
	size         int
	line, column int // 1-based; 0 for what a flag gave
}

type pair struct{ key, value *node }

func (n *node) get(key string) (*node, bool) {
	i := slices.IndexFunc(n.pairs, func(p pair) bool { return p.key.text == key })
	if i < 0 {
		return nil, false
	}
	return n.pairs[i].value, true
}

// parseYAML reads one document. Errors are lines without context, as the
// context may show a password.
func parseYAML(name string, data []byte) (*node, error) {
	switch {
	case len(data) > maxFileBytes:
		return nil, usage("", "%s is larger than %d MiB", name, maxFileBytes>>20)
	case !utf8.Valid(data):
		return nil, usage("save it as UTF-8", "%s is not UTF-8", name)
	}
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	r := &reader{name: name, anchors: map[string]*node{}}
	if tk := tooDeep(tokens); tk != nil {
		return nil, r.fault(tk, "", "nested more than %d deep", maxDepth)
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		e, ok := errors.AsType[*yaml.SyntaxError](err)
		switch {
		case !ok || e.Token == nil:
		case e.Token.Type == token.InvalidType && strings.HasSuffix(e.Token.Origin, "\t"):
			return nil, r.fault(e.Token, "indent with blanks", "a line begins with a tab, which YAML does not take")
		default:
			return nil, r.fault(e.Token, "", "%s", e.Message)
		}
		return nil, usage("", "%s is not YAML", name)
	}
	root := &node{line: 1, column: 1}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			return nil, r.fault(doc.Body.GetToken(), "remove the --- line", "the file holds more than one document")
		}
		if root, err = r.read(doc.Body); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// tooDeep gives the token that opens one level too many. The parser recurses,
// and its time grows with the square of the depth.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, line, block := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, block = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			block++ // "- - - x" nests within a line; over lines it takes indentation
		}
		if flow+block > maxDepth {
			return tk
		}
	}
	return nil
}

// reader turns the parser's tree into nodes.
type reader struct {
	name    string
	anchors map[string]*node
}

func (r *reader) fault(tk *token.Token, hint, format string, args ...any) error {
	return usage(hint, "%s:%d:%d: %s", r.name, tk.Position.Line, tk.Position.Column, fmt.Sprintf(format, args...))
}

func (r *reader) read(in ast.Node) (*node, error) {
	tk := in.GetToken()
	n := &node{size: 1, line: tk.Position.Line, column: tk.Position.Column}
	switch in := in.(type) {
	case *ast.NullNode:
		if tk.Type != token.ImplicitNullType {
			n.text = tk.Value
		}
	case *ast.StringNode:
		n.kind, n.text = scalar, in.Value
	case *ast.LiteralNode:
		n.kind, n.text = scalar, in.Value.Value
	case *ast.SequenceNode:
		return n, r.readList(n, in.Values)
	case *ast.MappingNode:
		return n, r.readPairs(n, in.Values)
	case *ast.MappingValueNode:
		return n, r.readPairs(n, []*ast.MappingValueNode{in})
	case *ast.AnchorNode:
		value, err := r.read(in.Value)
		if err == nil {
			r.anchors[in.Name.GetToken().Value] = value
		}
		return value, err
	case *ast.AliasNode:
		name := in.Value.GetToken().Value
		if value, ok := r.anchors[name]; ok {
			return value, nil
		}
		return nil, r.fault(tk, "", "alias *%s has no anchor before it", name)
	case *ast.TagNode:
		return r.readTag(in)
	case ast.ScalarNode: // after those that are called one without being one
		n.kind, n.text = scalar, tk.Value
	default:
		return nil, r.fault(tk, "", "%s is not used here", strings.ToLower(in.Type().String()))
	}
	return n, nil
}

// readTag takes !!str, which changes nothing: every scalar is its text.
func (r *reader) readTag(in *ast.TagNode) (*node, error) {
	if in.Start.Value != "!!str" || in.Value == nil {
		return nil, r.fault(in.Start, "leave the tag out", "YAML tags are not used here")
	}
	n, err := r.read(in.Value)
	if err == nil && n.kind == null {
		n.kind = scalar
	}
	return n, err
}

func (r *reader) readList(n *node, values []ast.Node) error {
	n.kind = list
	for _, v := range values {
		item, err := r.read(v)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
		if err := r.grow(n, item, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readPairs(n *node, values []*ast.MappingValueNode) error {
	n.kind = mapping
	seen := make(map[string]bool, len(values))
	var merges []*node
	for _, v := range values {
		value, err := r.read(v.Value)
		if err != nil {
			return err
		}
		if err := r.grow(n, value, v.Value); err != nil {
			return err
		}
		if v.Key.IsMergeKey() {
			merges = append(merges, value)
			continue
		}
		key, err := r.readKey(v.Key)
		if err != nil {
			return err
		}
		if seen[key.text] {
			return r.fault(v.Key.GetToken(), "keep one of them", "key %q is there twice", key.text)
		}
		seen[key.text] = true
		n.pairs = append(n.pairs, pair{key, value})
	}
	if len(n.pairs) > 0 {
		n.line, n.column = n.pairs[0].key.line, n.pairs[0].key.column
	}
	for _, m := range merges {
		if err := r.merge(n, m, seen); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readKey(in ast.MapKeyNode) (*node, error) {
	var from ast.Node = in
	if k, ok := in.(*ast.MappingKeyNode); ok && k.Value != nil {
		from = k.Value
	}
	key, err := r.read(from)
	if err != nil {
		return nil, err
	}
	if key.kind == list || key.kind == mapping {
		return nil, r.fault(in.GetToken(), "", "a key must be text")
	}
	return key, nil
}

// merge lays the pairs of a << value under n's own.
func (r *reader) merge(n, from *node, seen map[string]bool) error {
	switch from.kind {
	case list:
		for _, item := range from.items {
			if item.kind != mapping {
				return usage("", "%s:%d:%d: << takes mappings", r.name, from.line, from.column)
			}
			if err := r.merge(n, item, seen); err != nil {
				return err
			}
		}
		return nil
	case mapping:
		for _, p := range from.pairs {
			if !seen[p.key.text] {
				seen[p.key.text] = true
				n.pairs = append(n.pairs, p)
			}
		}
		return nil
	}
	return usage("", "%s:%d:%d: << takes mappings", r.name, from.line, from.column)
}

// grow counts what n holds with every alias written out.
func (r *reader) grow(n, child *node, at ast.Node) error {
	if n.size += child.size; n.size > maxNodes {
		return r.fault(at.GetToken(), "", "the file is too large with its aliases written out")
	}
	return nil
}
