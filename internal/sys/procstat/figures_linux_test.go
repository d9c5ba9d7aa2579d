package procstat

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	before, err := Usage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	hold := make([]byte, 64<<20)
	for over := time.Now().Add(30 * time.Second); time.Now().Before(over); {
		for i := 0; i < len(hold); i += 1024 {
			hold[i]++
		}
		if now, err := Usage(os.Getpid()); err != nil {
			t.Fatal(err)
		} else if now.CPU >= before.CPU+50*time.Millisecond {
			if now.Memory < before.Memory+32<<20 || now.Threads < 2 || now.Age <= 0 || now.Age < before.Age || now.Age < now.CPU/64 {
				t.Errorf("%+v, and then %+v", before, now)
			}
			return
		}
	}
	t.Error("no time is counted")
}

// TestUsageIsOfTheProcess: the line that is read is that which package os reads, from the name to the start time.
func TestUsageIsOfTheProcess(t *testing.T) {
	var space [statBytes]byte
	for _, pid := range []int{1, os.Getpid(), os.Getppid()} {
		got, err := ReadFile(pid, "stat", space[:])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file(pid, "stat"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		st, err := Parse(got)
		if st.State, want.State = 0, 0; err != nil || st != want || !bytes.HasSuffix(got, []byte("\n")) {
			t.Errorf("%+v, want %+v (%v)", st, want, err)
		}
	}
}

func BenchmarkUsage(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		if _, err := Usage(os.Getppid()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestUsageOfNobody(t *testing.T) {
	if _, err := Usage(1 << 30); !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	for _, line := range []string{"", "1 (a) R 1 2", "1 (a) R 1 2 3 4 5 6 7 8 9 10 x 12 13 14 15 16 17 18 19 20 21 22 23"} {
		if _, err := parseFigures([]byte(line), time.Second, 1); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}
