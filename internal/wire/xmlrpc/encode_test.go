package xmlrpc

import (
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// when is a time with every field of its own.
func when() time.Time { return time.Date(2026, 11, 20, 17, 13, 9, 0, time.UTC) }

func TestAppendResponse(t *testing.T) {
	got := string(AppendResponse(nil, Struct{{"statecode", 1}, {"statename", "RUN<&>NING"}}))
	want := `<?xml version='1.0'?>
<methodResponse>
<params>
<param>
<value><struct>
<member>
<name>statecode</name>
<value><int>1</int></value>
</member>
<member>
<name>statename</name>
<value><string>RUN&lt;&amp;&gt;NING</string></value>
</member>
</struct></value>
</param>
</params>
</methodResponse>
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAppendFault(t *testing.T) {
	got := string(AppendFault(nil, 10, "BAD_NAME: nope"))
	want := `<?xml version='1.0'?>
<methodResponse>
<fault>
<value><struct>
<member>
<name>faultCode</name>
<value><int>10</int></value>
</member>
<member>
<name>faultString</name>
<value><string>BAD_NAME: nope</string></value>
</member>
</struct></value>
</fault>
</methodResponse>
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// pythonCases pairs Go values with the Python expression of the same value.
var pythonCases = []struct {
	v      any
	python string
}{
	{"", `""`},
	{"a <b> & 'c' \"d\"\r\n\té", `"a <b> & 'c' \"d\"\r\n\té"`},
	{true, "True"},
	{false, "False"},
	{0, "0"},
	{-1, "-1"},
	{MaxInt, "2147483647"},
	{MinInt, "-2147483648"},
	{1.0, "1.0"},
	{0.1, "0.1"},
	{1e15, "1e15"},
	{1e16, "1e16"},
	{1.5e300, "1.5e300"},
	{1e-4, "1e-4"},
	{1e-5, "1e-5"},
	{-2.5, "-2.5"},
	{math.Copysign(0, -1), "-0.0"},
	{math.Inf(1), "float('inf')"},
	{nil, "None"},
	{when(), "datetime.datetime(2026,11,20,17,13,9)"},
	{[]byte{}, "b''"},
	{[]byte("short"), "b'short'"},
	{[]byte(strings.Repeat("x", 57)), "b'x'*57"},
	{[]byte(strings.Repeat("x", 58)), "b'x'*58"},
	{[]any{}, "[]"},
	{[]any{1, "a", []any{true}}, "[1,'a',[True]]"},
	{[]string{"a", "b"}, "['a','b']"},
	{[]int{0, 2}, "[0,2]"},
	{Struct{}, "{}"},
	{Struct{{"z", 1}, {"a", Struct{{"<", "x"}}}}, "{'z':1,'a':{'<':'x'}}"},
	{[]Struct{{{"a", 1}}}, "[{'a':1}]"},
}

// python runs a script, or skips the test where there is no Python.
func python(t *testing.T, script string) string {
	t.Helper()
	path, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("no /usr/bin/python3")
	}
	out, err := exec.Command(path, "-c", script).Output()
	if err != nil {
		t.Fatalf("python: %v", err)
	}
	return string(out)
}

func TestSameBytesAsPython(t *testing.T) {
	script := "import sys,datetime\nfrom xmlrpc.client import dumps,Fault\no=sys.stdout.buffer\ndef w(s): o.write(s.encode('utf-8')+b'\\0')\n"
	var want []string
	for _, c := range pythonCases {
		script += "v=(" + c.python + ",)\nw(dumps(v,methodresponse=True,allow_none=True))\nw(dumps(v+(1,),'a.b',allow_none=True))\n"
		want = append(want, string(AppendResponse(nil, c.v)), string(AppendCall(nil, "a.b", c.v, 1)))
	}
	script += "w(dumps((),'m'))\nw(dumps(Fault(1,'<&>'),methodresponse=True))\n"
	want = append(want, string(AppendCall(nil, "m")), string(AppendFault(nil, 1, "<&>")))
	got := strings.Split(strings.TrimSuffix(python(t, script), "\x00"), "\x00")
	if len(got) != len(want) {
		t.Fatalf("%d documents, want %d", len(got), len(want))
	}
	for i := range got {
		if d := cmp.Diff(got[i], want[i]); d != "" {
			t.Errorf("document %d (-python +ours):\n%s", i, d)
		}
	}
}

func TestSaturation(t *testing.T) {
	for in, want := range map[int64]string{
		1 << 31: "2147483647", 1<<62 + 5: "2147483647", -1<<31 - 1: "-2147483648", math.MinInt64: "-2147483648",
	} {
		if got := string(AppendInt(nil, in)); got != "<value><int>"+want+"</int></value>\n" {
			t.Errorf("%d: %s", in, got)
		}
	}
}

func TestAppendTextNeverIllegal(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"\x1b[32mok\x1b[0m", "\uFFFD[32mok\uFFFD[0m"},
		{"a\x00b\x7f", "a\uFFFDb\x7f"},
		{"tab\tnl\ncr\r", "tab\tnl\ncr\r"},
		{"\xff\xfe", "\uFFFD\uFFFD"},
		{"caf\xe9!", "caf\uFFFD!"},
		{"h\u00e9 \u4e16 \U0001F600", "h\u00e9 \u4e16 \U0001F600"},
		{"cut \xf0\x9f\x98", "cut \uFFFD\uFFFD\uFFFD"},
		{"\uFFFE\uFFFF\uFFFD", "\uFFFD\uFFFD\uFFFD"},
		{"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"}, // a surrogate
		{"&\x01<>", "&amp;\uFFFD&lt;&gt;"},
	}
	for _, tt := range tests {
		if got := string(AppendText(nil, tt.in)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
		if got := string(AppendText(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("bytes %q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestEveryByteSurvivesAsText(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	doc := AppendResponse(nil, string(all))
	if !utf8.Valid(doc) {
		t.Fatal("not UTF-8")
	}
	v, err := ParseResponse(doc, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(v.(string)); n != 256 {
		t.Errorf("%d characters", n)
	}
}

type stars int

func (n stars) AppendXMLRPC(b []byte) []byte { return AppendString(b, strings.Repeat("*", int(n))) }

func TestAppendValueOtherTypes(t *testing.T) {
	tests := []struct{ in, same any }{
		{int64(5), 5},
		{int32(5), 5},
		{stars(3), "***"},
		{&Fault{7, "x"}, Struct{{"faultCode", 7}, {"faultString", "x"}}},
		{uint8(7), "7"},
		{time.Second, "1s"},
	}
	for _, tt := range tests {
		if d := cmp.Diff(string(AppendValue(nil, tt.same)), string(AppendValue(nil, tt.in))); d != "" {
			t.Errorf("%T: %s", tt.in, d)
		}
	}
}

func TestMemberHelpers(t *testing.T) {
	b := BeginStruct(nil)
	b = AppendStringMember(b, "s", []byte("x<"))
	b = AppendIntMember(b, "i", 1<<40)
	b = AppendBoolMember(b, "b", true)
	b = EndStruct(b)
	want := AppendValue(nil, Struct{{"s", "x<"}, {"i", MaxInt}, {"b", true}})
	if d := cmp.Diff(string(want), string(b)); d != "" {
		t.Error(d)
	}
}
