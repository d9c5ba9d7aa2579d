//go:build unix

package supervisord

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/listener"
)

// listenerName is the name under which the test binary is an event listener: NAME HABIT LEDGER.
const listenerName = "test-listener"

// listenBadly is a listener with a habit. Its ledger has a line for each event: serial, pool serial, name, and the
// payload quoted.
func listenBadly() int {
	habit, file := os.Args[1], os.Args[2]
	ledger, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 1
	}
	forever := func() { select {} }
	switch habit {
	case "silent":
		time.Sleep(time.Hour)
	case "garbage":
		fmt.Print("good morning\n")
		time.Sleep(time.Hour)
	case "flood":
		for {
			if _, err := os.Stdout.Write(make([]byte, 64<<10)); err != nil {
				return 1
			}
		}
	case "deaf": // says what is expected, and reads nothing
		for range 20_000 {
			fmt.Print("READY\n")
			time.Sleep(time.Millisecond)
			fmt.Print("RESULT 2\nOK")
		}
		return 1
	case "mute":
		fmt.Print("READY\n")
		syscall.Close(1)
		time.Sleep(time.Hour)
	case "blind":
		syscall.Close(0)
		fmt.Print("READY\n")
		time.Sleep(time.Hour)
	}
	l := listener.New(bufio.NewReader(os.Stdin), os.Stdout)
	for {
		ev, err := l.Next()
		if err != nil {
			return 0
		}
		fmt.Fprintf(ledger, "%d %d %s %q\n", ev.Serial, ev.PoolSerial, ev.Name, ev.Payload)
		switch {
		case habit == "die":
			return 1
		case habit == "hang":
			time.Sleep(time.Hour)
		case habit == "badline":
			fmt.Print("so be it\n")
			forever()
		case habit == "slow":
			time.Sleep(5 * time.Millisecond)
		case habit == "wait": // until somebody says so
			for _, err := os.Stat(file + ".go"); err != nil; _, err = os.Stat(file + ".go") {
				time.Sleep(5 * time.Millisecond)
			}
		}
		if l.OK() != nil {
			return 1
		}
	}
}

// heard are the events in a ledger.
type heard struct {
	serial, poolSerial uint64
	name, payload      string
}

func ledgerOf(t *testing.T, text string) (out []heard) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(f) != 4 {
			t.Fatalf("ledger: %q", line)
		}
		var h heard
		var err [3]error
		h.serial, err[0] = strconv.ParseUint(f[0], 10, 64)
		h.poolSerial, err[1] = strconv.ParseUint(f[1], 10, 64)
		h.payload, err[2] = strconv.Unquote(f[3])
		if h.name = f[2]; err != [3]error{} {
			t.Fatalf("ledger: %q: %v", line, err)
		}
		out = append(out, h)
	}
	return out
}

// listenerSection is the section of a listener with a habit.
func listenerSection(t *testing.T, dir, name, habit, more string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, listenerName)
	if err := os.Symlink(self, link); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return fmt.Sprintf("[eventlistener:%s]\ncommand=%s %s %s/%s.ev\nstopwaitsecs=1\n%s\n", name, link, habit, dir, name, more)
}

