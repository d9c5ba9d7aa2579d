// Command webstack drives an ordinary installation – a main supervisord.conf that includes
// conf.d/*.conf, with a web server, a database and an application – through a day of
// supervisorctl commands, in all four pairings of the original's and our daemon and client, and
// compares the transcripts.
//
//	go run ./conformance/webstack -our-d bin/supervisord -our-ctl bin/supervisorctl examples/webstack
//
// Without the directory, or where nginx or redis-server are not installed, a small group of shell
// programs of the same shape is used.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/conformance/internal/differ"
)

//go:embed webstack.txt
var script string

//go:embed differences.txt
var differences string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command returns the exit status: 0 all pairings agree, 1 not, 2 wrong use.
func command(ctx context.Context, args []string, out, errOut io.Writer) int {
	fl := flag.NewFlagSet("webstack", flag.ContinueOnError)
	fl.SetOutput(errOut)
	opt := differ.Options{Jobs: 1, Retries: 1}
	pairs := fl.String("pairs", "our/our,our/ref,ref/our", "comma list of daemon/ctl `pairs` to compare with ref/ref")
	fl.StringVar(&opt.Ref.Daemon, "ref-d", "/usr/bin/supervisord", "the original's daemon")
	fl.StringVar(&opt.Ref.Ctl, "ref-ctl", "/usr/bin/supervisorctl", "the original's client")
	fl.StringVar(&opt.Our.Daemon, "our-d", "bin/supervisord", "our daemon")
	fl.StringVar(&opt.Our.Ctl, "our-ctl", "bin/supervisorctl", "our client")
	fl.BoolVar(&opt.Verbose, "v", false, "show the transcript")
	if err := fl.Parse(args); err != nil {
		return 2
	}
	if err := run(ctx, &opt, *pairs, fl.Arg(0), out); err != nil {
		fmt.Fprintln(errOut, err)
		if errors.Is(err, errDifferent) {
			return 1
		}
		return 2
	}
	return 0
}

var errDifferent = errors.New("the transcripts differ")

func run(ctx context.Context, opt *differ.Options, pairs, dir string, out io.Writer) error {
	var err error
	if opt.Pairs, err = differ.ParsePairs(pairs); err != nil {
		return err
	}
	if err := opt.Resolve(); err != nil {
		return err
	}
	files, err := stackFiles(dir)
	if err != nil {
		return err
	}
	if files == nil {
		fmt.Fprintln(out, "using the built-in programs")
	}
	scenarios, err := differ.ParseScenarios("webstack", script, files...)
	if err != nil {
		return err
	}
	diffs, err := differ.ParseDifferences(differences)
	if err != nil {
		return err
	}
	sum, err := differ.Compare(ctx, *opt, scenarios, diffs, out)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, sum)
	if sum.Unexplained > 0 || sum.Gone > 0 {
		return errDifferent
	}
	return nil
}

// stackFiles reads the example with its place-holders filled in, or nothing when it cannot run here.
func stackFiles(dir string) ([]differ.File, error) {
	if dir == "" {
		return nil, nil
	}
	for _, need := range []string{"nginx", "redis-server"} {
		if _, err := exec.LookPath(need); err != nil {
			if _, err := os.Stat(filepath.Join("/usr/sbin", need)); err != nil {
				return nil, nil
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "etc", "supervisor", "supervisord.conf")); err != nil {
		return nil, nil
	}
	fill := strings.NewReplacer("@ROOT@", "$DIR", "@HTTP_PORT@", "$PORT", "@REDIS_PORT@", "$PORT2", "@WEB_PORT@", webPorts())
	var files []differ.File
	for _, part := range []string{"etc", "app"} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			files = append(files, differ.File{Name: rel, Data: fill.Replace(string(data))})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// webPorts finds the leading digits of ten free ports.
func webPorts() string {
	for tens := 1809; tens < 1900; tens++ {
		free := true
		for last := range 3 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d%d", tens, last))
			if err != nil {
				free = false
				break
			}
			_ = l.Close() // only asked whether it was free
		}
		if free {
			return fmt.Sprint(tens)
		}
	}
	return "1809"
}
