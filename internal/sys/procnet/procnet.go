// Package procnet tells which sockets processes listen on, and who holds a port. On Linux it reads the tables of
// /proc/PID/net and the descriptors of processes; elsewhere every function answers ErrUnsupported.
//
// What it returns was true at one moment. An ordinary user sees the sockets of all processes but the owners of its
// own only: a holder may be known by its user alone.
package procnet

import (
	"errors"
	"net/netip"
	"strconv"
)

// ErrUnsupported says that this system offers no such figures.
var ErrUnsupported = errors.New("sockets of processes are not available on this system")

// Addr is one address on which something listens.
type Addr struct {
	Network  string         // tcp or udp; of a socket for both families, tcp on [::]
	AddrPort netip.AddrPort // unspecified = every address of the machine
}

// String is the form for people: ":8000" when every address is meant, else "127.0.0.1:8000"; UDP says so.
func (a Addr) String() string {
	s := a.AddrPort.String()
	if a.AddrPort.Addr().IsUnspecified() {
		s = ":" + strconv.Itoa(int(a.AddrPort.Port()))
	}
	if a.Network == "udp" {
		s += "/udp"
	}
	return s
}

// Holder is who listens on an address.
type Holder struct {
	Addr
	UID int // the socket's owner
	PID int // 0 = it cannot be told: the process belongs to somebody else, or to nobody
}

// Covers reports whether something that listens on a is reached by a connection to want, or stands in the way of
// listening there: the port is the same, and the address too or one of the two means all. A socket on [::] serves
// IPv4 as well, as systems are set up by default.
func (a Addr) Covers(want netip.AddrPort) bool {
	if a.AddrPort.Port() != want.Port() {
		return false
	}
	have, addr := a.AddrPort.Addr().Unmap(), want.Addr().Unmap()
	switch {
	case !addr.IsValid() || addr == have:
		return true
	case have.IsUnspecified():
		return have.Is6() || addr.Is4()
	case addr.IsUnspecified():
		return addr.Is6() || have.Is4()
	}
	return false
}
