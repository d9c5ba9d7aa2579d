package rpc2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// Extension is a program that answers the calls of one namespace, by XML-RPC over HTTP at a unix socket. Whatever it
// does, no more than the calls made to it suffer: they have a time limit, their answers a size limit, and no more
// than a few are made at a time. Source: spec/supervisor 1.7 (rpcinterface).
type Extension struct {
	Namespace string
	Socket    string        // absolute path
	Timeout   time.Duration // of one call
}

const (
	// maxExtensionAnswer is how many bytes an answer of an extension may have.
	maxExtensionAnswer = 16 << 20
	// maxExtensionCalls is how many calls an extension is asked at a time; further ones wait, within their time.
	maxExtensionCalls = 16
	// maxExtensionNames is how many methods an extension may list.
	maxExtensionNames = 1000
	// listPatience is how long a list of all methods waits for an extension.
	listPatience = 2 * time.Second
	// openTries is how often a socket that is not there is looked for again, every openPause: the servers are open before the
	// first start makes it.
	openTries = 50
	openPause = 20 * time.Millisecond
)

// extension is an Extension with what it takes to ask it.
type extension struct {
	Extension
	client *supervisor.Client
	room   chan struct{}
	tries  int // how often a socket that is not there is looked for again
}

// extensions are those of the options by namespace.
func extensions(list []Extension) (map[string]*extension, error) {
	out := map[string]*extension{}
	for _, e := range list {
		c, err := supervisor.New(supervisor.Options{URL: "unix://" + e.Socket, UserAgent: "upkeep", MaxAnswer: maxExtensionAnswer})
		if err != nil {
			return nil, err
		}
		out[e.Namespace] = &extension{e, c, make(chan struct{}, maxExtensionCalls), openTries}
	}
	return out, nil
}

// extension is whoever answers a method that is not built in; nil = nobody.
func (s *Server) extension(method string) *extension {
	namespace, _, ok := strings.Cut(method, ".")
	if !ok {
		return nil
	}
	return s.extensions[namespace]
}

// call forwards a call. Its faults are passed on; that there is no answer is a fault of its own.
func (e *extension) call(ctx context.Context, method string, params []any) (any, *xmlrpc.Fault) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	select {
	case e.room <- struct{}{}:
		defer func() { <-e.room }()
	case <-ctx.Done():
		return nil, e.silent(ctx, ctx.Err())
	}
	v, err := e.client.Call(ctx, method, params...)
	for tries := 0; tries < e.tries && errors.Is(err, fs.ErrNotExist); tries++ {
		select {
		case <-time.After(openPause):
		case <-ctx.Done():
		}
		v, err = e.client.Call(ctx, method, params...)
	}
	var fault *xmlrpc.Fault
	switch {
	case errors.As(err, &fault):
		return nil, fault
	case err != nil:
		return nil, e.silent(ctx, err)
	}
	return v, nil
}

// silent is the fault of an extension that has not answered, or not as it should.
func (e *extension) silent(ctx context.Context, err error) *xmlrpc.Fault {
	text := err.Error()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		text = fmt.Sprintf("no answer within %v", e.Timeout)
	}
	return detailed(supervisor.FaultFailed, fmt.Sprintf("[rpcinterface:%s] %s", e.Namespace, oneLine(text, 1024)))
}

// forward calls a method of an extension, which may do anything: only who may do everything may call it.
func (c *caller) forward(e *extension, method string, params []any) (any, *xmlrpc.Fault) {
	if LevelAdminister > c.o.Allow {
		return nil, detailed(supervisor.FaultFailed, fmt.Sprintf("this server permits no more than to %s", c.o.Allow))
	}
	return e.call(c.ctx, method, params)
}

// names are the methods that an extension lists, as far as they are its own; none when it does not answer soon.
func (e *extension) names(ctx context.Context) (out []string) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	v, _ := e.call(ctx, "system.listMethods", nil)
	list, _ := v.([]any)
	for _, item := range list[:min(len(list), maxExtensionNames)] {
		name, ok := item.(string)
		if ok && strings.HasPrefix(name, e.Namespace+".") && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// about asks an extension about one of its methods: system.methodHelp or methodSignature. It is told like an
// unknown method when there is no answer of the right type.
func about[T any](c *caller, question, method string) (any, error) {
	if e := c.extension(method); e != nil {
		if v, fault := e.call(c.ctx, question, []any{method}); fault == nil {
			if t, ok := v.(T); ok {
				return t, nil
			}
		}
	}
	return nil, bare(supervisor.FaultSignature)
}
