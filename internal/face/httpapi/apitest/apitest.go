// Package apitest holds answers against the description of the JSON interface, in tests.
//
// It knows the part of OpenAPI 3.1 and of JSON Schema that the description uses, and refuses any other word, so that
// nothing is taken as checked that is not.
package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Document is a description.
type Document struct{ root map[string]any }

// Parse reads a description in YAML.
func Parse(text []byte) (*Document, error) {
	d := &Document{}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		return nil, err
	}
	// The types of JSON, so that numbers are compared as such.
	data, err := json.Marshal(d.root)
	if err != nil {
		return nil, err
	}
	d.root = nil
	return d, json.Unmarshal(data, &d.root)
}

// object is a member that is an object, the target of $ref if it refers to one; nil when it is absent.
func (d *Document) object(in map[string]any, names ...string) map[string]any {
	for _, name := range names {
		in, _ = in[name].(map[string]any)
		in = d.target(in)
	}
	return in
}

func (d *Document) target(in map[string]any) map[string]any {
	ref, ok := in["$ref"].(string)
	if !ok {
		return in
	}
	return d.object(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// Schema is a named schema; nil when there is none.
func (d *Document) Schema(name string) map[string]any {
	return d.object(d.root, "components", "schemas", name)
}

// Schemas are the names of all schemas, sorted.
func (d *Document) Schemas() []string {
	return slices.Sorted(maps.Keys(d.object(d.root, "components", "schemas")))
}

// Operations are all operations, "GET /v1/system", with the sorted names of their query's parameters.
func (d *Document) Operations() map[string][]string {
	out := map[string][]string{}
	for path, item := range d.object(d.root, "paths") {
		item := item.(map[string]any)
		for method, op := range item {
			if method == "parameters" {
				continue
			}
			params := []string{}
			for _, list := range []any{item["parameters"], op.(map[string]any)["parameters"]} {
				list, _ := list.([]any)
				for _, p := range list {
					if p := d.target(p.(map[string]any)); p["in"] == "query" {
						params = append(params, p["name"].(string))
					}
				}
			}
			slices.Sort(params)
			out[strings.ToUpper(method)+" "+path] = params
		}
	}
	return out
}

// Answer says what is wrong with an answer to an operation ("GET /v1/system"): nothing, one hopes.
func (d *Document) Answer(operation string, status int, contentType string, body []byte) []string {
	method, path, _ := strings.Cut(operation, " ")
	responses := d.object(d.root, "paths", path, strings.ToLower(method), "responses")
	if responses == nil {
		return []string{operation + " is not described"}
	}
	r := d.object(responses, strconv.Itoa(status))
	if r == nil && status >= 400 {
		r = d.object(responses, "default")
	}
	if r == nil {
		return []string{fmt.Sprintf("%s: the status %d is not described", operation, status)}
	}
	content := d.object(r, "content")
	if content == nil {
		if len(body) > 0 {
			return []string{fmt.Sprintf("%s: there is a body: %q", operation, body)}
		}
		return nil
	}
	form, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return []string{operation + ": Content-Type: " + err.Error()}
	}
	c := d.object(content, form)
	if c == nil {
		return []string{fmt.Sprintf("%s %d: %s is not described", operation, status, form)}
	}
	var values []any
	switch {
	case form == "application/x-ndjson":
		for line := range strings.Lines(string(body)) {
			values = append(values, decoded(line))
		}
	case form == "text/event-stream":
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				values = append(values, decoded(data))
			}
		}
	case strings.HasSuffix(form, "json"):
		values = append(values, decoded(string(body)))
	default:
		values = append(values, string(body))
	}
	var wrong []string
	for _, v := range values {
		wrong = append(wrong, d.check(v, d.object(c, "schema"), operation+" "+strconv.Itoa(status))...)
	}
	return wrong
}

// notJSON is a text that should have been JSON.
type notJSON string

func decoded(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return notJSON(text)
	}
	return v
}

// Check says what is wrong with a text of JSON that should be as a named schema says.
func (d *Document) Check(name, text string) []string {
	s := d.Schema(name)
	if s == nil {
		return []string{"there is no schema " + name}
	}
	return d.check(decoded(text), s, name)
}

// check is the validator. An object has no members but those described: the description is to be complete.
func (d *Document) check(v any, schema map[string]any, at string) []string {
	schema = d.target(schema)
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		arg := schema[word]
		switch word {
		case "description", "additionalProperties":
		case "type":
			if !hasType(v, arg) {
				say("%v is no %v", v, arg)
			}
		case "enum":
			if !slices.Contains(arg.([]any), v) {
				say("%v is none of %v", v, arg)
			}
		case "const":
			if v != arg {
				say("%v is not %v", v, arg)
			}
		case "minimum", "maximum":
			if n, ok := v.(float64); ok && (word == "minimum" && n < arg.(float64) || word == "maximum" && n > arg.(float64)) {
				say("%v: %s %v", v, word, arg)
			}
		case "format":
			if text, ok := v.(string); ok && arg == "date-time" {
				if _, err := time.Parse(time.RFC3339, text); err != nil {
					say("%v", err)
				}
			} else if arg != "date-time" {
				say("the format %v is not known here", arg)
			}
		case "anyOf":
			var all []string
			fits := false
			for _, s := range arg.([]any) {
				w := d.check(v, s.(map[string]any), at)
				fits = fits || len(w) == 0
				all = append(all, w...)
			}
			if !fits {
				wrong = append(wrong, all...)
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				wrong = append(wrong, d.check(item, arg.(map[string]any), fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "required":
			if o, ok := v.(map[string]any); ok {
				for _, name := range arg.([]any) {
					if _, ok := o[name.(string)]; !ok {
						say("%s is missing", name)
					}
				}
			}
		case "properties":
			o, _ := v.(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(o)) {
				if s := d.object(schema, "properties", name); s != nil {
					wrong = append(wrong, d.check(o[name], s, at+"."+name)...)
				} else {
					say("%s is not described", name)
				}
			}
		default:
			say("the word %s is not known here", word)
		}
	}
	return wrong
}

func hasType(v, want any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return hasType(v, one) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	}
	return false
}
