//go:build !linux

package cgroup

// Tree is where the groups of instances are. This system has none.
type Tree struct{}

// Detect fails with a *Reduced on this system.
func Detect(string) (*Tree, error) { return nil, &Reduced{Cause: Unsupported} }

// Dir is the directory of the tree.
func (t *Tree) Dir() string { return "" }

// Create makes the group of an instance. Unsupported on this system.
func (t *Tree) Create(string) (*Group, error) { return nil, &Reduced{Cause: Unsupported} }

// Open takes the group of an earlier instance. Unsupported on this system.
func (t *Tree) Open(string) (*Group, error) { return nil, &Reduced{Cause: Unsupported} }

// Reopen takes the group of an earlier daemon. Unsupported on this system.
func (t *Tree) Reopen(string) (*Group, error) { return nil, &Reduced{Cause: Unsupported} }

// Sweep removes groups that nobody uses. There are none on this system.
func (t *Tree) Sweep([]string) (int, []Leftover, error) { return 0, nil, nil }

// Close does nothing on this system.
func (t *Tree) Close() error { return nil }

// Group is the control group of an instance. This system has none.
type Group struct{}

// Dir is the directory of the group.
func (g *Group) Dir() string { return "" }

// FD is -1 on this system.
func (g *Group) FD() int { return -1 }

// CloseFD does nothing on this system.
func (g *Group) CloseFD() {}

// Add moves a process into the group. Unsupported on this system.
func (g *Group) Add(int) error { return &Reduced{Cause: Unsupported} }

// Procs lists the members. There are none on this system.
func (g *Group) Procs() ([]int, error) { return nil, nil }

// Has reports whether a process is a member.
func (g *Group) Has(int) bool { return false }

// Empty reports whether the group has no living member.
func (g *Group) Empty() (bool, error) { return true, nil }

// Kill sends KILL to every member. Unsupported on this system.
func (g *Group) Kill() error { return &Reduced{Cause: Unsupported} }

// Remove removes the group.
func (g *Group) Remove() error { return nil }
