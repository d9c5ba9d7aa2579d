package xmlrpc

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func value(s string) string {
	return "<methodResponse><params><param>" + s + "</param></params></methodResponse>"
}

func TestParseValues(t *testing.T) {
	tests := []struct {
		in   string
		want any
	}{
		{"<value><int>5</int></value>", 5},
		{"<value><i4> -5\n</i4></value>", -5},
		{"<value><i8>1099511627776</i8></value>", 1 << 40},
		{"<value><int>+7</int></value>", 7},
		{"<value><boolean>1</boolean></value>", true},
		{"<value><boolean>0</boolean></value>", false},
		{"<value><double>-1.5e3</double></value>", -1500.0},
		{"<value><string>a b</string></value>", "a b"},
		{"<value><string> a </string></value>", " a "},
		{"<value><string/></value>", ""},
		{"<value><string></string></value>", ""},
		{"<value> bare </value>", " bare "},
		{"<value></value>", ""},
		{"<value/>", ""},
		{"<value \n/>", ""},
		{"<value>\n <int>1</int>\n</value>", 1},
		{"<value><unknown>text</unknown></value>", "text"},
		{"<value><nil/></value>", nil},
		{"<value><nil></nil></value>", nil},
		{"<value><dateTime.iso8601>20261120T17:13:09</dateTime.iso8601></value>", when()},
		{"<value><dateTime.iso8601>2026-11-20T17:13:09Z</dateTime.iso8601></value>", when()},
		{"<value><base64>aGVs\n bG8=</base64></value>", []byte("hello")},
		{"<value><base64/></value>", []byte{}},
		{"<value><array><data/></array></value>", []any{}},
		{"<value><array/></value>", []any{}},
		{"<value><array><data> <value>a</value> <value><int>2</int></value> </data></array></value>", []any{"a", 2}},
		{"<value><struct/></value>", Struct{}},
		{"<value><struct></struct></value>", Struct{}},
		{"<value><struct><member><name>b</name><value>1</value></member>\n<member><name>a</name><value/></member></struct></value>", Struct{{"b", "1"}, {"a", ""}}},
		{"<value>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;&#x1F600;</value>", "<>&'\"AB\U0001F600"},
		{"<value>a&#13;&#10;b\r\nc\rd</value>", "a\r\nb\nc\nd"},
		{"<value>a<![CDATA[<&]] >]]>b</value>", "a<&]] >b"},
		{"<value>a<!-- x -->b<?pi y?>c</value>", "abc"},
		{"<value><!-- --><int>1</int><!-- --></value>", 1},
		{`<value a="1" b='&lt;"'>x</value >`, "x"},
		{"<value>世界</value>", "世界"},
	}
	for _, tt := range tests {
		got, err := ParseResponse([]byte(value(tt.in)), Limits{})
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.in, d)
		}
	}
}

