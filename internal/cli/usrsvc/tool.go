package usrsvc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// actions are what usrsvc does.
func actions() []string { return []string{"start", "stop", "restart", "status"} }

// together is how many programs --parallel works on at a time.
const together = 16

// tool is one run of usrsvc.
type tool struct {
	*voice
	set      *settings
	instance instance
	action   string
	starting sync.Mutex // of the instance
}

// run carries out the action for all programs that are meant: the code.
func (t *tool) run(ctx context.Context, a *arguments) Code {
	names, err := t.set.choose(a.words[1:])
	if err != nil {
		return t.failed(names[0], err)
	}
	unsure := t.unsure(a.words[1:])
	if len(names) == 0 {
		t.say(nil, "there are no programs in %s", t.set.file)
		return unsure
	}
	codes := make([]Code, len(names))
	if a.has("parallel") {
		var work sync.WaitGroup
		free := make(chan struct{}, together)
		for i, name := range names {
			free <- struct{}{}
			work.Go(func() {
				codes[i] = t.one(ctx, name)
				<-free
			})
		}
		work.Wait()
	} else {
		for i, name := range names {
			codes[i] = t.one(ctx, name)
		}
	}
	if len(a.words) == 2 && len(names) == 1 && a.words[1] == names[0] {
		return codes[0]
	}
	return cmp.Or(t.summary(names, codes), unsure)
}

// recall has status and stop go by what was in force last where the files cannot be used: whatever they say, what runs is seen
// and can be ended. bad is why the main file cannot be read. Source: spec/usrsvc US-17.
func (t *tool) recall(bad error) error {
	switch {
	case bad != nil && t.instance.State != "":
		s, why, err := last(t.instance.Instance, bad)
		if err != nil {
			return err
		}
		t.complain("WARNING: %s", why)
		t.set = s
		return nil
	case bad != nil || len(t.set.mistakes) == 0:
		return bad
	}
	return t.set.keep(t.instance.Instance)
}

// unsure is the code for words that stand for several programs, while mistakes may hide some of these: the mistakes are told.
func (t *tool) unsure(words []string) Code {
	texts := t.set.wrong("")
	if len(texts) == 0 || !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(t.set.names, w) }) {
		return Success
	}
	t.complain("WARNING: there may be programs that are not seen, as the configuration cannot be read as a whole:\n%s", strings.Join(texts, "\n"))
	return InvalidConfig
}

// summary is the code of several programs; those that failed are named. Source: spec/usrsvc US-23.
func (t *tool) summary(names []string, codes []Code) Code {
	bad := 0
	for _, c := range codes {
		if c != Success {
			bad++
		}
	}
	if bad == 0 {
		return Success
	}
	if t.action != "status" {
		t.complain("%s failed for %d of %d programs", t.action, bad, len(names))
		for i, c := range codes {
			if c != Success {
				t.complain("  %s: %s", names[i], c)
			}
		}
	}
	return GeneralFailure
}

// one carries out the action for one program. Where a daemon ends meanwhile or another one takes its place, that one is asked.
func (t *tool) one(ctx context.Context, name string) Code {
	p := t.set.program(name)
	if p == nil && (t.action == "start" || t.action == "restart") {
		return t.failed(name, fail(InvalidConfig, "%s cannot be used:\n%s", name, strings.Join(t.set.wrong(name), "\n")))
	}
	out, err := t.attempt(ctx, name, p)
	for over := time.Now().Add(startPatience); codeOf(err) == TryAgain && ctx.Err() == nil && time.Now().Before(over); {
		t.trace("%v", err)
		select {
		case <-ctx.Done():
		case <-time.After(look):
		}
		out, err = t.attempt(ctx, name, p)
	}
	if err != nil {
		return t.failed(name, interrupted(ctx, err))
	}
	out.Program, out.Action, out.Name = name, t.action, Code(out.Code).Name()
	t.tell(out)
	return Code(out.Code)
}

// attempt asks the daemon that there is now.
func (t *tool) attempt(ctx context.Context, name string, p *model.Program) (Outcome, error) {
	j := &job{tool: t, name: name, program: p}
	return map[string]func(context.Context) (Outcome, error){
		"start": j.start, "stop": j.stop, "restart": j.restart, "status": j.status,
	}[t.action](ctx)
}

// failed tells of a failure, and is its code.
func (t *tool) failed(name string, err error) Code {
	code := codeOf(err)
	text := err.Error()
	t.complain("%s", text)
	t.trace("%s", code)
	t.tell(Outcome{Program: name, Action: t.action, Code: int(code), Name: code.Name(), Text: text})
	return code
}

// interrupted is an error as what it is when somebody has interrupted the command.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fail(GeneralFailure, "interrupted; what was ordered already goes on")
}

// codeOf is the code of an error.
func codeOf(err error) Code {
	var f *failure
	switch {
	case err == nil:
		return Success
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, context.Canceled):
		return GeneralFailure
	}
	return UnknownFailure
}

// isAction reports whether a word is an action of usrsvc.
func isAction(word string) bool { return slices.Contains(actions(), word) }
