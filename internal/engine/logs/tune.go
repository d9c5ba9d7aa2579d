package logs

// SetOptions exchanges the options; they hold from the next write on. It does not block.
func (f *File) SetOptions(o Options) { f.next.Store(&o) }
