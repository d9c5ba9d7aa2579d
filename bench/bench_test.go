//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/sys/daemon"
)

// TestMain lets the test binary be the measured program, as the real one is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if child := children()[os.Args[1]]; child != nil {
			os.Exit(child(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

func TestQuantile(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 3}, {0.8, 4}, {0.81, 5}, {0.99, 5}, {1, 5}} {
		if got := quantile(v, c.q); got != c.want {
			t.Errorf("quantile(%v) = %v, want %v", c.q, got, c.want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) || !math.IsNaN(median(nil)) {
		t.Error("no values must give NaN")
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median = %v, want 2.5", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234.5: "1234", 99.96: "100.0", 12.34: "12.3", 1.2345: "1.23", 0.01234: "0.012", -150: "-150"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// lines makes a text of numbered lines from..to; the last one is marked when last is set.
func lines(width int, from, to int64, last bool) []byte {
	var b []byte
	for n := from; n <= to; n++ {
		b = appendLine(b, n, width, last && n == to)
	}
	return b
}

func TestAuditFindsDamage(t *testing.T) {
	const width = 40
	whole := lines(width, 0, 99, true)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	cases := []struct {
		name    string
		files   [][]byte // oldest first
		rotated bool
		want    string // a part of the complaint, "" = none
		cut     int64
	}{
		{"whole", [][]byte{whole}, false, "", 0},
		{"two files", [][]byte{lines(width, 0, 49, false), lines(width, 50, 99, true)}, true, "", 0},
		{"line cut by rotation", [][]byte{whole[:1010], whole[1010:]}, true, "", 1},
		{"oldest rotated away", [][]byte{lines(width, 50, 99, true)}, true, "", 0},
		{"begin lost without rotation", [][]byte{lines(width, 50, 99, true)}, false, "first 50 lines", 0},
		{"one line lost", [][]byte{join(lines(width, 0, 9, false), lines(width, 11, 99, true))}, false, "1 lines are lost", 0},
		{"one file lost", [][]byte{lines(width, 0, 9, false), lines(width, 20, 99, true)}, true, "10 lines are lost", 0},
		{"one byte lost", [][]byte{join(whole[:500], whole[501:])}, false, "damaged", 0},
		{"one byte changed", [][]byte{join(whole[:535], []byte("x"), whole[536:])}, false, "damaged", 0},
		{"one byte too many", [][]byte{join(whole[:500], []byte("."), whole[500:])}, false, "damaged", 0},
		{"two lines swapped", [][]byte{join(lines(width, 0, 9, false), lines(width, 11, 11, false), lines(width, 10, 10, false), lines(width, 12, 99, true))}, false, "lost", 0},
		{"twice the same", [][]byte{join(lines(width, 0, 9, false), lines(width, 9, 99, true))}, false, "order", 0},
		{"no end", [][]byte{lines(width, 0, 99, false)}, false, "end is missing", 0},
		{"end cut off", [][]byte{whole[:len(whole)-3]}, false, "damaged", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var names []string
			for i, text := range c.files {
				name := filepath.Join(dir, strconv.Itoa(i))
				if err := os.WriteFile(name, text, 0o644); err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
			a, err := auditFiles(width, names)
			if err != nil {
				t.Fatal(err)
			}
			got := a.wrong(c.rotated)
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("complaint %q, want %q", got, c.want)
			}
			if a.cut != c.cut {
				t.Errorf("cut = %d, want %d", a.cut, c.cut)
			}
		})
	}
}

func TestSetNumberEqualsAppendLine(t *testing.T) {
	line := appendLine(nil, 0, 100, false)
	for _, n := range []int64{0, 9, 10, 123456789012, 999999999999} {
		setNumber(line, n)
		if want := appendLine(nil, n, 100, false); !bytes.Equal(line, want) {
			t.Errorf("setNumber(%d) = %q, want %q", n, line, want)
		}
	}
}

func TestRotatedIsOldestFirst(t *testing.T) {
	log := filepath.Join(t.TempDir(), "x.log")
	for _, name := range []string{log, log + ".1", log + ".2", log + ".4"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{log + ".2", log + ".1", log}, rotated(log)); diff != "" {
		t.Error(diff)
	}
}

// TestWriterThroughAPipe runs the real writer into a file and audits it.
func TestWriterThroughAPipe(t *testing.T) {
	dir := t.TempDir()
	log, result := filepath.Join(dir, "log"), filepath.Join(dir, "result")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "child-write", "-line=64", "-block=4096", "-bytes=1000000", "-result="+result)
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var w written
	if !until(20*time.Second, 5*time.Millisecond, func() bool {
		text, err := os.ReadFile(result)
		return err == nil && json.Unmarshal(text, &w) == nil
	}) {
		t.Fatal("the writer made no report")
	}
	a, err := auditFiles(64, []string{log})
	if err != nil {
		t.Fatal(err)
	}
	if text := a.wrong(false); text != "" {
		t.Error(text)
	}
	if a.bytes != w.Bytes || a.lines != w.Lines || w.Bytes < 1000000 || w.End <= w.Begin {
		t.Errorf("the file has %d bytes in %d lines, the writer says %+v", a.bytes, a.lines, w)
	}
	if !endsComplete(log, make([]byte, 64)) {
		t.Error("endsComplete does not see the last line")
	}
}

func TestConfiguration(t *testing.T) {
	got := configuration("/d", "/d/s.sock", []program{
		{name: "a", argv: []string{"/bin/x", "1"}},
		{name: "b", argv: []string{"/bin/y"}, log: "/d/b.log", maxBytes: "50MB", backups: 10, manual: true},
	})
	for _, want := range []string{
		"file=/d/s.sock\n", "minfds=1024\n", "[program:a]\ncommand=/bin/x 1\n", "stdout_logfile=NONE\n",
		"autostart=false\nstdout_logfile=/d/b.log\nstdout_logfile_maxbytes=50MB\nstdout_logfile_backups=10\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestScaleShape: a program has as many pipes as asked for, whatever the others of a session have.
func TestScaleShape(t *testing.T) {
	for pipes, want := range map[int]string{3: "redirect_stderr=false\n", 2: "redirect_stderr=true\n", 1: "redirect_stderr=true\nstdin=none\n"} {
		got := configuration("/d", "/d/s.sock", []program{{name: "a", argv: []string{"/bin/x"}, more: scaleShape(pipes)}})
		if !strings.Contains(got, want) || strings.Count(got, "redirect_stderr") != 1 {
			t.Errorf("%d pipes:\n%s", pipes, got)
		}
	}
	if got := configuration("/d", "/d/s.sock", []program{{name: "a", argv: []string{"/bin/x"}}}); !strings.Contains(got, "redirect_stderr=true\n") {
		t.Errorf("without a shape:\n%s", got)
	}
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"d", "c"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pair := dir + "/d," + dir + "/c"
	var none bytes.Buffer
	o, err := parse([]string{"-system", "x=" + pair, "-n", "5,7", "-run", "start,logs"}, &none)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]system{{"x", dir + "/d", dir + "/c"}}, o.systems); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{5, 7}, o.sizes); diff != "" || o.reps != 3 || len(o.run) != 2 {
		t.Errorf("%v reps=%d run=%v", diff, o.reps, o.run)
	}
	o, err = parse([]string{"-system", "x=" + pair, "-full"}, &none)
	if err != nil || o.reps != 5 || o.kills != 54 || o.logMiB != 2048 || len(o.sizes) != 3 {
		t.Errorf("-full: %+v, %v", o, err)
	}
	for _, bad := range [][]string{
		nil,
		{"-system", "x"},
		{"-system", "x=" + dir + "/d"},
		{"-system", "x=/nowhere,/nowhere2"},
		{"-system", "x=" + pair, "-n", "many"},
		{"-system", "x=" + pair, "-run", "dance"},
		{"-system", "x=" + pair, "-pipes", "0"},
		{"-system", "x=" + pair, "-pipes", "4"},
		{"-system", "x=" + pair, "more"},
	} {
		if _, err := parse(bad, &none); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func TestReport(t *testing.T) {
	var rows []row
	add := func(system string, v float64, problem string) {
		r := row{Workload: "start", Case: "10 programs", System: system, Error: problem}
		if problem == "" {
			r.Figures, r.Order = map[string]float64{"running_s": v}, []string{"running_s"}
		}
		rows = append(rows, r)
	}
	add("a", 2, "")
	add("b", 1, "")
	add("a", 4, "")
	add("b", 0.5, "")
	add("b", 0, "it broke")
	var got bytes.Buffer
	if err := report(rows, "a", &got); err != nil {
		t.Fatal(err)
	}
	want := `
### start

| 10 programs | a | b |
|---|---|---|
| running_s | 3.00 (2.00–4.00) | 0.75 (0.5–1.00) ×0.25 |

b: it broke
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}

	file := filepath.Join(t.TempDir(), "r.jsonl")
	var text []byte
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	var again, complaints bytes.Buffer
	if code := reportFiles([]string{file}, &again, &complaints); code != 0 || again.String() != want {
		t.Errorf("from a file: status %d, %q, %q", code, again.String(), complaints.String())
	}
	if code := reportFiles(nil, &again, &complaints); code != 2 {
		t.Errorf("without files: status %d", code)
	}
}

func TestRequest(t *testing.T) {
	want := "<?xml version='1.0'?>\n<methodCall>\n<methodName>m</methodName>\n<params>\n" +
		"<param>\n<value><string>x</string></value>\n</param>\n</params>\n</methodCall>\n"
	if diff := cmp.Diff(want, request("m", "<string>x</string>")); diff != "" {
		t.Error(diff)
	}
}

// TestMarkIsHandedOn: what a daemon keeps to itself would not mark its programs, and they would be left behind.
func TestMarkIsHandedOn(t *testing.T) {
	b, err := newBench(&options{work: t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if daemon.Private(b.mark) {
		t.Errorf("%s does not come to the programs of a daemon", b.mark)
	}
}

// TestAgainstTheOriginal runs every workload once at its smallest with the installed original.
func TestAgainstTheOriginal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const d, ctl = "/usr/bin/supervisord", "/usr/bin/supervisorctl"
	if _, err := os.Stat(d); err != nil {
		t.Skip("the original is not installed: ", err)
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")
	var tables, progress bytes.Buffer
	err := run(context.Background(), []string{
		"-system", "original=" + d + "," + ctl, "-reps", "1", "-n", "3", "-secs", "200ms", "-idle", "200ms",
		"-kills", "2", "-mib", "4", "-run", "size,start,idle,status,logs,stop,scale", "-out", out,
	}, &tables, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, line := range splitLines(text) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		seen[r.Workload] = true
		if r.Error != "" || len(r.Figures) == 0 {
			t.Errorf("%s %s: %q %v", r.Workload, r.Case, r.Error, r.Figures)
		}
	}
	for _, w := range []string{"size", "start", "idle", "status", "logs", "stop", "scale"} {
		if !seen[w] || !strings.Contains(tables.String(), "### "+w) {
			t.Errorf("no result of %s", w)
		}
	}
	if left, _ := filepath.Glob("/dev/shm/upkeep-bench-" + "*"); len(left) > 0 {
		t.Logf("scratch directories of other runs: %v", left)
	}
}
