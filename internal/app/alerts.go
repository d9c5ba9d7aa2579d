package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/deliver"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
	"github.com/upkeep-project/upkeep/internal/service"
)

// The faults of the daemon that people are told of, until they are over.
const (
	troubleSafe   = "safe mode"
	troubleConfig = "configuration"
	troubleDisk   = "logs"
)

// makeAlerts makes who tells people. Every event passes it.
func (a *App) makeAlerts() {
	host, err := os.Hostname()
	if err != nil {
		host = a.set().Identifier
	}
	o := alerts.Options{
		Courier: deliver.New(deliver.Options{
			Environ: a.environ(),
			Begin:   func(start func() (int, error)) (func(), error) { return a.host.Aside(start) },
		}),
		Host: host, Command: a.why(), Log: a.log,
		Status: func(id model.ID) (model.Status, bool) {
			if s := a.core.Table().Slot(id); s != nil {
				return s.Status(), true
			}
			return model.Status{}, false
		},
		Checks: func(id model.ID) []model.CheckState {
			return a.manager.Checks(context.Background(), []model.ID{id})[id]
		},
		Explain: a.verdict,
		Tail:    a.tail,
	}
	if f := a.o.Config.Foreign; f != nil && f.Sendmail != "" {
		o.Email.Via = "sendmail:" + f.Sendmail
	}
	if a.o.State != nil {
		o.Journal, o.Entries, o.Store = a.o.State.journal, a.o.State.entries(), a.o.State.alerts
	}
	a.alerts = alerts.New(o)
	if a.o.Continue && a.o.State != nil { // what is in force was recorded without them
		a.alerts.Resume()
	} else {
		a.alerts.Configure(a.o.Config.Model.Notifiers)
	}
}

// why is the command that says more about a program of this instance.
func (a *App) why() string {
	switch {
	case a.foreign():
		return "usrsvc status"
	case a.o.Config.Native == nil:
		return "upkeep -c " + words.Quote(a.set().ConfigFile) + " why"
	}
	return "upkeep why"
}

// verdict is what is found out about a program that has failed.
func (a *App) verdict(ctx context.Context, id model.ID) []report.Fact {
	v, err := a.manager.Why(ctx, id)
	if err != nil {
		return nil
	}
	var out []report.Fact
	for _, text := range v.Checked {
		out = append(out, report.Fact{Name: "checked", Text: text})
	}
	for _, h := range v.Hints {
		if strings.HasPrefix(h.Command, "upkeep ") && a.why() != "upkeep why" {
			continue // it would ask another instance
		}
		out = append(out, report.Fact{Name: "try", Text: strings.TrimSpace(h.Text + "  " + h.Command)})
	}
	return out
}

// tailLines and tailBytes are how much of a program's output a message shows.
const (
	tailLines = 20
	tailBytes = 8 << 10
)

// tail are the last lines of a program's output: of its errors, if there are any.
func (a *App) tail(st model.Status) (stream string, lines []string) {
	for _, of := range []struct {
		name    string
		channel service.Channel
	}{{"stderr", service.Stderr}, {"stdout", service.Stdout}} {
		data, _, _, err := a.manager.TailLog(context.Background(), service.LogRef{ID: st.ID, Channel: of.channel}, 0, tailBytes)
		text := strings.Trim(string(data), "\r\n")
		if err != nil || strings.TrimSpace(text) == "" {
			continue
		}
		lines = strings.Split(text, "\n")
		if len(data) == tailBytes && len(lines) > 1 { // the first one is cut
			lines = lines[1:]
		}
		return of.name, lines[max(0, len(lines)-tailLines):]
	}
	return "", nil
}

// expectStarts says that autostart is about to start the programs of some groups, unless that is part of an ordered restart,
// which somebody has asked for. What it returns says that all of them are ordered to start.
func (a *App) expectStarts(groups []*model.Group) (over func()) {
	k := a.o.Keeper
	if a.o.Again || a.passive() || k != nil && k.link.Safe() {
		return func() {}
	}
	var ids []model.ID
	for _, g := range groups {
		for _, p := range g.Programs {
			if p.Start.Auto {
				ids = append(ids, p.ID)
			}
		}
	}
	a.alerts.Expect(ids)
	return func() { a.alerts.Expect(nil) }
}

// coming are the groups of the first configuration.
func (a *App) coming() []*model.Group {
	var out []*model.Group
	for _, g := range a.first {
		out = append(out, g.Spec)
	}
	return out
}

// runAlerts tells people until the function it returns is called.
func (a *App) runAlerts() (stop func()) {
	if k := a.o.Keeper; k != nil && k.link.Safe() {
		a.alerts.Trouble(troubleSafe, "the daemon has crashed too often: nothing is started by itself until it is restarted or upgraded")
	} else {
		a.alerts.Over(troubleSafe)
	}
	if a.o.Bad != "" {
		a.alerts.Trouble(troubleConfig, a.o.Bad)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.alerts.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// logsStall is told how many logs cannot be written, and why the last one cannot.
func (a *App) logsStall(logs int, err error) {
	switch {
	case logs == 0:
		a.alerts.Over(troubleDisk)
	case err != nil:
		a.alerts.Trouble(troubleDisk, fmt.Sprintf("the log of a program cannot be written: %v", err))
	}
}
