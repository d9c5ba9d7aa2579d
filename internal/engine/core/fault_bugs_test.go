package core

// bug is a planted mistake.
type bug struct {
	name    string
	host    func(*realm, Host) Host
	journal func(*realm, Journal) Journal
	wishes  func(*realm, Wishes) Wishes
	lines   func(*realm, Lines) Lines
	saved   func(*realm, *Saved)
}
