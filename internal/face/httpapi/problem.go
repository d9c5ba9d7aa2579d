package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/service"
)

// problemBase is what the types of problems begin with; the documentation has a heading for each.
const problemBase = "https://upkeep.example/problems/"

// kinds translates the service's errors.
var kinds = map[service.Code]struct {
	status int
	code   string
}{
	service.CodeFailed:              {http.StatusInternalServerError, "internal"},
	service.CodeBadArguments:        {http.StatusBadRequest, "bad_request"},
	service.CodeNoSuchProgram:       {http.StatusNotFound, "not_found"},
	service.CodeBadSignal:           {http.StatusBadRequest, "bad_signal"},
	service.CodeNoFile:              {http.StatusConflict, "no_file"},
	service.CodeNotExecutable:       {http.StatusConflict, "not_executable"},
	service.CodeAbnormalTermination: {http.StatusConflict, "start_failed"},
	service.CodeSpawnError:          {http.StatusConflict, "spawn_failed"},
	service.CodeAlreadyStarted:      {http.StatusConflict, "already_running"},
	service.CodeNotRunning:          {http.StatusConflict, "not_running"},
	service.CodeAlreadyAdded:        {http.StatusConflict, "name_taken"},
	service.CodeStillRunning:        {http.StatusConflict, "still_running"},
	service.CodeCannotReread:        {http.StatusUnprocessableEntity, "invalid_config"},
	service.CodeShuttingDown:        {http.StatusServiceUnavailable, "unavailable"},
	service.CodeNoProcess:           {http.StatusNotFound, "no_process"},
	service.CodeNotPermitted:        {http.StatusForbidden, "forbidden"},
	service.CodeNotAdoptable:        {http.StatusConflict, "not_adoptable"},
	service.CodeTaken:               {http.StatusConflict, "taken"},
	service.CodeInvalid:             {http.StatusUnprocessableEntity, "invalid_config"},
	service.CodeConflict:            {http.StatusPreconditionFailed, "precondition_failed"},
	service.CodeNotManaged:          {http.StatusConflict, "not_managed"},
	service.CodeAmbiguous:           {http.StatusConflict, "ambiguous"},
	service.CodeDisabled:            {http.StatusConflict, "disabled"},
	service.CodeDependency:          {http.StatusConflict, "dependency_failed"},
}

// problem is an error as a problem document.
func problem(err error) *upkeep.Problem {
	var p *upkeep.Problem
	if errors.As(err, &p) {
		q := *p
		q.Type = problemBase + q.Code
		return &q
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &upkeep.Problem{Type: problemBase + "too_large", Status: http.StatusRequestEntityTooLarge, Code: "too_large", Title: "the request is too large"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &upkeep.Problem{Type: problemBase + "unavailable", Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "the daemon is about to end"}
	}
	k := kinds[service.CodeOf(err)]
	out := &upkeep.Problem{Type: problemBase + k.code, Status: k.status, Code: k.code, Title: err.Error()}
	var e *service.Error
	if errors.As(err, &e) {
		out.Title, out.Detail = (&service.Error{Code: e.Code}).Error(), e.Text
		if e.Code == service.CodeDisabled {
			out.Title, out.Detail = e.Text+" is disabled: nobody can start it (enabled=false)", ""
			out.Hints = []upkeep.Hint{{Text: "To have it started again:", Command: "upkeep set " + words.Quote(e.Text) + " enabled=true && upkeep start " + words.Quote(e.Text)}}
		}
		for _, m := range e.Mistakes {
			out.Errors = append(out.Errors, mistake(m))
		}
	}
	return out
}

func mistake(m service.Mistake) upkeep.Mistake {
	return upkeep.Mistake{File: m.File, Line: m.Line, Key: m.Key, Message: m.Message, Suggestion: m.Suggestion}
}

// refusals are the problems of requests that do not come as far as a route, by status.
var refusals = map[int]struct{ code, title string }{
	http.StatusBadRequest:          {"bad_request", "the credentials cannot be read"},
	http.StatusUnauthorized:        {"unauthenticated", "a name and a password are required"},
	http.StatusForbidden:           {"forbidden", "requests of another site's pages are refused"},
	http.StatusTooManyRequests:     {"rate_limited", "too many wrong passwords"},
	http.StatusMisdirectedRequest:  {"misdirected", "this is not the host that was asked for"},
	http.StatusInternalServerError: {"internal", "the request could not be carried out; the activity log has more"},
}

// Refuse answers a request that was refused before it came here with the problem document for a status.
func (a *API) Refuse(w http.ResponseWriter, status int) {
	a.head(w)
	k, ok := refusals[status]
	if !ok {
		k = refusals[http.StatusInternalServerError]
	}
	a.fail(w, &upkeep.Problem{Status: status, Code: k.code, Title: k.title})
}

// fail answers with a problem document.
func (a *API) fail(w http.ResponseWriter, err error) {
	p := problem(err)
	p.RequestID = w.Header().Get("Upkeep-Request-Id")
	body, _ := json.Marshal(p) // strings and numbers always can be
	w.Header().Set("Content-Type", "application/problem+json")
	deadline(w)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}
