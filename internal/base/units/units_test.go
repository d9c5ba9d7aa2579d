package units

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// result is what one call gave: a value or the text of its error.
type result struct {
	value any
	err   string
}

func res(v any, err error) result {
	if err != nil {
		return result{err: err.Error()}
	}
	return result{value: v}
}

func check(t *testing.T, name, in string, got, want result) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(result{})); d != "" {
		t.Errorf("%s(%q):\n%s", name, in, d)
	}
}

func TestInt(t *testing.T) {
	const bad = "invalid literal for int() with base 10: "
	for in, want := range map[string]result{
		"0": {value: int64(0)}, "-0": {value: int64(0)}, "007": {value: int64(7)}, "+5": {value: int64(5)},
		"-12": {value: int64(-12)}, " 1\t": {value: int64(1)}, "1_0": {value: int64(10)}, "１２": {value: int64(12)},
		"٣𝟘": {value: int64(30)}, "9223372036854775807": {value: int64(math.MaxInt64)},
		"-9223372036854775808": {value: int64(math.MinInt64)}, "99999999999999999999": {value: int64(math.MaxInt64)},
		"-99999999999999999999": {value: int64(math.MinInt64)},
		"abc":                   {err: bad + "'abc'"}, "": {err: bad + "''"}, " ": {err: bad + "' '"}, "1__0": {err: bad + "'1__0'"},
		"_1": {err: bad + "'_1'"}, "1_": {err: bad + "'1_'"}, "+ 1": {err: bad + "'+ 1'"}, "--1": {err: bad + "'--1'"},
		"1.0": {err: bad + "'1.0'"}, "0x1": {err: bad + "'0x1'"}, "1e3": {err: bad + "'1e3'"}, "²": {err: bad + "'²'"},
		"it's": {err: bad + `"it's"`}, "99999999999999999999x": {err: bad + "'99999999999999999999x'"},
	} {
		n, err := Int(in)
		check(t, "Int", in, res(n, err), want)
	}
}

func TestOctal(t *testing.T) {
	const bad = " can not be converted to an octal type"
	for in, want := range map[string]result{
		"022": {value: int64(0o22)}, "22": {value: int64(0o22)}, "0o22": {value: int64(0o22)}, "0O7": {value: int64(7)},
		" 0700 ": {value: int64(0o700)}, "-7": {value: int64(-7)}, "0": {value: int64(0)}, "0o_7": {value: int64(7)},
		"9": {err: "9" + bad}, "": {err: bad}, "0o": {err: "0o" + bad}, "0x1": {err: "0x1" + bad}, "rwx": {err: "rwx" + bad},
		"0__7": {err: "0__7" + bad},
	} {
		n, err := Octal(in)
		check(t, "Octal", in, res(n, err), want)
	}
}

func TestBool(t *testing.T) {
	for in, want := range map[string]result{
		"yes": {value: true}, "TRUE": {value: true}, "On": {value: true}, "1": {value: true},
		"no": {value: false}, "False": {value: false}, "OFF": {value: false}, "0": {value: false},
		"maybe": {err: "not a valid boolean value: 'maybe'"}, "t": {err: "not a valid boolean value: 't'"},
		"": {err: "not a valid boolean value: ''"}, " true": {err: "not a valid boolean value: ' true'"},
		"Y": {err: "not a valid boolean value: 'Y'"},
	} {
		v, err := Bool(in)
		check(t, "Bool", in, res(v, err), want)
	}
}

func TestByteSize(t *testing.T) {
	const bad = "invalid literal for int() with base 10: "
	for in, want := range map[string]result{
		"0": {value: int64(0)}, "50MB": {value: int64(50 << 20)}, "1 mb": {value: int64(1 << 20)}, "-1kb": {value: int64(-1024)},
		"2Gb": {value: int64(2 << 30)}, "1_0gb": {value: int64(10 << 30)}, " 7 ": {value: int64(7)},
		"99999999999GB": {value: int64(math.MaxInt64)}, "-99999999999GB": {value: int64(math.MinInt64)},
		"10xb": {err: bad + "'10xb'"}, "10X": {err: bad + "'10x'"}, "10xkb": {err: bad + "'10x'"}, "1M": {err: bad + "'1m'"},
		"1KiB": {err: bad + "'1kib'"}, "1TB": {err: bad + "'1tb'"}, "1.5MB": {err: bad + "'1.5'"}, "kb": {err: bad + "''"},
		"1kb ": {err: bad + "'1kb '"},
	} {
		n, err := ByteSize(in)
		check(t, "ByteSize", in, res(n, err), want)
	}
}

