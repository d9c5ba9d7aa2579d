package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// action is the value of the parameter of that name.
type action string

// The actions. Source: spec/supervisor 7.3.
const (
	actRefresh    action = "refresh"
	actStart      action = "start"
	actStop       action = "stop"
	actRestart    action = "restart"
	actClear      action = "clearlog"
	actStopAll    action = "stopall"
	actRestartAll action = "restartall"
)

// deed is what an action does.
type deed struct {
	label    string // of its button
	question string // before it is done; %s is the program
	// Exactly one is set: for one program, or for all.
	one func(s *Site, ctx context.Context, id model.ID, name string) (message string)
	all func(s *Site, ctx context.Context) (message string)
}

// deeds are the actions that change something.
var deeds = map[action]deed{
	actStart:      {label: "Start", question: "Start %s?", one: (*Site).start},
	actStop:       {label: "Stop", question: "Stop %s?", one: (*Site).stop},
	actRestart:    {label: "Restart", question: "Restart %s?", one: (*Site).restart},
	actClear:      {label: "Clear Log", question: "Clear the logs of %s? What they hold is lost.", one: (*Site).clear},
	actStopAll:    {label: "Stop All", question: "Stop all programs?", all: (*Site).stopAll},
	actRestartAll: {label: "Restart All", question: "Stop all programs and start them again?", all: (*Site).restartAll},
}

// Label is the text on the action's button.
func (a action) Label() string { return deeds[a].label }

// confirmPage is what asks before something is done.
type confirmPage struct {
	frame
	Question string
	Label    string
	Address  template.URL
}

// act does what the parameter "action" says when the request is a POST, and asks otherwise.
func (s *Site) act(w http.ResponseWriter, r *http.Request, f form) {
	a, name := action(f["action"]), f["processname"]
	if a == actRefresh {
		s.redirect(w, "Page refreshed at "+s.now())
		return
	}
	d, ok := deeds[a]
	if !ok || d.one != nil && name == "" {
		s.fail(w, http.StatusBadRequest)
		return
	}
	var id model.ID
	if d.one != nil {
		single := false
		if id, single = model.SplitNamespec(name); !single || s.missing(r.Context(), id) {
			s.redirect(w, "No such process named "+name)
			return
		}
	}
	switch {
	case r.Method != http.MethodPost:
		p := confirmPage{frame: s.frame("Supervisor: "+d.label, ""), Label: d.label, Question: d.question}
		address := "index.html?"
		if d.one != nil {
			p.Question = fmt.Sprintf(d.question, visible(name))
			address += "processname=" + quote(name) + "&"
		}
		p.Address = template.URL(address + "action=" + string(a)) // quoted, and one of a table
		s.page(w, http.StatusOK, "confirm", &p)
	case d.one != nil:
		s.redirect(w, d.one(s, r.Context(), id, name))
	default:
		s.redirect(w, d.all(s, r.Context()))
	}
}

// missing reports whether there is no program of that name; other errors are met by the action itself.
func (s *Site) missing(ctx context.Context, id model.ID) bool {
	_, err := s.o.Service.Get(ctx, id)
	return service.CodeOf(err) == service.CodeNoSuchProgram
}

// redirect sends the browser to the status page with a message. The address is relative: it is right behind
// any proxy, whatever that one calls us. The status is not one that browsers remember. Source: F35.
func (s *Site) redirect(w http.ResponseWriter, message string) {
	dynamic(w.Header())
	w.Header().Set("Location", "./?message="+quote(cut(message, maxMessage)))
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", "0")
	begin(w)
	w.WriteHeader(http.StatusSeeOther)
}

// now is the time as the messages tell it.
func (s *Site) now() string { return s.o.Now().Format(time.ANSIC) }

// outcome is the error of a verb on one program.
func outcome(rs []service.Result, err error) error {
	for _, r := range rs {
		if err == nil {
			err = r.Err
		}
	}
	return err
}

