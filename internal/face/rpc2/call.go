package rpc2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// caller is one request that makes calls.
type caller struct {
	*Server
	ctx    context.Context
	remote string
	user   string
}

// serveRPC answers one XML-RPC request. Source: spec/supervisor 5.3.
func (s *Server) serveRPC(w *recorder, r *http.Request) {
	if r.Method != http.MethodPost {
		s.fail(w, http.StatusBadRequest)
		return
	}
	if fromBrowser(r) && !isXML(r.Header.Get("Content-Type")) {
		// The types that a form can send without asking are not enough for a page. Source: spec/reliability S2.
		s.failAndClose(w, http.StatusUnsupportedMediaType)
		return
	}
	body, status := s.readBody(w, r)
	if status != 0 {
		s.failAndClose(w, status)
		return
	}
	name, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		why := "unmarshallable"
		if errors.Is(err, xmlrpc.ErrNoMethodName) {
			why = "no method name"
		}
		s.o.Log.Error("XML-RPC request data " + quoteBody(body) + " is invalid: " + why)
		s.fail(w, http.StatusBadRequest)
		return
	}
	w.rpcBody = body
	ctx, cancel := s.detached(r)
	defer cancel()
	c := &caller{Server: s, ctx: ctx, remote: "local"}
	if a := remoteAddr(r); a.IsValid() {
		c.remote = a.String()
	}
	if s.auth != nil {
		c.user = s.o.Username
	}
	v, fault := c.call(name, params)
	var answer []byte
	if fault != nil {
		answer = xmlrpc.AppendFault(nil, fault.Code, fault.Text)
	} else {
		answer = xmlrpc.AppendResponse(nil, v)
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	_, _ = w.Write(answer)
}

func (s *Server) failAndClose(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	s.fail(w, status)
}

// isXML reports whether a content type is one of those of XML-RPC.
func isXML(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "text/xml" || t == "application/xml"
}

// call calls one method and logs it.
func (c *caller) call(name string, params []any) (any, *xmlrpc.Fault) {
	shown := oneLine(name, 256)
	c.trace("XML-RPC method called: ", shown, "()")
	m := c.methods[name]
	e := c.extension(name)
	var v any
	var fault *xmlrpc.Fault
	if m == nil && e != nil {
		v, fault = c.forward(e, name, params)
	} else {
		v, fault = c.dispatch(m, params)
	}
	if fault != nil {
		c.trace("XML-RPC method ", shown, "() returned fault: [", strconv.Itoa(fault.Code), "] ", oneLine(fault.Text, 1024))
	} else {
		c.trace("XML-RPC method ", shown, "() returned successfully")
	}
	if m == nil && e != nil || m != nil && m.level > LevelObserve {
		a := Audit{
			Time: c.o.Now(), Section: c.o.Section, Remote: c.remote, User: c.user, Method: name, Result: "ok",
		}
		if m != nil && m.subject && len(params) > 0 {
			a.Subject, _ = params[0].(string)
		}
		if fault != nil {
			a.Result = fault.Text
		}
		c.o.Audit(a)
	}
	return v, fault
}

func (c *caller) trace(parts ...string) {
	if c.o.Log.Trace != nil {
		c.o.Log.Trace(strings.Join(parts, ""))
	}
}

// dispatch makes the checks in the order of the original: method, number of parameters, state of the
// daemon, then what the method itself checks.
func (c *caller) dispatch(m *method, params []any) (any, *xmlrpc.Fault) {
	if m == nil {
		return nil, bare(supervisor.FaultUnknownMethod)
	}
	if n := len(m.signature) - 1; len(params) > n || len(params) < n-m.optional {
		return nil, bare(supervisor.FaultIncorrectParameters)
	}
	if m.level > c.o.Allow {
		return nil, detailed(supervisor.FaultFailed, fmt.Sprintf("this server permits no more than to %s", c.o.Allow))
	}
	if m.guarded {
		if st := c.o.Service.Info().State; st == model.DaemonShutdown || st == model.DaemonRestarting {
			return nil, bare(supervisor.FaultShutdownState)
		}
	}
	v, err := m.run(c, params)
	if err != nil {
		return nil, toFault(err, "")
	}
	return v, nil
}

// multicall makes calls one after the other. A result is the bare value, or the struct of a fault.
// Source: spec/supervisor 5.10, K2; spec/reliability S7.
func multicall(c *caller, a args) (any, error) {
	calls, ok := a[0].([]any)
	if !ok {
		return nil, bare(supervisor.FaultIncorrectParameters)
	}
	if len(calls) > maxCalls {
		return nil, detailed(supervisor.FaultIncorrectParameters, fmt.Sprintf("more than %d calls", maxCalls))
	}
	b := xmlrpc.BeginArray(nil)
	for _, entry := range calls {
		v, fault := c.entry(entry, len(b))
		if fault != nil {
			b = xmlrpc.AppendFaultValue(b, fault.Code, fault.Text)
		} else {
			b = xmlrpc.AppendValue(b, v)
		}
	}
	return rendered(xmlrpc.EndArray(b)), nil
}

// rendered is a value that has been written already.
type rendered []byte

// AppendXMLRPC appends it.
func (r rendered) AppendXMLRPC(b []byte) []byte { return append(b, r...) }

// entry makes one call of a multicall; size is what the answer has come to.
func (c *caller) entry(entry any, size int) (v any, fault *xmlrpc.Fault) {
	call, ok := entry.(xmlrpc.Struct)
	if !ok {
		return nil, bare(supervisor.FaultIncorrectParameters)
	}
	name, ok := call.Get("methodName").(string)
	switch {
	case !call.Has("methodName"):
		return nil, detailed(supervisor.FaultIncorrectParameters, "No methodName")
	case !ok:
		return nil, bare(supervisor.FaultIncorrectParameters)
	case name == "system.multicall":
		return nil, detailed(supervisor.FaultIncorrectParameters, "Recursive system.multicall forbidden")
	case size > maxAnswer:
		return nil, detailed(supervisor.FaultFailed, "the answer is too long")
	}
	var params []any
	if call.Has("params") {
		if params, ok = call.Get("params").([]any); !ok {
			return nil, bare(supervisor.FaultIncorrectParameters)
		}
	}
	defer func() {
		if p := recover(); p != nil {
			c.o.Log.Critical("Handling XML-RPC method " + oneLine(name, 256) + " raised an unexpected exception: " +
				oneLine(fmt.Sprintf("%v\n%s", p, debug.Stack()), 8192))
			v, fault = nil, detailed(supervisor.FaultFailed, "internal error")
		}
	}()
	return c.call(name, params)
}