func TestParseRefusesValues(t *testing.T) {
	for _, in := range []string{
		"<value><int></int></value>", "<value><int>x</int></value>", "<value><int>1.5</int></value>", "<value><int>1_0</int></value>",
		"<value><int>9223372036854775808</int></value>", "<value><int>0x10</int></value>", "<value><int><i4>1</i4></int></value>",
		"<value><boolean>true</boolean></value>", "<value><boolean>2</boolean></value>", "<value><boolean/></value>",
		"<value><double>0x1p3</double></value>", "<value><double>nan</double></value>", "<value><double>1_0</double></value>", "<value><double/></value>",
		"<value><dateTime.iso8601>20261320T17:13:09</dateTime.iso8601></value>", "<value><dateTime.iso8601>now</dateTime.iso8601></value>",
		"<value><base64>a</base64></value>", "<value><base64>a*b=</base64></value>", "<value><nil>x</nil></value>",
		"<value>x<int>1</int></value>", "<value><int>1</int>x</value>", "<value><int>1</int><int>2</int></value>",
		"<value><array><value>1</value></array></value>", "<value><array><data><int>1</int></data></array></value>", "<value><array><data></data><data/></array></value>",
		"<value><struct><member/></struct></value>", "<value><struct><member><name>a</name></member></struct></value>", "<value><struct><member><value>a</value></member></struct></value>",
		"<value><struct><name>a</name></struct></value>", "<value><struct>x</struct></value>",
		"<value>&nbsp;</value>", "<value>&#0;</value>", "<value>&#x0B;</value>", "<value>&#xD800;</value>", "<value>&#xFFFE;</value>", "<value>&#1114112;</value>",
		"<value>&#-5;</value>", "<value>&#+65;</value>", "<value>&#6_5;</value>", "<value>&;</value>", "<value>&#;</value>", "<value>&lt</value>", "<value>& x;</value>", "<value>&#99999999999;</value>",
		"<value>]]></value>", "<value><![CDATA[x</value>", "<value><!-- -- --></value>", "<value><!-- x</value>", "<value><?xml version='1.0'?></value>", "<value><?x</value>",
		"<value a=1>x</value>", "<value a='1'b='2'>x</value>", "<value a>x</value>", "<value a='<'>x</value>", "<value a='&x;'>x</value>", "<value a='1>x</value>",
		"<value><!ENTITY x 'y'></value>", "<value>\x00</value>", "<value>\x1b</value>", "<value>\xff</value>", "<value>\uFFFF</value>", "<value>\xed\xa0\x80</value>",
		"<value></valu></value>", "<value", "<value>", "<value></value", "< value/>", "<value></ value>", "<1/>", "", "<value/><value/>",
	} {
		v, err := ParseResponse([]byte(value(in)), Limits{})
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%q: got %v, %v", in, v, err)
		} else if se.Offset < 0 || se.Offset > len(value(in)) || se.Text == "" {
			t.Errorf("%q: %#v", in, se)
		}
	}
}

