//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// result is what a run found.
type result struct {
	name       string
	kills      int
	kinds      map[string]int // of what was done: "start-up kill", "broken image" …
	back       []time.Duration
	programs   int
	instances  int
	bytes      int64
	rotations  int
	gone       int64 // bytes that ended with their pipe while nothing of the daemon lived
	exits      exitCount
	commands   int // phases that were acknowledged and judged
	calls      int
	looks      int
	longest    time.Duration // pause of the census
	span       time.Duration
	violations []violation
	remarks    []string // what helps to understand lost bytes
	err        error    // the harness itself failed
}

// run is one daemon under load and faults.
type run struct {
	o        *options
	role     string
	count    int
	name     string
	l        layout
	mark     string
	rng      *mrand.Rand
	programs []*program
	d        *daemon
	api      api
	census   *census
	reaper   *reaper
	ships    *shipper
	newer    fileID // the last image of the other build that was put in place
	outages  []span64
	out      io.Writer

	mu  sync.Mutex
	res result
}

func (r *run) report(v violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.res.violations = append(r.res.violations, v)
	if r.o.verbose {
		fmt.Fprintf(r.out, "  %s: %s\n", v.Kind, v.Text)
	}
}

func (r *run) did(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.res.kinds[what]++
}

// newRun prepares the directory, the programs and the configuration.
func newRun(o *options, name, role, command string, count int, seed uint64, out io.Writer) (*run, error) {
	dir, err := os.MkdirTemp(o.work, "chaos-")
	if err != nil {
		return nil, err
	}
	var mark [8]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return nil, err
	}
	r := &run{
		o: o, role: role, count: count, name: name, l: layout{dir}, mark: hex.EncodeToString(mark[:]), out: out,
		rng: mrand.New(mrand.NewPCG(seed, 0)), reaper: &reaper{},
	}
	r.res = result{name: name, kinds: map[string]int{}}
	r.programs = mixed(o.programs, o.rate)
	if o.load == "bytes" {
		r.programs = byBytes()
	}
	r.res.programs = len(r.programs)
	if err := r.files(command); err != nil {
		r.remove()
		return nil, err
	}
	if r.census, err = newCensus(r.mark, o.pid1, r.reaper, r.report); err != nil {
		r.remove()
		return nil, err
	}
	r.d = &daemon{l: r.l, command: command, user: o.user, pid1: o.pid1, env: o.env, census: r.census, reaper: r.reaper}
	if o.other != "" {
		r.d.command = r.l.daemon()
	}
	r.api, err = newAPI(r.l.socket())
	return r, err
}

