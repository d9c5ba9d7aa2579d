package metrics

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Requests counts HTTP requests. It is safe for concurrent use.
type Requests struct {
	mu    sync.Mutex
	count map[request]uint64
	times map[string]*model.Times
}

// request is what requests have in common that are counted together.
type request struct {
	route, method string
	code          int
}

// NewRequests makes an empty count.
func NewRequests() *Requests {
	return &Requests{count: map[request]uint64{}, times: map[string]*model.Times{}}
}

// Served counts a request that was answered. Of a path only what leads to a handler is kept, so that nobody can make
// endless series by asking for what does not exist.
func (r *Requests) Served(path, method string, code int, took time.Duration) {
	k := request{route(path, code), verb(method), code}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[k]++
	t := r.times[k.route]
	if t == nil {
		t = &model.Times{}
		r.times[k.route] = t
	}
	t.Add(took)
}

// route is what is counted together of the addresses that one handler serves.
func route(path string, code int) string {
	if code == 404 || code == 421 || code < 100 || code > 599 {
		return "other"
	}
	for _, of := range []string{"/RPC2", "/logtail", "/mainlogtail", "/stylesheets", "/scripts", "/images"} {
		if strings.HasPrefix(path, of) {
			return of
		}
	}
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		first, _, _ := strings.Cut(rest, "/")
		if code < 400 && plain(first) { // a refusal may come before anybody has looked for the handler
			return "/v1/" + first
		}
		return "/v1"
	}
	switch path {
	case "/metrics", "/ok.html", "/tail.html":
		return path
	}
	return "/"
}

// plain: a word that a resource can be named by.
func plain(word string) bool {
	for _, c := range word {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return word != "" && len(word) <= 20
}

// verb is a method, if it is one that is served.
func verb(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// write writes both families.
func (r *Requests) write(p *page, total, duration *Family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]request, 0, len(r.count))
	for k := range r.count {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	})
	p.begin(total)
	for _, k := range keys {
		p.sample("", float64(r.count[k]), label("route", k.route), label("method", k.method), label("code", strconv.Itoa(k.code)))
	}
	p.begin(duration)
	for i, k := range keys {
		if i == 0 || keys[i-1].route != k.route {
			p.histogram(r.times[k.route], label("route", k.route))
		}
	}
}

// histogram writes how long something took.
func (p *page) histogram(t *model.Times, labels ...string) {
	with := append(slices.Clip(labels), "")
	t.Upto(func(end time.Duration, count uint64) {
		with[len(labels)] = label("le", string(appendValue(nil, end.Seconds())))
		p.sample("_bucket", float64(count), with...)
	})
	with[len(labels)] = `le="+Inf"`
	p.sample("_bucket", float64(t.Count), with...)
	p.sample("_sum", t.Sum.Seconds(), labels...)
	p.sample("_count", float64(t.Count), labels...)
}
