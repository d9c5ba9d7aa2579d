// Command conformance runs scenarios against two supervisors, the original and ours, and compares
// what an outsider can see: exit statuses, printed texts, RPC results and faults, HTTP answers,
// activity logs and files. Deliberate differences are listed in testdata/differences.txt with their
// reason and the exact text expected; any other difference fails the run, and so does a listed
// difference that no longer occurs.
//
//	go run ./conformance -ref-d /usr/bin/supervisord -ref-ctl /usr/bin/supervisorctl \
//	    -our-d bin/supervisord -our-ctl bin/supervisorctl
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command parses the command line and returns the exit status: 0 all equal or explained, 1 not, 2 wrong use.
func command(ctx context.Context, args []string, out, errOut io.Writer) int {
	fl := flag.NewFlagSet("conformance", flag.ContinueOnError)
	fl.SetOutput(errOut)
	var (
		opt     Options
		pattern = fl.String("run", "", "only scenarios whose name matches this `regexp`")
		pairs   = fl.String("pairs", "our/our", "comma list of daemon/ctl `pairs` to compare with ref/ref: our/our, our/ref, ref/our, ref/ref")
		list    = fl.Bool("list", false, "list the scenarios and end")
	)
	fl.StringVar(&opt.Ref.Daemon, "ref-d", "/usr/bin/supervisord", "the original's daemon")
	fl.StringVar(&opt.Ref.Ctl, "ref-ctl", "/usr/bin/supervisorctl", "the original's client")
	fl.StringVar(&opt.Our.Daemon, "our-d", "bin/supervisord", "our daemon")
	fl.StringVar(&opt.Our.Ctl, "our-ctl", "bin/supervisorctl", "our client")
	fl.BoolVar(&opt.Verbose, "v", false, "show every scenario and its transcript, and proposals for the list of differences")
	fl.IntVar(&opt.Jobs, "j", 4, "scenarios side by side")
	fl.IntVar(&opt.Retries, "retries", 1, "how often a scenario that differs is run again on both sides; agreement then counts as unstable and is reported")
	fl.StringVar(&opt.Cache, "cache", "", "`directory` that keeps the original's transcripts between runs")
	if err := fl.Parse(args); err != nil {
		return 2
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	all, diffs, err := loadAll()
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	var chosen []Scenario
	for _, sc := range all {
		if re.MatchString(sc.Name) {
			chosen = append(chosen, sc)
		}
	}
	if *list {
		for _, sc := range chosen {
			fmt.Fprintf(out, "%-44s %s\n", sc.Name, sc.Title)
		}
		return 0
	}
	if opt.Pairs, err = parsePairs(*pairs); err == nil {
		err = opt.makeAbsolute()
	}
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	sum, err := runAll(ctx, opt, chosen, diffs, out)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	for _, bad := range checkDifferences(diffs, all) {
		fmt.Fprintln(out, "differences.txt:", bad)
		sum.Gone++
	}
	fmt.Fprintln(out, sum)
	if sum.Unexplained > 0 || sum.Gone > 0 {
		return 1
	}
	return 0
}

func loadAll() ([]Scenario, []Difference, error) {
	all, err := loadScenarios(testdata, "testdata/scenarios")
	if err != nil {
		return nil, nil, err
	}
	text, err := testdata.ReadFile("testdata/differences.txt")
	if err != nil {
		return nil, nil, err
	}
	diffs, err := parseDifferences(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("differences.txt: %w", err)
	}
	return all, diffs, nil
}

// pairing says which side plays the daemon and which the client.
type pairing struct {
	ourDaemon, ourCtl bool
}

func (p pairing) String() string {
	side := map[bool]string{false: "ref", true: "our"}
	return side[p.ourDaemon] + "/" + side[p.ourCtl]
}

func parsePairs(text string) ([]pairing, error) {
	var out []pairing
	for item := range strings.SplitSeq(text, ",") {
		d, c, _ := strings.Cut(item, "/")
		if (d != "our" && d != "ref") || (c != "our" && c != "ref") {
			return nil, fmt.Errorf("pair %q is not one of our/our, our/ref, ref/our, ref/ref", item)
		}
		out = append(out, pairing{d == "our", c == "our"})
	}
	return out, nil
}

func (o *Options) makeAbsolute() error {
	for _, p := range []*string{&o.Ref.Daemon, &o.Ref.Ctl, &o.Our.Daemon, &o.Our.Ctl} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	need := []string{o.Ref.Daemon, o.Ref.Ctl}
	for _, p := range o.Pairs {
		if p.ourDaemon {
			need = append(need, o.Our.Daemon)
		}
		if p.ourCtl {
			need = append(need, o.Our.Ctl)
		}
	}
	for _, p := range need {
		if _, err := os.Stat(p); err != nil {
			return err
		}
	}
	return nil
}
