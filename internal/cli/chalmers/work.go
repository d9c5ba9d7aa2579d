package chalmers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
)

// edit has the user's editor change a copy of a definition, which replaces it when it is right. Source: spec/chalmers CH-45.
func edit(c *call) error {
	p, err := c.one()
	if err != nil {
		return err
	}
	d, err := c.Instance.Definition(c.ctx, p)
	if err != nil {
		return err
	}
	if d.Text == "" {
		return fmt.Errorf("%s is defined in a file of yours: %s", p.Name, p.File)
	}
	editor := cmp.Or(c.Vars["EDITOR"], c.Vars["VISUAL"], map[bool]string{true: "notepad", false: "vi"}[runtime.GOOS == "windows"])
	f, err := os.CreateTemp("", p.Section+"-*.conf")
	if err != nil {
		return err
	}
	_, err = f.WriteString(d.Text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	c.info("%s %s", editor, f.Name())
	if err := c.edited(editor, f.Name()); err != nil {
		_ = os.Remove(f.Name()) // nothing of it is of use
		return fmt.Errorf("%s: %w", editor, err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	if string(text) != d.Text {
		if err := c.Instance.Replace(c.ctx, p, string(text), d.ETag); err != nil {
			return fmt.Errorf("%w\nthe definition stays as it was; your text is in %s", err, f.Name())
		}
		c.info("Updated program %s", p.Name)
		if p.Active {
			c.warn("%s is running; restart it for this to take effect", p.Name)
		}
	} else {
		c.info("Nothing was changed")
	}
	return os.Remove(f.Name())
}

// edited runs an editor, which may be a command with arguments.
func (c *call) edited(editor, file string) error {
	cmd := exec.CommandContext(c.ctx, "sh", "-c", editor+` "$1"`, "sh", file)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(c.ctx, "cmd", "/c", editor, file)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	return cmd.Run()
}

// bg is of no use here: nothing is tied to a terminal.
func bg(c *call) error {
	p, err := c.one()
	if err != nil {
		return err
	}
	if !p.Active {
		return fmt.Errorf("%s is not running", p.Name)
	}
	c.info("%s runs in the background already", p.Name)
	return nil
}

// procfile runs what a Procfile says in the foreground, in an instance of its own below this folder, until all has ended.
// Source: spec/chalmers CH-47a.
func procfile(c *call) error {
	if len(c.args) > 0 || c.has("all") {
		return &usageError{"procfile runs all that is in the file"}
	}
	file, given := c.last("file")
	if !given {
		file = "Procfile"
	}
	report, err := imports.Read("procfile", file, c.World)
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		c.warn("%s", p)
	}
	if len(report.Programs) == 0 {
		return fmt.Errorf("%s names no programs", file)
	}
	if c.Instance, err = c.Within(filepath.Join(c.Cwd, ".chalmers")); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), longest)
		defer cancel()
		if err := c.Instance.End(ctx); err != nil {
			c.warn("%v", err)
		}
	}()
	old, err := c.Instance.List(c.ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range old {
		names = append(names, p.Name)
	}
	if results, err := c.Instance.Remove(c.ctx, names); err != nil {
		return err
	} else if err := c.verdicts("Removing program", slices.DeleteFunc(results, func(r Result) bool { return r.Err == nil }), nil); err != nil {
		return err
	}
	names = nil
	for i := range report.Programs {
		p := &report.Programs[i]
		p.On = false
		// As with every program of chalmers: one that ends well has ended.
		p.Keys = slices.DeleteFunc(p.Keys, func(k imports.Key) bool { return k.Name == "autorestart" })
		if err := c.Instance.Add(c.ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		names = append(names, p.Name)
	}
	return c.foreground(names, true)
}

// foreground starts programs and stays until all of them have ended, with their output when stream is set. When it is
// interrupted, it stops them. Source: spec/chalmers CH-36.
func (c *call) foreground(names []string, stream bool) error {
	ctx := context.WithoutCancel(c.ctx)
	list, err := c.Instance.List(ctx)
	if err != nil {
		return err
	}
	var over atomic.Bool
	alive := func() bool { return !over.Load() }
	var work sync.WaitGroup
	if stream {
		out := &lines{call: c}
		for i, p := range named(list, names) {
			for _, path := range slices.Compact([]string{p.Stdout, p.Stderr}) {
				if path != "" {
					c.stream(ctx, &work, alive, out, i, p.Name, logReader{path: path})
				}
			}
			c.stream(ctx, &work, alive, out, i, p.Name, logReader{path: c.Instance.Activity(), keep: concerning(p.Name)})
		}
	}
	started := make(chan error, 1)
	work.Go(func() {
		results, err := c.Instance.Launch(ctx, names)
		for _, r := range results {
			if r.Err != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", r.Name, r.Err))
			}
		}
		started <- err
	})
	err = c.watch(ctx, names, started)
	over.Store(true)
	work.Wait()
	return err
}

// watch returns when all programs have ended, or are stopped because of an interruption.
func (c *call) watch(ctx context.Context, names []string, started chan error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	launched := false
	var launchErr error
	for {
		select {
		case launchErr = <-started:
			launched = true
			started = nil
		case <-c.ctx.Done():
			results, err := c.Instance.Stop(ctx, names, false)
			if err = c.verdicts("Stopping program", results, err); err == nil {
				err = errInterrupted
			}
			return err
		case <-tick.C:
		}
		if !launched {
			continue
		}
		list, err := c.Instance.List(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, p := range named(list, names) {
			switch {
			case p.Active:
				left++
			case p.Failed && launchErr == nil:
				launchErr = fmt.Errorf("%s: %s", p.Name, p.Reason)
			}
		}
		if left == 0 {
			return launchErr
		}
	}
}

// errInterrupted is the end of a command that was interrupted, after all was stopped.
var errInterrupted = errors.New("interrupted; everything was stopped")

// stream writes what is added to a log from now on.
func (c *call) stream(ctx context.Context, work *sync.WaitGroup, alive func() bool, out *lines, index int, name string, l logReader) {
	from := int64(0)
	if st, err := os.Stat(l.path); err == nil {
		from = st.Size()
	}
	work.Go(func() {
		err := l.follow(ctx, from, alive, func(line []byte) error { return out.put(index, name, line) })
		if err != nil {
			c.warn("%s: %v", name, err)
		}
	})
}

// lines writes whole lines of several programs.
type lines struct {
	mu sync.Mutex
	*call
}

// palette are the colours of programs, of the terminal's own.
func palette() []string { return []string{"36", "33", "35", "32", "34", "31"} }

func (l *lines) put(index int, name string, line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := fmt.Sprintf("[%s] ", name)
	if l.Color {
		colours := palette()
		prefix = "\x1b[" + colours[index%len(colours)] + "m" + prefix + "\x1b[0m"
	}
	_, err := fmt.Fprintf(l.Stdout, "%s%s\n", prefix, l.shown(strings.TrimRight(string(line), "\r\n")))
	return err
}

// shown is a line of a program as it may be shown.
func (e *Env) shown(line string) string {
	if !e.Terminal {
		return line
	}
	return termtext.String(line, termtext.Keep(e.Color))
}
