// Package systemd proves what docs/how-to/run-at-boot.md says: its tests boot a real init in namespaces of its own and have the
// product start with it, by the unit of the package and by what users type: add, on, off, boot enable. They kill, upgrade,
// stop, log in and out, and restart the machine, in order and by a power cut. The machine has the host's /usr and nothing else of the
// host; those with SysV init, OpenRC and cron have a root of their own (make boot-real). They need root, util-linux, systemd and
// cgroup2, and skip where one is missing.
package systemd
