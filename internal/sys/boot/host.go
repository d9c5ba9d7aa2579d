package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/accounts"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// Host is the machine, and who asks. Tests replace its parts.
type Host struct {
	// OS is the operating system as Go names it.
	OS string
	// Root stands before every path; "" on the machine itself.
	Root string
	// UID, User and Home are of who asks. UID is 0 for root, and for an administrator on Windows.
	UID  int
	User string
	Home string
	// Account is the number of an account, and whether there is one of this name.
	Account func(ctx context.Context, name string) (uid int, known bool)
	// Exec runs a command and returns what it wrote, standard output and error together.
	Exec func(ctx context.Context, c Command) (string, error)
	// Windows holds services and keys of the registry; nil elsewhere.
	Windows Registry
}

// Command is one call of a program.
type Command struct {
	Argv  []string
	Input string        // standard input; "" = none at all
	Env   []string      // in addition to the few variables that every command gets
	Limit time.Duration // 0 = commandLimit
}

// Limits on commands: no init system needs longer unless it waits for the daemon itself.
const (
	commandLimit = 30 * time.Second
	startLimit   = 3 * time.Minute
	outputLimit  = 64 << 10
)

// CommandError says that a command failed. Output is what it wrote; Err is why.
type CommandError struct {
	Argv   []string
	Output string
	Err    error
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: %v", strings.Join(e.Argv, " "), e.Err)
	if out := strings.TrimSpace(e.Output); out != "" {
		text += ": " + out
	}
	return text
}

// Unwrap is why it failed.
func (e *CommandError) Unwrap() error { return e.Err }

// System is this machine. An error: nobody knows who asks.
func System() (*Host, error) {
	h := &Host{OS: runtime.GOOS, UID: privilege.UID(), Windows: registryHere()}
	h.Exec = execute
	h.Account = func(ctx context.Context, name string) (int, bool) {
		if u, err := accounts.System().ByName(name); err == nil {
			return u.UID, true
		}
		// A directory service knows accounts that are in no file.
		out, err := h.run(ctx, "id", "-u", name)
		if err != nil {
			return 0, false
		}
		return accounts.ParseID(strings.TrimSpace(out))
	}
	if h.OS == "windows" {
		h.UID = windowsUID()
		h.User, h.Home = os.Getenv("USERNAME"), os.Getenv("USERPROFILE")
		return h, nil
	}
	if u, err := accounts.System().ByUID(h.UID); err == nil {
		h.User, h.Home = u.Name, u.Home
	} else if out, err := h.run(context.Background(), "id", "-un"); err == nil {
		h.User, h.Home = strings.TrimSpace(out), os.Getenv("HOME")
	} else {
		return nil, fmt.Errorf("the user with number %d has no name here: %w", h.UID, err)
	}
	if h.Home == "" {
		h.Home = "/"
	}
	return h, nil
}

// adminPath is where commands of administrators are, whatever the PATH of who asks.
const adminPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execute is Exec on a real machine: few variables, no terminal, a time limit.
func execute(ctx context.Context, c Command) (string, error) {
	limit := c.Limit
	if limit == 0 {
		limit = commandLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	path, err := find(c.Argv[0])
	if err != nil {
		return "", &CommandError{c.Argv, "", err}
	}
	cmd := exec.CommandContext(ctx, path, c.Argv[1:]...)
	cmd.Env = append([]string{"PATH=" + adminPath, "LC_ALL=C", "TERM=dumb", "SYSTEMD_PAGER="}, c.Env...)
	for _, name := range []string{"HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append([]string{name + "=" + v}, cmd.Env...)
		}
	}
	cmd.Dir = string(filepath.Separator)
	cmd.WaitDelay = time.Second
	if c.Input != "" {
		cmd.Stdin = strings.NewReader(c.Input)
	}
	out := &capped{limit: outputLimit}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it left a process behind that holds its output
	case ctx.Err() != nil && err != nil:
		err = fmt.Errorf("no end within %s: %w", limit, context.Cause(ctx))
	}
	if err != nil {
		return out.buf.String(), &CommandError{c.Argv, out.buf.String(), err}
	}
	return out.buf.String(), nil
}

// find looks a command up where administrators' commands are, then in the PATH.
func find(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	for _, dir := range strings.Split(adminPath, ":") {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// capped keeps the beginning of what is written to it.
type capped struct {
	buf   bytes.Buffer
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	c.buf.Write(p[:min(len(p), max(c.limit-c.buf.Len(), 0))])
	return len(p), nil
}

// run runs a command without input.
func (h *Host) run(ctx context.Context, argv ...string) (string, error) {
	return h.Exec(ctx, Command{Argv: argv})
}

// path is a path of the host.
func (h *Host) path(elem ...string) string {
	return filepath.Join(append([]string{h.Root}, elem...)...)
}

func (h *Host) exists(elem ...string) bool {
	_, err := os.Stat(h.path(elem...))
	return err == nil
}

// has reports whether a command is installed.
func (h *Host) has(name string) bool {
	for _, dir := range strings.Split(adminPath, ":") {
		if h.exists(dir, name) {
			return true
		}
	}
	return false
}

// readBounded reads a file that other software writes: entries are small.
func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(b), err
}

// processes are the short names of all processes; nil where there is no way to know.
func (h *Host) processes() map[string]bool {
	files, _ := filepath.Glob(h.path("/proc/[0-9]*/comm"))
	if len(files) == 0 {
		return nil
	}
	out := map[string]bool{}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			out[strings.TrimSpace(string(b))] = true
		}
	}
	return out
}

// runtimeDir is where systemd keeps the runtime files of who asks.
func (h *Host) runtimeDir() string { return h.path("/run/user", strconv.Itoa(h.UID)) }

// forRoot says why an entry of the whole machine cannot be made; "" = it can.
func (h *Host) forRoot(ctx context.Context, t Target) string {
	switch {
	case h.UID != 0:
		return "needs root"
	case t.atLogin():
		return "starts at boot, not at login"
	}
	return h.known(ctx, t)
}

// concerns reports whether entries of the whole machine are about this target: what root has there is about
// root's instance, not about that of whoever asks.
func (h *Host) concerns(t Target) bool { return h.UID == 0 || t.User != "" }

// known says that the target's user does not exist; "" = it does.
func (h *Host) known(ctx context.Context, t Target) string {
	if t.User == "" {
		return ""
	}
	if _, known := h.Account(ctx, t.User); !known {
		return fmt.Sprintf("there is no user %q", t.User)
	}
	return ""
}

// notThere reports whether a path names nothing, whatever is missing of it.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
