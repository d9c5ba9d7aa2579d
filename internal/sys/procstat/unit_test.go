package procstat

import (
	"os"
	"testing"
)

func TestServiceOf(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "0::/\n": "", "0::/user.slice/user-1000.slice/session-3.scope\n": "",
		"0::/system.slice/system-usrsvcd.slice/usrsvcd@sam.service\n":                        "usrsvcd@sam.service",
		"0::/system.slice/cron.service":                                                      "cron.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/usrsvcd.service/inner\n": "usrsvcd.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n":               "",
		"5:memory:/system.slice/a.service\n1:name=systemd:/system.slice/b.service\n0::/\n":   "b.service",
		"nonsense\n::\n": "",
	} {
		if got := serviceOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if _, err := Service(os.Getpid()); err != nil {
		t.Error(err)
	}
}

// FuzzServiceOf: what is found is the name of a service.
func FuzzServiceOf(f *testing.F) {
	f.Add("0::/system.slice/a.service\n")
	f.Add("1:name=systemd:/user@1.service/x.service/..\n")
	f.Fuzz(func(t *testing.T, text string) {
		if got := serviceOf(text); got != "" && (len(got) < len(".service") || got[len(got)-len(".service"):] != ".service") {
			t.Fatal(got)
		}
	})
}
