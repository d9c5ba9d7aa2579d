package procstat

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// record is a record of FreeBSD with the given fields.
func record(fields map[int]uint64, widths map[int]int, comm string) []byte {
	b := make([]byte, kinfoSize)
	binary.LittleEndian.PutUint32(b, kinfoSize)
	for at, v := range fields {
		switch widths[at] {
		case 1:
			b[at] = byte(v)
		case 2:
			binary.LittleEndian.PutUint16(b[at:], uint16(v))
		case 8:
			binary.LittleEndian.PutUint64(b[at:], v)
		default:
			binary.LittleEndian.PutUint32(b[at:], uint32(v))
		}
	}
	copy(b[kinfoComm:], comm)
	return b
}

// sample is a process that was killed by a signal and left a core. The offsets are written out here once more: they are
// what the kernel's header gives.
func sample() []byte {
	return record(map[int]uint64{
		72: 4711, 76: 1, 80: 4711, 88: 99, 264: 300, 304: 0x80 | 6, 328: 2_500_000, 336: 1_700_000_000, 344: 250_000,
		368: 0x10000000, 388: 5, 596: 3,
	}, map[int]int{264: 8, 304: 2, 328: 8, 336: 8, 344: 8, 368: 8, 388: 1}, "a name of nineteen!")
}

func TestParseKinfo(t *testing.T) {
	two := append(sample(), record(map[int]uint64{72: 0, 368: 4, 388: 6}, map[int]int{368: 8, 388: 1}, "kernel")...)
	got, rest, err := parseKinfo(two)
	if err != nil || len(rest) != kinfoSize {
		t.Fatalf("%d bytes left, %v", len(rest), err)
	}
	want := kinfo{
		Sight: Sight{Raw: 0x86, Stat: Stat{PID: 4711, PPID: 1, PGRP: 4711, Session: 99, State: 'Z', Comm: "a name of nineteen!"}},
		start: 1_700_000_000_250_000, cpu: 2500 * time.Millisecond, pages: 300, threads: 3,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(kinfo{})); diff != "" {
		t.Error(diff)
	}
	if !got.Dead() {
		t.Error("a zombie is not dead")
	}
	got, rest, err = parseKinfo(rest)
	if err != nil || len(rest) != 0 || !got.Kernel || got.Comm != "kernel" || got.State != 'D' || got.Dead() {
		t.Errorf("%+v, %d bytes left, %v", got, len(rest), err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "half": sample()[:kinfoSize/2], "another size": append([]byte{0, 8}, sample()[2:]...),
	} {
		if _, _, err := parseKinfo(b); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestStateLetters(t *testing.T) {
	for n, want := range map[int8]byte{1: 'I', 2: 'R', 3: 'S', 4: 'T', 5: 'Z', 6: 'D', 7: 'D', 0: '?', -1: '?', 8: '?', 127: '?'} {
		if got := state(n); got != want {
			t.Errorf("%d is %c, want %c", n, got, want)
		}
	}
}

func TestParseTaskInfo(t *testing.T) {
	b := make([]byte, taskInfoSize)
	binary.LittleEndian.PutUint64(b[0:], 1<<40)
	binary.LittleEndian.PutUint64(b[8:], 5<<20)
	binary.LittleEndian.PutUint64(b[16:], 24_000_000*3)
	binary.LittleEndian.PutUint64(b[24:], 12_000_000)
	binary.LittleEndian.PutUint32(b[84:], 7)
	got, err := parseTaskInfo(b, 24_000_000)
	if want := (Figures{CPU: 3500 * time.Millisecond, User: 3 * time.Second, System: 500 * time.Millisecond, Memory: 5 << 20, Threads: 7}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, _ := parseTaskInfo(b, 1e9); got.CPU != 84*time.Millisecond {
		t.Errorf("on a machine that counts nanoseconds: %v", got.CPU)
	}
	if _, err := parseTaskInfo(b[:95], 24e6); err == nil {
		t.Error("too few bytes were read")
	}
	if _, err := parseTaskInfo(b, 0); err == nil {
		t.Error("no unit was accepted")
	}
}

// startRecord is what macOS tells.
func startRecord(argc uint32, strs ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, argc)
	return append(b, strings.Join(strs, "\x00")...)
}

func TestParseProcArgs(t *testing.T) {
	for _, tc := range []struct {
		name      string
		b         []byte
		argv, env []string
		bad       bool
	}{
		{
			name: "all", b: startRecord(3, "/bin/sh", "", "", "sh", "-c", "", "A=1", "B=", "", "executable_path=/bin/sh", ""),
			argv: []string{"sh", "-c", ""}, env: []string{"A=1", "B="},
		},
		{name: "no environment to be seen", b: startRecord(1, "/bin/ls", "", "ls", ""), argv: []string{"ls"}},
		{name: "cut off within the arguments", b: startRecord(3, "/bin/ls", "", "ls", "-l"), argv: []string{"ls"}},
		{name: "cut off within the environment", b: startRecord(1, "/bin/ls", "ls", "A=1", "B"), argv: []string{"ls"}, env: []string{"A=1", "B"}},
		{name: "empty", bad: true},
		{name: "no path", b: startRecord(1, "/bin/ls"), bad: true},
		{name: "too many", b: startRecord(1<<30, "/bin/ls", "ls", ""), bad: true},
		{name: "less than none", b: startRecord(1<<31, "/bin/ls", "ls", ""), bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			argv, env, err := parseProcArgs(tc.b)
			if (err != nil) != tc.bad || !slices.Equal(argv, tc.argv) || !slices.Equal(env, tc.env) {
				t.Errorf("%q, %q, %v", argv, env, err)
			}
		})
	}
}

func TestSplitStrings(t *testing.T) {
	for in, want := range map[string][]string{"": nil, "a\x00\x00b\x00": {"a", "", "b"}, "a\x00b": {"a", "b"}, "\x00": {""}} {
		if got := splitStrings([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzParseKinfo(f *testing.F) {
	f.Add(sample())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, rest, err := parseKinfo(b)
		if err == nil && (len(rest) != len(b)-kinfoSize || len(k.Comm) > kinfoCommLen || k.PID < 0) {
			t.Errorf("%+v, %d of %d bytes left", k, len(rest), len(b))
		}
	})
}

func FuzzParseProcArgs(f *testing.F) {
	f.Add(startRecord(2, "/bin/sh", "", "sh", "-c", "A=1", ""))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		argv, env, err := parseProcArgs(b)
		total := 0
		for _, s := range slices.Concat(argv, env) {
			total += len(s)
		}
		if total > len(b) || err != nil && argv != nil {
			t.Errorf("%d bytes of strings out of %d, %v", total, len(b), err)
		}
	})
}
