// Package extension is for programs that answer the calls of a namespace of a daemon's XML-RPC interface: what
// stands behind a [rpcinterface:x] section with upkeep.rpcinterface_socket or upkeep.rpcinterface_command.
//
//	l, err := extension.Inherited()
//	err = extension.Serve(ctx, l, map[string]extension.Method{"greet.hello": {
//		Help: "Says hello.\n\n@param string name  to whom\n@return string text  the greeting",
//		Call: func(_ context.Context, params []any) (any, error) { return fmt.Sprint("hello ", params[0]), nil },
//	}})
//
// The daemon forwards calls as they come, with the full name of the method, and passes on the answer or the fault.
package extension

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// maxBody is how many bytes a request may have: more than the daemon accepts.
const maxBody = 4 << 20

// farewell is how long calls under way may take after the end was ordered.
const farewell = 5 * time.Second

// Fault is an error with a code of its own, for the caller; the codes of the daemon are in package supervisor.
type Fault = supervisor.Fault

// Method is one method.
type Method struct {
	// Help is for system.methodHelp. Its lines "@param TYPE NAME TEXT" and "@return TYPE NAME TEXT" give the signature.
	Help string
	// Call answers. Params and result are of the types that supervisor.Client.Call has; an error that is no *Fault
	// is told as one of code supervisor.FaultFailed. It may be called from several goroutines.
	Call func(ctx context.Context, params []any) (any, error)
}

// Inherited is the listening socket that the daemon gives to the command of upkeep.rpcinterface_command.
func Inherited() (net.Listener, error) { return net.FileListener(os.Stdin) }

// Serve answers calls until ctx ends, which is no error, or the socket fails. The methods are those of the map, by
// full name, and those of system.* that tell about them.
func Serve(ctx context.Context, l net.Listener, methods map[string]Method) error {
	s := &http.Server{Handler: handler(methods), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	err := s.Shutdown(last)
	<-ended
	return err
}

// handler serves XML-RPC at any path, as the daemon is the only client.
type handler map[string]Method

// ServeHTTP answers one call.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		return
	}
	name, params, err := xmlrpc.ParseCall(body, xmlrpc.Limits{})
	if err != nil {
		http.Error(w, "no XML-RPC call", http.StatusBadRequest)
		return
	}
	v, err := h.call(r.Context(), name, params)
	var fault *Fault
	if err != nil && !errors.As(err, &fault) {
		fault = &Fault{Code: supervisor.FaultFailed, Text: supervisor.FaultName(supervisor.FaultFailed) + ": " + err.Error()}
	}
	w.Header().Set("Content-Type", "text/xml")
	if fault != nil {
		_, _ = w.Write(xmlrpc.AppendFault(nil, fault.Code, fault.Text))
		return
	}
	_, _ = w.Write(xmlrpc.AppendResponse(nil, v))
}

func (h handler) call(ctx context.Context, name string, params []any) (v any, err error) {
	defer func() {
		if p := recover(); p != nil { // a mistake in one method is not the end of the others
			err = fmt.Errorf("%s: %v", name, p)
		}
	}()
	if m, ok := h[name]; ok {
		return m.Call(ctx, params)
	}
	switch name {
	case "system.listMethods":
		return slices.Sorted(maps.Keys(h)), nil
	case "system.methodHelp", "system.methodSignature":
		return h.about(name, params)
	}
	return nil, fault(supervisor.FaultUnknownMethod)
}

// about tells of one method.
func (h handler) about(question string, params []any) (any, error) {
	var name string
	if len(params) == 1 {
		name, _ = params[0].(string)
	}
	m, ok := h[name]
	switch {
	case !ok:
		return nil, fault(supervisor.FaultSignature)
	case question == "system.methodHelp":
		return m.Help, nil
	}
	return signature(m.Help), nil
}

// signature is the type of the result, then those of the parameters.
func signature(help string) []string {
	types := []string{""}
	for line := range strings.Lines(help) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "@return":
			types[0] = f[1]
		case len(f) > 1 && f[0] == "@param":
			types = append(types, f[1])
		}
	}
	return types
}

func fault(code int) *Fault { return &Fault{Code: code, Text: supervisor.FaultName(code)} }
