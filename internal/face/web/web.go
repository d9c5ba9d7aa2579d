// Package web is the pages that people look at with a browser: the status page with its actions, and the
// ends of logs. Addresses, parameters, messages and the classes of elements are the original's; what changes
// something is a POST.
//
// The pages work without scripts. The only script keeps them up to date and can be switched off. Nothing is
// loaded from elsewhere, nothing in a page is executed but that file, and everything that comes from
// programs or requests is text. Who may come in is decided before a page is called.
//
// Source: spec/supervisor 7, K26, F35; spec/reliability S2, S4.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// files are the templates and everything that is served as it is.
//
//go:embed site
var files embed.FS

// assets are the files under site that are served as they are, with their types.
var assets = map[string]string{
	"/stylesheets/supervisor.css": "text/css",
	"/scripts/refresh.js":         "text/javascript;charset=utf-8",
	"/images/icon.png":            "image/png",
}

// policy forbids a page everything but its own stylesheet, script and images, and everybody to put it into
// a frame.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Service is what the pages are made of.
type Service interface {
	service.Service
	service.Watching
}

// Options say what the pages are about.
type Options struct {
	Service Service // required
	Version string  // of the product, for the foot of the page
	// Fault is the fault of XML-RPC that stands for an error of the service; messages name it. Required.
	Fault func(err error, subject string) *xmlrpc.Fault
	// ErrorBody is the page that goes with a status from 400 on. Required.
	ErrorBody func(status int) string
	Now       func() time.Time // nil = time.Now
}

// Site is all pages.
type Site struct {
	o         Options
	templates *template.Template
}

// New makes the pages. An error is a mistake in the templates.
func New(o Options) (*Site, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	t, err := template.ParseFS(files, "site/*.html")
	if err != nil {
		return nil, fmt.Errorf("web pages: %w", err)
	}
	return &Site{o: o, templates: t}, nil
}

// Handlers is what answers, by path. They expect methods other than GET, HEAD and POST to have been refused,
// and requests whose context does not end when the client goes away.
func (s *Site) Handlers() map[string]http.Handler {
	h := map[string]http.Handler{
		"/":           http.HandlerFunc(s.serveStatus),
		"/index.html": http.HandlerFunc(s.serveStatus),
		"/tail.html":  http.HandlerFunc(s.serveTail),
	}
	for path, kind := range assets {
		data, err := fs.ReadFile(files, "site"+path)
		if err == nil { // it is part of the program; a test looks
			h[path] = s.asset(data, kind)
		}
	}
	return h
}

// asset serves a file as it is.
func (s *Site) asset(data []byte, kind string) http.Handler {
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.fail(w, http.StatusBadRequest)
			return
		}
		h := w.Header()
		protect(h)
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache") // kept, but asked for: the next version may have another one
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

// protect sets what keeps an answer from being anything else than what it is.
//
// The policy about referrers is not "no-referrer", as browsers then hide the origin of our own forms too,
// which is how they are told from those of others.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// dynamic sets the headers of what must not be kept. Source: spec/supervisor 7.1.
func dynamic(h http.Header) {
	protect(h)
	h.Set("Pragma", "no-cache")
	h.Set("Cache-Control", "no-cache")
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")
}

// read reads the parameters of a request; status is not 0 when it is refused.
func (s *Site) read(w http.ResponseWriter, r *http.Request) (f form, status int) {
	var body []byte
	if r.Method == http.MethodPost {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, http.StatusBadRequest
		}
		// From here on the request may take as long as a program needs to stop.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	return parseForm(r.URL.RawQuery, string(body)), 0
}

// writeTime is how long a client may take to receive a page.
const writeTime = time.Minute

// begin gives the client its time from now on, however long the action before has taken.
func begin(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
}

// page writes a page made of a template.
func (s *Site) page(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(fmt.Errorf("web page %s: %w", name, err)) // a mistake in the program; the server logs it
	}
	h := w.Header()
	dynamic(h)
	h.Set("Content-Type", "text/html;charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	begin(w)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fail answers with the page of an error.
func (s *Site) fail(w http.ResponseWriter, status int) {
	body := s.o.ErrorBody(status)
	protect(w.Header())
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// frame is what all pages have in common.
type frame struct {
	Title string
	// Source is where the script gets the page anew; empty = the page stays as it is.
	Source  string
	Daemon  string // its name, pid and state
	Version string
}

func (s *Site) frame(title, source string) frame {
	i := s.o.Service.Info()
	return frame{
		Title: title, Source: source, Version: s.o.Version,
		Daemon: fmt.Sprintf("%s, pid %d, %s", i.Identifier, i.PID, strings.ToLower(i.State.String())),
	}
}
