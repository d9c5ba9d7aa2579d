package procnet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// socket is one line of a table of /proc/net: something that waits for peers.
type socket struct {
	addr  netip.AddrPort
	uid   int
	inode uint64
}

// States that count as listening, as the kernel numbers them.
const (
	tcpListen = "0A"
	udpOpen   = "07" // unconnected
)

// parseTable reads the sockets in one state out of a table of /proc/net, tcp and udp of both families. Lines that are
// none are skipped.
func parseTable(table, state string) []socket {
	var out []socket
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != state {
			continue
		}
		addr, ok := parseAddr(f[1])
		uid, err := strconv.Atoi(f[7])
		inode, err2 := strconv.ParseUint(f[9], 10, 64)
		if ok && err == nil && err2 == nil {
			out = append(out, socket{addr, uid, inode})
		}
	}
	return out
}

// parseAddr reads ADDRESS:PORT in hexadecimal. The address is written in words of four bytes, each in the machine's
// order; the port is a plain number.
func parseAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	b, err2 := hex.DecodeString(host)
	if !ok || err != nil || err2 != nil || (len(b) != 4 && len(b) != 16) {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		w := binary.BigEndian.Uint32(b[i:])
		binary.NativeEndian.PutUint32(b[i:], w)
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// inodeOf reads the target of a descriptor's link, "socket:[123]".
func inodeOf(link string) (uint64, bool) {
	s, ok := strings.CutPrefix(link, "socket:[")
	s, ok2 := strings.CutSuffix(s, "]")
	n, err := strconv.ParseUint(s, 10, 64)
	return n, ok && ok2 && err == nil
}

// sortAddrs brings addresses into the order in which they are shown and takes repetitions out: one line for a port
// on all addresses of both families.
func sortAddrs(l []Addr) []Addr {
	slices.SortFunc(l, func(a, b Addr) int {
		if c := strings.Compare(a.Network, b.Network); c != 0 {
			return c
		}
		if c := int(a.AddrPort.Port()) - int(b.AddrPort.Port()); c != 0 {
			return c
		}
		return a.AddrPort.Addr().Compare(b.AddrPort.Addr())
	})
	return slices.CompactFunc(l, func(a, b Addr) bool { return a.String() == b.String() })
}
