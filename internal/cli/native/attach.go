package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/units"
)

func (c *command) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use: "attach NAME", Short: "a program's input and output, here", GroupID: groupWork,
		Long: "Sends what is typed to the standard input of a program, line by line, and shows what it writes, until Ctrl-C or the end of\n" +
			"the input: the program runs on. With --timeout its output is shown so long after the end of the input.\n\n" +
			"Exit status: that of the program if it ends meanwhile, 130 after Ctrl-C.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("attach to which program?  upkeep attach NAME")}
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return c.attach(cmd.Context(), args[0]) },
		ValidArgsFunction: c.completePrograms,
	}
}

// attach connects the terminal with a program.
func (c *command) attach(ctx context.Context, name string) error {
	client, s, err := c.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	p, err := client.Process(ctx, name)
	if err != nil {
		return err
	}
	if p.PID == nil {
		return statusError{statusNotRunning, fmt.Errorf("%s is not running.   upkeep start %s", p.ID, p.ID)}
	}
	if p.Adopted {
		return statusError{statusFailed, fmt.Errorf("%s was adopted: its input and output are its own, until its next start", p.ID)}
	}
	c.talk("attached to %s (pid %d).   Ctrl-C detaches, it runs on", p.ID, *p.PID)
	work, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan error, 3) // as many as there are senders
	var written atomic.Int64    // when a line was shown last
	go func() {
		err := client.Logs(work, upkeep.LogFilter{Select: []string{p.ID}, Since: c.now(), Follow: true}, func(l upkeep.LogLine) error {
			written.Store(c.now().UnixNano())
			if l.Mark == "" {
				fmt.Fprintln(c.out, c.clean(l.Text))
			}
			return nil
		})
		if err != nil {
			ends <- err
		}
	}()
	go func() { ends <- c.feed(work, client, p.ID) }()
	go func() {
		ends <- client.Watch(work, upkeep.EventFilter{Select: []string{p.ID}, After: s.LastEvent}, func(e upkeep.Event, _ uint64) error {
			switch strings.TrimPrefix(e.Type, "PROCESS_STATE_") {
			case "EXITED", "BACKOFF", "STOPPED", "FATAL":
				return errReached
			}
			return nil
		})
	}()
	err = <-ends
	switch {
	case ctx.Err() != nil:
		c.talk("\n%s runs on", p.ID)
		return ctx.Err()
	case errors.Is(err, errReached):
		err := c.endedAs(ctx, client, p.ID)
		c.quiesce(ctx, &written)
		return err
	case errors.Is(err, io.EOF):
		return c.detach(ctx, ends, p.ID)
	}
	return err
}

// detach shows output for the time that is asked for, and leaves.
func (c *command) detach(ctx context.Context, ends <-chan error, id string) error {
	if c.timeout > 0 {
		over := time.NewTimer(c.timeout)
		defer over.Stop()
		select {
		case <-over.C:
		case <-ends:
		case <-ctx.Done():
		}
	}
	c.talk("detached; %s runs on", id)
	return nil
}

// quiesce waits until no more lines come: they may be later than the news of an end.
func (c *command) quiesce(ctx context.Context, written *atomic.Int64) {
	const quiet = 4 * look
	t := time.NewTicker(look)
	defer t.Stop()
	for began := c.now(); c.now().Sub(time.Unix(0, max(written.Load(), began.UnixNano()))) < quiet; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// feed sends what is read to a program; io.EOF at the end of the input. Who reads a terminal cannot be stopped: the reading
// ends with the process.
func (c *command) feed(ctx context.Context, client *upkeep.Client, id string) error {
	for in := bufio.NewReader(c.in); ; {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			err := client.WriteStdin(ctx, id, line)
			var problem *upkeep.Problem
			if errors.As(err, &problem) && problem.Code == "no_file" {
				return statusError{statusFailed, fmt.Errorf("%s has no standard input", id)}
			}
			if err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// endedAs says how a program has ended, and makes its status that of the command.
func (c *command) endedAs(ctx context.Context, client *upkeep.Client, id string) error {
	p, err := client.Process(ctx, id)
	if err != nil {
		return err
	}
	if p.PID != nil {
		c.talk("%s has ended, and was started again (pid %d).   upkeep why %s", p.ID, *p.PID, p.ID)
	} else {
		c.talk("%s is %s: %s", p.ID, strings.ToLower(p.State), p.Summary)
	}
	c.status = statusFailed
	switch x := p.LastExit; {
	case x == nil:
	case x.Code != nil:
		c.status = *x.Code
	case x.Signal != nil:
		if n, err := units.Signal(*x.Signal); err == nil {
			c.status = 128 + n
		}
	}
	return nil
}
