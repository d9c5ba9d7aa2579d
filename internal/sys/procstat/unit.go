package procstat

import "strings"

// serviceOf finds the service of systemd in the text of /proc/PID/cgroup: the innermost one, without the manager of a user's
// services; empty = there is none.
func serviceOf(cgroups string) string {
	found := ""
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "name=systemd" {
			continue
		}
		service := ""
		for part := range strings.SplitSeq(fields[2], "/") {
			if strings.HasSuffix(part, ".service") && !strings.HasPrefix(part, "user@") {
				service = part
			}
		}
		if service != "" {
			found = service
		}
	}
	return found
}