func TestParseResponseDocuments(t *testing.T) {
	fault := string(AppendFault(nil, 6, "SHUTDOWN_STATE"))
	tests := []struct {
		name, in string
		fault    *Fault
		bad      bool
	}{
		{"fault", fault, &Fault{6, "SHUTDOWN_STATE"}, false},
		{"fault without text", strings.Replace(fault, "faultString", "x", 1), nil, true},
		{"fault that is no struct", "<methodResponse><fault><value>x</value></fault></methodResponse>", nil, true},
		{"byte order mark", "\uFEFF" + value("<value/>"), nil, false},
		{"declaration", `<?xml version="1.0" encoding="UTF-8" standalone='yes'?>` + "\n<!-- c -->" + value("<value/>") + "<!-- d -->\n", nil, false},
		{"other encoding", `<?xml version="1.0" encoding="UTF-16"?>` + value("<value/>"), nil, true},
		{"no version", `<?xml encoding="UTF-8"?>` + value("<value/>"), nil, true},
		{"version 2", `<?xml version="2.0"?>` + value("<value/>"), nil, true},
		{"unfinished declaration", `<?xml version="1.0"`, nil, true},
		{"late declaration", ` <?xml version="1.0"?>` + value("<value/>"), nil, true},
		{"document type", "<!DOCTYPE x>" + value("<value/>"), nil, true},
		{"entity bomb", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + value("<value>&b;</value>"), nil, true},
		{"external entity", `<!DOCTYPE x SYSTEM "file:///etc/passwd">` + value("<value/>"), nil, true},
		{"two values", "<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>", nil, true},
		{"no value", "<methodResponse><params></params></methodResponse>", nil, true},
		{"empty", "<methodResponse/>", nil, true},
		{"a call", string(AppendCall(nil, "x")), nil, true},
		{"something after", value("<value/>") + "x", nil, true},
		{"nothing", "", nil, true},
		{"text", "garbage", nil, true},
		{"cut", fault[:len(fault)-10], nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseResponse([]byte(tt.in), Limits{})
			var f *Fault
			var se *SyntaxError
			switch {
			case tt.fault != nil:
				if !errors.As(err, &f) || *f != *tt.fault {
					t.Errorf("got %v", err)
				}
			case tt.bad != errors.As(err, &se):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseCall(t *testing.T) {
	tests := []struct {
		in     string
		method string
		params []any
		err    string
	}{
		{string(AppendCall(nil, "a.b", 1, "x", true)), "a.b", []any{1, "x", true}, ""},
		{"<methodCall><methodName>m</methodName></methodCall>", "m", nil, ""},
		{"<methodCall><methodName> m </methodName></methodCall>", " m ", nil, ""},
		{"<methodCall><methodName>m</methodName><params/></methodCall>", "m", []any{}, ""},
		{"<methodCall><params/></methodCall>", "", nil, "no method name"},
		{"<methodCall/>", "", nil, "no method name"},
		{"<methodCall><methodName/></methodCall>", "", nil, "no method name"},
		{"<methodCall><methodName>m</methodName><params><param/></params></methodCall>", "", nil, "empty parameter at byte 54"},
		{"<methodCall><methodName>m</methodName><methodName>n</methodName></methodCall>", "", nil, "unexpected <methodName> at byte 50"},
		{"<methodCall><other/></methodCall>", "", nil, "unexpected <other> at byte 20"},
		{"<methodResponse/>", "", nil, "<methodCall> expected at byte 17"},
		{"<methodCall/><methodCall/>", "", nil, "text after the document at byte 13"},
	}
	for _, tt := range tests {
		method, params, err := ParseCall([]byte(tt.in), Limits{})
		text := ""
		if err != nil {
			text = err.Error()
			method, params = "", nil
		}
		if method != tt.method || text != tt.err || !cmp.Equal(tt.params, params) {
			t.Errorf("%s: got %q %v %v", tt.in, method, params, err)
		}
		if tt.err == "no method name" && !errors.Is(err, ErrNoMethodName) {
			t.Errorf("%s: %T", tt.in, err)
		}
	}
}

func TestLimits(t *testing.T) {
	nest := func(n int) []byte {
		return AppendCall(nil, "m", func() (v any) {
			for range n {
				v = []any{v}
			}
			return v
		}())
	}
	// methodCall, params, param, then value, array and data for each level, value and nil at the end.
	fits := (DefaultDepth - 3 - 2) / 3
	if _, _, err := ParseCall(nest(fits), Limits{}); err != nil {
		t.Errorf("%d levels: %v", fits, err)
	}
	if _, _, err := ParseCall(nest(fits+1), Limits{}); err == nil || !strings.Contains(err.Error(), "too deeply") {
		t.Errorf("%d levels: %v", fits+1, err)
	}
	if _, _, err := ParseCall(nest(100_000), Limits{}); err == nil {
		t.Error("100,000 levels are accepted")
	}
	many := func(n int) []byte { return AppendCall(nil, "m", make([]any, n)) }
	full := (DefaultCallElements - 7) / 2
	if _, _, err := ParseCall(many(full), Limits{}); err != nil {
		t.Error(err)
	}
	if _, _, err := ParseCall(many(full+1), Limits{}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	if _, _, err := ParseCall(many(3), Limits{Elements: 5}); err == nil {
		t.Error("a limit of 5 elements is not kept")
	}
	if _, _, err := ParseCall(nest(1), Limits{Depth: 4}); err == nil {
		t.Error("a depth of 4 is not kept")
	}
	if _, err := ParseResponse(AppendResponse(nil, make([]any, DefaultCallElements)), Limits{}); err != nil {
		t.Errorf("a long response: %v", err)
	}
}

func TestStruct(t *testing.T) {
	s := Struct{{"a", 1}, {"b", "x"}, {"a", 2}, {"t", true}, {"n", nil}}
	if s.Get("a") != 2 || s.Int("a") != 2 || s.Str("a") != "" || s.Str("b") != "x" || s.Int("b") != 0 || !s.Bool("t") || s.Bool("b") {
		t.Error("wrong members")
	}
	if s.Get("z") != nil || s.Has("z") || !s.Has("n") {
		t.Error("wrong absence")
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range pythonCases {
		switch c.v.(type) {
		case []string, []int, []Struct:
			continue // come back as []any
		}
		if f, ok := c.v.(float64); ok && f*0 != 0 {
			continue
		}
		got, err := ParseResponse(AppendResponse(nil, c.v), Limits{})
		want := c.v
		if s, ok := want.(string); ok {
			want = strings.ReplaceAll(s, "\r\n", "\n") // XML ends lines so
		}
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %v %v", c.python, got, err)
		}
	}
}

// wellFormed is the second opinion: encoding/xml, which accepts more than we do and nothing less.
func wellFormed(doc []byte) error {
	d := xml.NewDecoder(strings.NewReader(string(doc)))
	d.Strict = true
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// stable writes a parsed value and reads it back.
func stable(t *testing.T, v any) {
	again, err := ParseResponse(AppendResponse(nil, v), Limits{Depth: 1000, Elements: math.MaxInt}) // a plain value becomes two elements
	if err != nil {
		t.Fatalf("our own document is refused: %v", err)
	}
	if !cmp.Equal(normal(v), normal(again)) {
		t.Fatalf("%#v became %#v", v, again)
	}
}

// normal removes what writing does not keep: integers beyond the bounds, line ends of texts.
func normal(v any) any {
	switch v := v.(type) {
	case int:
		return min(max(v, MinInt), MaxInt)
	case string:
		return strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\r", "\n")
	case time.Time:
		return v.Format(time.DateTime)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = normal(v[i])
		}
		return out
	case Struct:
		out := make(Struct, len(v))
		for i := range v {
			out[i] = Member{normal(v[i].Name).(string), normal(v[i].Value)}
		}
		return out
	}
	return v
}

func seeds(f *testing.F) {
	for _, c := range pythonCases {
		f.Add(AppendResponse(nil, c.v))
		f.Add(AppendCall(nil, "a.b", c.v))
	}
	f.Add(AppendFault(nil, 1, "x"))
	f.Add([]byte(`<?xml version="1.0" encoding="utf-8"?><!-- --><methodCall a="&#65;"><methodName><![CDATA[x]]></methodName></methodCall>`))
	f.Add([]byte("<methodCall/>\r\n<?x y?>"))
	for _, name := range []string{"\u00d7", "\u00e9", "a:b:c", ":", "x:nil"} { // as an attribute, an instruction and an element
		f.Add([]byte("<methodCall " + name + "='1'><methodName>m</methodName></methodCall>"))
		f.Add([]byte("<methodCall><?" + name + " ?><methodName>m</methodName></methodCall>"))
		f.Add([]byte(value("<value><" + name + "></" + name + "></value>")))
	}
}

func FuzzParseCall(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		method, params, err := ParseCall(doc, Limits{})
		var se *SyntaxError
		if err != nil && !errors.Is(err, ErrNoMethodName) && !errors.As(err, &se) {
			t.Fatalf("error of another kind: %v", err)
		}
		if err != nil {
			return
		}
		if err := wellFormed(doc); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		_ = method
		stable(t, append([]any{}, params...))
	})
}

func FuzzParseResponse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := ParseResponse(doc, Limits{})
		var se *SyntaxError
		var fault *Fault
		switch {
		case errors.As(err, &se):
			return
		case err != nil && !errors.As(err, &fault):
			t.Fatalf("error of another kind: %v", err)
		}
		if err := wellFormed(doc); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if err == nil {
			stable(t, v)
		}
	})
}

