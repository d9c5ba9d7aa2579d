package usrsvc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// write makes a file in a folder of the test.
func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoadCannot: what the main file must be.
func TestLoadCannot(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		"gone": "no such file", ".": "not a regular file", "big": "larger than", "utf16": "UTF-16",
	} {
		path := filepath.Join(dir, name)
		switch name {
		case "big":
			write(t, path, strings.Repeat("#\n", maxFile))
		case "utf16":
			write(t, path, "\xff\xfe[\x00")
		}
		c, err := Load(path, Options{})
		if c != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(filepath.Join(dir, "gone"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestFolder: whatever lies in config_dir, the files that can be read are.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	main := write(t, filepath.Join(dir, "usrsvc.cfg"), "[Main]\nconfig_dir = "+dir+"\n")
	write(t, filepath.Join(dir, "a.cfg"), "[Program:a]\ncommand = x\npidfile = /p\nstdout = "+dir+"/o\n")
	write(t, filepath.Join(dir, "big.cfg"), strings.Repeat("#\n", maxFile))
	if err := os.Mkdir(filepath.Join(dir, "d.cfg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link.cfg")); err != nil {
		t.Fatal(err)
	}
	c, err := Load(main, Options{Home: dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range c.Problems {
		got = append(got, strings.ReplaceAll(p.String(), dir, "D"))
	}
	want := []string{"D/big.cfg: it is larger than 1048576 bytes", "D/d.cfg: it is not a regular file", "D/link.cfg: no such file or directory"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p, broken := c.Find("a"); p == nil || broken != nil || len(c.Files) != 2 {
		t.Errorf("%v %v %v", p, broken, c.Files)
	}
}

// TestFolderOfTheMainFile: the main file is read once, whatever the way to the folder that it lies in; what editors and other
// systems leave beside files is none of them.
func TestFolderOfTheMainFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	main := write(t, at("d/usrsvc.cfg"), "[Main]\nconfig_dir = "+at("link")+"\n"+program("a"))
	write(t, at("d/b.cfg"), program("b"))
	write(t, at("d/b.cfg~"), program("b"))
	write(t, at("d/._b.cfg"), "\x00\x05\x16\x07")
	if err := errors.Join(os.Symlink(at("d"), at("link")), os.Symlink("sam@host.12", at("d/.#b.cfg"))); err != nil {
		t.Fatal(err)
	}
	c, err := Load(main, Options{Home: dir})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b"}, c.Names); d != "" || c.Err() != nil || len(c.Model.Groups) != 2 {
		t.Error(d, c.Err())
	}
	if len(c.Warnings) != 1 || c.Warnings[0].String() != at("link/._b.cfg")+": a file whose name begins with a dot is not read" {
		t.Error(c.Warnings)
	}
}

// TestFilesThatMove: a file that goes while the folder is read is not there; one that cannot be read is told.
func TestFilesThatMove(t *testing.T) {
	dir := t.TempDir()
	main := write(t, filepath.Join(dir, "usrsvc.cfg"), "[Main]\nconfig_dir = "+dir+"/d\n")
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, "d", name+".cfg"), program(name))
	}
	c, err := Load(main, Options{Home: dir, ReadFile: func(path string) ([]byte, error) {
		switch filepath.Base(path) {
		case "a.cfg":
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		case "b.cfg":
			return nil, errors.New("it is being written")
		}
		return os.ReadFile(path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"c"}, c.Names); d != "" || len(c.Problems) != 1 || c.Problems[0].String() != dir+"/d/b.cfg: it is being written" {
		t.Error(d, c.Problems)
	}
}

// TestFolderThatIsNone: what config_dir names is no folder, or too much for a file of it has come by the time of reading.
func TestFolderThatIsNone(t *testing.T) {
	dir := t.TempDir()
	main := write(t, filepath.Join(dir, "usrsvc.cfg"), "[Main]\nconfig_dir = "+dir+"/d\n"+program("a"))
	write(t, filepath.Join(dir, "d"), "")
	c, err := Load(main, Options{Home: dir})
	if err != nil || c.Err() == nil || c.Err().Error() != main+":2: config_dir: "+dir+"/d: not a directory" || len(c.Model.Groups) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	large := func(string) ([]byte, error) { return make([]byte, maxFile+1), nil }
	if _, err := Load(main, Options{Home: dir, ReadFile: large}); err == nil || !strings.HasSuffix(err.Error(), "it is larger than 1048576 bytes") {
		t.Error(err)
	}
}

// TestNames: which names a program can have. Those of other languages are fine.
func TestNames(t *testing.T) {
	for _, name := range []string{"a", "a b", "été", "1", "a.b-c_d", strings.Repeat("x", 200), "All", "a,b", "a%b", "a#b"} {
		if why := badName(name); why != "" {
			t.Errorf("%q: %s", name, why)
		}
	}
	for _, name := range []string{"", "all", "a/b", "a:b", "web-*", "a?", "a[1]", `a\b`, `a"b`, "a'b", "-a", ".a", "..", "a\tb", "a\x7f", strings.Repeat("x", 201)} {
		if badName(name) == "" {
			t.Errorf("%q is taken", name)
		}
	}
}

// program is a program about which nothing but what is required is said.
func program(name string) string {
	return "[Program:" + name + "]\ncommand = x\npidfile = /p" + name + "\nstdout = /o\n"
}

// TestBounds: what is made to be large is read in the time that its length takes, and refused where it would become larger.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	read := func(text string) *Config {
		t.Helper()
		c, err := Load(write(t, filepath.Join(dir, "u.cfg"), text), Options{Home: dir})
		if err != nil {
			t.Fatal(err)
		}
		checkPlaces(t, c)
		return c
	}
	var b strings.Builder
	b.WriteString("[Main]\n[Program:a]\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "k%d = 1\n", i)
	}
	if c := read(b.String()); len(c.Problems) != 20_003 || len(c.Broken) != 1 {
		t.Errorf("%d mistakes, %d broken", len(c.Problems), len(c.Broken))
	}
	b.Reset()
	for i := range 30_000 {
		fmt.Fprintf(&b, "[%d]\n", i)
	}
	if c := read(b.String()); len(c.Problems) != 30_001 {
		t.Errorf("%d mistakes", len(c.Problems))
	}
	// After more mistakes than anybody reads, programs are there, and those with a mistake cannot be used.
	c := read("[Main]\n[Program:a]\n" + strings.Repeat("x\n", 200) + program("b") + program("c") + "x\n")
	if p, _ := c.Find("b"); p == nil {
		t.Error("b is gone")
	}
	if _, broken := c.Find("c"); broken == nil {
		t.Error("a mistake in c hurts nobody")
	}
	b.Reset()
	b.WriteString("big = " + strings.Repeat("x", 60_000) + "\n[Main]\n" + program("a") + "[[Env]]\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "V%d = %%(big)s\n", i)
	}
	if _, broken := read(b.String()).Find("a"); broken == nil || !strings.Contains(broken.Problems[0].Text, "make more than") {
		t.Errorf("%+v", broken)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	c, err := Load(write(t, filepath.Join(dir, "u.cfg"), "[Main]\n[Program:bad]\n[Program:good]\ncommand=x\npidfile=/p\nstdout=/o\n"), Options{Home: dir, UID: 7})
	if err != nil {
		t.Fatal(err)
	}
	if p, broken := c.Find("good"); p == nil || broken != nil {
		t.Error(p, broken)
	}
	if p, broken := c.Find("bad"); p != nil || broken == nil || len(broken.Problems) != 3 {
		t.Error(p, broken)
	}
	if p, broken := c.Find("none"); p != nil || broken != nil {
		t.Error(p, broken)
	}
	if err := c.Err(); err == nil || err.Error() != c.File+":2: [Program:bad] command: every program needs it" {
		t.Error(err)
	}
	if c.Main.PIDFile != filepath.Join(dir, "7_usrsvcd.pid") {
		t.Error(c.Main.PIDFile)
	}
	if (&Config{}).Err() != nil {
		t.Error("a mistake without one")
	}
}

// TestPatternAsPython: what a pattern finds is what Python finds.
func TestPatternAsPython(t *testing.T) {
	patterns := []string{
		"abc", "^a.c$", `a\.c`, "[abc]+", "[^a]b", "[^]a]b", "[]a]+x", "[[x]+", "[a[]c", "a{2}", "a{,2}b", "a{1,}b", "a{,}b", "a{x}", "{", "(a|b)c", "(?:a|b)c", "(?P<n>a)b",
		`\d+ \w+\s\S`, `(?i)ABC`, `(?#note)abc`, `c\Z`, `\Aa`, `a\b`, "a*?b", "a+?", "a??b", `[\]x]`, `x[-a]`, `\/srv`, `a\ b`, "(?u)abc", "", "$", "a|", `\t`, `[\d_]+:`,
		"(?s:a.c)", "a}", "]", `\-x`, `\x41b`, "é", "[é]",
	}
	texts := []string{"", "abc", "a.c", "xaabcc", "]ax", "[x", "a[c", "aab", "aaab", "a{x}", "{", "ABC", "12 ab  x", "/srv a b", "a\tb", "x-a", "9_:", "a\nc", "a}", "]x", "-x", "Ab", "é"}
	if _, err := Pattern(strings.Repeat("x", 4097)); err == nil {
		t.Error("a pattern without a bound")
	}
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip(err)
	}
	in, err := json.Marshal(map[string][]string{"p": patterns, "t": texts})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", "import json,re,sys\nd=json.load(sys.stdin)\njson.dump([[bool(re.search(p,t)) for t in d['t']] for p in d['p']],sys.stdout)")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]bool
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, p := range patterns {
		re, err := Pattern(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		for j, text := range texts {
			if got := regexp.MustCompile(re).MatchString(text); got != want[i][j] {
				t.Errorf("%s (%s) in %q: %v, Python says %v", p, re, text, got, want[i][j])
			}
		}
	}
}

// TestDocumented: every key stands in the reference.
func TestDocumented(t *testing.T) {
	page := pagetest.Read(t, "docs/reference/usrsvc.md")
	original, ours := ProgramKeys()
	for _, key := range append(append(append(original, ours...), MonitorKeys()...), MainKeys()...) {
		if _, row := page.Find(key); row == nil {
			t.Errorf("%s has no row", key)
		}
	}
}

// FuzzShellLine: a shell is given exactly the text, whatever it is.
func FuzzShellLine(f *testing.F) {
	for _, text := range []string{"", "a b", "it's", `"\`, "a\nb", "%(x)s", "\xff", "-c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := shellwords.Split(ShellLine(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"/bin/sh", "-c", text}, got); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzPattern: whatever is taken can be searched with, and a text without a special character in it is found where it stands.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a", "(?P<x>a)", "[[]]", `\Z`, "a{,3}", "(?#", "(?i-s:", "[^]]", `[\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		re, err := Pattern(text)
		if err == nil {
			regexp.MustCompile(re).MatchString("abc")
		}
		if quoted := `\A` + regexp.QuoteMeta(text) + `\Z`; utf8.ValidString(text) && len(quoted) <= maxPattern {
			if re, err := Pattern(quoted); err != nil || !regexp.MustCompile(re).MatchString(text) || regexp.MustCompile(re).MatchString(text+"x") {
				t.Errorf("%q is %q, %v", quoted, re, err)
			}
		}
	})
}

// FuzzLoad holds what must be true of any configuration: reading it ends, each program can be used or says why not, and
// every message says where.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.ReplaceAll(string(text), "$D", "/tmp"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "config_dir") {
			return // it would read what lies on the machine
		}
		c := load("/usrsvc.cfg", text, Options{Home: "/home/sam", Vars: map[string]string{"HOME": "/home/sam"}})
		checkPlaces(t, c)
		for _, g := range c.Model.Groups {
			p := g.Programs[0]
			if p.Command.Line == "" || p.IO.Stdout.Path == "" || !filepath.IsAbs(p.Attach.PIDFile) || p.Start.Retries < 0 && p.Start.Retries != model.Endless || p.Start.Secs < 0 || badName(p.ID.Name) != "" {
				t.Fatalf("%+v", p)
			}
			if _, err := regexp.Compile(p.Attach.Match); err != nil {
				t.Fatal(err)
			}
			if _, err := shellwords.Split(p.Command.Line); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestExample: the example that is shipped has no mistake and nothing to warn of, and means what it says.
func TestExample(t *testing.T) {
	home := t.TempDir()
	if err := os.CopyFS(home, os.DirFS(filepath.Join(pagetest.Root(t), "examples", "usrsvc"))); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"log", "run"} {
		if err := os.Mkdir(filepath.Join(home, "usrsvc.d", dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(home, "usrsvc.cfg"), Options{Home: home, Vars: map[string]string{"HOME": home}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(c.Problems, c.Warnings...) {
		t.Error(p)
	}
	if d := cmp.Diff([]string{"hello", "spare", "ticker"}, c.Names); d != "" {
		t.Error(d)
	}
	ticker, _ := c.Find("ticker")
	if ticker == nil || len(ticker.Checks) != 2 || len(ticker.Command.Env) != 2 || ticker.Attach.PIDFile != filepath.Join(home, "usrsvc.d/run/ticker.pid") || ticker.Start.Retries != 4 {
		t.Errorf("%+v", ticker)
	}
}
