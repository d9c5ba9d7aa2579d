package app

import (
	"os"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/definitions"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/service/manager"
	"github.com/upkeep-project/upkeep/internal/sys/rlimit"
)

// read is the configuration that was read last, as far as answers need it.
type read struct {
	mu     sync.Mutex
	config *supervisord.Config  // nil = none could be read
	broken *supervisord.Invalid // why the last reading gave nothing; nil = it gave something
	shared supervisord.Shared
	bad    []supervisord.Invalid
}

func (r *read) set(c *supervisord.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.config, r.broken = c, nil; c != nil {
		r.shared, r.bad = c.Shared, c.Invalid
	}
}

// refuse notes that a reading has given nothing.
func (r *read) refuse(in supervisord.Invalid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = &in
}

// insight adds to the options of the service what it is to know about the instance.
func (a *App) insight(o *manager.Options) {
	c := a.o.Config
	a.latest.set(c)
	if c.Native != nil && (a.o.Continue || a.o.Bad != "") { // what is in force was recorded without the files of programs
		now, err := a.o.Load()
		switch {
		case err == nil:
			a.latest.set(now)
		case a.o.Bad == "":
			a.latest.set(nil)
			fallthrough
		default:
			a.latest.refuse(mistaken(err, c.Settings.ConfigFile))
		}
	}
	o.Environ = a.environ()
	o.Place = service.Place{
		Native: c.Native != nil, Passive: a.passive(), Config: c.Settings.ConfigFile, Log: a.mainLog(), UID: os.Getuid(),
		Path: valueOf(o.Environ, "PATH"), URL: c.ServerURL(),
	}
	o.Values, o.Invalid = a.values, a.invalid
	o.FilesLimit = sync.OnceValue(filesLimit)
	if c.Native == nil || c.Foreign != nil {
		return
	}
	o.Place.Programs = c.Native.Programs
	o.Definitions = definitions.New(c.Native.Programs, func(path, text string) []managed.Problem {
		return a.judge(o.Environ).Problems(path, text)
	})
}

// filesLimit is how many descriptors programs may have; 0 = nobody can tell.
func filesLimit() uint64 {
	l, err := rlimit.Original()
	if err != nil {
		return 0
	}
	return l.Soft
}

// judge is who says whether a definition can work.
func (a *App) judge(environ []string) definitions.Judge {
	a.latest.mu.Lock()
	defer a.latest.mu.Unlock()
	return definitions.Judge{In: managed.Surroundings{Environ: a.o.Conf, Shared: a.latest.shared}, Environ: environ}
}

func valueOf(environ []string, name string) string {
	for _, kv := range environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// values are those that the files say of a program; nil when they cannot be read any more.
func (a *App) values(p *model.Program) []service.Value {
	c := a.o.Config
	if c.Foreign != nil {
		return nil
	}
	var list []supervisord.Value
	var err error
	if c.Native != nil {
		list, err = supervisord.EffectiveNative(*c.Native, a.o.Conf, p, false)
	} else {
		list, err = supervisord.Effective(c.Location, a.o.Conf, p.ID, false)
	}
	if err != nil {
		return nil
	}
	out := make([]service.Value, len(list))
	for i := range list {
		out[i] = service.Value{Key: list[i].Key, Value: list[i].Text, Source: list[i].Source()}
	}
	return out
}

// invalid are the mistakes in files of definitions at the last reading.
func (a *App) invalid() []service.Mistake {
	a.latest.mu.Lock()
	defer a.latest.mu.Unlock()
	bad := a.latest.bad
	if a.latest.broken != nil {
		bad = append([]supervisord.Invalid{*a.latest.broken}, bad...)
	}
	var out []service.Mistake
	for _, in := range bad {
		for _, p := range in.Problems {
			out = append(out, service.Mistake{File: in.File, Line: p.Line, Key: p.Key, Message: p.Text, Suggestion: p.Suggestion})
		}
	}
	return out
}
