package supervisord

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestFirstProcessOfAContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may make a pid namespace")
	}
	// The program leaves a grandchild behind, which the daemon inherits and has to reap.
	s := newSite(t, standard+"[program:fork]\ncommand=sh -c '(sleep 0.3; exit 5) & exec sleep 0.1'\nautorestart=false\nstartsecs=0\n")
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	s.cmd = command("-n", "-c", s.conf)
	s.cmd.Args = append([]string{"bash", "-c", `{ mount --make-rprivate / || mount --make-rprivate /proc; } 2>/dev/null && mount -t proc proc /proc && exec -a supervisord "$0" "$@"`, s.cmd.Path}, s.cmd.Args[1:]...)
	s.cmd.Path = bash
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.logged(`supervisord started with pid 1\n`)
	s.logged(`INFO exited: fork \(exit status 0; expected\)`)
	s.logged(`INFO reaped unknown pid \d+ \(exit status 5\)`)
}

func TestDaemonOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may become somebody else")
	}
	if _, err := exec.LookPath("id"); err != nil {
		t.Skip("id is not installed")
	}
	s := newSite(t, strings.Replace(standard, "[supervisord]\n", "[supervisord]\nuser=nobody\n", 1)+
		"[program:id]\ncommand=sh -c 'id -u; id -un; id -Gn; exec sleep 1000'\nstdout_logfile=%(here)s/id.log\n")
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.until("the program has said who it is", func() bool { return strings.Count(s.read("id.log"), "\n") == 3 })
	if got := s.read("id.log"); got != "65534\nnobody\nnogroup\n" {
		t.Errorf("the program runs as %q", got)
	}
	s.logged(`INFO Set uid to user 65534 succeeded`)
}