// TestHostileListeners: whatever listeners do, it is their own matter. Source: spec/reliability R32.
func TestHostileListeners(t *testing.T) {
	habits := []string{"silent", "garbage", "flood", "deaf", "mute", "blind", "die", "hang", "badline"}
	s := newSite(t, "")
	conf := standard + "[program:cat]\ncommand=cat\nstdout_logfile=%(here)s/cat.out\n"
	for _, h := range habits {
		buffer := 5
		if h == "die" { // what it has been given is not to be pushed out
			buffer = 10_000
		}
		conf += listenerSection(t, s.dir, h, h,
			fmt.Sprintf("events=REMOTE_COMMUNICATION,PROCESS_STATE\nevent_timeout=2\nbuffer_size=%d\nstderr_logfile=NONE", buffer))
	}
	conf += listenerSection(t, s.dir, "good", "ok", "events=REMOTE_COMMUNICATION\nbuffer_size=1000")
	s.write("d.conf", strings.Replace(conf, "loglevel=debug", "loglevel=info", 1))
	c := s.start()
	ctx := context.Background()
	s.running(c, "good")
	slowest := time.Duration(0)
	const n = 200
	for i := range n {
		began := time.Now()
		if err := c.SendRemoteCommEvent(ctx, "n", strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := c.SendProcessStdin(ctx, "cat", strconv.Itoa(i)+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		slowest = max(slowest, time.Since(began))
		time.Sleep(10 * time.Millisecond) // all habits have their time
	}
	s.until("cat has its input", func() bool { return s.read("cat.out") == "0\n50\n100\n150\n" })
	s.until("the good one has all", func() bool { return strings.Count(s.read("good.ev"), "\n") == n })
	for i, h := range ledgerOf(t, s.read("good.ev")) {
		if h.poolSerial != uint64(i) || h.payload != fmt.Sprintf("type:n\n%d", i) {
			t.Fatalf("event %d: %+v", i, h)
		}
	}
	if slowest > 30*time.Second { // nobody waits for a listener, though the machine may be busy
		t.Errorf("a client waited %v", slowest)
	}
	for _, re := range []string{
		`WARN garbage: has entered the UNKNOWN state`, `WARN garbage: is restarted now: it has entered the UNKNOWN state`,
		`WARN flood: is restarted now`, `WARN deaf: (does not read its events|has entered the UNKNOWN state)`,
		`WARN mute: is restarted now: it has closed its standard output`,
		`WARN blind: is restarted now: it has closed its standard input`,
		`WARN hang: has not answered event \d+ within 2 seconds`, `WARN badline: bad result line: 'so be it'`,
		`WARN silent: has not said READY within 2 seconds`, `WARN garbage: is restarted in 1 seconds`,
		`ERRO pool hang event buffer overflowed, discarding event \d+`,
	} {
		s.logged(re)
	}
	s.until("a badly behaved one gets events again", func() bool { return strings.Count(s.read("badline.ev"), "\n") > 1 })
	s.until("one that died with an event gets it again", func() bool {
		l := ledgerOf(t, s.read("die.ev"))
		return len(l) > 1 && l[0] == l[1]
	})
	if !strings.Contains(s.read("d.log"), "success: good entered RUNNING") || strings.Contains(s.read("d.log"), "WARN good:") {
		t.Error("the good one was troubled")
	}
}

// TestPoolWithoutHandler: a handler that we do not have is the end of its pool alone.
func TestPoolWithoutHandler(t *testing.T) {
	s := newSite(t, "")
	s.write("d.conf", standard+"[program:cat]\ncommand=cat\n"+
		listenerSection(t, s.dir, "odd", "ok", "events=TICK_5\nresult_handler=my.module:handler")+
		listenerSection(t, s.dir, "good", "ok", "events=TICK_5"))
	c := s.start()
	s.running(c, "cat")
	s.running(c, "good")
	s.until("it has failed", func() bool { return s.info(c, "odd").StateName == "FATAL" })
	if got := s.info(c, "odd").SpawnErr; got != "my.module:handler cannot be resolved within [eventlistener:odd]" {
		t.Errorf("%q", got)
	}
}

// TestLastEvents: the last events of all others reach the listeners before they are stopped (K39).
func TestLastEvents(t *testing.T) {
	s := newSite(t, "")
	s.write("d.conf", standard+"[program:cat]\ncommand=cat\n"+
		listenerSection(t, s.dir, "l", "slow", "events=SUPERVISOR_STATE_CHANGE_STOPPING,PROCESS_STATE_STOPPING,PROCESS_STATE_STOPPED"))
	c := s.start()
	s.running(c, "cat")
	s.running(c, "l")
	s.end()
	var got []string
	for _, h := range ledgerOf(t, s.read("l.ev")) {
		got = append(got, h.name)
	}
	want := []string{"SUPERVISOR_STATE_CHANGE_STOPPING", "PROCESS_STATE_STOPPING", "PROCESS_STATE_STOPPED"}
	if len(got) < 3 || !slices.Equal(got[:3], want) {
		t.Errorf("%q", got)
	}
}
