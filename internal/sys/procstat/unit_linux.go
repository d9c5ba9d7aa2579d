package procstat

import "os"

// Service is the service of systemd whose control group a process is in; empty = none. A process that is in one may be ended
// with it, whoever its parent is. Source: spec/usrsvc US-97, US-99.
func Service(pid int) (string, error) {
	b, err := os.ReadFile(file(pid, "cgroup"))
	if err != nil {
		return "", gone(err)
	}
	return serviceOf(string(b)), nil
}