// unexpected tells of a fault for which the page has no words of its own.
func unexpected(f *xmlrpc.Fault) string {
	return fmt.Sprintf("unexpected rpc fault [%d] %s", f.Code, f.Text)
}

// startWords are the failures of a start that have words of their own.
var startWords = map[service.Code]string{
	service.CodeNoFile: "no such file", service.CodeNotExecutable: "file not executable",
	service.CodeAlreadyStarted: "already started", service.CodeSpawnError: "spawn error",
	service.CodeAbnormalTermination: "abnormal termination", service.CodeDisabled: "disabled",
}

// startError says why a start failed.
func (s *Site) startError(err error, name string) string {
	words, ok := startWords[service.CodeOf(err)]
	if !ok {
		words = unexpected(s.o.Fault(err, name))
	}
	return "ERROR: Process " + name + ": " + words
}

func (s *Site) start(ctx context.Context, id model.ID, name string) string {
	if err := outcome(s.o.Service.Start(ctx, service.One(id), service.WaitOutcome)); err != nil {
		return s.startError(err, name)
	}
	return "Process " + name + " started"
}

func (s *Site) stop(ctx context.Context, id model.ID, name string) string {
	if err := outcome(s.o.Service.Stop(ctx, service.One(id), service.WaitOutcome)); err != nil {
		return unexpected(s.o.Fault(err, name))
	}
	return "Process " + name + " stopped"
}

// restart tells the truth when the program does not come back. Source: F35.
func (s *Site) restart(ctx context.Context, id model.ID, name string) string {
	if err := service.Restartable(ctx, s.o.Service, id); err != nil {
		return s.startError(err, name)
	}
	err := outcome(s.o.Service.Stop(ctx, service.One(id), service.WaitOutcome))
	if err != nil && service.CodeOf(err) != service.CodeNotRunning {
		return unexpected(s.o.Fault(err, name))
	}
	if err := outcome(s.o.Service.Start(ctx, service.One(id), service.WaitOutcome)); err != nil {
		return s.startError(err, name)
	}
	return "Process " + name + " restarted"
}

func (s *Site) clear(ctx context.Context, id model.ID, name string) string {
	if err := outcome(s.o.Service.ClearLogs(ctx, service.One(id))); err != nil {
		return unexpected(s.o.Fault(err, name))
	}
	return "Log for " + name + " cleared"
}

func (s *Site) stopAll(ctx context.Context) string {
	rs, err := s.o.Service.Stop(ctx, service.Selector{All: true}, service.WaitOutcome)
	if err != nil {
		return unexpected(s.o.Fault(err, ""))
	}
	return "All stopped at " + s.now() + s.failures(rs, s.stopError)
}

func (s *Site) restartAll(ctx context.Context) string {
	all := service.Selector{All: true}
	rs, err := s.o.Service.Stop(ctx, all, service.WaitOutcome)
	if err != nil {
		return unexpected(s.o.Fault(err, ""))
	}
	failed := s.failures(rs, s.stopError)
	if rs, err = s.o.Service.Start(ctx, all, service.WaitOutcome); err != nil {
		return unexpected(s.o.Fault(err, ""))
	}
	return "All restarted at " + s.now() + failed + s.failures(rs, s.startError)
}

// stopError says why a stop failed.
func (s *Site) stopError(err error, name string) string {
	return "ERROR: Process " + name + ": " + unexpected(s.o.Fault(err, name))
}

// failures tells of those results that are failures, of the first few one by one.
func (s *Site) failures(rs []service.Result, words func(error, string) string) string {
	const most = 5
	var b strings.Builder
	n := 0
	for _, r := range rs {
		if r.Err == nil {
			continue
		}
		if n++; n <= most {
			b.WriteString("; " + words(r.Err, r.ID.String()))
		}
	}
	if n > most {
		fmt.Fprintf(&b, "; and %d more", n-most)
	}
	return b.String()
}