func TestSignal(t *testing.T) {
	for in, want := range map[string]result{
		"TERM": {value: 15}, "sigterm": {value: 15}, " hup ": {value: 1}, "SigKill": {value: 9}, "15": {value: 15}, " 2 ": {value: 2},
		"0": {value: 0}, "CLD": {value: 17}, "CHLD": {value: 17}, "POLL": {value: 29}, "IO": {value: 29}, "IOT": {value: 6},
		"RTMIN": {value: 34}, "SIGRTMAX": {value: 64}, "34": {value: 34}, "64": {value: 64}, "31": {value: 31},
		"FOO": {err: "value 'FOO' is not a valid signal name"}, "": {err: "value '' is not a valid signal name"},
		"SIG": {err: "value 'SIG' is not a valid signal name"}, "SIGSIGTERM": {err: "value 'SIGSIGTERM' is not a valid signal name"},
		"RTMIN+1": {err: "value 'RTMIN+1' is not a valid signal name"}, "HUP=1": {err: "value 'HUP=1' is not a valid signal name"},
		"99": {err: "value '99' is not a valid signal number"}, "32": {err: "value '32' is not a valid signal number"},
		"-1": {err: "value '-1' is not a valid signal number"}, "63": {err: "value '63' is not a valid signal number"},
	} {
		n, err := signalOn("linux", in)
		check(t, "Signal", in, res(n, err), want)
	}
}

func TestSignalSetOfLinux(t *testing.T) {
	for n := -2; n < 70; n++ {
		want := n >= 0 && n <= 31 || n == 34 || n == 64
		_, err := signalOn("linux", big.NewInt(int64(n)).String())
		if (err == nil) != want {
			t.Errorf("signal %d: %v", n, err)
		}
	}
}

func TestSignalsOfOtherSystems(t *testing.T) {
	for _, tc := range []struct {
		goos, in string
		want     int
	}{
		{"darwin", "USR1", 30},
		{"freebsd", "CHLD", 20},
		{"openbsd", "INFO", 29},
		{"windows", "BREAK", 21},
		{"windows", "TERM", 15},
	} {
		if n, err := signalOn(tc.goos, tc.in); n != tc.want || err != nil {
			t.Errorf("%s %s = %d, %v", tc.goos, tc.in, n, err)
		}
	}
	for _, goos := range []string{"darwin", "windows"} {
		if _, err := signalOn(goos, "STKFLT"); err == nil {
			t.Errorf("%s has no STKFLT", goos)
		}
	}
}

func TestSignalNames(t *testing.T) {
	// Every name that is shown must be accepted and mean the same.
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for word := range strings.FieldsSeq(string(signalTable(goos))) {
			name, _, _ := strings.Cut(word, "=")
			n, err := signalOn(goos, name)
			if err != nil {
				t.Errorf("%s %s: %v", goos, name, err)
				continue
			}
			shown := signalTable(goos).name(int64(n))
			if m, err := signalOn(goos, shown); m != n || err != nil {
				t.Errorf("%s %d is shown as %s, which is %d, %v", goos, n, shown, m, err)
			}
		}
	}
	for n, want := range map[int64]string{6: "ABRT", 15: "TERM", 17: "CHLD", 29: "POLL", 32: "", 50: "", 0: ""} {
		if got := linuxSignals.name(n); got != want {
			t.Errorf("name of %d = %q, want %q", n, got, want)
		}
	}
	if got := SignalName(15); got != "SIGTERM" {
		t.Error(got)
	}
	if got := SignalName(50); got != "signal 50" {
		t.Error(got)
	}
	if n, err := Signal("KILL"); n != 9 || err != nil {
		t.Error(n, err)
	}
}

