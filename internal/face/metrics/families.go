package metrics

import (
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// The kinds of families.
const (
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

// of are the labels of a program, and those that a family has beside them.
func of(more ...string) []string { return append([]string{"group", "process"}, more...) }

// put writes a sample of a program, with further labels.
type put func(value float64, labels ...string)

// each makes a family with samples of each program.
func each(name, kind, help string, labels []string, write func(*service.Measured, put)) Family {
	return Family{Name: name, Kind: kind, Help: help, Labels: labels, write: func(p *page, m *service.Measures) {
		var with [4]string
		put := func(value float64, labels ...string) { p.sample("", value, append(with[:1], labels...)...) }
		for i, of := range p.labels(m) {
			with[0] = of
			write(&m.Programs[i], put)
		}
	}}
}

// one makes a family with one sample; none when value says so.
func one(name, kind, help string, value func(*service.Measures) (float64, bool)) Family {
	return Family{Name: name, Kind: kind, Help: help, write: func(p *page, m *service.Measures) {
		if v, ok := value(m); ok {
			p.sample("", v)
		}
	}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// families are those of a page.
func (h *Handler) families() []Family {
	list := h.instance()
	list = append(list, states()...)
	list = append(list, counts()...)
	list = append(list, used()...)
	list = append(list, checks()...)
	list = append(list, around()...)
	if h.o.Requests != nil {
		total := Family{Name: "upkeep_http_requests_total", Kind: counter, Help: "Requests that were answered.", Labels: []string{"route", "method", "code"}}
		duration := Family{Name: "upkeep_http_request_duration_seconds", Kind: histogram, Help: "How long they took, by what they asked for.", Labels: []string{"route"}}
		both := total
		both.write = func(p *page, _ *service.Measures) { h.o.Requests.write(p, &total, &duration) }
		list = append(list, both, duration)
	}
	list = append(list, daemon()...)
	if h.o.NodeSupervisord {
		list = append(list, nodeSupervisord()...)
	}
	return list
}

// instance are the families of the instance as a whole.
func (h *Handler) instance() []Family {
	return []Family{
		{
			Name: "upkeep_build_info", Kind: gauge, Help: "1; which build answers.", Labels: []string{"version", "revision", "goversion"},
			write: func(p *page, m *service.Measures) {
				p.sample("", 1, label("version", m.Version), label("revision", h.o.Revision), label("goversion", runtime.Version()))
			},
		},
		one("upkeep_up", gauge, "1: the instance answers.", func(*service.Measures) (float64, bool) { return 1, true }),
		one("upkeep_start_time_seconds", gauge, "When the process that answers began, in seconds since 1970. Counters begin then.",
			func(m *service.Measures) (float64, bool) { return seconds(m.Started), !m.Started.IsZero() }),
		{
			Name: "upkeep_processes", Kind: gauge, Help: "How many programs of a group are in a state; states that none is in are left out.",
			Labels: []string{"group", "state"}, write: writeStates,
		},
	}
}

// writeStates counts programs by group and state. They come sorted by group.
func writeStates(p *page, m *service.Measures) {
	for at := 0; at < len(m.Programs); {
		group := m.Programs[at].Status.ID.Group
		var in [model.NumStates]int
		for ; at < len(m.Programs) && m.Programs[at].Status.ID.Group == group; at++ {
			in[m.Programs[at].Status.State]++
		}
		for s, n := range in {
			if n > 0 {
				p.sample("", float64(n), label("group", group), label("state", model.State(s).String()))
			}
		}
	}
}

// states are the families about what a program is doing.
func states() []Family {
	return []Family{
		each("upkeep_process_up", gauge, "1: RUNNING.", of(), func(s *service.Measured, put put) {
			put(truth(s.Status.State == model.Running))
		}),
		each("upkeep_process_state", gauge, "The number of the state: 0 STOPPED, 10 STARTING, 20 RUNNING, 30 BACKOFF, 40 STOPPING, 100 EXITED, 200 FATAL, 1000 UNKNOWN.", of(),
			func(s *service.Measured, put put) { put(float64(s.Status.State.Code())) }),
		each("upkeep_process_ready", gauge, "1: RUNNING, and all checks of its ready stage pass.", of(), func(s *service.Measured, put put) {
			put(truth(s.Status.Ready))
		}),
		each("upkeep_process_healthy", gauge, "1: none of its live checks fails; absent without any that has looked.", of(),
			func(s *service.Measured, put put) {
				if health, _ := service.HealthOf(s.Checks); health != "none" {
					put(truth(health == "healthy"))
				}
			}),
		each("upkeep_process_adopted", gauge, "1: its process was started by somebody else and taken over.", of(), func(s *service.Measured, put put) {
			put(truth(s.Status.PID != 0 && s.Status.Past.Adopted))
		}),
		each("upkeep_process_start_time_seconds", gauge, "When its process began, in seconds since 1970; absent without one.", of(),
			func(s *service.Measured, put put) {
				if s.Status.PID != 0 && !s.Status.Start.IsZero() {
					put(seconds(s.Status.Start))
				}
			}),
		each("upkeep_process_backoff_seconds", gauge, "How long from the last failed attempt to the next; absent when none is planned.", of(),
			func(s *service.Measured, put put) {
				if !s.NextTry.IsZero() && !s.Status.Stop.IsZero() && s.NextTry.After(s.Status.Stop) {
					put(s.NextTry.Sub(s.Status.Stop).Seconds())
				}
			}),
		each("upkeep_process_last_exit_code", gauge, "How its last process ended: the exit code, or the negative number of a signal; absent when it is not known.", of(),
			func(s *service.Measured, put put) {
				switch x := s.Status.Exit; {
				case s.Status.Past.Ended == 0 || !x.Known:
				case x.Signal != 0:
					put(-float64(x.Signal))
				default:
					put(float64(x.Status))
				}
			}),
	}
}

// counts are the families about what has happened to a program.
func counts() []Family {
	return []Family{
		each("upkeep_process_restarts_total", counter, "Starts after the first, by what was the reason: the process had ended by itself (exit), by a signal, for lack of memory (oom), "+
			"a check wanted it, it could not be executed (spawn), or somebody asked for it (user).", of("reason"),
			func(s *service.Measured, put put) {
				for r, n := range s.Counts.Restarts {
					put(float64(n), label("reason", model.RestartReason(r).String()))
				}
			}),
		each("upkeep_process_exits_total", counter, "Ends of processes: with an expected exit code, an unexpected one, by a signal, for lack of memory (oom), because it was asked to (stopped), or nobody could tell (unknown).",
			of("kind"), func(s *service.Measured, put put) {
				for k, n := range s.Counts.Exits {
					put(float64(n), label("kind", model.ExitKind(k).String()))
				}
			}),
		each("upkeep_process_start_failures_total", counter, "Attempts to start it that have failed.", of(), func(s *service.Measured, put put) {
			put(float64(s.Counts.StartFailures))
		}),
		each("upkeep_log_bytes_total", counter, "Bytes that it has written.", of("stream"), channels(func(s *service.Measured) [2]uint64 { return s.Counts.Written })),
		each("upkeep_log_dropped_bytes_total", counter, "Of those, bytes that are not in its log because that could not be written.", of("stream"),
			channels(func(s *service.Measured) [2]uint64 { return s.Counts.Dropped })),
	}
}

// channels writes a number of each output of a program.
func channels(of func(*service.Measured) [2]uint64) func(*service.Measured, put) {
	return func(s *service.Measured, put put) {
		n := of(s)
		put(float64(n[0]), `stream="stdout"`)
		if !s.Status.Program.IO.MergeStderr {
			put(float64(n[1]), `stream="stderr"`)
		}
	}
}

// used are the families about what a program uses: its process and all that descends from it.
func used() []Family {
	live := func(f func(service.Usage) float64) func(*service.Measured, put) {
		return func(s *service.Measured, put put) {
			if s.Live {
				put(f(s.Usage))
			}
		}
	}
	return []Family{
		each("upkeep_process_cpu_seconds_total", counter, "Processor time that it has used, with all that descends from it, over all its instances. What a short process that nobody waited for has used is not in it.",
			of("mode"), func(s *service.Measured, put put) {
				put(s.Usage.User.Seconds(), `mode="user"`)
				put(s.Usage.System.Seconds(), `mode="system"`)
			}),
		each("upkeep_process_resident_memory_bytes", gauge, "Memory of its process and all that descends from it; what they share is counted for each.", of(),
			live(func(u service.Usage) float64 { return float64(u.Memory) })),
		each("upkeep_process_memory_limit_bytes", gauge, "At how much memory a check acts, the lowest of several; absent without one.", of(), func(s *service.Measured, put put) {
			limit := int64(0)
			for _, c := range s.Status.Program.Checks {
				if c.Kind == model.CheckMemory && c.Limit > 0 && (limit == 0 || c.Limit < limit) {
					limit = c.Limit
				}
			}
			if limit > 0 {
				put(float64(limit))
			}
		}),
		each("upkeep_process_threads", gauge, "Threads of its process and all that descends from it.", of(),
			live(func(u service.Usage) float64 { return float64(u.Threads) })),
		each("upkeep_process_children", gauge, "Processes that descend from it.", of(),
			live(func(u service.Usage) float64 { return float64(u.Processes - 1) })),
		each("upkeep_process_open_fds", gauge, "Descriptors that its process and all that descends from it have open; absent when that may not be looked at.", of(),
			func(s *service.Measured, put put) {
				if s.Live && s.Usage.Files >= 0 {
					put(float64(s.Usage.Files))
				}
			}),
		each("upkeep_process_io_bytes_total", counter, "Bytes of storage that it has read and written, with all that descends from it, over all its instances; absent when that may not be looked at.",
			of("direction"), func(s *service.Measured, put put) {
				if s.Usage.Read >= 0 {
					put(float64(s.Usage.Read), `direction="read"`)
					put(float64(s.Usage.Written), `direction="write"`)
				}
			}),
	}
}

// checks are the families about what checks have found out.
func checks() []Family {
	perCheck := func(name, kind, help string, value func(*model.CheckState) (float64, bool)) Family {
		return each(name, kind, help, of("check"), func(s *service.Measured, put put) {
			for i := range s.Checks {
				if v, ok := value(&s.Checks[i]); ok {
					put(v, label("check", s.Checks[i].Check.Name))
				}
			}
		})
	}
	return []Family{
		perCheck("upkeep_health_check_passing", gauge, "1: it passes, 0: it fails; absent while neither is known.", func(c *model.CheckState) (float64, bool) {
			return truth(c.Verdict == model.Passing), c.Verdict != model.Unjudged
		}),
		perCheck("upkeep_health_check_failures_total", counter, "Looks that have found something wrong.", func(c *model.CheckState) (float64, bool) {
			return float64(c.Failed), true
		}),
		{
			Name: "upkeep_health_check_duration_seconds", Kind: histogram, Labels: of("check"), Help: "How long looks took.",
			write: func(p *page, m *service.Measures) {
				for i, of := range p.labels(m) {
					for k := range m.Programs[i].Checks {
						c := &m.Programs[i].Checks[k]
						p.histogram(&c.Times, of, label("check", c.Check.Name))
					}
				}
			},
		},
	}
}

// around are the families about events, the configuration and notifications.
func around() []Family {
	return []Family{
		{
			Name: "upkeep_events_total", Kind: counter, Labels: []string{"type"}, Help: "Events by their names, without those that are made of output.",
			write: func(p *page, m *service.Measures) {
				types := make([]string, 0, len(m.Events))
				for t := range m.Events {
					types = append(types, string(t))
				}
				slices.Sort(types)
				for _, t := range types {
					p.sample("", float64(m.Events[model.EventType(t)]), label("type", t))
				}
			},
		},
		{
			Name: "upkeep_event_listener_queue", Kind: gauge, Labels: []string{"pool"}, Help: "Events that wait for the listeners of a pool.",
			write: func(p *page, m *service.Measures) {
				pools := slices.SortedFunc(slices.Values(m.Pools), func(a, b service.PoolLoad) int { return strings.Compare(a.Name, b.Name) })
				for _, l := range pools {
					p.sample("", float64(l.Events), label("pool", l.Name))
				}
			},
		},
		one("upkeep_config_last_apply_successful", gauge, "1: the last configuration that was to be the running one is; 0: it could not be used, or what there is now cannot be read.",
			func(m *service.Measures) (float64, bool) { return truth(m.Applied.OK), !m.Applied.At.IsZero() }),
		one("upkeep_config_last_apply_timestamp_seconds", gauge, "When that was, in seconds since 1970.",
			func(m *service.Measures) (float64, bool) { return seconds(m.Applied.At), !m.Applied.At.IsZero() }),
		notified("upkeep_notifications_total", counter, "Messages by what became of them.", []string{"notifier", "outcome"},
			func(n *service.NotifierState, put put) {
				put(float64(n.Sent), `outcome="delivered"`)
				put(float64(n.Failed), `outcome="failed"`)
			}),
		notified("upkeep_notifications_waiting", gauge, "Messages that are to be sent, or sent again.", []string{"notifier"},
			func(n *service.NotifierState, put put) { put(float64(n.Waiting)) }),
	}
}

// notified makes a family with samples of each notifier.
func notified(name, kind, help string, labels []string, write func(*service.NotifierState, put)) Family {
	return Family{Name: name, Kind: kind, Help: help, Labels: labels, write: func(p *page, m *service.Measures) {
		for i := range m.Notifiers {
			n := &m.Notifiers[i]
			write(n, func(v float64, labels ...string) {
				p.sample("", v, append([]string{label("notifier", n.Name)}, labels...)...)
			})
		}
	}}
}
