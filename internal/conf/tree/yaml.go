package tree

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// YAML reads the first document of a text; an empty one is Null. Of repeated keys the last one counts, and merge
// keys (<<) are followed. Errors: *Error.
func YAML(text []byte, version Version) (v Value, err error) {
	if err := tooBig(text); err != nil {
		return Value{}, err
	}
	if err := tooDeep(string(text)); err != nil {
		return Value{}, err
	}
	if n := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte(",")); n > MaxMarks {
		return Value{}, &Error{Text: fmt.Sprintf("more than %d lines and commas", MaxMarks)}
	}
	defer func() {
		// The library is fed with whatever people have on their disks; one odd file must not end the reader.
		if p := recover(); p != nil {
			v, err = Value{}, &Error{Text: "not readable as YAML"}
		}
	}()
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var known yaml.Error
		if errors.As(err, &known) && known.GetToken() != nil && known.GetToken().Position != nil {
			return Value{}, &Error{Line: known.GetToken().Position.Line, Text: known.GetMessage()}
		}
		return Value{}, &Error{Text: "not readable as YAML"}
	}
	r := yamlReader{words: version.words(), anchors: map[string]ast.Node{}, open: map[string]bool{}}
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.DirectiveType {
			return r.value(doc.Body, 0)
		}
	}
	return Value{}, nil
}

// tooDeep refuses texts whose nesting would cost the parser, which recurses, its stack. It counts brackets and
// the marks that open a level within one line, even those in quotes: nobody nests a hundred deep.
func tooDeep(text string) error {
	const limit = 4 * MaxDepth
	depth, line := 0, 1
	for l := range strings.Lines(text) {
		depth += strings.Count(l, "[") + strings.Count(l, "{")
		marks := 0
		for _, m := range [...]string{"- ", "? ", ": ", "-\t", "?\t", ":\t", "!", "&"} {
			marks = max(marks, longestRun(l, m))
		}
		if depth > limit || marks > limit {
			return &Error{Line: line, Text: fmt.Sprintf("nested deeper than %d", limit)}
		}
		depth = max(0, depth-strings.Count(l, "]")-strings.Count(l, "}"))
		line++
	}
	return nil
}

// longestRun counts how often a mark stands in a line, one of any sort after the other. It may count too many.
func longestRun(line, mark string) int {
	if !strings.HasPrefix(strings.TrimLeft(line, " \t"), mark) && mark[0] != '!' && mark[0] != '&' {
		return 0
	}
	return strings.Count(line, mark)
}

// yamlReader turns the library's tree into ours.
type yamlReader struct {
	words   words
	anchors map[string]ast.Node
	open    map[string]bool // anchors that are being followed
	count   int
}

// fail is an error at a node.
func (r *yamlReader) fail(n ast.Node, format string, args ...any) error {
	return &Error{Line: lineOf(n), Text: fmt.Sprintf(format, args...)}
}

// lineOf is where a node stands; 0 when the library does not say.
func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// value converts a node.
func (r *yamlReader) value(n ast.Node, depth int) (Value, error) {
	if r.count++; r.count > MaxValues {
		return Value{}, r.fail(n, "more than %d values", MaxValues)
	}
	if depth > MaxDepth {
		return Value{}, r.fail(n, "nested deeper than %d", MaxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n, n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		v := Value{Kind: List, Line: lineOf(n)}
		for _, item := range n.Values {
			i, err := r.value(item, depth+1)
			if err != nil {
				return Value{}, err
			}
			v.Items = append(v.Items, i)
		}
		return v, nil
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.value(n.Value, depth+1)
	case *ast.AliasNode:
		return r.alias(n, depth)
	case *ast.TagNode:
		return r.tagged(n, depth)
	case *ast.LiteralNode:
		return Value{Kind: String, Text: n.Value.Value, Line: lineOf(n)}, nil
	}
	return r.scalar(n), nil
}

// alias converts what an alias stands for.
func (r *yamlReader) alias(n *ast.AliasNode, depth int) (Value, error) {
	name := n.Value.GetToken().Value
	target, ok := r.anchors[name]
	switch {
	case !ok:
		return Value{}, r.fail(n, "there is no anchor &%s", name)
	case r.open[name]:
		return Value{}, r.fail(n, "&%s contains itself", name)
	}
	r.open[name] = true
	defer delete(r.open, name)
	return r.value(target, depth+1)
}

// tagged converts a node with a type of its own. Only texts are taken by their word.
func (r *yamlReader) tagged(n *ast.TagNode, depth int) (Value, error) {
	if n.Value == nil {
		return Value{Line: lineOf(n)}, nil
	}
	v, err := r.value(n.Value, depth+1)
	if err == nil && n.Start != nil && (n.Start.Value == "!!str" || n.Start.Value == "!") && v.Kind < List {
		v.Kind = String
	}
	return v, err
}

// mapping converts the entries of a map; those of merge keys stay behind its own.
func (r *yamlReader) mapping(n ast.Node, entries []*ast.MappingValueNode, depth int) (Value, error) {
	v := Value{Kind: Map, Line: lineOf(n)}
	index := map[string]int{}
	put := func(f Field, merged bool) {
		i, ok := index[f.Key]
		switch {
		case !ok:
			index[f.Key] = len(v.Fields)
			v.Fields = append(v.Fields, f)
		case !merged:
			v.Fields[i] = f
		}
	}
	var merges []Value
	for _, e := range entries {
		if e.Key == nil || e.Value == nil {
			return Value{}, r.fail(n, "an entry without key or value")
		}
		item, err := r.value(e.Value, depth+1)
		if err != nil {
			return Value{}, err
		}
		if e.Key.IsMergeKey() {
			merges = append(merges, item)
			continue
		}
		key, err := r.key(e.Key, depth+1)
		if err != nil {
			return Value{}, err
		}
		put(Field{Key: key, Line: lineOf(e.Key), Value: item}, false)
	}
	for _, m := range merges {
		for _, part := range append([]Value{m}, m.Items...) {
			for _, f := range part.Fields {
				put(f, true)
			}
		}
	}
	return v, nil
}

// key converts the key of an entry to text.
func (r *yamlReader) key(n ast.MapKeyNode, depth int) (string, error) {
	var inner ast.Node = n
	if k, ok := n.(*ast.MappingKeyNode); ok && k.Value != nil {
		inner = k.Value
	}
	v, err := r.value(inner, depth)
	if err == nil && v.Kind >= List {
		err = r.fail(n, "%s as a key", v.Kind)
	}
	return v.Text, err
}

// scalar converts a node without parts.
func (r *yamlReader) scalar(n ast.Node) Value {
	t := n.GetToken()
	if t == nil {
		return Value{}
	}
	var v Value
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		v = Value{Kind: String, Text: t.Value}
	case token.ImplicitNullType:
	default:
		text := t.Value
		if s, ok := n.(*ast.StringNode); ok {
			text = s.Value
		}
		v = r.words.plain(text)
	}
	v.Line = lineOf(n)
	return v
}