func TestExitCodes(t *testing.T) {
	const bad = "not a valid list of exit codes: "
	for in, want := range map[string]result{
		"": {value: []int(nil)}, "0": {value: []int{0}}, "0,2": {value: []int{0, 2}}, " 1 , 255 ": {value: []int{1, 255}},
		"0,300": {err: bad + "'0,300'"}, "1,": {err: bad + "'1,'"}, "-1": {err: bad + "'-1'"}, " ": {err: bad + "' '"}, "x": {err: bad + "'x'"},
	} {
		v, err := ExitCodes(in)
		check(t, "ExitCodes", in, res(v, err), want)
	}
}

func TestList(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "a": {"a"}, "a, b\n,c": {"a", "b", "c"}, "a,": {"a", ""}, ",": {"", ""},
	} {
		if d := cmp.Diff(want, List(in)); d != "" {
			t.Errorf("List(%q): %s", in, d)
		}
	}
}

func TestName(t *testing.T) {
	for in, want := range map[string]result{
		"x": {value: "x"}, " x ": {value: "x"}, "": {value: ""}, "x\ty": {value: "x\ty"}, "%(program_name)s_%(process_num)02d": {value: "%(program_name)s_%(process_num)02d"},
		"x y":    {err: "Invalid name: 'x y' because of character: ' '"},
		"a:b":    {err: "Invalid name: 'a:b' because of character: ':'"},
		" a/b ":  {err: "Invalid name: ' a/b ' because of character: '/'"},
		"a/b: c": {err: "Invalid name: 'a/b: c' because of character: ' '"},
	} {
		v, err := Name(in)
		check(t, "Name", in, res(v, err), want)
	}
}

func TestInetAddress(t *testing.T) {
	type addr struct {
		Host string
		Port int
	}
	for in, want := range map[string]result{
		"9001": {value: addr{"", 9001}}, " 80 ": {value: addr{"", 80}}, ":9001": {value: addr{"", 9001}}, "*:9001": {value: addr{"", 9001}},
		"Localhost:9001": {value: addr{"localhost", 9001}}, "127.0.0.1:1": {value: addr{"127.0.0.1", 1}},
		"[::]:9001": {value: addr{"::", 9001}}, "[::1]:65535": {value: addr{"::1", 65535}}, "h: 80": {value: addr{"h", 80}},
		"99999": {err: "not a valid port number: '99999' "}, "": {err: "not a valid port number: '' "}, "http": {err: "not a valid port number: 'http' "},
		"h:": {err: "no port number specified in ''"}, "h:abc": {err: "invalid literal for int() with base 10: 'abc'"},
		"h:99999": {err: "99999 is above upper bound (65535)"}, "h:0": {err: "0 is below lower bound (1)"}, "h:-1": {err: "-1 is below lower bound (1)"},
	} {
		h, p, err := InetAddress(in)
		check(t, "InetAddress", in, res(addr{h, p}, err), want)
	}
}

func TestURL(t *testing.T) {
	for in, ok := range map[string]bool{
		"http://a": true, "http://localhost:9001": true, "unix:///x.sock": true, "x:y": true, " http://a ": true, "h+s.1-x://a": true,
		"foo": false, "": false, "http:": false, "unix://": false, "1h://x": false, "h+s://?q": false, "://x": false, "h s://x": false,
		"localhost:9001": true, "http://#f": false, "http:///": true,
	} {
		err := URL(in)
		if (err == nil) != ok {
			t.Errorf("URL(%q) = %v", in, err)
		}
	}
	if err := URL("foo"); err == nil || err.Error() != "value 'foo' is not a URL" {
		t.Error(err)
	}
}

