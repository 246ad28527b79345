package config

import (
	"errors"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a TOML file as values, with the line of every table, key and list element.
type document struct {
	values map[string]any
	lines  map[string]int // by path: "interface", "interface/mtu", "peer/0/allowed_ips/1"
}

// line finds a path's line, or that of the nearest thing around it; 0 if nothing is.
func (d *document) line(path string) int { return nearestLine(d.lines, path) }

func nearestLine(lines map[string]int, path string) int {
	if n, ok := lines[join(path, "0")]; ok && lines[path] == 0 {
		return n // a list that is known by its elements only: [[peer]]
	}
	for {
		if n, ok := lines[path]; ok {
			return n
		}
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return 0
		}
		path = path[:cut]
	}
}

// parseDocument reads TOML. The library's values carry no positions, so the file is read twice: once for the lines,
// within limits that also keep the second reading cheap, once for the values.
func parseDocument(file string, data []byte) (*document, *Mistake) {
	index := newIndexer(data)
	if m := index.run(); m != nil {
		m.File = file
		return nil, m
	}
	doc := &document{values: map[string]any{}, lines: index.lines}
	if err := toml.Unmarshal(data, &doc.values); err != nil {
		m := &Mistake{File: file, Problem: syntaxProblem(err)}
		if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
			m.Line, _ = decode.Position()
		}
		return nil, m
	}
	return doc, nil
}

// indexer walks the syntax tree and notes where things are.
type indexer struct {
	parser   unstable.Parser
	data     []byte
	newlines []int          // offsets of line feeds, rising
	lines    map[string]int // see document
	tables   map[string]int // how many [[tables]] a path has so far
	seen     int            // keys, tables and list elements
	failed   *Mistake
}

func newIndexer(data []byte) *indexer {
	x := &indexer{data: data[:len(data):len(data)], lines: map[string]int{}, tables: map[string]int{}}
	for i, c := range data {
		if c == '\n' {
			x.newlines = append(x.newlines, i)
		}
	}
	return x
}

func (x *indexer) run() *Mistake {
	x.parser.Reset(x.data)
	prefix := ""
	for x.failed == nil && x.parser.NextExpression() {
		switch e := x.parser.Expression(); e.Kind { //nolint:exhaustive // only these three kinds are expressions
		case unstable.Table:
			prefix = x.path("", e.Key(), false)
		case unstable.ArrayTable:
			prefix = x.path("", e.Key(), true)
		case unstable.KeyValue:
			x.keyValue(prefix, e)
		}
	}
	if x.failed != nil {
		return x.failed
	}
	if err := x.parser.Error(); err != nil {
		m := &Mistake{Line: len(x.newlines) + 1, Problem: syntaxProblem(err)}
		if parse, ok := errors.AsType[*unstable.ParserError](err); ok {
			// The highlight is a part of data: what is left of its capacity says where it starts.
			if at := len(x.data) - cap(parse.Highlight); at >= 0 && at < len(x.data) {
				m.Line = x.lineAt(at)
			}
		}
		return m
	}
	return nil
}

// path joins a dotted key to what stands around it and notes its line. In [[tables]] the last part gets a new number.
func (x *indexer) path(prefix string, key unstable.Iterator, array bool) string {
	path, line := prefix, 0
	for depth := 1; key.Next(); depth++ {
		node := key.Node()
		line = x.lineAt(int(node.Raw.Offset))
		if depth > maxDepth || len(node.Data) > maxKeyLen {
			x.fail(line, "this key is longer than any that the file can hold")
			return path
		}
		path = join(path, string(node.Data))
		if n := x.tables[path]; n > 0 && (!array || !key.IsLast()) {
			path = join(path, strconv.Itoa(n-1)) // a key under [[table]] belongs to the newest of them
		}
	}
	if array {
		n := x.tables[path]
		x.tables[path]++
		path = join(path, strconv.Itoa(n))
	}
	x.count(line)
	x.note(path, line)
	return path
}

func (x *indexer) keyValue(prefix string, e *unstable.Node) {
	path := x.path(prefix, e.Key(), false)
	x.value(path, e.Value())
}

func (x *indexer) value(path string, v *unstable.Node) {
	if strings.Count(path, "/") > maxDepth {
		x.fail(nearestLine(x.lines, path), "values are nested deeper than "+strconv.Itoa(maxDepth)+" levels")
	}
	if x.failed != nil {
		return
	}
	switch v.Kind { //nolint:exhaustive // the other kinds hold no further values
	case unstable.Array:
		children := v.Children()
		for i := 0; children.Next() && x.failed == nil; i++ {
			node, item := children.Node(), join(path, strconv.Itoa(i))
			x.count(nearestLine(x.lines, path))
			if node.Raw.Length > 0 {
				x.note(item, x.lineAt(int(node.Raw.Offset)))
			}
			x.value(item, node)
		}
	case unstable.InlineTable:
		children := v.Children()
		for children.Next() && x.failed == nil {
			if node := children.Node(); node.Kind == unstable.KeyValue {
				x.keyValue(path, node)
			}
		}
	}
}

func (x *indexer) count(line int) {
	if x.seen++; x.seen > maxKeys {
		x.fail(line, "the file holds more than "+strconv.Itoa(maxKeys)+" keys and list elements")
	}
}

func (x *indexer) note(path string, line int) {
	if _, ok := x.lines[path]; !ok {
		x.lines[path] = line
	}
}

func (x *indexer) fail(line int, problem string) {
	if x.failed == nil {
		x.failed = &Mistake{Line: line, Problem: problem}
	}
}

// lineAt gives the line, from 1, of a byte of the file.
func (x *indexer) lineAt(offset int) int {
	return sort.SearchInts(x.newlines, offset) + 1
}

func join(path, part string) string {
	if path == "" {
		return part
	}
	return path + "/" + part
}

// syntaxProblem turns the library's message into one line. It describes the grammar and repeats keys, never values.
func syntaxProblem(err error) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	if len(text) > 2*maxQuoted {
		text = text[:2*maxQuoted] + "…"
	}
	return "not valid TOML: " + strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
}
