// Package systemd proves what docs/how-to/run-at-boot.md says of the unit file: its tests boot a real systemd in
// namespaces of its own, with the host's /usr and nothing else of the host, install the unit there, and start,
// stop, kill, upgrade and reboot. They need root, util-linux, systemd and cgroup2, and skip where one is missing.
package systemd