func TestLevel(t *testing.T) {
	for word, tag := range map[string]string{
		"critical": "CRIT", "error": "ERRO", "warn": "WARN", "info": "INFO", "debug": "DEBG", "trace": "TRAC", "blather": "BLAT",
	} {
		l, err := ParseLevel(strings.ToUpper(word))
		if err != nil || l.String() != word || l.Tag() != tag {
			t.Errorf("%s: %v %v %v", word, l, l.Tag(), err)
		}
	}
	for _, word := range []string{"foo", "warning", "fatal", "crit", "", " info", "İnfo"} {
		if _, err := ParseLevel(word); err == nil {
			t.Errorf("%q accepted", word)
		}
	}
	if _, err := ParseLevel("foo"); err.Error() != "bad logging level name 'foo'" {
		t.Error(err)
	}
	if LevelDebug >= LevelInfo || LevelWarn <= LevelInfo {
		t.Error("order")
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"1", "-1_0kb", "0o7", "h:1", "[::]:2", "SIGTERM", "1,2", "9223372036854775808", "unix:///x", "İnfo", "-0777", " a\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Int(s)
		if err == nil {
			want, ok := new(big.Int).SetString(strings.TrimSpace(s), 10)
			if ok && want.IsInt64() && want.Int64() != n {
				t.Errorf("Int(%q) = %d", s, n)
			}
			if size, err := ByteSize(s); err != nil || size != n {
				t.Errorf("ByteSize(%q) = %d, %v; Int gives %d", s, size, err, n)
			}
		}
		if want, err := strconv.ParseInt(s, 8, 64); err == nil {
			if n, err := Octal(s); n != want || err != nil {
				t.Errorf("Octal(%q) = %d, %v", s, n, err)
			}
		}
		_, _ = Octal(s)
		_, _ = Bool(s)
		_ = URL(s)
		if name, err := Name(s); err == nil {
			if again, err := Name(name); again != name || err != nil || !strings.Contains(s, name) || strings.ContainsAny(name, " :/") {
				t.Errorf("Name(%q) = %q, again %q, %v", s, name, again, err)
			}
		}
		if items := List(s); s != "" && len(items) != strings.Count(s, ",")+1 {
			t.Errorf("List(%q) = %q", s, items)
		}
		if sig, err := signalOn("linux", s); err == nil && (sig < 0 || sig > 64) {
			t.Errorf("Signal(%q) = %d", s, sig)
		}
		if codes, err := ExitCodes(s); err == nil {
			for _, c := range codes {
				if c < 0 || c > 255 {
					t.Errorf("ExitCodes(%q) = %v", s, codes)
				}
			}
		}
		if _, p, err := InetAddress(s); err == nil && (p < 1 || p > 65535) {
			t.Errorf("InetAddress(%q) = %d", s, p)
		}
		if l, err := ParseLevel(s); err == nil && !strings.EqualFold(l.String(), s) {
			t.Errorf("ParseLevel(%q) = %v", s, l)
		}
	})
}

func TestSignalNamesAreSignals(t *testing.T) {
	names := SignalNames()
	for _, name := range names {
		if _, err := Signal(name); err != nil {
			t.Error(err)
		}
	}
	if len(names) < 5 {
		t.Error(names)
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]result{
		"0": {value: time.Duration(0)}, "90": {value: 90 * time.Second}, "1.5": {value: 1500 * time.Millisecond}, ".5": {value: 500 * time.Millisecond},
		"500ms": {value: 500 * time.Millisecond}, "1h30m": {value: 90 * time.Minute}, "2d": {value: 48 * time.Hour}, "1d12h": {value: 36 * time.Hour},
		" 3s ": {value: 3 * time.Second}, "100000d": {err: "not a length of time: '100000d'"}, "": {err: "not a length of time: ''"},
		"-1": {err: "not a length of time: '-1'"}, "+1s": {err: "not a length of time: '+1s'"}, "1d-1h": {err: "not a length of time: '1d-1h'"},
		"soon": {err: "not a length of time: 'soon'"}, "1.5d": {err: "not a length of time: '1.5d'"}, "d": {err: "not a length of time: 'd'"},
		"99999999999": {err: "not a length of time: '99999999999'"}, "1.2.3": {err: "not a length of time: '1.2.3'"},
	} {
		d, err := Duration(in)
		check(t, "Duration", in, res(d, err), want)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"0", "1.5", "1h30m", "2d", "1d12h", "-1s", "9223372036s", "65535d", "1µs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Duration(s)
		if err != nil {
			return
		}
		if again, err := Duration(d.String()); d < 0 || err != nil || again != d {
			t.Errorf("Duration(%q) = %v, again %v, %v", s, d, again, err)
		}
	})
}
