package differ

// killAll kills the process.
func (p *process) killAll() { _ = p.cmd.Process.Kill() }
