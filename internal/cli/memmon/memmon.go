// Package memmon is the event listener of that name: it restarts programs that use too much memory.
// Options and texts are those of superlance 2.0.
package memmon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/cli/superlance"
)

const usage = `memmon [-c] [-p processname=byte_size] [-g groupname=byte_size] [-a byte_size]
       [-s sendmail] [-m email_address] [-u uptime] [-n memmon_name]

An event listener for TICK_60 (or another TICK) that restarts programs whose
memory, RSS, is more than allowed.

-c, --cumulative        count the memory of a program's descendants as its own
-p, --program           NAME=SIZE or GROUP:NAME=SIZE: the limit of one program
-g, --group             GROUP=SIZE: the limit of each program of a group
-a, --any               SIZE: the limit of every program
-s, --sendmail_program  the command that is given the message; default
                        "/usr/sbin/sendmail -t -i"
-m, --email             the address to tell about restarts. Without it nothing
                        is mailed.
-u, --uptime            SECONDS, or a number and s, m, h or d: mail only about
                        programs that had been up no longer than that
-n, --name              a name of this memmon for the subject of its mails
-h, --help              this text

-p and -g may be repeated. A size is a number of bytes, or of KB, MB or GB.

[eventlistener:memmon]
command=memmon -p web=200MB -g workers=100MB -m me@example.com
events=TICK_60
`

// monitor is the command with its options.
type monitor struct {
	*superlance.Env
	daemon  *supervisor.Client
	measure func() (memory, error)

	cumulative bool
	programs   map[string]int64 // limits in bytes
	groups     map[string]int64
	any        *int64
	sendmail   string
	email      string
	uptime     int64 // seconds
	name       string
}

// Main runs the command until the daemon ends and returns its exit status.
func Main(_ string, argv []string) int { return run(superlance.System(), argv, measure) }

func run(env *superlance.Env, argv []string, measure func() (memory, error)) int {
	m := monitor{
		Env: env, measure: measure, programs: map[string]int64{}, groups: map[string]int64{},
		sendmail: superlance.DefaultSendmail, uptime: math.MaxInt64,
	}
	err := m.parse(argv)
	switch {
	case err != nil:
		return env.Usage(usage, err)
	case len(argv) == 0:
		return env.Usage(usage, errors.New("no limit is given"))
	}
	if m.daemon, err = listener.Daemon(env.Getenv); err != nil {
		env.Sayf("memmon: %v\n", err)
		return 1
	}
	defer m.daemon.Close()
	return env.Serve(m.handle)
}

func (m *monitor) parse(argv []string) error {
	limits := func(to map[string]int64) func(string, string) error {
		return func(value, spelling string) error {
			name, size, ok := strings.Cut(value, "=")
			if !ok || strings.Contains(size, "=") {
				return fmt.Errorf("unparseable value %s for %s", pytext.Repr(value), pytext.Repr(spelling))
			}
			n, err := parseSize(size, spelling)
			to[name] = n
			return err
		}
	}
	_, err := superlance.Parse([]superlance.Opt{
		{Short: 'c', Long: "cumulative", Flag: func() { m.cumulative = true }},
		{Short: 'p', Long: "program", Set: limits(m.programs)},
		{Short: 'g', Long: "group", Set: limits(m.groups)},
		{Short: 'a', Long: "any", Set: func(value, spelling string) error {
			n, err := parseSize(value, spelling)
			m.any = &n
			return err
		}},
		{Short: 's', Long: "sendmail_program", Set: superlance.Text(&m.sendmail)},
		{Short: 'm', Long: "email", Set: superlance.Text(&m.email)},
		{Short: 'u', Long: "uptime", Set: func(value, spelling string) (err error) {
			m.uptime, err = parseSeconds(value, spelling)
			return err
		}},
		{Short: 'n', Long: "name", Set: superlance.Text(&m.name)},
	}, argv)
	return err
}

func parseSize(value, spelling string) (int64, error) {
	n, err := units.ByteSize(value)
	if err != nil {
		return 0, fmt.Errorf("unparseable byte_size in %s for %s", pytext.Repr(value), pytext.Repr(spelling))
	}
	return n, nil
}

