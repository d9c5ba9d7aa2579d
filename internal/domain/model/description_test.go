package model

import (
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	zone := time.FixedZone("X", 2*3600)
	now := time.Date(2026, 11, 20, 17, 30, 0, 900e6, zone)
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	running := func(s int) Status { return Status{State: Running, PID: 42, Start: ago(s)} }
	id := ID{Group: "g", Name: "n"}
	tests := []struct {
		name string
		st   Status
		want string
	}{
		{"just now", running(0), "pid 42, uptime 0:00:00"},
		{"clock went back", running(-500), "pid 42, uptime 0:00:00"},
		{"seconds", running(9), "pid 42, uptime 0:00:09"},
		{"hours", running(10*3600 + 59*60 + 59), "pid 42, uptime 10:59:59"},
		{"last second of the day", running(86399), "pid 42, uptime 23:59:59"},
		{"one day", running(86400 + 3661), "pid 42, uptime 1 day, 1:01:01"},
		{"days", running(12*86400 + 3), "pid 42, uptime 12 days, 0:00:03"},
		{"fatal", Status{State: Fatal, SpawnErr: "can't find command 'x'"}, "can't find command 'x'"},
		{"backoff", Status{State: Backoff, SpawnErr: "Exited too quickly (process log may have details)"}, "Exited too quickly (process log may have details)"},
		{"no reason", Status{State: Fatal, ID: id}, `unknown error (try "tail n")`},
		{"never", Status{State: Stopped}, "Not started"},
		{"stopped", Status{State: Stopped, Start: ago(10), Stop: now.Add(-19 * time.Minute)}, "Nov 20 05:11 PM"},
		{"exited", Status{State: Exited, Start: ago(10), Stop: time.Date(2026, 1, 2, 0, 5, 0, 0, zone)}, "Jan 02 12:05 AM"},
		{"other zone", Status{State: Exited, Start: ago(10), Stop: time.Date(2026, 1, 2, 0, 5, 0, 0, time.UTC)}, "Jan 02 02:05 AM"},
		{"stopped out of backoff without a fork", Status{State: Stopped, Start: ago(10)}, "Jan 01 02:00 AM"},
		{"starting", Status{State: Starting, PID: 3, Start: now}, ""},
		{"waiting", Status{State: Starting, Start: now, Waiting: "db: ready"}, "waiting for db: ready"},
		{"disabled", Status{State: Stopped, Program: &Program{Disabled: true}}, "disabled"},
		{"ended, disabled", Status{State: Exited, Start: ago(10), Stop: time.Date(2026, 1, 2, 0, 5, 0, 0, zone), Program: &Program{Disabled: true}}, "Jan 02 12:05 AM"},
		{"stopping", Status{State: Stopping, PID: 3, Start: now}, ""},
		{"unknown", Status{State: Unknown}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Describe(tt.st, now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
