package decode

import "strings"

// pqMaxDepth bounds how deep a schema may be nested: levels are bytes, and so
// is what is written for a row.
const pqMaxDepth = 100

// pqNode is a node of the schema as it is stored.
type pqNode struct {
	pqElement
	def, rep uint8 // levels from which on it is there: definition, repetition
	nodes    []*pqNode
	from, to int // its leaves
}

// schemaTree makes the tree of the elements, and gives its leaves too.
func schemaTree(elements []pqElement) (root *pqNode, leaves []*pqNode, err error) {
	next := 0
	var read func(def, rep uint8, depth int) (*pqNode, error)
	read = func(def, rep uint8, depth int) (*pqNode, error) {
		if next == len(elements) {
			return nil, pqDamaged("the schema is cut off")
		}
		n := &pqNode{pqElement: elements[next], def: def, rep: rep, from: len(leaves)}
		next++
		switch {
		case depth > pqMaxDepth:
			return nil, pqDamaged("the schema is nested more than %d deep", pqMaxDepth)
		case depth == 0: // the root has no repetition
		case n.repetition == pqOptional:
			n.def++
		case n.repetition == pqRepeated:
			n.def++
			n.rep++
		case n.repetition != pqRequired:
			return nil, pqDamaged("column %s has the repetition %d, which does not exist", n.name, n.repetition)
		}
		if n.children < 0 || n.children > int64(len(elements)-next) {
			return nil, pqDamaged("the schema is cut off")
		}
		if n.physical != pqGroup && n.children == 0 {
			if n.physical == pqFixed && (n.length <= 0 || n.length > pqMaxRow) {
				return nil, pqDamaged("column %s has values of %d bytes", n.name, n.length)
			}
			leaves = append(leaves, n)
		}
		for range n.children {
			child, err := read(n.def, n.rep, depth+1)
			if err != nil {
				return nil, err
			}
			n.nodes = append(n.nodes, child)
		}
		n.to = len(leaves)
		return n, nil
	}
	root, err = read(0, 0, 0)
	if err == nil && next < len(elements) {
		err = pqDamaged("the schema has %d elements too many", len(elements)-next)
	}
	return root, leaves, err
}

// pqForm is what a value looks like.
type pqForm uint8

const (
	pqScalar pqForm = iota
	pqStruct
	pqArray
	pqObject // a map
)

// pqShape is a value as it is meant: lists and maps, not the groups that they
// are stored in.
type pqShape struct {
	form     pqForm
	name     string
	null     uint8      // the value is NULL below this definition level
	item     uint8      // of lists and maps: there is an element from this definition level on
	rep      uint8      // and this repetition level goes on with the next
	parts    []*pqShape // the fields of a struct, the element of a list, key and value of a map
	scalar   pqType
	from, to int // leaves; none in an empty group, which is always NULL
}

// shapeOf gives what a node stands for where it stands by itself.
func shapeOf(n *pqNode) *pqShape {
	s := bareShape(n)
	switch n.repetition {
	case pqOptional:
		s.null = n.def
	case pqRepeated:
		return &pqShape{form: pqArray, name: n.name, item: n.def, rep: n.rep, parts: []*pqShape{s}, from: n.from, to: n.to}
	}
	return s
}

// bareShape is shapeOf without the node's repetition.
func bareShape(n *pqNode) *pqShape {
	s := &pqShape{name: n.name, from: n.from, to: n.to}
	if n.physical != pqGroup && len(n.nodes) == 0 {
		s.scalar = typeOf(n.pqElement)
		return s
	}
	var only *pqNode
	if len(n.nodes) == 1 && n.nodes[0].repetition == pqRepeated {
		only = n.nodes[0]
		s.item, s.rep = only.def, only.rep
	}
	switch {
	case n.logical.kind == pqList && only != nil:
		s.form, s.parts = pqArray, []*pqShape{listElement(n, only)}
	case n.logical.kind == pqMap && only != nil && len(only.nodes) == 2:
		s.form, s.parts = pqObject, []*pqShape{shapeOf(only.nodes[0]), shapeOf(only.nodes[1])}
	case n.logical.kind == pqMap && only != nil && len(only.nodes) == 1: // of keys only
		s.form, s.parts = pqArray, []*pqShape{shapeOf(only.nodes[0])}
	default:
		s.form = pqStruct
		for _, child := range n.nodes {
			s.parts = append(s.parts, shapeOf(child))
		}
	}
	return s
}

// listElement is what the repeated node of a list stands for: the node itself in
// older files, else the one that it has in it. Source: parquet-format,
// LogicalTypes.md, "Backward-compatibility rules" of lists.
func listElement(list, repeated *pqNode) *pqShape {
	if len(repeated.nodes) != 1 || repeated.nodes[0].repetition == pqRepeated || repeated.logical.kind == pqList ||
		repeated.logical.kind == pqMap || repeated.name == "array" || repeated.name == list.name+"_tuple" {
		return bareShape(repeated)
	}
	return shapeOf(repeated.nodes[0])
}

// selectedShape is what a node stands for as a field of a row: NULL too where
// something above it is.
func selectedShape(n *pqNode) *pqShape {
	s := shapeOf(n)
	s.null = n.def
	if n.repetition == pqRepeated {
		s.null--
	}
	return s
}

// array says whether a Postgres array holds the shape: a list of scalars.
func (s *pqShape) array() bool { return s.form == pqArray && s.parts[0].form == pqScalar }

// postgres is the type that holds every value.
func (s *pqShape) postgres() string {
	switch {
	case s.form == pqScalar:
		return s.scalar.postgres
	case s.array():
		return s.parts[0].scalar.postgres + "[]"
	}
	return "jsonb"
}

// evidence is what the file says of the type.
func (s *pqShape) evidence() string {
	switch s.form {
	case pqScalar:
		return s.scalar.evidence
	case pqArray:
		return "LIST of " + s.parts[0].evidence()
	case pqObject:
		return "MAP of " + s.parts[0].evidence() + " to " + s.parts[1].evidence()
	}
	return "STRUCT"
}

// findNode follows a path through structs. Names may have dots in them. It is nil
// where the path leads nowhere, or into a list or a map.
func findNode(nodes []*pqNode, path string) *pqNode {
	for _, n := range nodes {
		if n.name == path {
			return n
		}
	}
	for _, n := range nodes {
		rest, ok := strings.CutPrefix(path, n.name+".")
		if !ok || n.repetition == pqRepeated || len(n.nodes) == 0 || bareShape(n).form != pqStruct {
			continue
		}
		if found := findNode(n.nodes, rest); found != nil {
			return found
		}
	}
	return nil
}
