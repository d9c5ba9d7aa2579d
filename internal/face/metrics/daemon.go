package metrics

import (
	"runtime"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// daemon are the families about the process that answers, under the names that every Go program has them.
func daemon() []Family {
	var mem runtime.MemStats // read by the first of those that need it
	runtimes := func(name, kind, help string, value func() float64) Family {
		return one(name, kind, help, func(*service.Measures) (float64, bool) { return value(), true })
	}
	self := func(name, kind, help string, value func(service.Usage) float64) Family {
		return one(name, kind, help, func(m *service.Measures) (float64, bool) { return value(m.Self), m.Self.Processes > 0 })
	}
	return []Family{
		{
			Name: "go_info", Kind: gauge, Labels: []string{"version"}, Help: "1; the Go that the program was built with.",
			write: func(p *page, _ *service.Measures) {
				runtime.ReadMemStats(&mem)
				p.sample("", 1, label("version", runtime.Version()))
			},
		},
		runtimes("go_goroutines", gauge, "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) }),
		self("go_threads", gauge, "Threads of the operating system.", func(u service.Usage) float64 { return float64(u.Threads) }),
		runtimes("go_memstats_alloc_bytes", gauge, "Bytes of live and not yet collected objects.", func() float64 { return float64(mem.Alloc) }),
		runtimes("go_memstats_alloc_bytes_total", counter, "Bytes that were ever allocated.", func() float64 { return float64(mem.TotalAlloc) }),
		runtimes("go_memstats_sys_bytes", gauge, "Bytes that were taken from the system.", func() float64 { return float64(mem.Sys) }),
		runtimes("go_memstats_heap_inuse_bytes", gauge, "Bytes of spans of the heap that are in use.", func() float64 { return float64(mem.HeapInuse) }),
		runtimes("go_memstats_heap_objects", gauge, "Objects on the heap.", func() float64 { return float64(mem.HeapObjects) }),
		runtimes("go_memstats_mallocs_total", counter, "Objects that were ever allocated.", func() float64 { return float64(mem.Mallocs) }),
		runtimes("go_memstats_frees_total", counter, "Objects that were freed.", func() float64 { return float64(mem.Frees) }),
		runtimes("go_gc_cycles_total", counter, "Garbage collections.", func() float64 { return float64(mem.NumGC) }),
		runtimes("go_gc_pause_seconds_total", counter, "How long the program has stood still for them.", func() float64 { return float64(mem.PauseTotalNs) / 1e9 }),
		self("process_cpu_seconds_total", counter, "Processor time.", func(u service.Usage) float64 { return (u.User + u.System).Seconds() }),
		self("process_resident_memory_bytes", gauge, "Memory.", func(u service.Usage) float64 { return float64(u.Memory) }),
		one("process_open_fds", gauge, "Open descriptors.", func(m *service.Measures) (float64, bool) {
			return float64(m.Self.Files), m.Self.Processes > 0 && m.Self.Files >= 0
		}),
		one("process_start_time_seconds", gauge, "When it began, in seconds since 1970.",
			func(m *service.Measures) (float64, bool) { return seconds(m.Started), !m.Started.IsZero() }),
	}
}

const nodeStart = "node_supervisord_start_time_seconds"

// nodeSupervisord are the families of node_exporter's supervisord collector.
func nodeSupervisord() []Family {
	one := func(name, kind, help string, value func(*model.Status) float64) Family {
		return Family{Name: name, Kind: kind, Help: help, Labels: []string{"name", "group"}, write: func(p *page, m *service.Measures) {
			for i := range m.Programs {
				st := &m.Programs[i].Status
				if v := value(st); v >= 0 || name != nodeStart {
					p.sample("", v, label("name", st.ID.Name), label("group", st.ID.Group))
				}
			}
		}}
	}
	exit := func(st *model.Status) float64 {
		if !st.HasExit {
			return 0
		}
		return float64(st.Exit.Code())
	}
	return []Family{
		one("node_supervisord_up", gauge, "1: STARTING, RUNNING or STOPPING.", func(st *model.Status) float64 { return truth(st.State.Signallable()) }),
		one("node_supervisord_state", gauge, "The number of the state.", func(st *model.Status) float64 { return float64(st.State.Code()) }),
		one("node_supervisord_exit_status", gauge, "The exit code of the last process, -1 after a signal.", exit),
		one(nodeStart, counter, "When its process began, in seconds since 1970; absent where node_supervisord_up is 0.", func(st *model.Status) float64 {
			if !st.State.Signallable() {
				return -1
			}
			return float64(st.Start.Unix())
		}),
	}
}