// files writes what the run needs into its directory.
func (r *run) files(command string) error {
	for _, d := range []string{"truth", "logs", "bin"} {
		if err := os.Mkdir(r.l.path(d), 0o755); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyFile(self, r.l.child()); err != nil {
		return err
	}
	if r.o.other != "" {
		if err := copyFile(command, r.l.daemon()); err != nil {
			return err
		}
	}
	var ships []*shipment
	for _, p := range r.programs {
		if p.book, err = openLedger(r.l.ledger(p.name), 64); err != nil {
			return err
		}
		for _, stream := range []string{p.name, p.name + ".e"} {
			sh := &shipment{path: r.l.log(stream), backups: p.backups, check: newStream(stream, r.report)}
			p.logs = append(p.logs, sh)
			ships = append(ships, sh)
		}
	}
	r.ships = newShipper(ships)
	if err := os.WriteFile(r.l.conf(), []byte(configuration(r.l, r.mark, r.programs)), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(r.l.dir, 0o755); err != nil || !r.o.user {
		return err
	}
	return filepath.Walk(r.l.dir, func(name string, _ os.FileInfo, err error) error {
		return errors.Join(err, os.Chown(name, nobody, nobody))
	})
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func (r *run) remove() {
	for _, p := range r.programs {
		if p.book != nil {
			_ = p.book.close()
		}
	}
	if r.o.keep {
		fmt.Fprintln(r.out, "kept:", r.l.dir)
		return
	}
	os.RemoveAll(r.l.dir)
}

// do is the whole run.
func (r *run) do(ctx context.Context) *result {
	begin := time.Now()
	go r.census.run() // ended by r.census.close
	r.ships.start(r.allow)
	err := r.load(ctx)
	if err != nil {
		r.res.err = err
	}
	r.d.kill()
	r.census.endAll()
	r.census.close()
	if err := r.ships.finish(); err != nil && r.res.err == nil {
		r.res.err = err
	}
	if err := r.judgeLogs(); err != nil && r.res.err == nil {
		r.res.err = err
	}
	for _, sh := range r.ships.list {
		r.res.rotations += sh.rotated
		sh.close()
	}
	r.res.looks, r.res.longest = r.census.looks, r.census.longest
	r.res.span = time.Since(begin)
	if (len(r.res.violations) > 0 || r.res.err != nil) && r.o.evidence != "" {
		_ = copyFile(r.l.activity(), filepath.Join(r.o.evidence, r.name+".log"))
		_ = copyFile(r.l.path("console"), filepath.Join(r.o.evidence, r.name+".console"))
	}
	r.remove()
	return &r.res
}

// load brings everything up, makes the faults, and ends the load in order.
func (r *run) load(ctx context.Context) error {
	if err := r.d.start(); err != nil {
		return err
	}
	begin := monotonic()
	if !until(r.o.limit, 20*time.Millisecond, r.up) {
		return fmt.Errorf("the programs did not come up within %v: %s", r.o.limit, r.d.console())
	}
	cs := startClients(ctx, r.api, r.programs, r.rng.Uint64(), r.report)
	err := r.faults(ctx)
	// Judged is what was so before anybody was told to end.
	end := monotonic()
	phases, calls := cs.stop()
	r.res.calls = calls
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if err := r.end(); err != nil {
		r.report(violation{vBack, 1, err.Error()})
	}
	return r.judge(phases, begin, end)
}

// up reports whether every program that starts by itself has begun.
func (r *run) up() bool {
	live := r.census.present()
	for _, p := range r.programs {
		if !p.manual && p.rule == steady && live[p.name] == 0 {
			return false
		}
	}
	return r.api.alive(time.Second) == nil
}

// allow lets the program without a rate write on as its output is read.
func (r *run) allow() {
	for _, p := range r.programs {
		if p.kind == "flood" {
			p.book.head().allowed.Store(p.logs[0].check.bytes + 512<<20)
		}
	}
}

// end stops all programs and the daemon.
func (r *run) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.o.limit)
	defer cancel()
	if _, err := r.api.StopAllProcesses(ctx, true); err != nil {
		return fmt.Errorf("stop of all programs: %w", err)
	}
	return r.d.shutdown(r.o.limit)
}

// faults makes the faults of the role.
func (r *run) faults(ctx context.Context) error {
	if r.role == "none" {
		wait(ctx, r.o.span)
		return nil
	}
	for i := 0; i < r.count && ctx.Err() == nil; i++ {
		var err error
		if r.role == "upgrade" {
			err = r.upgrade(ctx, i)
		} else {
			err = r.strike(ctx)
		}
		if err != nil {
			r.report(violation{vBack, 1, fmt.Sprintf("after %d faults: %v", i, err)})
			return nil
		}
		r.res.kills++
		if (i+1)%100 == 0 {
			fmt.Fprintf(r.out, "  %s: %d of %d\n", r.name, i+1, r.count)
		}
	}
	wait(ctx, 2*time.Second) // the last gap is over
	return nil
}

// spawnerRest is how long a spawner is left alone first: one that keeps ending sooner is replaced at growing intervals.
const spawnerRest = time.Second

// strike kills the processes of the role after 0 to 500 ms, in a fifth of the cases once more in the begin
// of the next one, and waits for the answer of the next one.
func (r *run) strike(ctx context.Context) error {
	pause := time.Duration(r.rng.IntN(500)) * time.Millisecond
	if r.role == "spawner" {
		pause += spawnerRest
	}
	wait(ctx, pause)
	found, err := r.d.await(r.role, r.o.limit)
	if err != nil {
		return err
	}
	since, err := r.killAll(ctx, found)
	if err != nil {
		return err
	}
	if r.role != "daemon" && r.role != "all" && r.rng.IntN(5) == 0 {
		if found, err = r.d.await(r.role, r.o.limit); err != nil {
			return err
		}
		wait(ctx, time.Duration(r.rng.IntN(50))*time.Millisecond)
		if since, err = r.killAll(ctx, found); err != nil {
			return err
		}
		r.did("kills in a start-up")
	}
	return r.awaitAnswer(since)
}

// killAll kills the processes at once and returns when the daemon could begin to come back.
func (r *run) killAll(ctx context.Context, found []process) (time.Time, error) {
	since := time.Now()
	for _, i := range r.rng.Perm(len(found)) {
		if err := strike(found[i], unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return since, err
		}
	}
	r.did("kills of " + r.role)
	gone := until(r.o.limit, time.Millisecond, func() bool {
		r.reaper.reap()
		for _, p := range found {
			if same(p) {
				return false
			}
		}
		return true
	})
	if !gone {
		return since, errors.New("a killed process is still there")
	}
	if r.role == "daemon" || r.role == "all" {
		r.outages = append(r.outages, span64{from: monotonic() - int64(time.Since(since))})
		wait(ctx, time.Duration(r.rng.Int64N(int64(r.o.outage)+1)))
		since = time.Now()
		return since, r.d.start()
	}
	return since, nil
}

// awaitAnswer waits for an answer to a question that was asked after the fault.
func (r *run) awaitAnswer(since time.Time) error {
	var last error
	ok := until(r.o.limit, 2*time.Millisecond, func() bool {
		last = r.api.alive(r.o.limit)
		return last == nil
	})
	if !ok {
		return fmt.Errorf("no answer for %v: %w; %s", r.o.limit, last, r.d.console())
	}
	r.res.back = append(r.res.back, time.Since(since))
	if n := len(r.outages); n > 0 && r.outages[n-1].to == 0 {
		r.outages[n-1].to = monotonic()
	}
	return nil
}