func FuzzAppendText(f *testing.F) {
	f.Add([]byte("a\x00\xff<&>\xf0\x9f\x98"))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc := AppendResponse(nil, string(text))
		if err := wellFormed(doc); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseResponse(doc, Limits{}); err != nil {
			t.Fatal(err)
		}
	})
}

// infos is like the answer about n programs.
func infos(n int) []Struct {
	out := make([]Struct, n)
	for i := range out {
		name := fmt.Sprintf("worker_%04d", i)
		out[i] = Struct{
			{"name", name},
			{"group", "workers"},
			{"start", 1795260765},
			{"stop", 0},
			{"now", 1795260999},
			{"state", 20},
			{"statename", "RUNNING"},
			{"spawnerr", ""},
			{"exitstatus", 0},
			{"logfile", "/var/log/supervisor/" + name + "-stdout.log"},
			{"stdout_logfile", "/var/log/supervisor/" + name + "-stdout.log"},
			{"stderr_logfile", "/var/log/supervisor/" + name + "-stderr.log"},
			{"pid", 10000 + i},
			{"description", "pid 10000, uptime 0:03:54"},
		}
	}
	return out
}

func BenchmarkParseResponse(b *testing.B) {
	doc := AppendResponse(nil, infos(1000))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseResponse(doc, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	v := infos(1000)
	doc := AppendResponse(nil, v)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		doc = AppendResponse(doc[:0], v)
	}
}
