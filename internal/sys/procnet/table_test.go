package procnet

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// The tables as a little-endian machine shows them.
const (
	four = header +
		"   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n" +
		"   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0\n" +
		"   2: 0100007F:1F40 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 9 1 0 100 0 0 10 0\n" +
		"garbage\n   3: 0100007F:1F40\n   4: XX00007F:1F40 00000000:0000 0A a:b 0:0 0 0 0 5 1\n"
	six = header +
		"   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 65534 0 88 1 0\n" +
		"   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 89 1 0\n" +
		"   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 90 1 0\n"
)

func TestParseTable(t *testing.T) {
	if a, _ := parseAddr("0100007F:1F40"); a.Addr().String() != "127.0.0.1" {
		t.Skip("the examples are of a little-endian machine")
	}
	at := netip.MustParseAddrPort
	want := []socket{{at("127.0.0.1:8000"), 1000, 4242}, {at("0.0.0.0:22"), 0, 7}}
	if diff := cmp.Diff(want, parseTable(four, tcpListen), cmp.AllowUnexported(socket{}), cmp.Comparer(sameAddr)); diff != "" {
		t.Error(diff)
	}
	want = []socket{{at("[::]:8080"), 65534, 88}, {at("[::1]:80"), 0, 89}, {at("127.0.0.1:81"), 0, 90}}
	if diff := cmp.Diff(want, parseTable(six, tcpListen), cmp.AllowUnexported(socket{}), cmp.Comparer(sameAddr)); diff != "" {
		t.Error(diff)
	}
}

func sameAddr(a, b netip.AddrPort) bool { return a == b }

func FuzzParseTable(f *testing.F) {
	f.Add(four)
	f.Add(six)
	f.Add(header)
	f.Fuzz(func(t *testing.T, s string) {
		for _, k := range parseTable(s, tcpListen) {
			if !k.addr.IsValid() {
				t.Errorf("%+v", k)
			}
		}
		if len(parseTable(s, tcpListen)) > strings.Count(s, "\n")+1 {
			t.Error("more sockets than lines")
		}
	})
}

func TestAddrString(t *testing.T) {
	for _, c := range []struct{ network, addr, want string }{
		{"tcp", "0.0.0.0:8000", ":8000"},
		{"tcp", "[::]:8000", ":8000"},
		{"tcp", "127.0.0.1:8000", "127.0.0.1:8000"},
		{"tcp", "[::1]:8000", "[::1]:8000"},
		{"udp", "0.0.0.0:53", ":53/udp"},
	} {
		if got := (Addr{c.network, netip.MustParseAddrPort(c.addr)}).String(); got != c.want {
			t.Errorf("%v: %q", c, got)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		have, want string
		yes        bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"[::]:80", "127.0.0.1:80", true},
		{"[::]:80", "[::1]:80", true},
		{"127.0.0.1:80", "0.0.0.0:80", true}, // in the way
		{"10.0.0.1:80", "127.0.0.1:80", false},
		{"[::1]:80", "127.0.0.1:80", false},
	} {
		if got := (Addr{"tcp", netip.MustParseAddrPort(c.have)}).Covers(netip.MustParseAddrPort(c.want)); got != c.yes {
			t.Errorf("%s covers %s: %v", c.have, c.want, got)
		}
	}
	if !(Addr{"tcp", netip.MustParseAddrPort("10.0.0.1:80")}).Covers(netip.AddrPortFrom(netip.Addr{}, 80)) {
		t.Error("no address means any")
	}
}

func TestSortAddrs(t *testing.T) {
	at := func(network, s string) Addr { return Addr{network, netip.MustParseAddrPort(s)} }
	got := sortAddrs([]Addr{at("udp", "0.0.0.0:53"), at("tcp", "[::]:80"), at("tcp", "127.0.0.1:9"), at("tcp", "0.0.0.0:80")})
	var text []string
	for _, a := range got {
		text = append(text, a.String())
	}
	if diff := cmp.Diff([]string{"127.0.0.1:9", ":80", ":53/udp"}, text); diff != "" {
		t.Error(diff)
	}
}

func TestInodeOf(t *testing.T) {
	for link, want := range map[string]uint64{"socket:[42]": 42, "pipe:[42]": 0, "socket:[x]": 0, "socket:[4": 0, "": 0, "/dev/null": 0} {
		if got, ok := inodeOf(link); ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d, %v", link, got, ok)
		}
	}
}
