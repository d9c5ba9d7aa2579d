package launch

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestMessagesInTheEnvironment: who has a check of messages finds the socket, and how often it is to say that it lives; who has
// none gets no such variable, and nobody gets those of the daemon.
func TestMessagesInTheEnvironment(t *testing.T) {
	e := newEnvironment([]string{"NOTIFY_SOCKET=/daemons/own", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "HOME=/h"}, "")
	e.notify = func(p *model.Program) string {
		if len(p.Checks) == 0 {
			return ""
		}
		return "/run/ours"
	}
	beat := func(age time.Duration) model.Check { return model.Check{Kind: model.CheckHeartbeat, Age: age} }
	for _, c := range []struct {
		checks []model.Check
		want   []string
	}{
		{nil, nil},
		{[]model.Check{{Kind: model.CheckNotify}}, []string{"NOTIFY_SOCKET=/run/ours"}},
		{[]model.Check{beat(time.Minute), beat(2 * time.Second)}, []string{"NOTIFY_SOCKET=/run/ours", "WATCHDOG_USEC=2000000"}},
	} {
		var got []string
		for _, kv := range e.of(&model.Program{Checks: c.checks}, false) {
			if strings.HasPrefix(kv, "NOTIFY_") || strings.HasPrefix(kv, "WATCHDOG_") {
				got = append(got, kv)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.checks, got, c.want)
		}
	}
}
