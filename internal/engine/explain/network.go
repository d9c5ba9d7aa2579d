package explain

import (
	"context"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
)

// Patterns of ports and addresses in the words of programs. Times of the day look like ports and are taken out first.
const (
	timeOfDay   = `(^|[\sT\[])\d{1,2}:\d{2}(:\d{2})?([.,]\d+)?`
	portText    = `(?i)(?:\bport[ =:]+|[:*\]a-z0-9.]:|:::?|^:|[\s'"(]:|['"], )(\d{1,5})\b`
	addressText = `(?i)(?:^|[\s"'(/@\[])((?:\d{1,3}\.){3}\d{1,3}|localhost|::1|\[[0-9a-f:]+\])(?:\]?:|['"]?\)?,? (?:\([\d.:a-f]+\), )?(?:port )?)(\d{1,5})\b`

	portInUsePattern = `(?i)address already in use|EADDRINUSE|port \d+ (?:is|was) already|Connection in use|Only one usage of each socket address`
)

// maxPorts bounds how many candidates are looked at: each means a look at the table of sockets.
const maxPorts = 6

// ports reads the ports out of a text.
func ports(text string) []int {
	text = regexp.MustCompile(timeOfDay).ReplaceAllString(text, "$1")
	var out []int
	for _, g := range regexp.MustCompile(portText).FindAllStringSubmatch(text, maxPorts) {
		if n, err := strconv.Atoi(g[1]); err == nil && n > 0 && n < 1<<16 && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// candidates are the ports that a program may have meant: those in the line, else those near it, in its command line, and
// in PORT.
func (q *inquiry) candidates(m match) []int {
	if l := ports(q.lines[m.line].text); len(l) > 0 {
		return l
	}
	var out []int
	add := func(l ...int) {
		for _, n := range l {
			if len(out) < maxPorts && n > 0 && n < 1<<16 && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	for i := max(0, m.line-2); i < min(len(q.lines), m.line+6); i++ {
		add(ports(q.lines[i].text)...)
	}
	for _, a := range q.argv {
		if _, v, ok := strings.Cut(a, "="); ok {
			a = v
		}
		if n, err := strconv.Atoi(a[strings.LastIndexByte(a, ':')+1:]); err == nil {
			add(n)
		}
	}
	for _, kv := range q.f.Environ {
		if v, ok := strings.CutPrefix(kv, "PORT="); ok {
			n, _ := strconv.Atoi(v) // 0, which is none
			add(n)
		}
	}
	return out
}

func portInUse(q *inquiry, ctx context.Context, m match) bool {
	network := "tcp"
	if strings.Contains(strings.ToLower(q.lines[m.line].text), "udp") {
		network = "udp"
	}
	for _, port := range q.candidates(m) {
		holders, err := q.sys.Holders(ctx, network, port)
		if err != nil || len(holders) == 0 {
			continue
		}
		h := holders[0]
		for _, other := range holders {
			if other.PID != 0 {
				h = other
				break
			}
		}
		q.heldBy(port, h)
		return true
	}
	return false
}

// heldBy says who holds a port, and what that means.
func (q *inquiry) heldBy(port int, h procnet.Holder) {
	text := "port " + strconv.Itoa(port) + " is held by "
	if h.PID == 0 {
		q.checked(text + "a process of " + q.userName(h.UID))
		return
	}
	text += "pid " + strconv.Itoa(h.PID) + q.about(h.PID)
	switch n, ok := q.neighbour(h.PID); {
	case slices.Contains(q.f.Left, h.PID):
		q.checked(text + ", which an earlier run of this program has left")
		q.hint("End it:", "kill "+strconv.Itoa(h.PID))
	case ok:
		q.checked(text + ": the program " + n.ID.String())
		q.hint("Give one of the two another port.", "")
	default:
		q.checked(text)
		q.hint("End that one first, or give this one another port.", "")
	}
}

// about is " (python3 app.py, user sam, running 3h)".
func (q *inquiry) about(pid int) string {
	p, ok := q.sys.Process(pid)
	if !ok {
		return ""
	}
	const most = 80
	argv := p.Command
	if p.UID != q.who.UID && q.who.UID != 0 && len(argv) > 1 {
		argv = argv[:1] // the arguments of others may be nothing for this user
	}
	command := clean(strings.Join(argv, " "))
	if len(command) > most {
		command = strings.ToValidUTF8(command[:most], "") + "…"
	}
	text := " (" + command + ", " + q.userName(p.UID)
	if p.Age > 0 {
		text += ", running " + words.Duration(p.Age)
	}
	return text + ")"
}

func (q *inquiry) neighbour(pid int) (Neighbour, bool) {
	i := slices.IndexFunc(q.f.Neighbours, func(n Neighbour) bool { return n.PID == pid && pid != 0 && n.ID != q.st.ID })
	if i < 0 {
		return Neighbour{}, false
	}
	return q.f.Neighbours[i], true
}

// firstFree is the file with the lowest port that ordinary users may listen on, and its usual content.
const (
	firstFreeFile = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
	firstFree     = 1024
)

func portPrivileged(q *inquiry, _ context.Context, m match) bool {
	if q.who.UID == 0 || !regexp.MustCompile(`(?i)bind|listen`).MatchString(q.lines[m.line].text) {
		return false
	}
	limit := firstFree
	if b, err := q.sys.File(q.who, firstFreeFile, 32); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			limit = n
		}
	}
	for _, port := range q.candidates(m) {
		if port >= limit {
			continue
		}
		q.checked(q.userText() + " may not listen on port " + strconv.Itoa(port) + ": ports below " + strconv.Itoa(limit) + " are for root")
		q.hint("Let the program use a port from "+strconv.Itoa(limit)+" on, or give it the right:",
			"setcap cap_net_bind_service=+ep "+words.Quote(q.argv0())+q.andStart())
		return true
	}
	return false
}

// address reads the first address with a port out of a text.
func address(text string) (host string, at netip.AddrPort, ok bool) {
	text = regexp.MustCompile(timeOfDay).ReplaceAllString(text, "$1")
	g := regexp.MustCompile(addressText).FindStringSubmatch(text)
	if g == nil {
		return "", at, false
	}
	port, err := strconv.ParseUint(g[2], 10, 16)
	if err != nil || port == 0 {
		return "", at, false
	}
	host = strings.Trim(g[1], "[]")
	if strings.EqualFold(host, "localhost") {
		return host, netip.AddrPortFrom(netip.Addr{}, uint16(port)), true
	}
	addr, err := netip.ParseAddr(host)
	return host, netip.AddrPortFrom(addr, uint16(port)), err == nil
}

// near is the address in a line, or in one of the lines beside it.
func (q *inquiry) near(at int) (host string, a netip.AddrPort, ok bool) {
	for _, i := range []int{at, at + 1, at - 1, at + 2} {
		if i < 0 || i >= len(q.lines) {
			continue
		}
		if host, a, ok = address(q.lines[i].text); ok {
			return host, a, true
		}
	}
	return "", a, false
}

func refused(q *inquiry, ctx context.Context, m match) bool {
	host, at, ok := q.near(m.line)
	if !ok || (at.Addr().IsValid() && !at.Addr().IsLoopback() && !at.Addr().IsUnspecified()) {
		return false // of other machines nothing can be seen here
	}
	holders, err := q.sys.Holders(ctx, "tcp", int(at.Port()))
	if err != nil {
		return false
	}
	where := host + ":" + strconv.Itoa(int(at.Port()))
	if strings.Contains(host, ":") {
		where = "[" + host + "]:" + strconv.Itoa(int(at.Port()))
	}
	for _, h := range holders {
		if !h.Covers(at) {
			continue
		}
		n, ours := q.neighbour(h.PID)
		switch {
		case ours:
			q.checked("the program " + n.ID.String() + " listens on " + where + " now: it was not ready yet")
		case h.PID != 0:
			q.checked("pid " + strconv.Itoa(h.PID) + q.about(h.PID) + " listens on " + where + " now: it was not ready yet")
		default:
			q.checked("something listens on " + where + " now: it was not ready yet")
		}
		if q.st.State.Down() {
			q.hint("Try again:", "upkeep start "+words.Quote(q.name))
		}
		return true
	}
	q.checked("nothing listens on " + where)
	for _, h := range holders {
		q.checked("port " + strconv.Itoa(int(at.Port())) + " is open on " + h.String() + " only")
	}
	var down []string
	for _, n := range q.f.Neighbours {
		if n.State.Down() && n.ID != q.st.ID && len(down) < 5 {
			down = append(down, n.ID.String())
		}
	}
	if len(down) > 0 {
		q.checked("not running here: " + words.List(down))
	}
	q.hint("If that is a program you run here, start it first.", "")
	return true
}

func addressForeign(q *inquiry, _ context.Context, m match) bool {
	host, at, ok := q.near(m.line)
	if !ok || !at.Addr().IsValid() || at.Addr().IsLoopback() || at.Addr().IsUnspecified() {
		return false
	}
	local, err := q.sys.Addresses()
	if err != nil || slices.Contains(local, at.Addr()) {
		return false
	}
	q.checked("this machine does not have the address " + host)
	return true
}

// exists reports whether a path is there, as far as the program's user can see.
func (q *inquiry) exists(parts ...string) bool { return q.there(filepath.Join(parts...), peek.Here) }
