package supervisord

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// TestExtensions runs the examples as the documentation says, and ends them while they are needed.
func TestExtensions(t *testing.T) {
	examples, err := filepath.Abs("../../../examples/extension")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]func(t *testing.T, dir string) (string, error){
		"Go": func(_ *testing.T, dir string) (string, error) {
			out := filepath.Join(dir, "extension")
			text, err := exec.Command("go", "build", "-o", out, examples).CombinedOutput()
			if err != nil {
				err = errors.New(string(text))
			}
			return out, err
		},
		"Python": func(t *testing.T, _ string) (string, error) {
			python, err := exec.LookPath("python3")
			if err != nil {
				t.Skip("Python is not installed")
			}
			return python + " " + filepath.Join(examples, "extension.py"), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			line, err := command(t, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			h := newHardy(t, "[rpcinterface:greet]\nupkeep.rpcinterface_socket=%(here)s/greet.sock\nupkeep.rpcinterface_command="+line+"\nstartsecs=0\n")
			before := h.begin()
			ctx := context.Background()
			hello := func() {
				t.Helper()
				if v, err := h.c.Call(ctx, "greet.hello", "world"); err != nil || v != "hello world" {
					t.Fatal(v, err)
				}
			}
			h.running(h.c, "rpcinterface_greet")
			hello() // whoever comes too early waits at the socket
			var fault *supervisor.Fault
			if _, err := h.c.Call(ctx, "greet.hello"); !errors.As(err, &fault) || fault.Code != supervisor.FaultIncorrectParameters || fault.Text != "whom?" {
				t.Error(err)
			}
			if _, err := h.c.Call(ctx, "greet.nothing"); !errors.As(err, &fault) {
				t.Error(err)
			}
			if names, err := h.c.ListMethods(ctx); err != nil || !slices.Contains(names, "greet.hello") || !slices.IsSorted(names) {
				t.Error(names, err)
			}
			if help, err := h.c.MethodHelp(ctx, "greet.hello"); err != nil || !strings.HasPrefix(strings.TrimSpace(help), "Says hello.") {
				t.Error(help, err)
			}
			h.again("rpcinterface_greet", func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) })
			hello()
			h.kill(before.Manager)
			h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
			hello()
			h.down()
			if _, err := os.Lstat(filepath.Join(h.dir, "greet.sock")); err == nil {
				t.Error("the socket outlives the daemon")
			}
		})
	}
}
