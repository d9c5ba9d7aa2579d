package units

import (
	"errors"
	"runtime"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// signals maps each accepted name to its number, one "NAME=N" word after the other; of names with the
// same number the first is the one that is shown. A bare number is accepted but has no name.
type signals string

// The tables. Linux: spec/supervisor 1.6; the numbers are those of all its architectures but MIPS.
const (
	linuxSignals signals = "HUP=1 INT=2 QUIT=3 ILL=4 TRAP=5 ABRT=6 IOT=6 BUS=7 FPE=8 KILL=9 USR1=10 SEGV=11 USR2=12 " +
		"PIPE=13 ALRM=14 TERM=15 STKFLT=16 CHLD=17 CLD=17 CONT=18 STOP=19 TSTP=20 TTIN=21 TTOU=22 URG=23 XCPU=24 " +
		"XFSZ=25 VTALRM=26 PROF=27 WINCH=28 POLL=29 IO=29 PWR=30 SYS=31 RTMIN=34 RTMAX=64"
	bsdSignals signals = "HUP=1 INT=2 QUIT=3 ILL=4 TRAP=5 ABRT=6 IOT=6 EMT=7 FPE=8 KILL=9 BUS=10 SEGV=11 SYS=12 " +
		"PIPE=13 ALRM=14 TERM=15 URG=16 STOP=17 TSTP=18 CONT=19 CHLD=20 TTIN=21 TTOU=22 IO=23 XCPU=24 XFSZ=25 " +
		"VTALRM=26 PROF=27 WINCH=28 INFO=29 USR1=30 USR2=31"
	windowsSignals signals = "HUP=1 INT=2 ILL=4 ABRT=22 FPE=8 KILL=9 SEGV=11 TERM=15 BREAK=21"
)

// signalTable is the table of an operating system, in the words of runtime.GOOS.
func signalTable(goos string) signals {
	switch goos {
	case "linux", "android":
		return linuxSignals
	case "windows":
		return windowsSignals
	}
	return bsdSignals
}

// Signal reads a signal by number, or by name with or without SIG in any case. Number 0, which tests
// whether a process can be signalled, is accepted.
func Signal(s string) (int, error) { return signalOn(runtime.GOOS, s) }

func signalOn(goos, s string) (int, error) {
	table := signalTable(goos)
	if n, err := Int(s); err == nil {
		if n == 0 || table.name(n) != "" {
			return int(n), nil
		}
		return 0, errors.New("value " + pytext.Repr(s) + " is not a valid signal number")
	}
	name := strings.TrimPrefix(strings.ToUpper(pytext.Strip(s)), "SIG")
	for word := range strings.FieldsSeq(string(table)) {
		if n, ok := strings.CutPrefix(word, name+"="); ok && name != "" {
			number, err := strconv.Atoi(n)
			return number, err
		}
	}
	return 0, errors.New("value " + pytext.Repr(s) + " is not a valid signal name")
}

// SignalNames are the names of all signals of this system, without SIG.
func SignalNames() []string {
	var names []string
	for word := range strings.FieldsSeq(string(signalTable(runtime.GOOS))) {
		name, _, _ := strings.Cut(word, "=")
		names = append(names, name)
	}
	return names
}

// SignalName is the full name of a signal, SIGTERM; "signal 50" when it has none.
// Source: spec/supervisor 3.2.
func SignalName(n int) string {
	if name := signalTable(runtime.GOOS).name(int64(n)); name != "" {
		return "SIG" + name
	}
	return "signal " + strconv.Itoa(n)
}

// name finds the first name of a number.
func (t signals) name(n int64) string {
	suffix := "=" + strconv.FormatInt(n, 10)
	for word := range strings.FieldsSeq(string(t)) {
		if name, ok := strings.CutSuffix(word, suffix); ok {
			return name
		}
	}
	return ""
}
