// Package differ runs scenarios against two pairs of supervisord and supervisorctl and compares what
// an outsider can see. A scenario is data (see ParseScenarios); what legitimately differs between two
// runs is normalised; deliberate differences are data too, with their reason and the expected text.
package differ

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Command parses the command line, runs the scenarios of fsys (testdata/scenarios, with
// testdata/differences.txt) and returns the exit status: 0 all equal or explained, 1 not, 2 wrong use.
func Command(ctx context.Context, fsys fs.FS, args []string, out, errOut io.Writer) int {
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
	fl.IntVar(&opt.Jobs, "j", 8, "scenarios side by side: they wait most of their time")
	fl.IntVar(&opt.Retries, "retries", 6, "how often a scenario that differs is run again on both sides; agreement then counts as unstable and is reported")
	fl.StringVar(&opt.Cache, "cache", "", "`directory` that keeps the original's transcripts between runs")
	if err := fl.Parse(args); err != nil {
		return 2
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	all, diffs, err := loadAll(fsys)
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
	if opt.Pairs, err = ParsePairs(*pairs); err == nil {
		err = opt.Resolve()
	}
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 2
	}
	sum, err := Compare(ctx, opt, chosen, diffs, out)
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

func loadAll(fsys fs.FS) ([]Scenario, []Difference, error) {
	all, err := loadScenarios(fsys, "testdata/scenarios")
	if err != nil {
		return nil, nil, err
	}
	text, err := fs.ReadFile(fsys, "testdata/differences.txt")
	if err != nil {
		return nil, nil, err
	}
	diffs, err := ParseDifferences(string(text))
	if err != nil {
		return nil, nil, fmt.Errorf("differences.txt: %w", err)
	}
	return all, diffs, nil
}

// Pairing says which side plays the daemon and which the client.
type Pairing struct {
	OurDaemon, OurCtl bool
}

// String is daemon/ctl, each our or ref.
func (p Pairing) String() string {
	side := map[bool]string{false: "ref", true: "our"}
	return side[p.OurDaemon] + "/" + side[p.OurCtl]
}

// ParsePairs reads a list such as "our/our,our/ref".
func ParsePairs(text string) ([]Pairing, error) {
	var out []Pairing
	for item := range strings.SplitSeq(text, ",") {
		d, c, _ := strings.Cut(item, "/")
		if (d != "our" && d != "ref") || (c != "our" && c != "ref") {
			return nil, fmt.Errorf("pair %q is not one of our/our, our/ref, ref/our, ref/ref", item)
		}
		out = append(out, Pairing{d == "our", c == "our"})
	}
	return out, nil
}

// Resolve makes the paths absolute and checks that those needed exist.
func (o *Options) Resolve() error {
	for _, p := range []*string{&o.Ref.Daemon, &o.Ref.Ctl, &o.Our.Daemon, &o.Our.Ctl} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	need := []string{o.Ref.Daemon, o.Ref.Ctl}
	for _, p := range o.Pairs {
		if p.OurDaemon {
			need = append(need, o.Our.Daemon)
		}
		if p.OurCtl {
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