// parseSeconds reads a number with an optional s, m, h or d.
func parseSeconds(value, spelling string) (int64, error) {
	number, factor := strings.ToLower(value), int64(1)
	for unit, seconds := range map[string]int64{"s": 1, "m": 60, "h": 3600, "d": 86400} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, factor = n, seconds
			break
		}
	}
	n, err := units.Int(number)
	if err != nil || n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return 0, fmt.Errorf("unparseable value for time in %s for %s", pytext.Repr(value), spelling)
	}
	return n * factor, nil
}

// handle checks every program at a tick.
func (m *monitor) handle(ev *listener.Event) error {
	if !strings.HasPrefix(ev.Name, "TICK") {
		return nil
	}
	var status []string
	for _, of := range []struct {
		what   string
		limits map[string]int64
	}{{"programs", m.programs}, {"groups", m.groups}} {
		if len(of.limits) == 0 {
			continue
		}
		var words []string
		for _, name := range slices.Sorted(maps.Keys(of.limits)) {
			words = append(words, fmt.Sprintf("%s=%d", name, of.limits[name]))
		}
		status = append(status, "Checking "+of.what+" "+strings.Join(words, ", "))
	}
	if m.any != nil {
		status = append(status, fmt.Sprintf("Checking any=%d", *m.any))
	}
	m.Sayf("%s\n", strings.Join(status, "\n"))
	infos, err := superlance.Call(m.daemon.GetAllProcessInfo)
	if err != nil {
		return fmt.Errorf("list of programs: %w", err)
	}
	used, err := m.measure()
	if err != nil {
		return fmt.Errorf("memory of processes: %w", err)
	}
	for i := range infos {
		if err := m.check(&infos[i], used); err != nil {
			return err
		}
	}
	return nil
}

// check restarts a program that uses more than the first of its limits that is exceeded.
func (m *monitor) check(p *supervisor.ProcessInfo, used memory) error {
	rss, ok := used.of(p.PID, m.cumulative)
	if p.PID == 0 || !ok {
		return nil // it does not run, or has ended meanwhile
	}
	full := p.Group + ":" + p.Name
	for _, limit := range m.limits(p.Group, p.Name) {
		m.Sayf("RSS of %s is %d\n", full, rss)
		if rss > limit {
			return m.restart(full, rss)
		}
	}
	return nil
}

// limits are those that hold for a program, in the order in which they are looked at.
func (m *monitor) limits(group, name string) []int64 {
	var out []int64
	for _, n := range []string{name, group + ":" + name} {
		if limit, ok := m.programs[n]; ok {
			out = append(out, limit)
		}
	}
	if limit, ok := m.groups[group]; ok {
		out = append(out, limit)
	}
	if m.any != nil {
		out = append(out, *m.any)
	}
	return out
}

// restart stops and starts a program. When one of the two fails, memmon ends, for the daemon to start it
// anew, as superlance's does.
func (m *monitor) restart(name string, rss int64) error {
	info, err := superlance.Call(func(ctx context.Context) (supervisor.ProcessInfo, error) {
		return m.daemon.GetProcessInfo(ctx, name)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.Sayf("Restarting %s\n", name)
	for _, step := range []struct {
		verb, text string
		call       func(context.Context) error
	}{
		{"stop", fmt.Sprintf("Failed to stop process %s (RSS %d), exiting: ", name, rss), func(ctx context.Context) error {
			return m.daemon.StopProcess(ctx, name, true)
		}},
		{"start", fmt.Sprintf("Failed to start process %s after stopping it, exiting: ", name), func(ctx context.Context) error {
			return m.daemon.StartProcess(ctx, name, true)
		}},
	} {
		if err := superlance.Do(step.call); err != nil {
			text := step.text + superlance.ErrorText(err)
			m.mail("failed to "+step.verb+" process "+name+", exiting", text)
			return errors.New(text)
		}
	}
	if int64(info.Now)-int64(info.Start) <= m.uptime {
		m.mail("process "+name+" restarted", fmt.Sprintf(
			"memmon.py restarted the process named %s at %s because it was consuming too much memory (%d bytes RSS)",
			name, m.Now().Format(time.ANSIC+" MST"), rss))
	}
	return nil
}

// mail tells the address, if there is one.
func (m *monitor) mail(subject, text string) {
	if m.email == "" {
		return
	}
	prefix := "memmon: "
	if m.name != "" {
		prefix = "memmon [" + m.name + "]: "
	}
	if _, err := superlance.Sendmail(m.sendmail, m.email, prefix+subject, text); err != nil {
		m.Sayf("not mailed: %v\n", err)
	}
}
