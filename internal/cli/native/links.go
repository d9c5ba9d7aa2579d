package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// Name is another name of this binary, under which it is another program.
type Name struct {
	Name   string
	Help   string // what that program is
	Family string // whose users know it: supervisor, superlance, chalmers, usrsvc
}

func (c *command) linksCommand() *cobra.Command {
	dir, remove := "", false
	cmd := &cobra.Command{
		Use: "install-links [FAMILY...]", Short: "make the names supervisord, supervisorctl, … commands", GroupID: groupSystem,
		Long: "Makes symbolic links to this binary under the names by which users of other tools know it: " + words.List(c.families()) + ".\n" +
			"Without a family it says what there is. A file that is not such a link is never replaced nor removed.",
		Example:   "  upkeep install-links supervisor\n  upkeep install-links --remove supervisor",
		ValidArgs: c.families(),
		RunE: func(_ *cobra.Command, args []string) error {
			if dir == "" {
				if dir = filepath.Join(c.environ("HOME"), ".local", "bin"); privilege.UID() == 0 {
					dir = "/usr/local/bin"
				}
			}
			return c.links(dir, args, remove)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "where (default: /usr/local/bin for root, else ~/.local/bin)")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the links instead")
	return cmd
}

// families are those of the other names.
func (c *command) families() []string {
	var out []string
	for _, n := range c.names {
		if !slices.Contains(out, n.Family) {
			out = append(out, n.Family)
		}
	}
	return out
}

// links makes or removes the links of some families.
func (c *command) links(dir string, families []string, remove bool) error {
	for _, f := range families {
		if !slices.Contains(c.families(), f) {
			return usageError{fmt.Errorf("there are no names of %q; there are %s", f, words.List(c.families()))}
		}
	}
	if len(families) == 0 {
		for _, n := range c.names {
			c.say(fmt.Sprintf("%-11s %-22s %s", n.Family, n.Name, n.Help))
		}
		return usageError{errors.New("whose names?  upkeep install-links supervisor")}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	var todo []string
	for _, n := range c.names {
		if !slices.Contains(families, n.Family) {
			continue
		}
		path := filepath.Join(dir, n.Name)
		switch ours, err := ownLink(path, self); {
		case errors.Is(err, fs.ErrNotExist):
			if !remove {
				todo = append(todo, path)
			}
		case err != nil:
			return err
		case ours:
			todo = append(todo, path)
		case !remove:
			return statusError{statusFailed, fmt.Errorf("%s is there already and is no link to this binary; nothing was changed.   --dir DIR   puts them elsewhere", path)}
		}
	}
	if remove {
		return c.unlink(todo, dir)
	}
	return c.link(todo, dir, self)
}

// ownLink reports whether a path is a link to this binary, or to one of its name that is gone or was elsewhere.
func ownLink(path, self string) (bool, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return false, nil
	}
	target, err := os.Readlink(path)
	return target == self || filepath.Base(target) == filepath.Base(self), err
}

// madeLink is what programs are told of a link; one that was removed has no target.
type madeLink struct {
	Path   string `json:"path"`
	Target string `json:"target,omitempty"`
}

func (c *command) link(paths []string, dir, self string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	done := []madeLink{}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(self, path); err != nil {
			return err
		}
		c.say(fmt.Sprintf("%s %s -> %s", c.good(), path, self))
		done = append(done, madeLink{path, self})
	}
	c.told(done)
	if !slices.Contains(filepath.SplitList(c.environ("PATH")), dir) {
		c.talk("%s is not in your PATH", dir)
	}
	c.talk("undo:  upkeep install-links --remove --dir %s %s", words.Quote(dir), strings.Join(c.families(), " "))
	return nil
}

func (c *command) unlink(paths []string, dir string) error {
	done := []madeLink{}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return err
		}
		c.say(fmt.Sprintf("%s removed %s", c.good(), path))
		done = append(done, madeLink{Path: path})
	}
	c.told(done)
	if len(paths) == 0 {
		c.talk("there is no link of ours in %s", dir)
	}
	return nil
}
