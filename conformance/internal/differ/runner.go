package differ

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Options of a whole run.
type Options struct {
	Ref, Our Pair
	Pairs    []Pairing
	Jobs     int
	Retries  int
	Verbose  bool
	Cache    string // directory of kept reference transcripts, or empty
}

func (o *Options) pair(p Pairing) Pair {
	out := o.Ref
	if p.OurDaemon {
		out.Daemon = o.Our.Daemon
	}
	if p.OurCtl {
		out.Ctl = o.Our.Ctl
	}
	return out
}

// Summary counts a run's outcome.
type Summary struct {
	Scenarios, Explained, Unexplained, Gone, Unstable int
}

// String is the report's last line.
func (s Summary) String() string {
	text := fmt.Sprintf("%d scenarios, %d differences explained, %d unexplained", s.Scenarios, s.Explained, s.Unexplained)
	if s.Gone > 0 {
		text += fmt.Sprintf(", %d explained differences that do not occur", s.Gone)
	}
	if s.Unstable > 0 {
		text += fmt.Sprintf(", %d unstable (equal only when repeated)", s.Unstable)
	}
	return text
}

// portsFrom is where the scenarios' ports start, below the usual range of ephemeral ports.
const portsFrom, portsEach = 20000, 2

// outcome is one scenario's contribution to the report.
type outcome struct {
	sum  Summary
	text string
	err  error
}

// Compare runs the scenarios opt.Jobs at a time; reports appear in order of completion.
func Compare(ctx context.Context, opt Options, all []Scenario, diffs []Difference, out io.Writer) (Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	root, err := os.MkdirTemp("", "cf")
	if err != nil {
		return Summary{}, err
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil { // programs of other users must reach their files
		return Summary{}, err
	}
	work := make(chan int)
	results := make(chan outcome)
	var wg sync.WaitGroup
	for worker := range max(1, opt.Jobs) {
		wg.Go(func() {
			for i := range work {
				r := runner{ctx: ctx, opt: opt, diffs: diffs, slot: worker, dir: filepath.Join(root, strconv.Itoa(worker))}
				results <- r.scenario(all[i])
			}
		})
	}
	go func() { // ends when all work is given out or the run is cancelled
		defer close(work)
		for i := range all {
			select {
			case work <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() { wg.Wait(); close(results) }() // ends with the workers
	var total Summary
	var failed error
	for o := range results {
		total.Scenarios += o.sum.Scenarios
		total.Explained += o.sum.Explained
		total.Unexplained += o.sum.Unexplained
		total.Gone += o.sum.Gone
		total.Unstable += o.sum.Unstable
		_, _ = io.WriteString(out, o.text) // a broken report pipe must not leave daemons behind
		if o.err != nil && failed == nil {
			failed = o.err
			cancel()
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return total, failed
}

// runner runs scenarios in one directory.
type runner struct {
	ctx   context.Context
	opt   Options
	diffs []Difference
	slot  int
	dir   string
}

func (r *runner) scenario(sc Scenario) outcome {
	o := outcome{sum: Summary{Scenarios: 1}}
	var b strings.Builder
	for _, p := range r.opt.Pairs {
		var v verdict
		for try := 0; ; try++ {
			ref, our, err := r.both(sc, p, try == 0)
			if err != nil {
				o.err = fmt.Errorf("%s: %w", sc.Name, err)
				return o
			}
			v = judge(sc.Name, ref, our, r.diffs, p.OurDaemon, p.OurCtl)
			if v.unexplained == 0 && len(v.gone) == 0 {
				if try > 0 {
					o.sum.Unstable++
					fmt.Fprintf(&b, "~ %s %s: equal only at try %d\n", sc.Name, p, try+1)
				}
				break
			}
			if try >= r.opt.Retries {
				break
			}
			if r.opt.Verbose {
				fmt.Fprintf(&b, "~ %s %s: try %d\n%s", sc.Name, p, try+1, unifiedDiff("expected", "actual", v.expected, v.actual))
			}
		}
		o.sum.Explained += v.explained
		o.sum.Unexplained += v.unexplained
		o.sum.Gone += len(v.gone)
		for _, g := range v.gone {
			fmt.Fprintf(&b, "! %s %s\n", p, g)
		}
		if v.unexplained > 0 {
			fmt.Fprintf(&b, "! %s %s: %d unexplained\n%s", sc.Name, p, v.unexplained,
				unifiedDiff(sc.Name+" expected", sc.Name+" "+p.String(), v.expected, v.actual))
			if r.opt.Verbose {
				b.WriteString("proposals:\n" + v.proposals)
			}
		} else if r.opt.Verbose {
			fmt.Fprintf(&b, "= %s %s\n%s", sc.Name, p, v.actual)
		}
	}
	o.text = b.String()
	return o
}

// both runs the original and then the pairing in the same directory with the same ports.
func (r *runner) both(sc Scenario, p Pairing, mayCache bool) (ref, our []StepResult, err error) {
	ports, err := r.freePorts()
	if err != nil {
		return nil, nil, err
	}
	key := ""
	if r.opt.Cache != "" {
		key = r.cacheKey(sc)
	}
	if mayCache && key != "" {
		ref = readCache(key)
	}
	if ref == nil {
		if ref, err = runScenario(r.ctx, sc, r.opt.Ref, r.dir, ports); err != nil {
			return nil, nil, err
		}
		if key != "" {
			if err := writeCache(key, ref); err != nil {
				return nil, nil, err
			}
		}
	}
	our, err = runScenario(r.ctx, sc, r.opt.pair(p), r.dir, ports)
	return ref, our, err
}

// freePorts finds ports nobody listens on, in a range of this worker's own.
func (r *runner) freePorts() ([]int, error) {
	const span = 60
	base := portsFrom + (os.Getpid()%50)*4*span + r.slot*span
	var ports []int
	for p := base; p < base+span && len(ports) < portsEach; p++ {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	if len(ports) < portsEach {
		return nil, fmt.Errorf("no free ports from %d on", base)
	}
	return ports, nil
}

// cacheKey names the kept transcript of a scenario: it changes with the scenario, this program and the original.
func (r *runner) cacheKey(sc Scenario) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", sc)
	self, err := os.Executable()
	if err == nil {
		if f, err := os.Open(self); err == nil {
			_, _ = io.Copy(h, f) // an unreadable self only shares less
			f.Close()
		}
	}
	for _, p := range []string{r.opt.Ref.Daemon, r.opt.Ref.Ctl} {
		if st, err := os.Stat(p); err == nil {
			fmt.Fprintln(h, p, st.Size(), st.ModTime().UnixNano())
		}
	}
	return filepath.Join(r.opt.Cache, hex.EncodeToString(h.Sum(nil)[:16])+".json")
}

func readCache(name string) []StepResult {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	var out []StepResult
	if json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}

func writeCache(name string, steps []StepResult) error {
	data, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
