package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// show is a tree on one line; texts are quoted, numbers and words bare.
func show(v Value) string {
	switch v.Kind {
	case Null:
		return "null"
	case Bool:
		return fmt.Sprint(v.Bool)
	case Int:
		return fmt.Sprint(v.Int)
	case Float:
		return fmt.Sprintf("f%g", v.Float)
	case String:
		return fmt.Sprintf("%q", v.Text)
	case List:
		var items []string
		for _, i := range v.Items {
			items = append(items, show(i))
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	var items []string
	for _, f := range v.Fields {
		items = append(items, f.Key+":"+show(f.Value))
	}
	return "{" + strings.Join(items, " ") + "}"
}

func TestYAML(t *testing.T) {
	tests := []struct{ name, text, v11, v12 string }{
		{"empty", "", "null", "null"},
		{"comment", "# nothing\n", "null", "null"},
		{"octal", "umask: 077", "{umask:63}", "{umask:77}"},
		{"new octal", "umask: 0o77", `{umask:"0o77"}`, "{umask:63}"},
		{"hexadecimal", "a: 0x1F", "{a:31}", "{a:31}"},
		{"booleans", "[yes, No, ON, off, true, False, y]", `[true false true false true false "y"]`, `["yes" "No" "ON" "off" true false "y"]`},
		{"nothing", "[~, null, ]", "[null null]", "[null null]"},
		{"no value", "a:\nb: 1", "{a:null b:1}", "{a:null b:1}"},
		{"numbers", "[1_000, 1.5, -3, +4, 1e3, .5, 1.e+3]", `[1000 f1.5 -3 4 "1e3" f0.5 f1000]`, `["1_000" f1.5 -3 4 f1000 f0.5 f1000]`},
		{"huge", "a: 99999999999999999999", `{a:"99999999999999999999"}`, `{a:"99999999999999999999"}`},
		{"quoted", `["077", 'yes', "a\tb"]`, `["077" "yes" "a\tb"]`, `["077" "yes" "a\tb"]`},
		{"tag", "[!!str 077, !x 1]", `["077" 1]`, `["077" 1]`},
		{"python list", "command:\n- python\n- -m\n- 'http.server'\n", `{command:["python" "-m" "http.server"]}`, `{command:["python" "-m" "http.server"]}`},
		{"literal", "a: |\n  x\n  y\nb: >\n  x\n  y\n", `{a:"x\ny\n" b:"x y\n"}`, `{a:"x\ny\n" b:"x y\n"}`},
		{"anchor", "a: &x {p: 1}\nb: *x", "{a:{p:1} b:{p:1}}", "{a:{p:1} b:{p:1}}"},
		{"merge", "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  p: 3", "{a:{p:1 q:2} b:{p:3 q:2}}", "{a:{p:1 q:2} b:{p:3 q:2}}"},
		{"merges", "a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc:\n  <<: [*x, *y]", "{a:{p:1} b:{p:2 q:3} c:{p:1 q:3}}", "{a:{p:1} b:{p:2 q:3} c:{p:1 q:3}}"},
		{"twice", "a: 1\na: 2", "{a:2}", "{a:2}"},
		{"key types", "1: a\ntrue: b", `{1:"a" true:"b"}`, `{1:"a" true:"b"}`},
		{"documents", "---\na: 1\n---\nb: 2", "{a:1}", "{a:1}"},
		{"scalar", "hello world", `"hello world"`, `"hello world"`},
		{"infinite", "[.inf, -.INF, +.Inf, .nan]", "[f+Inf f-Inf f+Inf fNaN]", "[f+Inf f-Inf f+Inf fNaN]"},
		{"almost infinite", "[+-.inf, .iNf, .İnf, +.nan]", `["+-.inf" ".iNf" ".İnf" "+.nan"]`, `["+-.inf" ".iNf" ".İnf" "+.nan"]`},
		{"base sixty", "[10:30, -1:01:01, 10:61]", `[630 -3661 "10:61"]`, `["10:30" "-1:01:01" "10:61"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for ver, want := range map[Version]string{V11: tt.v11, V12: tt.v12} {
				v, err := YAML([]byte(tt.text), ver)
				if err != nil || show(v) != want {
					t.Errorf("version %d: %s, %v, want %s", ver, show(v), err, want)
				}
			}
		})
	}
}

func TestJSON(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{"a": [1, -2.5, "x", true, null], "b": {}}`, `{a:[1 f-2.5 "x" true null] b:{}}`},
		{`{"a": 1, "a": 2}`, "{a:2}"},
		{`99999999999999999999`, "f1e+20"},
		{`"yes"`, `"yes"`},
	}
	for _, tt := range tests {
		if v, err := JSON([]byte(tt.text)); err != nil || show(v) != tt.want {
			t.Errorf("%s: %s, %v", tt.text, show(v), err)
		}
	}
}

func TestLines(t *testing.T) {
	y, err := YAML([]byte("a: 1\nb:\n  - x\n  - y: 2\n"), V12)
	if err != nil || y.Get("b").Items[1].Get("y").Line != 4 || y.Fields[1].Line != 2 {
		t.Errorf("%+v, %v", y, err)
	}
	j, err := JSON([]byte("{\n\"a\": 1,\n\n\"b\": [\n2]}"))
	if err != nil || j.Fields[1].Line != 4 || j.Get("b").Items[0].Line != 5 {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestBad(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	tests := []struct {
		name, text, want string
		line             int
	}{
		{"unclosed", "a: 1\nb: [1", "", 2},
		{"tab", "a:\n\t- b", "", 2},
		{"bomb", bomb, "more than 100000 values", 0},
		{"no anchor", "a: 1\nb: *x", "there is no anchor &x", 2},
		{"itself", "a: &a [*a]", "&a contains itself", 1},
		{"map as key", "? {a: 1}\n: 2", "", 0},
		{"brackets", strings.Repeat("[", 500_000), "nested deeper", 1},
		{"dashes", strings.Repeat("- ", 400_000) + "x", "nested deeper", 1},
		{"questions", strings.Repeat("? ", 400_000) + "x", "nested deeper", 1},
		{"tags", strings.Repeat("!a ", 300_000) + "x", "nested deeper", 1},
		{"anchors", strings.Repeat("&a ", 300_000) + "x", "nested deeper", 1},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper", 1},
		{"many lines", strings.Repeat("a: 1\n", MaxMarks+1), "more than 5000 lines and commas", 0},
		{"many items", "[" + strings.Repeat("a,", MaxMarks+1) + "]", "more than 5000 lines and commas", 0},
		{"big", strings.Repeat("a", MaxBytes+1), "more than 1048576 bytes", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := YAML([]byte(tt.text), V11)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Text, tt.want) || (tt.line > 0 && e.Line != tt.line) {
				t.Errorf("%v, want line %d: %s; value %.100s", err, tt.line, tt.want, show(v))
			}
		})
	}
	for _, text := range []string{"", "{", "[1", `{"a" 1}`, "1 2", "{\n\n]", strings.Repeat("[", 200_000), strings.Repeat("1", MaxBytes+1), "[" + strings.Repeat("1,", MaxValues) + "1]"} {
		v, err := JSON([]byte(text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.20s: %v, %v", text, v.Kind, err)
		}
	}
	if _, err := JSON([]byte("{\n\"a\":\n]")); err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Error(err)
	}
}

func TestValue(t *testing.T) {
	v := Value{Kind: Map}
	v.Put(Field{Key: "a", Value: V11.Plain("1")})
	v.Put(Field{Key: "b", Value: V11.Plain("x")})
	v.Put(Field{Key: "a", Value: V11.Plain("2")})
	if show(v) != `{a:2 b:"x"}` {
		t.Error(show(v))
	}
	if _, ok := v.Find("c"); ok || v.Get("c").Kind != Null || v.Get("a").Get("x").Kind != Null {
		t.Error("found what is not there")
	}
	if !v.Get("a").Scalar() || v.Scalar() || (Value{}).Scalar() || Map.String() != "a mapping" {
		t.Error("kinds")
	}
}

// shape is what does not depend on the version of YAML: texts as they stand, whatever they mean, and what holds them.
func shape(v Value) string {
	items := []string{fmt.Sprintf("%t %q", v.Kind >= List, v.Text)}
	for _, i := range v.Items {
		items = append(items, shape(i))
	}
	for _, f := range v.Fields {
		items = append(items, fmt.Sprintf("%q", f.Key), shape(f.Value))
	}
	return fmt.Sprint(v.Line, items)
}

// FuzzYAML: whatever a text is, it is the same tree of the same texts in both versions, or the same mistake.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{
		"a: &x {p: 1}\nb:\n  <<: *x\n", "- |\n  x\n- >-\n  y", "? a\n: b", "!!str 1", "%YAML 1.1\n---\na", "a: 'x\n\n  y'", "[a, {b: c}]", "&a *a",
		"a: b: c", "\"\\u0041\"", "- - - x", "{a, b}", "a:\n b:\n  - c\n", "# x\n--- # y\n...\n", "'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		v11, err11 := YAML(text, V11)
		v12, err12 := YAML(text, V12)
		if fmt.Sprint(err11) != fmt.Sprint(err12) || err11 != nil && !errors.As(err11, new(*Error)) {
			t.Fatalf("%v and %v", err11, err12)
		}
		if a, b := shape(v11), shape(v12); a != b {
			t.Errorf("%s and %s", a, b)
		}
	})
}

