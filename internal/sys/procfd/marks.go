package procfd

// Mark says by what a process was recognised as a descendant of an instance.
type Mark string

// The marks, the surest first. All but MarkOrphan are sure.
const (
	MarkCgroup  Mark = "control group"
	MarkParent  Mark = "parent"        // the chain of parents leads to the instance
	MarkGroup   Mark = "process group" // it is in the group that the instance led
	MarkPipe    Mark = "pipe"          // it holds a pipe of the instance
	MarkEnv     Mark = "environment"   // it has the instance's variables and was left to us by a dead parent
	MarkSession Mark = "session"       // it is in a session or group that a recognised process leads
	// MarkOrphan is the guess: a process that was left to us after the instance started and that has
	// nothing left to tell whose it is. It is never signalled, only named.
	MarkOrphan Mark = "orphan"
)

// Sure reports whether the process is certainly a descendant of the instance.
func (m Mark) Sure() bool { return m != MarkOrphan }

// Process is a process that is not our child, at the moment when it was seen.
type Process struct {
	PID        int
	Name       string // the kernel's: up to 15 bytes, any bytes
	StartTicks uint64
	Inode      uint64 // in pidfs; 0 = unknown
	Mark       Mark
}

// Cgroup is a control group that holds an instance with everything it forked. The Group of sys/cgroup is
// one.
type Cgroup interface {
	// Procs lists the members, those of groups below included.
	Procs() ([]int, error)
	// Has reports whether a process is a member at this moment.
	Has(pid int) bool
	// Kill sends KILL to all members so that none escapes by forking.
	Kill() error
}

// Marks are what an instance hands down to its descendants.
type Marks struct {
	// Group and Name are the values of SUPERVISOR_GROUP_NAME and SUPERVISOR_PROCESS_NAME in the
	// environment that the instance was started with.
	Group, Name string
	// Pipes are the inode numbers (PipeInode) of its pipes.
	Pipes []uint64
	// Cgroup is the instance's own; nil = none.
	Cgroup Cgroup
}

// Wanted is a program whose instance is looked for.
type Wanted struct {
	Group, Name string
	UID         int // the user it runs as; -1 = any
	// Server is the value of SUPERVISOR_SERVER_URL in its environment; empty = any. A process that has another
	// one belongs to another daemon, which may be down at the moment.
	Server string
}
