package supervisorctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// session is one run: the server in use, the status so far, and where to read and write.
type session struct {
	opts   *options
	env    Environ
	std    Streams
	out    *output
	in     *lines // the standard input as lines
	editor Editor // reads the lines of the shell; nil outside of it

	url       string
	client    *supervisor.Client
	clientErr error // why there is no client: the address cannot be used

	status     int  // exit status; the last failure counts
	done       bool // the shell ends
	cut        bool // Ctrl-C ended a command
	interrupts <-chan os.Signal
}

func newSession(o *options, std Streams, env Environ, out *output) *session {
	s := &session{opts: o, env: env, std: std, out: out, in: newLines(std.Stdin)}
	s.connect(o.url)
	return s
}

// connect makes url the server to speak to. Nothing is sent yet. Credentials are used only when both
// halves are known.
func (s *session) connect(url string) {
	if s.client != nil {
		s.client.Close()
	}
	s.url, s.client, s.clientErr = url, nil, nil
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "unix://") {
		s.clientErr = message("Unknown protocol for serverurl " + url)
		return
	}
	o := supervisor.Options{URL: url}
	if s.opts.username != "" && s.opts.password != "" {
		o.Username, o.Password = s.opts.username, s.opts.password
	}
	s.client, s.clientErr = supervisor.New(o)
}

func (s *session) close() {
	if s.client != nil {
		s.client.Close()
	}
	s.in.stop()
}

// rpc is the client; what was said so far is shown before a request that may take long.
func (s *session) rpc() *supervisor.Client {
	_ = s.out.flush()
	return s.client
}

// fail says why and sets the status.
func (s *session) fail(status int, format string, args ...any) {
	s.out.say(format, args...)
	s.status = status
}

// do carries out one line. Source: spec/supervisor 6.2, 6.4.
func (s *session) do(ctx context.Context, line string) {
	name, arg := split(line)
	if name == "" && arg == "" {
		return
	}
	c := s.find(name)
	if c == nil {
		s.fail(statusGeneric, "*** Unknown syntax: %s", strings.TrimSpace(line))
		return
	}
	for {
		err := s.attempt(ctx, c, arg)
		if cancelled(err) {
			s.cut = true
			return
		}
		if err == nil {
			return
		}
		if !unauthorized(err) {
			s.errorLine(err)
			return
		}
		s.fail(statusGeneric, "Server requires authentication")
		if !s.opts.interactive {
			return
		}
		if err := s.login(ctx); err != nil {
			if s.cut = cancelled(err); !s.cut {
				s.errorLine(err)
			}
			return
		}
		s.status = statusOK
	}
}

// attempt runs a command with its checks.
func (s *session) attempt(ctx context.Context, c *command, arg string) error {
	if c.noArgs && arg != "" {
		s.usage(c, statusGeneric, "Error: %s accepts no arguments", c.name)
		return nil
	}
	if !c.local && s.clientErr != nil {
		return s.clientErr
	}
	if c.ownsInterrupt || s.editor != nil {
		var stop func()
		ctx, stop = s.interruptible(ctx)
		defer stop()
	}
	if c.check {
		ok, err := s.reachable(ctx)
		if !ok && c.unreachable != 0 {
			s.status = c.unreachable
		}
		if err != nil || !ok {
			return interrupted(ctx, err)
		}
	}
	if n := len(strings.Fields(arg)); n < c.minWords {
		s.usage(c, c.usageStatus, "Error: %s requires %s", c.name, c.needs)
		return nil
	}
	err := c.run(s, ctx, arg)
	if c.ownsInterrupt && errors.Is(context.Cause(ctx), errInterrupted) {
		return nil
	}
	return interrupted(ctx, err)
}

// interrupted turns the failure of a request that Ctrl-C cut off into errInterrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return err
}

// usage says what is wrong with the arguments, and the help of the command.
func (s *session) usage(c *command, status int, format string, args ...any) {
	s.fail(status, format, args...)
	s.out.say("%s", c.help)
}

// reachable checks that a server answers and speaks our version, and says so when not.
// Source: spec/supervisor 6.3.
func (s *session) reachable(ctx context.Context) (bool, error) {
	v, err := s.rpc().Call(ctx, "supervisor.getVersion")
	var fault *supervisor.Fault
	switch {
	case err == nil:
	case errors.As(err, &fault) && fault.Code == supervisor.FaultUnknownMethod:
		s.fail(statusUnimplemented, "Sorry, supervisord responded but did not recognize the supervisor "+
			"namespace commands that supervisorctl uses to control it.  Please check that the "+
			"[rpcinterface:supervisor] section is enabled in the configuration file (see sample.conf).")
		return false, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		s.fail(statusPrivileges, "%s refused connection", s.url)
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		s.fail(statusNotRunning, "%s no such file", s.url)
		return false, nil
	default:
		return false, err
	}
	if v != apiVersion {
		s.fail(statusNotInstalled, "Sorry, this version of supervisorctl expects to talk to a server with API "+
			"version %s, but the remote version is %v.", apiVersion, v)
		return false, nil
	}
	return true, nil
}

// errorLine is the last resort for every failure that a command has no words for. Source: spec/supervisor
// 6.3, F21.
func (s *session) errorLine(err error) { s.fail(statusGeneric, "error: %s", s.describe(err)) }

// describe puts a failure into words for a person.
func (s *session) describe(err error) string {
	var fault *supervisor.Fault
	var proto *supervisor.ProtocolError
	var errno syscall.Errno
	switch {
	case errors.As(err, &fault):
		return fmt.Sprintf("%s (fault %d)", fault.Text, fault.Code)
	case errors.As(err, &proto):
		return fmt.Sprintf("%s answered %d %s", s.url, proto.Code, proto.Status)
	case errors.Is(err, syscall.ECONNREFUSED):
		return s.url + " refused connection"
	case errors.Is(err, fs.ErrNotExist):
		return s.url + " no such file"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return s.url + " closed the connection"
	case errors.As(err, &errno):
		return s.url + " " + errno.Error()
	}
	return err.Error()
}

func unauthorized(err error) bool {
	var proto *supervisor.ProtocolError
	return errors.As(err, &proto) && proto.Code == httpUnauthorized
}

// errNoInput is the end of the input where an answer was expected.
var errNoInput = errors.New("the input ended")

// login asks for credentials and uses them from here on.
func (s *session) login(ctx context.Context) error {
	var err error
	if s.opts.username, err = s.ask(ctx, "Username:"); err != nil {
		return err
	}
	if s.opts.password, err = s.secret(ctx); err != nil {
		return err
	}
	s.out.raw("\n")
	s.connect(s.url)
	return nil
}

// faultCode is the code of a fault, and 0 for every other error.
func faultCode(err error) int {
	var fault *supervisor.Fault
	if errors.As(err, &fault) {
		return fault.Code
	}
	return 0
}

// cancelled reports whether Ctrl-C is behind an error.
func cancelled(err error) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, ErrInterrupted)
}

// errInterrupted is the cause of a context that Ctrl-C ended.
var errInterrupted = errors.New("interrupted")

// interruptible is a context that Ctrl-C ends. stop must be called.
func (s *session) interruptible(parent context.Context) (ctx context.Context, stop func()) {
	c, release := s.interrupts, func() {}
	if c == nil && s.env.Interrupts != nil {
		c, release = s.env.Interrupts()
	}
	ctx, cancel := context.WithCancelCause(parent)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-c:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
		release()
	}
}