// FuzzJSON: what is read is JSON and says what another reader finds in it, and what is JSON is read, within the bounds.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\n",true,null]}`, `[`, `{"a":{"a":{}}}`, `"\ud800"`, "[1 2]", `{"a":1,}`, `{"a":1}]`, "1e999", `{"k":1,"K":2,"k":{}}`, "\"\xff\"", "-0", "\ufeff1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := JSON(text)
		var e *Error
		if err != nil && (!errors.As(err, &e) || json.Valid(text) && !strings.Contains(e.Text, "more than") && !strings.Contains(e.Text, "nested deeper")) {
			t.Fatalf("%v", err)
		}
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !json.Valid(text) {
			t.Fatalf("%s, and the other reader: %v", show(v), err)
		}
		if d := cmp.Diff(want, other(v)); d != "" {
			t.Error(d)
		}
	})
}

// other is a tree as the other reader of JSON has it.
func other(v Value) any {
	switch v.Kind {
	case Null:
		return nil
	case Bool:
		return v.Bool
	case Int, Float:
		return json.Number(v.Text)
	case String:
		return v.Text
	case List:
		list := []any{}
		for _, i := range v.Items {
			list = append(list, other(i))
		}
		return list
	}
	fields := map[string]any{}
	for _, f := range v.Fields {
		fields[f.Key] = other(f.Value)
	}
	return fields
}
