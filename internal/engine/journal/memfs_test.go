package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// memDir is the directory of the disk in memory.
const memDir = "/state"

// errEIO is what this disk says where a part of it is broken, and errFull where it is full.
var (
	errEIO  error = syscall.EIO
	errFull error = syscall.ENOSPC
)

// memFS is a disk of one directory with the two lives of a real one: what the system shows, and what a
// power cut leaves. Between the two are changes that were not synced, of which any may be lost.
type memFS struct {
	mu    sync.Mutex
	names map[string]*inode // as the system shows them
	made  bool

	safe    map[string]*inode // the names that are on the disk
	pending []names           // changes of them that are not

	// fail is asked before each call; n counts from 0. An error makes the call fail.
	fail func(n int, op, name string) error
	// after is called after each call, without the lock.
	after func(op string)
	n     int
	lie   bool // syncs do nothing and report success: a planted bug
	links bool // hard links work
}

// names is one atomic change of a directory; nil removes.
type names map[string]*inode

type inode struct {
	data []byte // as the system shows it
	safe []byte // on the disk
	work []work // not yet there
	bad  []int  // sectors of 512 bytes that cannot be read
}

// work is one write, or a truncation when data is nil.
type work struct {
	at   int
	data []byte
}

func newMem() *memFS {
	return &memFS{names: names{}, safe: names{}, made: true, links: true}
}

// holding is a disk with one file.
func holding(name string, data []byte) *memFS {
	m := newMem()
	ino := &inode{data: data, safe: data}
	m.names[memDir+"/"+name], m.safe[memDir+"/"+name] = ino, ino
	return m
}

