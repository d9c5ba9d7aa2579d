//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Rules by which the life of a program is judged.
type rule int

const (
	steady rule = iota // one instance from begin to end
	mortal             // ends and comes back
	served             // started and stopped by a client
)

// program is one [program:x] section and what is known of it.
type program struct {
	name     string
	kind     string // of the ledger child
	rule     rule
	rate     int64 // bytes a second
	maxBytes string
	backups  int
	manual   bool // not started by the daemon itself
	secs     int  // startsecs
	book     *ledger
	logs     []*shipment
}

// mixed is the load of promise R1: n programs, half of them talkers, a quarter churners, an eighth zoo, the
// rest for clients. rate is that of all talkers together.
func mixed(n int, rate int64) []*program {
	var out []*program
	talkers, churners, zoos := n/2, n/4, n/8
	beasts := zoo()
	add := func(p program, format string, i int) {
		p.name = fmt.Sprintf(format, i)
		p.maxBytes, p.backups = "64KB", 50
		out = append(out, &p)
	}
	for i := range talkers {
		add(program{kind: "talk", rate: rate / int64(talkers)}, "talker%03d", i)
	}
	for i := range churners {
		add(program{kind: "churn", rule: mortal}, "churner%03d", i)
	}
	for i := range zoos {
		b := beasts[i%len(beasts)]
		p := program{kind: b.kind}
		if b.mortal {
			p.rule = mortal
		}
		add(p, "zoo%03d-"+b.kind, i)
	}
	for i := range n - talkers - churners - zoos {
		add(program{kind: "served", rule: served, manual: true, secs: i % 2}, "served%03d", i)
	}
	return out
}

// byBytes is the load about log bytes alone: one talker of 2 MB/s through rotation at 64 KiB with ten
// backups, and one at full speed without rotation.
func byBytes() []*program {
	return []*program{
		{name: "rotated", kind: "steady", rate: 2_000_000, maxBytes: "64KB", backups: 10},
		{name: "flood", kind: "flood", maxBytes: "0"},
	}
}

// layout is where the files of a run are.
type layout struct{ dir string }

func (l layout) path(name string) string   { return filepath.Join(l.dir, name) }
func (l layout) conf() string              { return l.path("supervisord.conf") }
func (l layout) socket() string            { return l.path("s.sock") }
func (l layout) pidfile() string           { return l.path("supervisord.pid") }
func (l layout) activity() string          { return l.path("supervisord.log") }
func (l layout) ledger(name string) string { return l.path("truth/" + name) }
func (l layout) log(name string) string    { return l.path("logs/" + name + ".log") }
func (l layout) child() string             { return l.path(childName) }
func (l layout) daemon() string            { return l.path("bin/supervisord") }

// configuration is the supervisord.conf of a run.
func configuration(l layout, mark string, programs []*program) string {
	var t strings.Builder
	fmt.Fprintf(&t, "[unix_http_server]\nfile=%s\n\n", l.socket())
	fmt.Fprintf(&t, "[supervisord]\nlogfile=%s\nlogfile_maxbytes=0\npidfile=%s\nchildlogdir=%s\n", l.activity(), l.pidfile(), l.dir)
	fmt.Fprintf(&t, "nodaemon=true\nminfds=%d\n\n", max(1024, 64+16*len(programs)))
	t.WriteString("[rpcinterface:supervisor]\n" +
		"supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n")
	for _, p := range programs {
		fmt.Fprintf(&t, "[program:%s]\ncommand=%s %s %s %s %s %s %d\n", p.name, l.child(), mainWord, mark, p.name, p.kind,
			l.ledger(p.name), p.rate)
		fmt.Fprintf(&t, "startsecs=%d\nautorestart=true\nautostart=%v\nstopwaitsecs=2\n", p.secs, !p.manual)
		for _, s := range []string{"stdout", "stderr"} {
			name := p.name
			if s == "stderr" {
				name += ".e"
			}
			fmt.Fprintf(&t, "%s_logfile=%s\n%s_logfile_maxbytes=%s\n%s_logfile_backups=%d\n", s, l.log(name), s, p.maxBytes, s, p.backups)
		}
		t.WriteString("\n")
	}
	return t.String()
}
