package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// systems are those that the product is built for.
var systems = []string{"linux", "darwin", "freebsd", "windows"}

// root is the top of the tree.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("%s is not the top of the tree: %v", dir, err)
	}
	return dir
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Error      *struct{ Err string }
}

// list loads the import graph of the product for one system.
func list(t *testing.T, goos string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports,Standard,Error", "./...")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v\n%s", goos, err, stderr.String())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsPointDown(t *testing.T) {
	for _, goos := range systems {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			ours := 0
			for _, p := range list(t, goos) {
				if !strings.HasPrefix(p.ImportPath, Module) {
					continue
				}
				ours++
				for _, to := range p.Imports {
					if why := CheckEdge(p.ImportPath, to); why != "" {
						t.Error(why)
					}
				}
			}
			if ours < 5 {
				t.Errorf("go list shows %d packages of the module: the test looks in the wrong place", ours)
			}
		})
	}
}

func TestCheckEdge(t *testing.T) {
	cases := []struct {
		from, to string
		allowed  bool
	}{
		{"internal/conf/ini", "internal/base/pytext", true},
		{"internal/conf/supervisord", "internal/conf/ini", true},
		{"internal/base/units", "internal/domain/model", false},
		{"internal/domain/lifecycle", "internal/engine/core", false},
		{"internal/engine/streams", "internal/sys/reactor", true},
		{"internal/sys/spawn", "internal/engine/core", false},
		{"internal/face/rpc2", "internal/service", true},
		{"internal/face/rpc2", "internal/engine/core", false},
		{"internal/face/rpc2", "internal/sys/procfd", false},
		{"internal/facets", "internal/base/units", false}, // on no floor
		{"client/supervisor", "internal/wire/xmlrpc", true},
		{"client/supervisor", "internal/service", false},
		{"cmd/upkeep", "internal/app", true},
		{"internal/app", "internal/engine/core", true},
		{"internal/cli/supervisord", "internal/engine/core", false},
		{"internal/service/manager", "internal/face/rpc2", false},
		{"internal/engine/core", "conformance", false},
		{"conformance", "internal/engine/core", true},
		{"internal/cli/supervisorctl", "internal/cli/supervisorctl/ctltest", false},
		{"conformance", "internal/cli/supervisorctl/ctltest", true},
	}
	for _, c := range cases {
		why := CheckEdge(Module+"/"+c.from, Module+"/"+c.to)
		if (why == "") != c.allowed {
			t.Errorf("%s -> %s: %q, want allowed=%v", c.from, c.to, why, c.allowed)
		}
	}
	if why := CheckEdge(Module+"/internal/domain/lifecycle", "os/exec"); why == "" {
		t.Error("the domain may import os/exec")
	}
	if why := CheckEdge(Module+"/internal/domain/lifecycle", "time"); why != "" {
		t.Error(why)
	}
}

// TestTableInDocs keeps the floor table of docs/architecture.md equal to Floors.
func TestTableInDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (F[0-9]) \| ([a-z]+) \| ([^|]+) \|`)
	quoted := regexp.MustCompile("\x60([^\x60]+)\x60")
	var documented []Floor
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		f := Floor{Name: m[1], Title: m[2]}
		for _, p := range quoted.FindAllStringSubmatch(m[3], -1) {
			f.Prefixes = append(f.Prefixes, strings.TrimSuffix(p[1], "/"))
		}
		documented = append(documented, f)
	}
	if diff := cmp.Diff(Floors(), documented); diff != "" {
		t.Errorf("docs/architecture.md and Floors differ (-code +docs):\n%s", diff)
	}
}
