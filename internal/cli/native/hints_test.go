package native

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// prose is what follows the word upkeep where it is not the command but who does something.
var prose = []string{
	"keeps", "needs", "does", "looked", "ended", "did", "cannot", "runs", "daemon pid", "daemon runs", "daemon is", "daemon for",
}

// otherNames are the other names of the binary, as first words of the command.
var otherNames = []string{"supervisord", "supervisorctl", "chalmers", "usrsvc", "usrsvcd", "echo_supervisord_conf", "pidproxy"}

// said is a text in which commands may be named.
type said struct{ where, text string }

// TestHintsNameWhatExists looks up every command that a text of the product or a page tells people to type.
func TestHintsNameWhatExists(t *testing.T) {
	root := pagetest.Root(t)
	var texts []said
	for _, dir := range []string{"internal/cli", "internal/engine/explain", "internal/engine/definitions", "internal/face/httpapi", "client/upkeep", "internal/conf"} {
		texts = append(texts, literals(t, filepath.Join(root, dir))...)
	}
	for _, pattern := range []string{"README.md", "docs/tutorial/*.md", "docs/how-to/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range code(string(b)) {
				texts = append(texts, said{page, text})
			}
		}
	}
	tree := (&command{environ: func(string) string { return "" }}).root()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	found, unused := 0, slices.Clone(prose)
	for _, s := range texts {
		for _, typed := range commandsIn(s.text) {
			is := func(p string) bool { return p == typed[0] || p == strings.Join(typed[:min(2, len(typed))], " ") }
			if slices.ContainsFunc(prose, is) {
				unused = slices.DeleteFunc(unused, is)
				continue
			}
			found++
			if wrong := missing(tree, typed); wrong != "" {
				t.Errorf("%s: upkeep %s: there is no %s", strings.TrimPrefix(s.where, root+"/"), strings.Join(typed, " "), wrong)
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d commands were found", found)
	}
	if len(unused) > 0 {
		t.Errorf("nobody says: %v", unused)
	}
}

// TestMissing makes sure that the test above can fail.
func TestMissing(t *testing.T) {
	tree := (&command{environ: func(string) string { return "" }}).root()
	for text, want := range map[string]string{
		"upkeep status -q":                       "",
		"Try:  upkeep add api -- x --no-such":    "",
		"upkeep daemon start   upkeep logs x -f": "",
		"upkeep frobnicate web":                  "command frobnicate",
		"upkeep daemon frobnicate":               "command daemon frobnicate",
		"upkeep logs web --no-such 3":            "flag --no-such of logs",
		"upkeep status -Z":                       "flag -Z of status",
		"upkeep supervisord -c FILE":             "",
	} {
		got := ""
		for _, typed := range commandsIn(text) {
			got += missing(tree, typed)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// literals are the texts in the sources below a folder, those of tests excepted.
func literals(t *testing.T, dir string) (texts []said) {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil {
					texts = append(texts, said{files.Position(l.Pos()).String(), text})
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// code are the pieces of code in a page, and the lines that are typed in its blocks of code.
func code(page string) (pieces []string) {
	for i, part := range strings.Split(page, "```") {
		if i%2 == 0 {
			for k, piece := range strings.Split(part, "`") {
				if k%2 == 1 {
					pieces = append(pieces, piece)
				}
			}
			continue
		}
		console := strings.HasPrefix(part, "console")
		for line := range strings.Lines(part) {
			typed, isTyped := strings.CutPrefix(line, "$ ")
			if !console || isTyped {
				line, _, _ = strings.Cut(typed, " #")
				pieces = append(pieces, line)
			}
		}
	}
	return pieces
}

// commandIn is the command at a place where one can begin, up to where it ends: two blanks, the end of the line, or a mark.
var commandIn = regexp.MustCompile("(?m)(?:^|[^\\w./-])upkeep ((?:[a-z][a-z_-]+|-\\S+)(?: [^ \\n`;|&#]+)*)")

// commandsIn are the commands that a text names, as words.
func commandsIn(text string) (all [][]string) {
	for _, m := range commandIn.FindAllStringSubmatch(text, -1) {
		words := strings.Fields(m[1])
		for i := range words {
			words[i] = strings.Trim(words[i], `'",.:()?[]`)
		}
		for len(words) > 0 && strings.HasPrefix(words[0], "-") {
			if words[0] == "-c" || words[0] == "--socket" {
				words = words[1:] // the flags with a value that stand there
			}
			words = words[min(1, len(words)):]
		}
		if len(words) > 0 && words[0] != "" {
			all = append(all, words)
		}
	}
	return all
}

// missing is what of a command does not exist: itself, the one below it, or a flag.
func missing(tree *cobra.Command, typed []string) string {
	if slices.Contains(otherNames, typed[0]) {
		return ""
	}
	cmd := child(tree, typed[0])
	if cmd == nil {
		return "command " + typed[0]
	}
	rest := typed[1:]
	if len(rest) > 0 && cmd.HasSubCommands() && regexp.MustCompile(`^[a-z-]+$`).MatchString(rest[0]) && !strings.HasPrefix(rest[0], "-") && cmd.Name() != "help" {
		sub := child(cmd, rest[0])
		if sub == nil {
			return "command " + typed[0] + " " + rest[0]
		}
		cmd, rest = sub, rest[1:]
	}
	for _, w := range rest {
		name, _, _ := strings.Cut(w, "=")
		switch {
		case w == "":
		case w == "--":
			return ""
		case len(w) > 1 && w[0] == '-' && w[1] >= '0' && w[1] <= '9': // the value of a flag
		case strings.HasPrefix(name, "--") && cmd.Flags().Lookup(name[2:]) == nil && cmd.InheritedFlags().Lookup(name[2:]) == nil && name != "--help",
			len(name) == 2 && name[0] == '-' && cmd.Flags().ShorthandLookup(name[1:]) == nil && cmd.InheritedFlags().ShorthandLookup(name[1:]) == nil && name != "-h":
			return "flag " + name + " of " + cmd.Name()
		}
	}
	return ""
}

// child is the command of that name below another one.
func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}
