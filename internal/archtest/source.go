package archtest

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Exception allows one breach of a rule, with the reason for it.
type Exception struct{ Path, Rule, Reason string }

// The rules of Check, by the names that exceptions use.
const (
	RuleSleep   = "sleep"   // no time.Sleep outside tests
	RuleInit    = "init"    // no init function that does anything
	RuleVar     = "var"     // no package variable that can change
	RuleTags    = "tags"    // build constraints in internal/sys only
	RuleDoc     = "doc"     // exported names have doc comments
	RulePackage = "package" // packages have package comments
	RulePaths   = "paths"   // no paths of a developer's machine
)

// Exceptions are the breaches that are accepted. Path is a file or a folder, from the top of the tree. A
// test fails for an exception that nothing needs any more.
func Exceptions() []Exception {
	return []Exception{}
}

// Finding is one breach of a rule.
type Finding struct {
	Pos  string // file:line
	Rule string
	Text string
}

// String is one line for a person.
func (f Finding) String() string { return f.Pos + ": " + f.Text + " [" + f.Rule + "]" }

// Package is the parsed code of one folder, without its test files.
type Package struct {
	Dir   string // from the top of the tree, with slashes
	Files map[string]*ast.File
	Fset  *token.FileSet
}

// ParsePackage parses the files given by name and text.
func ParsePackage(dir string, texts map[string]string) (*Package, error) {
	p := &Package{Dir: dir, Files: map[string]*ast.File{}, Fset: token.NewFileSet()}
	for name, text := range texts {
		f, err := parser.ParseFile(p.Fset, path.Join(dir, name), text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		p.Files[name] = f
	}
	return p, nil
}

// Check finds the breaches of every rule about code. Programs beside the product (Outside) may know
// systems and wait by polling; the other rules hold for them too.
func (p *Package) Check() []Finding {
	var out []Finding
	documented := false
	for name, f := range p.Files {
		if f.Doc != nil {
			documented = true
		}
		if !outside(p.Dir) {
			out = append(out, p.tags(name, f)...)
		}
		if !outside(p.Dir) && !testHelper(p.Dir) {
			out = append(out, p.sleeps(f)...)
		}
		out = append(out, p.inits(f)...)
		out = append(out, p.docs(f)...)
	}
	out = append(out, p.variables()...)
	if !documented {
		out = append(out, Finding{p.Dir, RulePackage, "no file has a package comment"})
	}
	return out
}

func (p *Package) at(n ast.Node) string {
	pos := p.Fset.Position(n.Pos())
	return pos.Filename + ":" + strconv.Itoa(pos.Line)
}

// platforms are the file name endings that the go command takes for build constraints.
var platforms = regexp.MustCompile(`_(linux|darwin|freebsd|windows|netbsd|openbsd|dragonfly|solaris|illumos|aix|plan9|js|wasip1|android|ios|unix|amd64|arm64|arm|386|riscv64|ppc64le|ppc64|s390x|loong64|mips\w*|wasm)\.go$`)

func (p *Package) tags(name string, f *ast.File) []Finding {
	if under(p.Dir, "internal/sys") {
		return nil
	}
	var out []Finding
	// _unix is a name only: the go command ignores it.
	if m := platforms.FindStringSubmatch(name); m != nil && m[1] != "unix" {
		out = append(out, Finding{path.Join(p.Dir, name), RuleTags, "the file name is a build constraint: only internal/sys knows systems"})
	}
	for _, g := range f.Comments {
		for _, c := range g.List {
			if c.Pos() < f.Package && constraint.IsGoBuild(c.Text) && !strings.Contains(c.Text, "ignore") {
				out = append(out, Finding{p.at(c), RuleTags, "build constraint: only internal/sys knows systems"})
			}
		}
	}
	return out
}

func (p *Package) sleeps(f *ast.File) []Finding {
	name := importName(f, "time")
	if name == "" {
		return nil
	}
	var out []Finding
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name && x.Obj == nil {
				out = append(out, Finding{p.at(s), RuleSleep, "time.Sleep: wait for what happens, or take a clock"})
			}
		}
		return true
	})
	return out
}

func (p *Package) inits(f *ast.File) []Finding {
	var out []Finding
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && len(fn.Body.List) > 0 {
			out = append(out, Finding{p.at(fn), RuleInit, "init does work: do it where somebody asks for it"})
		}
	}
	return out
}

// importName is the name under which f knows the package, "" when it does not import it.
func importName(f *ast.File, pkg string) string {
	for _, i := range f.Imports {
		if v, _ := strconv.Unquote(i.Path.Value); v == pkg {
			if i.Name != nil {
				return i.Name.Name
			}
			return path.Base(pkg)
		}
	}
	return ""
}

func (p *Package) docs(f *ast.File) []Finding {
	var out []Finding
	missing := func(n ast.Node, what, name string) {
		out = append(out, Finding{p.at(n), RuleDoc, fmt.Sprintf("%s %s has no doc comment", what, name)})
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			// What an error must have to be one needs no words.
			ofError := d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "Unwrap")
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !ofError {
				missing(d, "func", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
						missing(s, "type", s.Name.Name)
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
							missing(s, "value", n.Name)
						}
					}
				}
			}
		}
	}
	return out
}

// exportedReceiver reports whether d is a function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
