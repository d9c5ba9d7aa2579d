package errand

import "os/exec"

// isolate has nothing to do: the command itself is ended.
func isolate(*exec.Cmd) {}
