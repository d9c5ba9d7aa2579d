package spawn

import (
	"testing"
)

func TestGatedQuick(t *testing.T) {
	d := newDirect(t, Options{})
	called := 0
	r := shell("echo hello; cat /proc/self/status | grep Sig; ulimit -n; ls -l /proc/self/fd")
	r.Identified = func(pid, pidfd int) error { called = pid; return nil }
	o := run(t, d, r)
	t.Logf("%+v", o)
	if called != o.PID {
		t.Errorf("identified %d", called)
	}
	r = request("/nonexistent")
	r.Identified = func(pid, pidfd int) error { called = pid; return nil }
	t.Logf("%+v", run(t, d, r))
}

func BenchmarkGated(b *testing.B) {
	d := newDirect(b, Options{})
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			benchThousandX(b, d, nil)
		}
	})
	b.Run("gated", func(b *testing.B) {
		for b.Loop() {
			benchThousandX(b, d, func(int, int) error { return nil })
		}
	})
}
