package supervisorctl

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
)

// extent is how much of a log is wanted.
type extent struct {
	follow bool
	bytes  int // from the end
}

// parseExtent reads -f and -N; anything else is not ok.
func parseExtent(modifier string) (e extent, ok bool) {
	what, ok := strings.CutPrefix(modifier, "-")
	if !ok {
		return e, false
	}
	if what == "f" {
		return extent{follow: true}, true
	}
	n, err := units.Int(what)
	return extent{bytes: int(n)}, err == nil
}

// tail shows the end of a program's log, raw. Source: spec/supervisor 6.4.
func (s *session) tail(ctx context.Context, arg string) error {
	words := strings.Fields(arg)
	refuse := func(help, format string, args ...any) error {
		s.fail(statusGeneric, format, args...)
		s.out.raw(help)
		return nil
	}
	switch {
	case len(words) == 0:
		return refuse(tailHelp+"\n", "Error: too few arguments")
	case len(words) > 3:
		return refuse(tailHelp+"\n", "Error: too many arguments")
	}
	modifier := ""
	if strings.HasPrefix(words[0], "-") {
		modifier, words = words[0], words[1:]
	}
	if len(words) == 0 {
		return refuse("", "Error: tail requires process name")
	}
	name, channel := words[0], "stdout"
	if len(words) > 1 {
		channel = strings.ToLower(words[len(words)-1])
	}
	if channel != "stdout" && channel != "stderr" {
		return refuse("", "Error: bad channel %s", pytext.Repr(channel))
	}
	e := extent{bytes: defaultTail}
	if modifier != "" {
		var ok bool
		if e, ok = parseExtent(modifier); !ok {
			return refuse("", "Error: bad argument %s", modifier)
		}
	}
	if e.follow {
		return s.followHere(ctx, supervisor.LogPath(name, channel), "/logtail/"+name+"/"+channel)
	}
	read := s.rpc().ReadProcessStdoutLog
	if channel == "stderr" {
		read = s.rpc().ReadProcessStderrLog
	}
	text, err := read(ctx, name, -e.bytes, 0)
	if err == nil {
		s.out.raw(text + "\n")
		return nil
	}
	return s.logError(err, name)
}

// maintail shows the end of the daemon's log, raw.
func (s *session) maintail(ctx context.Context, arg string) error {
	words := strings.Fields(arg)
	if len(words) > 1 {
		s.fail(statusGeneric, "Error: too many arguments")
		s.out.raw(maintailHelp + "\n")
		return nil
	}
	e := extent{bytes: defaultTail}
	if len(words) == 1 {
		var ok bool
		if e, ok = parseExtent(words[0]); !ok {
			s.fail(statusGeneric, "Error: bad argument %s", words[0])
			return nil
		}
	}
	if e.follow {
		return s.followHere(ctx, supervisor.MainLogPath, supervisor.MainLogPath)
	}
	text, err := s.rpc().ReadLog(ctx, -e.bytes, 0)
	if err == nil {
		s.out.raw(text + "\n")
		return nil
	}
	return s.logError(err, "supervisord")
}

// logError has the words for a log that cannot be read.
func (s *session) logError(err error, name string) error {
	var words string
	switch faultCode(err) {
	case supervisor.FaultNoFile:
		words = "no log file"
	case supervisor.FaultFailed:
		words = "unknown error reading log"
	case supervisor.FaultBadName:
		words = "no such process name"
	default:
		return err
	}
	s.fail(statusGeneric, "%s: ERROR (%s)", name, words)
	return nil
}

// followHere follows a log until Ctrl-C. Trouble with the stream is no failure of the command.
func (s *session) followHere(ctx context.Context, path, shown string) error {
	s.out.say("==> Press Ctrl-C to exit <==")
	s.follow(ctx, path, shown)
	if ctx.Err() != nil {
		s.out.raw("\n")
	}
	return nil
}

// follow writes what a log stream brings until it or ctx ends. shown is its path as messages have it.
// Source: spec/supervisor 5.11, 6.4.
func (s *session) follow(ctx context.Context, path, shown string) {
	body, err := s.rpc().Stream(ctx, path)
	if err != nil {
		s.streamError(ctx, err, shown)
		return
	}
	defer body.Close()
	var text decoder
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		s.out.raw(text.add(buf[:n]))
		if err != nil {
			s.out.raw(text.end())
		}
		if s.out.flush() != nil || err != nil {
			if err != nil && err != io.EOF {
				s.streamError(ctx, err, shown)
			}
			return
		}
	}
}

func (s *session) streamError(ctx context.Context, err error, shown string) {
	var proto *supervisor.ProtocolError
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &proto):
		s.out.fail("%s%s Cannot read, status code %d", s.url, shown, proto.Code)
	default:
		s.out.fail("%s%s Cannot connect, error: %s", s.url, shown, err)
	}
}

// decoder makes text of the pieces of a stream: a piece that is not UTF-8 is shown as a literal, and a
// character cut in two at the end of a piece waits for the next one. Source: spec/supervisor 6.4, F13.
type decoder struct{ rest []byte }

func (d *decoder) add(piece []byte) string {
	b := append(d.rest, piece...)
	cut := len(b)
	for i := 1; i <= min(utf8.UTFMax-1, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				cut = len(b) - i
			}
			break
		}
	}
	d.rest = append([]byte(nil), b[cut:]...)
	return literal(b[:cut])
}

// end is what still waits when the stream ends.
func (d *decoder) end() string { return literal(d.rest) }

func literal(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return "Undecodable: " + pytext.ReprBytes(b)
}
