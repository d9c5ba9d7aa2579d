//go:build unix && !linux

package pipe

// fionread is FIONREAD, the same number on all BSDs.
const fionread = 0x4004667f
