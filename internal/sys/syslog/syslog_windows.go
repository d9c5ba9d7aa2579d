package syslog

// conn stands for nothing: this system has no such log and every line is dropped.
type conn struct{}

var noConn = conn{}

func (conn) close() {}

func (s *Sender) sendLocked([]byte) bool { return false }
