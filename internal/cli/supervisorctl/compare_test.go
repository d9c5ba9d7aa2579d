package supervisorctl

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/cli/supervisorctl/ctltest"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

const (
	originalDaemon = "/usr/bin/supervisord"
	originalCtl    = "/usr/bin/supervisorctl"
)

// plainEnviron is a world without a terminal.
func plainEnviron() Environ {
	return Environ{Conf: conf.Environ{
		Vars: map[string]string{"HOME": "/root"}, Cwd: "/", Hostname: "host", TempDir: os.TempDir(), Users: conf.SystemUsers{},
	}}
}

// inProcess is a ctltest.Runner for this package.
func inProcess(args []string, stdin string) ctltest.Result {
	var out, errs bytes.Buffer
	status := Run(originalCtl, args, Streams{strings.NewReader(stdin), &out, &errs}, plainEnviron())
	return ctltest.Result{Stdout: out.String(), Stderr: errs.String(), Status: status}
}

func needOriginal(t *testing.T) {
	t.Helper()
	for _, p := range []string{originalDaemon, originalCtl} {
		if _, err := os.Stat(p); err != nil {
			t.Skipf("the original is not installed: %v", err)
		}
	}
}

// TestAgainstOriginal runs every line with the original's client and with ours, each against an original
// daemon of its own.
func TestAgainstOriginal(t *testing.T) {
	needOriginal(t)
	for _, sc := range ctltest.Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := ctltest.Start(t, originalDaemon), ctltest.Start(t, originalDaemon)
			original, err := ctltest.Original(t, originalCtl)
			if err != nil {
				t.Skip(err)
			}
			table := ""
			for i := range sc.Lines {
				l := &sc.Lines[i]
				want := theirs.Run(t, l, original)
				got := ours.Run(t, l, inProcess)
				if table == "" && len(l.Args) == 0 {
					table = strings.TrimSuffix(want.Stdout, "supervisor> \n")
				}
				if l.Differs != "" {
					if cmp.Equal(want, got) {
						t.Errorf("%q %q: the difference is gone: %s", l.Args, l.Stdin, l.Differs)
					}
					want = ctltest.Result{Stdout: strings.ReplaceAll(l.Stdout, "{status}", table), Stderr: l.Stderr, Status: l.Status}
				}
				if diff := cmp.Diff(want.String(), got.String()); diff != "" {
					t.Errorf("%q %q (original -, ours +):\n%s", l.Args, l.Stdin, diff)
				}
			}
		})
	}
}
