package notified

import (
	"bytes"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Message
	}{
		{"", Message{}},
		{"READY=1", Message{Ready: true}},
		{"READY=1\n", Message{Ready: true}},
		{"READY=0", Message{}},
		{"READY=1\nREADY=0", Message{}},
		{"ready=1\n READY=1\nREADY =1\nREADY", Message{}},
		{"READY=1\nSTATUS=up = well\nMAINPID=12", Message{Ready: true, HasStatus: true, Status: "up = well", MainPID: 12}},
		{"STATUS=", Message{HasStatus: true}},
		{"WATCHDOG=1", Message{Beat: true}},
		{"WATCHDOG=trigger", Message{Trip: true}},
		{"WATCHDOG=1\nWATCHDOG=trigger", Message{Trip: true}},
		{"WATCHDOG=2", Message{}},
		{"STOPPING=1", Message{Stopping: true}},
		{"MAINPID=-1\nMAINPID=", Message{}},
		{"MAINPID=99999999999999999999", Message{}},
		{"MAINPID=0x10", Message{}},
		{"EXTEND_TIMEOUT_USEC=1500000", Message{Extend: 1500 * time.Millisecond}},
		{"EXTEND_TIMEOUT_USEC=18446744073709551615", Message{Extend: 1<<63 - 1 - (1<<63-1)%1000}},
		{"EXTEND_TIMEOUT_USEC=-5", Message{}},
		{"FDSTORE=1\nX\x00=1\n\n\n=\nREADY=1", Message{Ready: true}},
	} {
		if got := Parse([]byte(c.text)); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.text, got, c.want)
		}
	}
	if got := Watchdog(1500 * time.Millisecond); got != "1500000" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"READY=1\nSTATUS=x\n", "WATCHDOG=trigger", "MAINPID=7\nEXTEND_TIMEOUT_USEC=9", "\n\n=\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := Parse(text)
		if m.MainPID < 0 || m.Extend < 0 || m.Beat && m.Trip || m.PID != 0 || m.UID != 0 {
			t.Errorf("%q: %+v", text, m)
		}
		if m.Status != "" && (!m.HasStatus || !bytes.Contains(text, []byte("STATUS="+m.Status))) {
			t.Errorf("%q: %+v", text, m)
		}
		if m.Ready && !bytes.Contains(text, []byte("READY=1")) {
			t.Errorf("%q says that it is ready", text)
		}
		if again := Parse(append(append([]byte{}, text...), '\n')); again != m {
			t.Errorf("%q: %+v, with another line end %+v", text, m, again)
		}
	})
}
