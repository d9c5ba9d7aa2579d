package daemon

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// ways are the ways to start a process that outlives whoever starts it, the best one first. It gets a console of its own
// that nobody sees: programs that share it can be asked to end by it, and no window of theirs comes up. It also leaves the
// job of who starts it, which may end all that is in it, where that is permitted.
func ways() []*syscall.SysProcAttr {
	const flags = windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP
	return []*syscall.SysProcAttr{{CreationFlags: flags | windows.CREATE_BREAKAWAY_FROM_JOB}, {CreationFlags: flags}}
}

// hand lets a command inherit a file, and returns the number under which it finds it.
func hand(cmd *exec.Cmd, f *os.File) string {
	h := f.Fd()
	// When this fails, the start does, as who starts finds out.
	_ = windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT)
	cmd.SysProcAttr.AdditionalInheritedHandles = []syscall.Handle{syscall.Handle(h)}
	return strconv.FormatUint(uint64(h), 10)
}

func keepPrivate(fd int) {
	_ = windows.SetHandleInformation(windows.Handle(fd), windows.HANDLE_FLAG_INHERIT, 0) // programs inherit what they are given alone
}

// Silence connects the standard files with the null device, and closes what they were: somebody may wait for their end.
func Silence() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, std := range []struct {
		file   **os.File
		number uint32
	}{
		{&os.Stdin, windows.STD_INPUT_HANDLE}, {&os.Stdout, windows.STD_OUTPUT_HANDLE}, {&os.Stderr, windows.STD_ERROR_HANDLE},
	} {
		if err := windows.SetStdHandle(std.number, windows.Handle(null.Fd())); err != nil {
			return os.NewSyscallError("SetStdHandle", err)
		}
		old := *std.file
		*std.file = null
		_ = old.Close() // it may be none
	}
	return nil
}

// Umask has no meaning on Windows.
func Umask(int) {}

// Session is the environment of a new session of this user; nil where nobody can tell.
func Session() []string {
	env, err := windows.GetCurrentProcessToken().Environ(false)
	if err != nil || len(env) == 0 {
		return nil
	}
	return env
}
