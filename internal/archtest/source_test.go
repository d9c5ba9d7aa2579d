package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// tree lists the files that are part of the project, from the top, with slashes: those that git tracks or
// would track, or everything when there is no git.
func tree(t *testing.T) []string {
	t.Helper()
	top := root(t)
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = top
	if out, err := cmd.Output(); err == nil {
		var files []string
		for _, f := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
			if _, err := os.Lstat(filepath.Join(top, f)); err == nil {
				files = append(files, f)
			}
		}
		return files
	}
	var files []string
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		if d.IsDir() && (rel == "bin" || rel == ".git") {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// packages parses every package of the product's module, tests left out.
func packages(t *testing.T) []*Package {
	t.Helper()
	texts := map[string]map[string]string{}
	for _, f := range tree(t) {
		if !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go") || strings.Contains(f, "testdata/") ||
			strings.HasPrefix(f, "tools/") {
			continue
		}
		dir := path.Dir(f)
		if texts[dir] == nil {
			texts[dir] = map[string]string{}
		}
		texts[dir][path.Base(f)] = read(t, f)
	}
	var out []*Package
	for dir, files := range texts {
		p, err := ParsePackage(dir, files)
		if err != nil {
			t.Error(err)
			continue
		}
		out = append(out, p)
	}
	return out
}

// excepted filters findings by Exceptions and marks those that were needed.
func excepted(found []Finding, used map[Exception]bool) []Finding {
	var rest []Finding
next:
	for _, f := range found {
		for _, e := range Exceptions() {
			file, _, _ := strings.Cut(f.Pos, ":")
			if e.Rule == f.Rule && under(file, e.Path) {
				used[e] = true
				continue next
			}
		}
		rest = append(rest, f)
	}
	return rest
}

func TestSourceRules(t *testing.T) {
	used := map[Exception]bool{}
	var found []Finding
	pkgs := packages(t)
	for _, p := range pkgs {
		found = append(found, excepted(p.Check(), used)...)
	}
	if len(pkgs) < 5 {
		t.Errorf("only %d packages found: the test looks in the wrong place", len(pkgs))
	}
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	for _, f := range found {
		t.Error(f)
	}
	for _, e := range Exceptions() {
		if e.Rule != RulePaths && !used[e] {
			t.Errorf("the exception of %s from rule %s (%s) is not needed any more", e.Path, e.Rule, e.Reason)
		}
	}
}

// TestRulesCatch plants a breach of each rule.
func TestRulesCatch(t *testing.T) {
	cases := []struct {
		name, file, code, rule string // rule "" = clean
	}{
		{"clean", "a.go", "// Package p is.\npackage p\n\nimport \"errors\"\n\nvar errX = errors.New(\"x\")\n\n// F does.\nfunc F() error { return errX }\n", ""},
		{"table that is read", "a.go", "// Package p is.\npackage p\n\nvar t = [...]string{\"a\"}\n\nfunc f(i int) string { return t[i] }\n", ""},
		{"sleep", "a.go", "// Package p is.\npackage p\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n", RuleSleep},
		{"renamed sleep", "a.go", "// Package p is.\npackage p\n\nimport x \"time\"\n\nfunc f() { x.Sleep(1) }\n", RuleSleep},
		{"another Sleep", "a.go", "// Package p is.\npackage p\n\nimport \"time\"\n\ntype c struct{}\n\nfunc (c) Sleep(time.Duration) {}\n\nfunc f(time c) { time.Sleep(1) }\n", ""},
		{"init", "a.go", "// Package p is.\npackage p\n\nfunc init() { println() }\n", RuleInit},
		{"zero variable", "a.go", "// Package p is.\npackage p\n\nvar n int\n", RuleVar},
		{"map made", "a.go", "// Package p is.\npackage p\n\nvar m = make(map[int]int)\n", RuleVar},
		{"mutex", "a.go", "// Package p is.\npackage p\n\nimport \"sync\"\n\nvar m = sync.Mutex{}\n", RuleVar},
		{"assigned", "a.go", "// Package p is.\npackage p\n\nvar n = 1\n\nfunc f() { n = 2 }\n", RuleVar},
		{"counted", "a.go", "// Package p is.\npackage p\n\nvar n = 1\n\nfunc f() { n++ }\n", RuleVar},
		{"element assigned", "a.go", "// Package p is.\npackage p\n\nvar m = map[int]int{}\n\nfunc f() { m[1] = 2 }\n", RuleVar},
		{"deleted from", "a.go", "// Package p is.\npackage p\n\nvar m = map[int]int{1: 1}\n\nfunc f() { delete(m, 1) }\n", RuleVar},
		{"by address", "a.go", "// Package p is.\npackage p\n\nvar n = 1\n\nfunc f() *int { return &n }\n", RuleVar},
		{"a local of the same name", "a.go", "// Package p is.\npackage p\n\nvar n = 1\n\nfunc f() int { n := n; n++; return n }\n", ""},
		{"embedded", "a.go", "// Package p is.\npackage p\n\nimport _ \"embed\"\n\n//go:embed x\nvar x string\n", ""},
		{"build constraint", "a.go", "//go:build linux\n\n// Package p is.\npackage p\n", RuleTags},
		{"file name", "a_linux.go", "// Package p is.\npackage p\n", RuleTags},
		{"no package comment", "a.go", "package p\n", RulePackage},
		{"function without doc", "a.go", "// Package p is.\npackage p\n\nfunc F() {}\n", RuleDoc},
		{"method without doc", "a.go", "// Package p is.\npackage p\n\n// T is.\ntype T struct{}\n\nfunc (*T) F() {}\n", RuleDoc},
		{"method of a private type", "a.go", "// Package p is.\npackage p\n\ntype t struct{}\n\nfunc (t) F() {}\n", ""},
		{"constant without doc", "a.go", "// Package p is.\npackage p\n\nconst (\n\tA = 1\n)\n", RuleDoc},
		{"constants with one doc", "a.go", "// Package p is.\npackage p\n\n// The letters.\nconst (\n\tA = 1\n\tB = 2\n)\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePackage("internal/engine/p", map[string]string{c.file: c.code})
			if err != nil {
				t.Fatal(err)
			}
			found := p.Check()
			switch {
			case c.rule == "" && len(found) > 0:
				t.Errorf("unexpected: %v", found)
			case c.rule != "" && (len(found) != 1 || found[0].Rule != c.rule):
				t.Errorf("found %v, want one breach of %s", found, c.rule)
			}
		})
	}
	p, err := ParsePackage("internal/sys/p", map[string]string{"a_linux.go": "//go:build linux\n\n// Package p is.\npackage p\n"})
	if err != nil {
		t.Fatal(err)
	}
	if found := p.Check(); len(found) != 0 {
		t.Errorf("internal/sys may know systems: %v", found)
	}
}

