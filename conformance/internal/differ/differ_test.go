package differ

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitWords(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: "ctl status", want: []string{"ctl", "status"}},
		{in: `a 'b  c' "d\ne" f'g'h`, want: []string{"a", "b  c", "d\ne", "fgh"}},
		{in: `ctl ''`, want: []string{"ctl", ""}},
		{in: `x 'open`, bad: true},
		{in: `x "open\"`, bad: true},
		{in: `x "open\`, bad: true},
	} {
		got, err := splitWords(tt.in)
		if (err != nil) != tt.bad {
			t.Errorf("%q: error %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); !tt.bad && diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
	}
}

func TestParseScenarios(t *testing.T) {
	one, err := ParseScenarios("f", "# Title\nstart\n# a comment\nctl status\n-- a/b.conf --\nx=1\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 1 || one[0].Name != "f" || one[0].Title != "Title" || len(one[0].Steps) != 2 {
		t.Errorf("got %+v", one)
	}
	if diff := cmp.Diff([]File{{"a/b.conf", "x=1\n"}}, one[0].Files); diff != "" {
		t.Error(diff)
	}
	many, err := ParseScenarios("g", "# Common\nrun -v\n-- conf: bad --\n[x]\n-- case: more --\n# Own title\nctl pid\n-- shared --\ns\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(many) != 2 || many[0].Name != "g/bad" || many[1].Name != "g/more" || many[1].Title != "Own title" {
		t.Fatalf("got %+v", many)
	}
	if len(many[0].Files) != 2 || many[0].Files[1].Name != "supervisord.conf" || len(many[1].Steps) != 2 || len(many[1].Files) != 1 {
		t.Errorf("got %+v", many)
	}
	for _, bad := range []string{"", "fly\n", "ctl 'x\n", "# only a comment\n"} {
		if _, err := ParseScenarios("b", bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestDevicesAreSafe(t *testing.T) {
	for text, ok := range map[string]bool{
		"start\n-- supervisord.conf --\nstdout_logfile=/dev/null\n":              false,
		"start\nctl clear all\n-- supervisord.conf --\nlogfile = /dev/stdout\n":  false,
		"start\nctl status\n-- supervisord.conf --\nlogfile=/dev/stdout\n":       true,
		"start\nsh echo stderr_logfile=/dev/null >> supervisord.conf\n":          false,
		"start\nctl clear all\n-- supervisord.conf --\nlogfile=$DIR/dev/null2\n": true,
	} {
		if _, err := ParseScenarios("d", text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNormalise(t *testing.T) {
	n := newNormaliser("/scratch/3", []int{20101, 20102})
	for in, want := range map[string]string{
		"cat RUNNING   pid 3443, uptime 0:00:30":                "cat RUNNING   pid PID, uptime T",
		"x pid 1, uptime 12 days, 1:00:30":                      "x pid PID, uptime T",
		"quick EXITED    Nov 20 05:11 PM":                       "quick EXITED    DATE",
		"2026-11-20 17:24:42,056 INFO spawned: 'a' with pid 2":  "TIME INFO spawned: 'a' with pid PID",
		"killing 'cat' (3443) with SIGKILL":                     "killing 'cat' (PID) with SIGKILL",
		"/scratch/3/a-stdout---supervisor-i3ulghkp.log":         "$DIR/a-stdout---supervisor-RANDOM.log",
		"http://127.0.0.1:20102 refused":                        "http://127.0.0.1:$PORT2 refused",
		"error: <class 'x'>, y: file: /usr/lib/x.py line: 560":  "error: <class 'x'>, y: file: FILE line: N",
		"file: 'x.conf', line: 1":                               "file: 'x.conf', line: 1",
		"Date: Fri, 20 Nov 2026 17:13:20 GMT":                   "Date: HTTPDATE",
		"exit status 3; attempts 2; (5)":                        "exit status 3; attempts 2; (5)",
		"a\x1b[1mb\xffc\r\n":                                    `a\x1b[1mb\xffc\x0d` + "\n",
		"Page refreshed at Fri Nov 20 17:13:56 2026":            "Page refreshed at CTIME",
		"fd 7 closed, <P at 140234567890 for <S at 0x7f123456>": "fd N closed, <P at ADDR for <S at ADDR>",
	} {
		if got := n.text(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestParseLog(t *testing.T) {
	got := parseLog("2026-11-20 17:24:42,056 INFO one\n2026-11-20 17:24:42,057 DEBG two\nmore\n")
	want := []logLine{{"INFO", "one"}, {"DEBG", "two\nmore"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := parseLog(""); got != nil {
		t.Errorf("empty log: %v", got)
	}
}

func TestUnifiedDiff(t *testing.T) {
	if got := unifiedDiff("a", "b", "same\n", "same\n"); got != "" {
		t.Errorf("equal texts: %q", got)
	}
	a := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"
	b := strings.Replace(strings.Replace(a, "2\n", "two\n", 1), "11\n", "11\n11b\n", 1)
	want := "--- a\n+++ b\n@@ -1 +1 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -9 +9 @@\n 9\n 10\n 11\n+11b\n 12\n"
	if diff := cmp.Diff(want, strings.Replace(unifiedDiff("a", "b", a, b), "1two", "12", 1)); diff != "" {
		t.Error(diff)
	}
}

func TestDifferences(t *testing.T) {
	list, err := ParseDifferences(`# comment

scenario: s
step: ctl version
by: daemon
reason: settled: version
ours:
| 4.3.0
| [exit 0]

scenario: s*
step: rpc x #2
by: ctl
reason: F1
edit: "a\n" => "b\n"
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Ours != "4.3.0\n[exit 0]\n" || list[1].Occurrence != 2 || list[1].Step != "rpc x" {
		t.Fatalf("got %+v", list)
	}
	if got := list[1].expected("xa\n"); got != "xb\n" {
		t.Errorf("edit gave %q", got)
	}
	for _, bad := range []string{
		"scenario: s\n", "what\n", "scenario: s\nstep: x\nby: nobody\nreason: r\n", "colour: red\n",
		"scenario: s\nstep: x\nby: ctl\nreason: r\nedit: a => b\n", "edit: \"a\"\n",
	} {
		if _, err := ParseDifferences(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestJudge(t *testing.T) {
	diffs, err := ParseDifferences("scenario: s\nstep: ctl version\nby: daemon\nreason: version\nours:\n| 4.3.0\n")
	if err != nil {
		t.Fatal(err)
	}
	ref := []StepResult{{"start", ""}, {"ctl version", "4.2.5\n"}}
	ours := func(text string) []StepResult { return []StepResult{{"start", ""}, {"ctl version", text}} }
	for _, tt := range []struct {
		name                    string
		our                     []StepResult
		daemon                  bool
		explained, wrong, ended int
	}{
		{"as listed", ours("4.3.0\n"), true, 1, 0, 0},
		{"another text", ours("4.4.0\n"), true, 0, 1, 0},
		{"no longer different", ours("4.2.5\n"), true, 0, 0, 1},
		{"not our daemon, equal", ours("4.2.5\n"), false, 0, 0, 0},
		{"not our daemon, different", ours("4.3.0\n"), false, 0, 1, 0},
		{"a step is missing", ours("4.3.0\n")[:1], true, 0, 1, 0},
	} {
		v := judge("s", ref, tt.our, diffs, tt.daemon, true)
		if v.explained != tt.explained || v.unexplained != tt.wrong || len(v.gone) != tt.ended {
			t.Errorf("%s: explained %d, unexplained %d, gone %v", tt.name, v.explained, v.unexplained, v.gone)
		}
		if (v.unexplained > 0) != (unifiedDiff("", "", v.expected, v.actual) != "") {
			t.Errorf("%s: diff and count disagree", tt.name)
		}
	}
	sc := Scenario{Name: "s", Steps: []Step{{Line: "ctl version"}}}
	if bad := checkDifferences(diffs, []Scenario{sc}); bad != nil {
		t.Errorf("%v", bad)
	}
	if bad := checkDifferences(diffs, []Scenario{{Name: "s"}}); len(bad) != 1 {
		t.Errorf("unused entry not reported: %v", bad)
	}
}

func TestRPC(t *testing.T) {
	answers := map[string]string{
		"state": `<?xml version='1.0'?><methodResponse><params><param><value><struct><member><name>pid</name><value><int>77</int></value></member>` +
			`<member><name>on</name><value><boolean>1</boolean></value></member><member><name>l</name><value><array><data><value>a</value><value><int>0</int></value></data></array></value></member></struct></value></param></params></methodResponse>`,
		"fault": `<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>10</int></value></member><member><name>faultString</name><value><string>BAD_NAME: x</string></value></member></struct></value></fault></methodResponse>`,
		"bytes": "<methodResponse><params><param><value><string>\x1b</string></value></param></params></methodResponse>",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 4096)
		n, _ := r.Body.Read(buf)
		for name, text := range answers {
			if strings.Contains(string(buf[:n]), ">"+name+"<") {
				_, _ = w.Write([]byte(text))
				return
			}
		}
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer srv.Close()
	e := endpoint{network: "tcp", address: srv.Listener.Addr().String()}
	for method, want := range map[string]string{
		"state": "{pid:SET on:true l:[\"a\" 0]}\n",
		"fault": "fault 10 \"BAD_NAME: x\"\n",
		"other": "error HTTP 500 Internal Server Error\n",
	} {
		v, err := e.call(context.Background(), method, `"a" 1 true [1,{"b":null}] 1.5`)
		if got := renderResult(v, err); got != want {
			t.Errorf("%s: %q", method, got)
		}
	}
	if v, err := e.call(context.Background(), "bytes", ""); err == nil {
		t.Errorf("control characters accepted: %v", v)
	}
	if _, err := encodeCall("m", `{"unclosed"`); err == nil {
		t.Error("bad parameters accepted")
	}
}

func TestWireRequest(t *testing.T) {
	got := string(wireRequest("POST /x HTTP/1.1\nContent-Length: AUTO\n\nhéllo\n"))
	if want := "POST /x HTTP/1.1\r\nContent-Length: 6\r\n\r\nhéllo"; got != want {
		t.Errorf("got %q", got)
	}
	got = string(wireRequest("GET /a HTTP/1.1\nNEXT\nGET /b HTTP/1.1\n\n"))
	if want := "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestSortHeads(t *testing.T) {
	got := sortHeads("HTTP/1.1 401 Unauthorized\r\nServer: x\r\nDATE: y\r\n\r\nb: 1\r\na: 2HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\n\r\n")
	want := "HTTP/1.1 401 Unauthorized\nDate: y\nServer: x\n\nb: 1\na: 2HTTP/1.1 200 OK\nA: 2\nB: 1\n\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestJudgeEveryStep(t *testing.T) {
	diffs, err := ParseDifferences("scenario: s\nstep: *\nby: daemon\nreason: K25\nedit: \"old\" => \"new\"\n\nscenario: s\nstep: b\nby: daemon\nreason: F1\nedit: \"x\" => \"y\"\n")
	if err != nil {
		t.Fatal(err)
	}
	ref := []StepResult{{"a", "old\n"}, {"b", "old x\n"}, {"c", "same\n"}}
	for text, want := range map[string][3]int{"new new y same": {2, 0, 0}, "old new y same": {1, 0, 1}, "new new x same": {2, 0, 1}, "new old x same": {1, 0, 2}} {
		w := strings.Fields(text)
		v := judge("s", ref, []StepResult{{"a", w[0] + "\n"}, {"b", w[1] + " " + w[2] + "\n"}, {"c", w[3] + "\n"}}, diffs, true, false)
		if got := [3]int{v.explained, v.unexplained, len(v.gone)}; got != want {
			t.Errorf("%s: %v, want %v; %v", text, got, want, v.gone)
		}
	}
}

func TestCountAnswers(t *testing.T) {
	one := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
	for data, want := range map[string]int{
		one: 1, one + one: 2, one[:len(one)-1]: 0, "": 0, "HTTP/1.1 200 OK\r\n\r\nendless": 0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n": 1,
	} {
		if got := countAnswers([]byte(data), false); got != want {
			t.Errorf("%q: %d, want %d", data, got, want)
		}
	}
}

// fakePair writes a pair of shell programs: a daemon that says it started and a client that answers.
func fakePair(t *testing.T, dir, answer string) Pair {
	t.Helper()
	p := Pair{Daemon: filepath.Join(dir, answer+"d"), Ctl: filepath.Join(dir, answer+"ctl")}
	daemon := "#!/bin/sh\ncase $1 in -v) echo " + answer + "; exit 3;; esac\necho \"2026-01-01 00:00:00,000 INFO supervisord started with pid $$\" | tee -a d.log\ntrap 'echo bye; exit 0' TERM\nwhile :; do sleep 0.05; done\n"
	for name, text := range map[string]string{p.Daemon: daemon, p.Ctl: "#!/bin/sh\necho " + answer + " $3 >&2\nexit 5\n"} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestCompareFindsDifferences(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Ref: fakePair(t, dir, "one"), Our: fakePair(t, dir, "two"), Jobs: 2, Cache: filepath.Join(dir, "cache")}
	scenarios, err := ParseScenarios("s", "start\nctl word\nrun -v\nlog\nsh sleep 500 & echo $PORT $DIR\nstop\n")
	if err != nil {
		t.Fatal(err)
	}
	compare := func(pairs, differences string) (Summary, string) {
		t.Helper()
		if opt.Pairs, err = ParsePairs(pairs); err != nil {
			t.Fatal(err)
		}
		diffs, err := ParseDifferences(differences)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		sum, err := Compare(t.Context(), opt, scenarios, diffs, &out)
		if err != nil {
			t.Fatal(err)
		}
		return sum, out.String()
	}
	if sum, out := compare("ref/ref", ""); sum != (Summary{Scenarios: 1}) {
		t.Errorf("against itself: %v\n%s", sum, out)
	}
	sum, out := compare("our/our", "")
	if sum.Unexplained != 2 || !strings.Contains(out, "-2| one word\n+2| two word\n") || !strings.Contains(out, "-one\n+two\n") {
		t.Errorf("two differences: %v\n%s", sum, out)
	}
	explained := "scenario: s\nstep: ctl word\nby: ctl\nreason: test\nours:\n| 2| two word\n| [exit 5]\n\nscenario: s\nstep: run -v\nby: daemon\nreason: test\nedit: \"one\" => \"two\"\n"
	if sum, out := compare("our/our,our/ref,ref/our", explained); sum != (Summary{Scenarios: 1, Explained: 4}) {
		t.Errorf("explained: %v\n%s", sum, out)
	}
	if sum, _ := compare("our/our", explained+"\nscenario: s\nstep: log\nby: daemon\nreason: not there\nours:\n| x\n"); sum.Gone != 1 {
		t.Errorf("a difference that does not occur: %v", sum)
	}
	if got, want := sum.String(), "1 scenarios, 0 differences explained, 2 unexplained"; got != want {
		t.Errorf("report %q", got)
	}
	if _, err := ParsePairs("our/nobody"); err == nil {
		t.Error("bad pair accepted")
	}
}

func TestRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	pair := fakePair(t, dir, "one")
	scenarios, err := ParseScenarios("s", "start\nsh (sleep 500 >out 2>&1 &) ; echo $$\n")
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "w")
	steps, err := runScenario(t.Context(), scenarios[0], pair, work, []int{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := steps[len(steps)-1]; got.Out != "daemon is running\n" {
		t.Errorf("end %+v", got)
	}
	s := session{dir: work}
	if pids := s.marked(); pids != nil {
		t.Errorf("processes left: %v", pids)
	}
	if _, err := os.Stat(work); !os.IsNotExist(err) {
		t.Errorf("directory left: %v", err)
	}
}

func TestConnectionFate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer := <-accepted
	if got := connectionFate(c); got != "[open]\n" {
		t.Errorf("open: %q", got)
	}
	peer.Close()
	if got := connectionFate(c); got != "[closed]\n" {
		t.Errorf("closed: %q", got)
	}
}
