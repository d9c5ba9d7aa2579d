package native

import (
	"strings"
	"testing"
)

// TestCompletion: keys and their values are completed without a daemon, and none is started.
func TestCompletion(t *testing.T) {
	u := newUser(t)
	for args, want := range map[string]string{
		"set web auto":         "\nautostart=\tyes or no (true, yes, on, 1; false, no, off, 0), default true\n",
		"set web autorestart=": "autorestart=true\nautorestart=false\nautorestart=unexpected\n",
		"explain start":        "\nstartsecs\n",
		"import p":             "procfile\ta Procfile\n",
		"export -f s":          "supervisord\n",
	} {
		stdout, _, status := u.call(append([]string{"__complete"}, strings.Fields(args)...)...)
		if status != 0 || !strings.Contains("\n"+stdout, want) {
			t.Errorf("%s: %d\n%s", args, status, stdout)
		}
	}
	u.play([]step{{"daemon status", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n"}})
}
