package app

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/face/httpapi"
	"github.com/upkeep-project/upkeep/internal/face/listen"
	"github.com/upkeep-project/upkeep/internal/face/rpc2"
	"github.com/upkeep-project/upkeep/internal/face/web"
	"github.com/upkeep-project/upkeep/internal/sys/local"
	peercred "github.com/upkeep-project/upkeep/internal/sys/peer"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// goodbye is how long requests under way may take after an ordered end.
const goodbye = time.Second

// hurry is the same when a successor is waited for: clients that wait for an outcome are cut off, what they have
// ordered goes on.
const hurry = 50 * time.Millisecond

// endpoint is a bound socket and the section it belongs to.
type endpoint struct {
	section  *supervisord.Server
	listener *listen.Listener
}

// key is that of the socket at the keeper.
func (e *endpoint) key() string { return "l/" + e.section.Section + "/" + e.section.URL() }

// listen binds the sockets of all servers. A server that would let strangers in is left out: the
// programs run all the same (S1).
func (a *App) listen() error {
	for i := range a.o.Config.Servers {
		s := &a.o.Config.Servers[i]
		e := endpoint{section: s}
		l, err := a.inherited(&e)
		if l == nil {
			if err != nil {
				a.note(activity.Error, err.Error())
			}
			l, err = a.bind(s)
		}
		var exposed *listen.OpenError
		switch {
		case errors.As(err, &exposed):
			a.note(activity.Critical, exposed.Error())
		case err != nil:
			return err
		default:
			e.listener = l
			a.endpoints = append(a.endpoints, e)
			a.keepSocket(&e)
		}
	}
	return nil
}

func (a *App) bind(s *supervisord.Server) (*listen.Listener, error) {
	if !s.Unix {
		return listen.OpenInet(listen.Inet{
			Host: s.Host, Port: s.Port, Credentials: s.Username != "", Insecure: s.InsecureHTTP, Section: s.Section,
		})
	}
	if local.Pipes {
		return bindPipe(s)
	}
	u := listen.Unix{Path: s.File, Mode: fs.FileMode(s.Mode), Notice: func(msg string) {
		if a.foreign() { // whose commands have a form for what they say
			a.note(activity.Info, msg)
			return
		}
		os.Stderr.WriteString(msg + "\n")
	}}
	if s.Owner.UID >= 0 || s.Owner.GID >= 0 {
		u.Owner = &s.Owner
	}
	if me, err := user.Current(); err == nil {
		u.Username = me.Username
	}
	return listen.OpenUnix(u)
}

// bindPipe makes the pipe that stands for a unix socket. It has no other rights than those of every pipe of ours, so that a
// configured mode or owner means nothing.
func bindPipe(s *supervisord.Server) (*listen.Listener, error) {
	l, err := local.Listen(s.File)
	switch {
	case errors.Is(err, local.ErrBusy):
		return nil, &listen.BusyError{Address: s.File}
	case err != nil:
		return nil, &listen.PathError{Path: s.File, Reason: "cannot be listened on: " + err.Error()}
	}
	return listen.Local(l, s.File), nil
}

// makeServers makes a server for every bound socket.
func (a *App) makeServers() error {
	namespace := false
	var extensions []rpc2.Extension
	for _, r := range a.o.Config.RPCInterfaces {
		namespace = namespace || r.Standard && r.Namespace == "supervisor"
		if r.Socket != "" {
			extensions = append(extensions, rpc2.Extension{Namespace: r.Namespace, Socket: r.Socket, Timeout: r.Timeout})
		}
	}
	line := func(l activity.Level) func(string) {
		return func(text string) { a.log.Logf(l, "%s", text) }
	}
	lines := rpc2.Log{Info: line(activity.Info), Error: line(activity.Error), Critical: line(activity.Critical)}
	if a.log.Enabled(activity.Trace) {
		lines.Trace = line(activity.Trace)
	}
	pages, err := web.New(web.Options{Service: a.manager, Version: a.o.Version, Fault: rpc2.Fault, ErrorBody: rpc2.ErrorBody})
	if err != nil {
		return err
	}
	a.api = httpapi.New(httpapi.Options{Service: a.manager, Peer: peer, Daemon: a.obey, Environ: a.host.Environ})
	for _, e := range a.endpoints {
		var api rpc2.API
		if e.section.Unix { // only there is known who asks
			api = a.api
		}
		s, err := rpc2.New(rpc2.Options{
			Service: a.manager, Listener: e.listener, Section: e.section.Section, Local: e.section.Unix, API: api,
			Private:  e.section.Section == supervisord.NativeSection,
			Username: e.section.Username, Password: e.section.Password, Namespace: namespace, Log: lines,
			Handlers: a.withMetrics(pages.Handlers()), Served: a.requests.Served, Extensions: extensions, Actor: a.api.Caller,
		})
		if err != nil {
			return err
		}
		a.servers = append(a.servers, s)
	}
	return nil
}

// peer is the user at the other end of a request's connection.
func peer(r *http.Request) (uid int, ok bool) {
	c := rpc2.Conn(r)
	if c == nil {
		return 0, false
	}
	return peercred.UID(c)
}

// errBusy: another order waits.
var errBusy = errors.New("another order is under way")

// obey gives an order to the daemon as a whole.
func (a *App) obey(order string) error {
	kinds := map[string]signals.Kind{"upgrade": signals.Upgrade, "reopen-logs": signals.Reopen}
	select {
	case a.orders <- signals.Signal{Kind: kinds[order], Name: "an order"}:
		return nil
	default:
		return errBusy
	}
}

// serve begins to answer requests.
func (a *App) serve() {
	for _, s := range a.servers {
		a.serving.Go(func() {
			if err := s.Serve(); err != nil {
				a.log.Logf(activity.Critical, "HTTP server: %v", err)
			}
		})
	}
}

// keepSocket has the keeper hold a listening socket, so that clients of a killed daemon wait for the next one.
func (a *App) keepSocket(e *endpoint) {
	if a.o.Keeper == nil {
		return
	}
	if fd, err := e.listener.Descriptor(); err == nil { // else it is bound anew
		_ = a.o.Keeper.link.Hold(keeper.Item{Key: e.key(), Roles: "l", FDs: []int{fd}})
	}
}

// closeServers lets requests under way finish for a moment and closes the sockets.
func (a *App) closeServers() {
	patience := goodbye
	if a.left {
		patience = hurry
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, e := range a.endpoints {
		if a.left {
			e.listener.Keep()
		} else if a.o.Keeper != nil {
			_ = a.o.Keeper.link.Drop(e.key())
		}
	}
	for _, s := range a.servers {
		if err := s.Shutdown(ctx); err != nil {
			a.log.Logf(activity.Debug, "HTTP server: %v", err)
		}
	}
	for _, e := range a.endpoints {
		e.listener.Close()
	}
	a.serving.Wait()
	if a.api != nil {
		a.api.Close()
	}
}
