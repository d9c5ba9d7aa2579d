package chalmers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
)

// inherited is the file that names the programs of the original's store that were taken over once: what has been removed
// since does not come back.
const inherited = "chalmers-imported"

// inheritance is the original's store and what became of it.
type inheritance struct {
	*native
	world *imports.World
	mark  string // the file
}

// Inherit takes over what is in the original's store and was not taken over yet, and says what came of it. The store stays as
// it is. What runs goes on under this instance, with its pid and its log. Source: one-model 5, spec/chalmers 14.
func (n *native) Inherit(ctx context.Context, w *imports.World) ([]string, error) {
	dirs := chalmers.Locate(w.GOOS, w.Home, w.Vars)
	store, err := chalmers.ReadStore(dirs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	in := inheritance{n, w, filepath.Join(filepath.Dir(n.State), inherited)}
	seen, err := os.ReadFile(in.mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	done := strings.Split(string(seen), "\n")
	left := slices.DeleteFunc(store.Programs, func(p chalmers.Program) bool { return slices.Contains(done, mark(p.Name)) })
	if len(left) == 0 {
		return nil, nil
	}
	var said []string
	taken := 0
	for i := range left {
		lines, ok, err := in.take(ctx, &left[i])
		said = append(said, lines...)
		if err != nil {
			return said, err
		}
		if ok {
			taken++
		}
		if err := in.note(left[i].Name); err != nil {
			return said, err
		}
	}
	said = append(said, fmt.Sprintf("taken over from %s: %d of %d programs; nothing was changed there", dirs.Data, taken, len(left)))
	return append(said, "if the old chalmers starts at boot or at login, disable that there, and here:  chalmers @startup enable"), nil
}

// mark is a name on one line.
func mark(name string) string { return fmt.Sprintf("%q", name) }

// note remembers that a program was taken over.
func (in *inheritance) note(name string) error {
	if err := os.MkdirAll(filepath.Dir(in.mark), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(in.mark, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, mark(name))
	return errors.Join(err, f.Sync(), f.Close())
}

// take takes over one program. The error is one of everything, not of this program.
func (in *inheritance) take(ctx context.Context, c *chalmers.Program) (said []string, ok bool, err error) {
	report := imports.Chalmers([]chalmers.Program{*c}, in.world)
	for _, p := range report.Problems {
		said = append(said, "[WARNING] "+p.String())
	}
	if len(report.Programs) == 0 {
		return append(said, fmt.Sprintf("[WARNING] %s was not taken over", c.Name)), false, nil
	}
	p := report.Programs[0]
	on := p.On
	p.On = false // until it is known whether it runs
	switch err := in.Add(ctx, &p); {
	case errors.Is(err, ErrExists):
		return append(said, fmt.Sprintf("[WARNING] %s: there is a program of this name already; the old definition was left out", p.Name)), false, nil
	case notThere(err):
		return said, false, err
	case err != nil:
		return append(said, fmt.Sprintf("[WARNING] %s was not taken over: %v", p.Name, err)), false, nil
	}
	if p.Name != c.Name {
		said = append(said, fmt.Sprintf("[WARNING] %s is called %s here", c.Name, p.Name))
	}
	if p.Live != nil {
		if err := in.handOver(ctx, p.Name, p.Live); err != nil {
			said = append(said, fmt.Sprintf("[WARNING] %s runs on where it was: %v", p.Name, err))
		} else {
			said = append(said, fmt.Sprintf("%s runs on with pid %d", p.Name, p.Live.PID))
		}
	} else if c.State.Child != 0 {
		if _, why := chalmers.Verify(c.State, in.world.Started); !strings.Contains(why, "does not exist") {
			said = append(said, fmt.Sprintf("[WARNING] %s: %s", p.Name, why))
		}
	}
	if on {
		err = in.SetBoot(ctx, []string{p.Name}, true)
	}
	return said, true, err
}

// notThere reports whether an error is none that the daemon has answered with.
func notThere(err error) bool {
	var problem *upkeep.Problem
	return err != nil && !errors.As(err, &problem)
}

// handOver makes the process that the original runs the running one of a program.
func (in *inheritance) handOver(ctx context.Context, name string, live *imports.Live) error {
	c, err := in.started(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return instance.TakeOver(ctx, c, name, live)
}

// Recover takes over those of the programs that the original runs at this moment, where they would else be started twice.
// The names are those that are left to be started.
func (n *native) Recover(ctx context.Context, w *imports.World, names []string) (left, said []string, err error) {
	store, err := chalmers.ReadStore(chalmers.Locate(w.GOOS, w.Home, w.Vars))
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	in := inheritance{n, w, ""}
	for _, name := range names {
		i := slices.IndexFunc(store.Programs, func(p chalmers.Program) bool { return p.Name == name })
		if i < 0 {
			left = append(left, name)
			continue
		}
		s := store.Programs[i].State
		if alive, _ := chalmers.Verify(s, w.Started); !alive {
			left = append(left, name)
			continue
		}
		if err := in.handOver(ctx, name, &imports.Live{PID: s.Child, Start: s.Start, Monitor: s.Monitor}); err != nil {
			return nil, said, fmt.Errorf("%s runs already, started by the old chalmers as pid %d, and could not be taken over: %w", name, s.Child, err)
		}
		said = append(said, fmt.Sprintf("%s runs already: taken over from the old chalmers with pid %d", name, s.Child))
	}
	return left, said, nil
}
