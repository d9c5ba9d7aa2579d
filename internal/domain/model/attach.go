package model

// Track says which process of a program is its instance. Source: one-model C8, spec/usrsvc US-46.
type Track uint8

// The ways to follow a program.
const (
	TrackChild   Track = iota // the process that was started
	TrackPIDFile              // the one that the program writes into its pid file; the started one may end with 0 before
	TrackFork                 // the one that is left when the started one has ended with 0
)

// String is the configuration word: child, pidfile, fork.
func (t Track) String() string { return [...]string{"child", "pidfile", "fork"}[t] }

// AttachSpec says how a process is known that somebody else has started, or that a program has made of itself. A process
// is only ever taken when exactly one fits.
type AttachSpec struct {
	// PIDFile is where the pid stands, absolute; empty = nowhere. With TrackPIDFile the program writes it and it is read,
	// else it is written when an instance begins and removed when it has ended.
	PIDFile string `json:",omitzero"`
	Track   Track  `json:",omitzero"`
	// Scan looks for a process that fits before the program is started, and takes it instead.
	Scan bool `json:",omitzero"`
	// Match is a regular expression (RE2) that is looked for in the joined command line of a process; empty = the command
	// itself, element by element, whatever interpreter stands before it.
	Match string `json:",omitzero"`
}

// Fits reports whether a process that runs already may be taken instead of a start.
func (a AttachSpec) Fits() bool { return a.Scan || a.Track == TrackPIDFile }

// WritesPIDFile reports whether the pid file of a program is ours to write: it is an output of the program else.
func (p *Program) WritesPIDFile() bool {
	return p.Attach.PIDFile != "" && p.Attach.Track == TrackChild
}
