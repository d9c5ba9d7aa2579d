package instance

import "testing"

func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		service, own string
		want         bool
	}{
		{"", "", false},
		{"", "x.service", false},
		{"usrsvcd@sam.service", "", true},
		{"usrsvcd@sam.service", "usrsvcd@sam.service", true},
		{"apps.service", "", true},
		{"apps.service", "apps.service", false},
		{"cron.service", "", false},
		{"sshd.service", "ssh.service", false},
	} {
		if got := ends(tt.service, tt.own); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
