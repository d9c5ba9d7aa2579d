package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
)

// variables finds package variables that can change: those declared without a value, those made of
// synchronisation or container makers, and those that some code of the package assigns to. Tables and
// errors that are only read are fine.
func (p *Package) variables() []Finding {
	var out []Finding
	names := map[string]*ast.ValueSpec{}
	for _, f := range p.Files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, n := range v.Names {
					if n.Name == "_" {
						continue
					}
					names[n.Name] = v
					if why := mutable(g, v, i); why != "" {
						out = append(out, Finding{p.at(n), RuleVar, fmt.Sprintf("package variable %s %s", n.Name, why)})
					}
				}
			}
		}
	}
	for _, f := range p.Files {
		out = append(out, p.assigned(f, names)...)
	}
	return out
}

// mutable says why the i-th variable of v is one that changes by its kind alone.
func mutable(g *ast.GenDecl, v *ast.ValueSpec, i int) string {
	for _, doc := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if len(c.Text) > 10 && c.Text[:10] == "//go:embed" {
				return ""
			}
		}
	}
	if len(v.Values) == 0 {
		return "has no value: it is there to be changed"
	}
	if len(v.Values) != len(v.Names) {
		return ""
	}
	switch e := v.Values[i].(type) {
	case *ast.CallExpr:
		if fn, ok := e.Fun.(*ast.Ident); ok && (fn.Name == "make" || fn.Name == "new") {
			return "is made by " + fn.Name + ": it is there to be changed"
		}
	case *ast.CompositeLit:
		if s, ok := e.Type.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
				return "is a " + x.Name + "." + s.Sel.Name
			}
		}
	}
	return ""
}

// assigned finds where f changes one of the package's variables, or takes the address of one.
func (p *Package) assigned(f *ast.File, names map[string]*ast.ValueSpec) []Finding {
	var out []Finding
	change := func(e ast.Expr, how string) {
		id := base(e)
		if id == nil {
			return
		}
		v, known := names[id.Name]
		// Obj is nil for names of other files, and the declaration for names of this one; a local variable
		// of the same name has another declaration.
		if !known || (id.Obj != nil && id.Obj.Decl != v) {
			return
		}
		out = append(out, Finding{p.at(e), RuleVar, fmt.Sprintf("package variable %s is %s", id.Name, how)})
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, l := range n.Lhs {
					change(l, "assigned to")
				}
			}
		case *ast.IncDecStmt:
			change(n.X, "assigned to")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				change(n.Key, "assigned to")
				if n.Value != nil {
					change(n.Value, "assigned to")
				}
			}
		case *ast.UnaryExpr:
			// The address of an element is the usual way to read a large table without copying.
			if _, element := n.X.(*ast.IndexExpr); n.Op == token.AND && !element {
				change(n.X, "handed out by address")
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && fn.Obj == nil && len(n.Args) > 0 {
				change(n.Args[0], "changed by "+fn.Name)
			}
		}
		return true
	})
	return out
}

// base is the variable that an assignable expression is a part of; nil when it is reached through a call
// or a qualified name.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}
