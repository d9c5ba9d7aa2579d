package rpc2

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// verdict is the outcome of a look at the credentials.
type verdict uint8

const (
	authOK        verdict = iota
	authMissing           // none, or of another scheme
	authWrong             // not ours
	authMalformed         // cannot be decoded
	authDamped            // too many wrong ones came from there: not looked at
)

// authenticator checks Basic credentials. Source: spec/supervisor 5.2, F20; spec/reliability S8.
type authenticator struct {
	user, password [sha256.Size]byte
	hashed         bool // password is of the hexadecimal SHA-1
	damp           *damper
}

func newAuthenticator(user, password string, now func() time.Time) *authenticator {
	a := &authenticator{user: sha256.Sum256([]byte(user)), damp: newDamper(now)}
	if sum, ok := strings.CutPrefix(password, "{SHA}"); ok {
		a.hashed, password = true, strings.ToLower(sum)
	}
	a.password = sha256.Sum256([]byte(password))
	return a
}

// check judges the value of an Authorization header that came from addr; the zero address (a local
// socket) is never damped.
func (a *authenticator) check(header string, addr netip.Addr) verdict {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "basic") {
		return authMissing
	}
	if addr.IsValid() && !a.damp.allowed(addr) {
		return authDamped
	}
	v := a.compare(strings.TrimSpace(rest))
	if addr.IsValid() {
		if v == authOK {
			a.damp.success(addr)
		} else {
			a.damp.failure(addr)
		}
	}
	return v
}

// compare takes the same time whether the user, the password or both are wrong.
func (a *authenticator) compare(encoded string) verdict {
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(plain) {
		return authMalformed
	}
	user, password, colon := strings.Cut(string(plain), ":")
	if a.hashed {
		sum := sha1.Sum([]byte(password))
		password = hex.EncodeToString(sum[:])
	}
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	same := subtle.ConstantTimeCompare(u[:], a.user[:]) & subtle.ConstantTimeCompare(p[:], a.password[:])
	if same == 1 && colon {
		return authOK
	}
	return authWrong
}

// The measures of damping. Source: spec/reliability S8.
const (
	freeFailures  = 10 // per address and minute
	totalFailures = 100
	dampWindow    = time.Minute
	maxDelay      = time.Minute
	forgetAfter   = 10 * time.Minute
	maxDampAddrs  = 4096
	maxKnownAddrs = 256
)

// damper slows guessing down: after ten failures within a minute an address has to wait 1, 2, 4 … 60 s
// between tries. When a hundred failures came within a minute from anywhere, only addresses that have
// proved to know the password before are still heard.
type damper struct {
	now func() time.Time

	mu    sync.Mutex
	addrs map[netip.Addr]*failures
	known map[netip.Addr]time.Time // last success
	since time.Time                // of total
	total int
}

// failures is the record of one address.
type failures struct {
	since, last, until time.Time
	count              int
	delay              time.Duration
}

func newDamper(now func() time.Time) *damper {
	return &damper{now: now, addrs: map[netip.Addr]*failures{}, known: map[netip.Addr]time.Time{}}
}

func (d *damper) allowed(addr netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if f := d.addrs[addr]; f != nil && now.Before(f.until) {
		return false
	}
	if d.total >= totalFailures && now.Sub(d.since) < dampWindow {
		_, ok := d.known[addr]
		return ok
	}
	return true
}

func (d *damper) failure(addr netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if now.Sub(d.since) >= dampWindow {
		d.since, d.total = now, 0
	}
	d.total++
	f := d.addrs[addr]
	if f == nil {
		d.makeRoom(now)
		f = &failures{since: now}
		d.addrs[addr] = f
	}
	if now.Sub(f.last) >= forgetAfter {
		*f = failures{since: now}
	}
	if f.delay == 0 && now.Sub(f.since) >= dampWindow {
		f.since, f.count = now, 0
	}
	f.last = now
	if f.count++; f.count >= freeFailures {
		f.delay = min(max(2*f.delay, time.Second), maxDelay)
		f.until = now.Add(f.delay)
	}
}

// success does not wipe the failures of the address: others may guess from behind the same one.
func (d *damper) success(addr netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.known[addr]; !ok && len(d.known) >= maxKnownAddrs {
		delete(d.known, oldest(d.known, func(t time.Time) time.Time { return t }))
	}
	d.known[addr] = d.now()
}

// makeRoom keeps the number of records bounded.
func (d *damper) makeRoom(now time.Time) {
	if len(d.addrs) < maxDampAddrs {
		return
	}
	for a, f := range d.addrs {
		if now.Sub(f.last) >= forgetAfter {
			delete(d.addrs, a)
		}
	}
	if len(d.addrs) >= maxDampAddrs {
		delete(d.addrs, oldest(d.addrs, func(f *failures) time.Time { return f.last }))
	}
}

func oldest[V any](m map[netip.Addr]V, when func(V) time.Time) netip.Addr {
	var (
		best  netip.Addr
		first time.Time
	)
	for a, v := range m {
		if t := when(v); !best.IsValid() || t.Before(first) {
			best, first = a, t
		}
	}
	return best
}
