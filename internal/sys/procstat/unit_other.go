//go:build !linux

package procstat

// Service is the service of systemd whose control group a process is in: none, as there is no systemd here.
func Service(int) (string, error) { return "", nil }