// machinePaths matches paths that exist on one developer's machine only. It is put together here so that
// this file does not match.
func machinePaths(top string) *regexp.Regexp {
	pats := []string{`/(root|home/\w+|Users/\w+)/(go|\.cache|\.local)/`}
	// The checkout itself and the folder above it, unless those are places that every machine has.
	common := regexp.MustCompile(`^/(\w+|(home|Users)/\w+|usr/(local|src)|var/\w+|tmp/.*|builds?/.*)$`)
	if !common.MatchString(top) || strings.Count(top, "/") > 1 && !strings.HasPrefix(top, "/usr") && !strings.HasPrefix(top, "/tmp") {
		pats = append(pats, regexp.QuoteMeta(top)+`\b`)
	}
	return regexp.MustCompile(strings.Join(pats, "|"))
}

func TestNoMachinePaths(t *testing.T) {
	re := machinePaths(root(t))
	for _, f := range tree(t) {
		text := read(t, f)
		if bytes.IndexByte([]byte(text), 0) >= 0 {
			continue // not a text
		}
		for i, line := range strings.Split(text, "\n") {
			if m := re.FindString(line); m != "" {
				t.Errorf("%s:%d: %s is a path of one machine", f, i+1, m)
			}
		}
	}
	if !re.MatchString("/root/" + "go/pkg/mod/x") {
		t.Error("the pattern does not find a module cache")
	}
}

// TestDocumentsAreTrue checks that every link to a file and every make task that a document names exists.
func TestDocumentsAreTrue(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	task := regexp.MustCompile("(?m)(?:^|`)(?:sudo )?make ([a-z][a-z-]*)")
	documents := 0
	for _, f := range tree(t) {
		if !strings.HasSuffix(f, ".md") {
			continue
		}
		documents++
		text := read(t, f)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(path.Join(path.Dir(f), m[1])))); err != nil {
				t.Errorf("%s: the link %s leads nowhere", f, m[1])
			}
		}
		for _, m := range task.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s: there is no task %q in the Makefile", f, "make "+m[1])
			}
		}
	}
	if documents < 3 {
		t.Errorf("only %d documents found", documents)
	}
}
