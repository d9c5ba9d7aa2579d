//go:build unix

package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// requestMagic begins a request on descriptor 3 of the shim; the number is the version. Both sides are
// the same binary.
const requestMagic = "upkeep-spawn 1"

// maxItems bounds what a decoder believes.
const maxItems = 1 << 24

// encode writes what the shim has to know as a sequence of zero-terminated strings: no argument of a
// program can contain a zero byte.
func encode(r *Request) []byte {
	var b bytes.Buffer
	put := func(s string) {
		b.WriteString(s)
		b.WriteByte(0)
	}
	num := func(n int) { put(strconv.Itoa(n)) }
	list := func(l []string) {
		num(len(l))
		for _, s := range l {
			put(s)
		}
	}
	put(requestMagic)
	put(r.Path)
	put(r.Dir)
	num(r.Umask)
	put(strconv.FormatBool(r.IgnoreSIGPIPE))
	list(r.Argv)
	list(r.Env)
	if c := r.Cred; c != nil {
		num(1)
		num(c.UID)
		num(c.GID)
		put(strings.ReplaceAll(c.Refused, "\x00", ""))
		num(len(c.Groups))
		for _, g := range c.Groups {
			num(g)
		}
	} else {
		num(0)
	}
	return b.Bytes()
}

// decode reads what encode wrote and refuses anything else.
func decode(msg []byte) (*Request, error) {
	d := decoder{rest: msg}
	if d.str() != requestMagic {
		return nil, errors.New("not a request")
	}
	r := &Request{Path: d.str(), Dir: d.str(), Umask: d.num()}
	r.IgnoreSIGPIPE = d.bool()
	r.Argv = d.list()
	r.Env = d.list()
	if d.num() == 1 {
		r.Cred = &Cred{UID: d.num(), GID: d.num(), Refused: d.str()}
		for range d.count() {
			r.Cred.Groups = append(r.Cred.Groups, d.num())
		}
	}
	if d.err == nil && len(d.rest) > 0 {
		d.err = errors.New("something after the end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("request: %w", d.err)
	}
	return r, nil
}

type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) str() string {
	s, rest, ok := bytes.Cut(d.rest, []byte{0})
	if !ok {
		d.fail(errors.New("it ends too early"))
		return ""
	}
	d.rest = rest
	return string(s)
}

func (d *decoder) num() int {
	n, err := strconv.Atoi(d.str())
	if err != nil {
		d.fail(err)
	}
	return n
}

func (d *decoder) bool() bool {
	b, err := strconv.ParseBool(d.str())
	if err != nil {
		d.fail(err)
	}
	return b
}

// count is the length of a list; each item takes at least a byte.
func (d *decoder) count() int {
	n := d.num()
	if n < 0 || n > maxItems || n > len(d.rest) {
		d.fail(errors.New("a list of impossible length"))
		return 0
	}
	return n
}

func (d *decoder) list() []string {
	n := d.count()
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.str())
	}
	return out
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}
