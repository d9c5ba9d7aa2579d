package spawn

// Mark is where it is noted that a process was let through its gate.
type Mark struct {
	At  uint32 // word of Marks
	Tag uint64 // what it becomes; 0 = nothing is noted
}

// MarkLimit is how many words Marks has.
const MarkLimit = 1 << 14