// call counts one call and injects its error; it holds the lock when it returns nil.
func (m *memFS) call(op, name string) error {
	m.mu.Lock()
	n := m.n
	m.n++
	if m.fail != nil {
		if err := m.fail(n, op, name); err != nil {
			m.mu.Unlock()
			m.told(op)
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

func (m *memFS) ret(op string) {
	m.mu.Unlock()
	m.told(op)
}

func (m *memFS) told(op string) {
	if m.after != nil {
		m.after(op)
	}
}

func (m *memFS) MkdirAll(string) error {
	if err := m.call("mkdir", memDir); err != nil {
		return err
	}
	defer m.ret("mkdir")
	m.made = true
	return nil
}

func (m *memFS) Open(p string) (File, bool, error) {
	if err := m.call("open", p); err != nil {
		return nil, false, err
	}
	defer m.ret("open")
	ino := m.names[p]
	if ino == nil {
		return nil, false, fs.ErrNotExist
	}
	return &memFile{m: m, ino: ino, name: p}, true, nil
}

func (m *memFS) Create(p string) (File, error) {
	if err := m.call("create", p); err != nil {
		return nil, err
	}
	defer m.ret("create")
	if m.names[p] != nil {
		return nil, fs.ErrExist
	}
	ino := &inode{}
	m.change(names{p: ino})
	return &memFile{m: m, ino: ino, name: p}, nil
}

// change does an atomic change of the directory.
func (m *memFS) change(c names) {
	apply(m.names, c)
	m.pending = append(m.pending, c)
}

func apply(to map[string]*inode, c names) {
	for name, ino := range c {
		if ino == nil {
			delete(to, name)
		} else {
			to[name] = ino
		}
	}
}

func (m *memFS) Replace(f File, from, to string) (File, error) {
	if err := m.call("rename", from); err != nil {
		return nil, err
	}
	defer m.ret("rename")
	ino := m.names[from]
	if ino == nil {
		return nil, fs.ErrNotExist
	}
	m.change(names{from: nil, to: ino})
	f.(*memFile).name = to
	return f, nil
}

func (m *memFS) Link(from, to string) error {
	if err := m.call("link", from); err != nil {
		return err
	}
	defer m.ret("link")
	switch {
	case !m.links:
		return syscall.EPERM
	case m.names[from] == nil:
		return fs.ErrNotExist
	case m.names[to] != nil:
		return fs.ErrExist
	}
	m.change(names{to: m.names[from]})
	return nil
}

func (m *memFS) Move(from, to string) error {
	if err := m.call("move", from); err != nil {
		return err
	}
	defer m.ret("move")
	switch {
	case m.names[from] == nil:
		return fs.ErrNotExist
	case m.names[to] != nil:
		return fs.ErrExist
	}
	m.change(names{from: nil, to: m.names[from]})
	return nil
}

func (m *memFS) Remove(p string) error {
	if err := m.call("remove", p); err != nil {
		return err
	}
	defer m.ret("remove")
	if m.names[p] == nil {
		return fs.ErrNotExist
	}
	m.change(names{p: nil})
	return nil
}

func (m *memFS) SyncDir(string) error {
	if err := m.call("syncdir", memDir); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.pending = nil // shown, never written, and the next sync will not know
		return err
	}
	defer m.ret("syncdir")
	if !m.lie {
		for _, c := range m.pending {
			apply(m.safe, c)
		}
		m.pending = nil
	}
	return nil
}

func (m *memFS) Unreadable(err error) bool { return errors.Is(err, errEIO) }

type memFile struct {
	m    *memFS
	ino  *inode
	name string
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.m.call("read", f.name); err != nil {
		return 0, err
	}
	defer f.m.ret("read")
	for _, s := range f.ino.bad {
		if int(off) < (s+1)*512 && s*512 < int(off)+len(b) {
			return 0, errEIO
		}
	}
	if int(off) >= len(f.ino.data) {
		return 0, io.EOF
	}
	n := copy(b, f.ino.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.m.call("size", f.name); err != nil {
		return 0, err
	}
	defer f.m.ret("size")
	return int64(len(f.ino.data)), nil
}

// Write stores half of what it is given when it fails: the worst a full disk does.
func (f *memFile) Write(b []byte) (int, error) {
	if err := f.m.call("write", f.name); err != nil {
		f.m.mu.Lock()
		defer f.m.mu.Unlock()
		return f.append(b[:len(b)/2]), err
	}
	defer f.m.ret("write")
	return f.append(b), nil
}

func (f *memFile) append(b []byte) int {
	if len(b) > 0 {
		f.ino.work = append(f.ino.work, work{len(f.ino.data), bytes.Clone(b)})
		f.ino.data = append(slices.Clip(f.ino.data), b...)
	}
	return len(b)
}

func (f *memFile) Truncate(size int64) error {
	if err := f.m.call("truncate", f.name); err != nil {
		return err
	}
	defer f.m.ret("truncate")
	w := work{at: int(size)}
	f.ino.work = append(f.ino.work, w)
	f.ino.data = w.on(f.ino.data)
	return nil
}

func (w work) on(data []byte) []byte {
	if w.data == nil {
		return append([]byte{}, data[:min(w.at, len(data))]...)
	}
	out := append([]byte{}, data...)
	if n := w.at + len(w.data) - len(out); n > 0 {
		out = append(out, make([]byte, n)...) // what was lost in between shows as zeros
	}
	copy(out[w.at:], w.data)
	return out
}

func (f *memFile) Sync() error {
	if err := f.m.call("fsync", f.name); err != nil {
		f.m.mu.Lock()
		defer f.m.mu.Unlock()
		f.ino.work = nil // shown, never written, and the next fsync will not know
		return err
	}
	defer f.m.ret("fsync")
	if !f.m.lie {
		for _, w := range f.ino.work {
			f.ino.safe = w.on(f.ino.safe)
		}
		f.ino.work = nil
	}
	return nil
}

func (f *memFile) Reserve(int64) error {
	if err := f.m.call("reserve", f.name); err != nil {
		return err
	}
	f.m.ret("reserve")
	return nil
}

func (f *memFile) At(p string) (bool, error) {
	if err := f.m.call("at", f.name); err != nil {
		return false, err
	}
	defer f.m.ret("at")
	return f.m.names[p] == f.ino, nil
}

func (f *memFile) Close() error { return nil }

// killed is the disk as the next process sees it when this one is killed: all that the system shows.
func (m *memFS) killed() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newMem()
	n.links = m.links
	for name, ino := range m.names {
		n.names[name] = &inode{data: ino.data, safe: ino.data, bad: ino.bad}
		n.safe[name] = n.names[name]
	}
	return n
}

// crashes calls f with every disk that a power cut may leave now, within reason: any subset of a few
// changes of the directory, and for each file no, the first, all but one, or all writes, the last of them
// cut at several places or turned to zeros. Files vary one at a time, the others having none or all of
// their writes. ordered says that the files have the writes up to some one.
func (m *memFS) crashes(f func(m *memFS, how string, ordered bool)) {
	for _, d := range m.directories() {
		inodes := map[*inode]bool{}
		for _, ino := range d.names {
			inodes[ino] = true
		}
		for _, others := range []bool{false, true} {
			for ino := range inodes {
				for _, v := range ino.variants() {
					n := newMem()
					n.links = m.links
					fresh := map[*inode]*inode{}
					for i := range inodes {
						data := i.safe
						if others {
							data = i.data
						}
						if i == ino {
							data = v.data
						}
						fresh[i] = &inode{data: data, safe: data}
					}
					for name, i := range d.names {
						n.names[name], n.safe[name] = fresh[i], fresh[i]
					}
					f(n, fmt.Sprintf("names %s, %s, others %v", d.how, v.how, others), v.ordered)
				}
			}
		}
		if len(inodes) == 0 {
			f(newMem(), "names "+d.how, true)
		}
	}
}

type directory struct {
	how   string
	names map[string]*inode
}

// directories are those that a power cut may leave: changes may be lost in any combination.
func (m *memFS) directories() []directory {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []directory
	frozen := map[*inode]*inode{} // as they are now; others may go on to write
	k := len(m.pending)
	add := func(how string, keep func(i int) bool) {
		d := directory{how, maps.Clone(m.safe)}
		for i, c := range m.pending {
			if keep(i) {
				apply(d.names, c)
			}
		}
		for name, ino := range d.names {
			if frozen[ino] == nil {
				now := *ino
				frozen[ino] = &now
			}
			d.names[name] = frozen[ino]
		}
		out = append(out, d)
	}
	if k <= 4 {
		for bits := range 1 << k {
			add(fmt.Sprintf("%0*b of %d", k, bits, k), func(i int) bool { return bits>>i&1 == 1 })
		}
		return out
	}
	for n := range k + 1 {
		add(fmt.Sprintf("first %d of %d", n, k), func(i int) bool { return i < n })
		add(fmt.Sprintf("all but %d of %d", n, k), func(i int) bool { return i != n })
	}
	return out
}

type variant struct {
	how     string
	data    []byte
	ordered bool
}

func (i *inode) variants() []variant {
	var out []variant
	for n := range len(i.work) + 1 {
		data := i.safe
		for _, w := range i.work[:n] {
			data = w.on(data)
		}
		out = append(out, variant{fmt.Sprintf("%d of %d writes", n, len(i.work)), data, true})
		if n == len(i.work) {
			break
		}
		w := i.work[n]
		for _, cut := range []int{1, 3, 39, 43, len(w.data) / 2, len(w.data) - 1} {
			if w.data == nil || cut <= 0 || cut >= len(w.data) {
				continue
			}
			torn := work{w.at, w.data[:cut]}.on(data)
			out = append(out, variant{fmt.Sprintf("%d writes and %d bytes", n, cut), torn, true})
			zeros := append(bytes.Clone(torn), make([]byte, len(w.data)-cut)...)
			if len(zeros) >= w.at+len(w.data) {
				out = append(out, variant{fmt.Sprintf("%d writes, %d bytes and zeros", n, cut), zeros, true})
			}
		}
		without := i.safe
		for k, w := range i.work {
			if k != n {
				without = w.on(without)
			}
		}
		out = append(out, variant{fmt.Sprintf("all writes but %d", n), without, false})
	}
	return out
}

func (m *memFS) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for p := range m.names {
		out = append(out, path.Base(p))
	}
	slices.Sort(out)
	return out
}

// damaged are the files that were set aside.
func (m *memFS) damaged() []string {
	return slices.DeleteFunc(m.list(), func(n string) bool { return !strings.Contains(n, ".damaged-") })
}

// TestMemFS makes sure that the disk in memory loses what it may lose and keeps what it must keep.
func TestMemFS(t *testing.T) {
	m := newMem()
	seen := func() map[string]bool {
		out := map[string]bool{}
		m.crashes(func(m *memFS, _ string, _ bool) {
			text := strings.Builder{}
			for _, n := range m.list() {
				fmt.Fprintf(&text, "%s=%q ", n, m.names[memDir+"/"+n].data)
			}
			out[text.String()] = true
		})
		return out
	}
	f, err := m.Create(memDir + "/a")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte("12"))
	_, _ = f.Write([]byte("3"))
	for _, want := range []string{"", `a="" `, `a="1" `, `a="12" `, `a="123" `, `a="\x00\x003" `} {
		if !seen()[want] {
			t.Errorf("never leaves %s: %v", want, seen())
		}
	}
	if err := errors.Join(f.Sync(), m.SyncDir(memDir)); err != nil {
		t.Fatal(err)
	}
	if got := seen(); len(got) != 1 || !got[`a="123" `] {
		t.Errorf("after the syncs %v", got)
	}
	if _, err := m.Replace(f, memDir+"/a", memDir+"/b"); err != nil {
		t.Fatal(err)
	}
	if got := seen(); len(got) != 2 || !got[`a="123" `] || !got[`b="123" `] {
		t.Errorf("after the rename %v", got)
	}
	m.fail = func(_ int, op, _ string) error {
		if op == "fsync" {
			return errEIO
		}
		return nil
	}
	_, _ = f.Write([]byte("4"))
	if f.Sync() == nil {
		t.Error("no error")
	}
	m.fail = nil
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if got := seen(); got[`a="1234" `] || got[`b="1234" `] {
		t.Errorf("what a failed fsync lost is on the disk: %v", got)
	}
	var unfit *statefile.UnfitError
	if errors.As(errEIO, &unfit) {
		t.Error("EIO is no statement about the owner")
	}
}
