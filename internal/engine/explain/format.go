package explain

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// headSize is how much of an executable is looked at: what is wanted is at its begin.
const headSize = 4096

// head is the begin of the file that the program's command stands for.
func (q *inquiry) head() (path string, b []byte, ok bool) {
	if len(q.argv) == 0 {
		return "", nil, false
	}
	path, o := q.lookup(q.argv[0])
	if o != nil {
		return "", nil, false
	}
	b, err := q.sys.Head(q.who, path, headSize)
	return path, b, err == nil
}

// shebang reads the interpreter and its arguments from the begin of a script, as the kernel does, except that a carriage
// return at the end of the line is told apart.
func shebang(head []byte) (interpreter string, args []string, crlf, ok bool) {
	rest, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return "", nil, false, false
	}
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	text, crlf = bytes.CutSuffix(text, []byte("\r"))
	f := strings.Fields(string(text))
	if len(f) == 0 {
		return "", nil, crlf, false
	}
	return f[0], f[1:], crlf, true
}

// interpreterMissing looks at the first line of the script that is the command.
func interpreterMissing(q *inquiry, _ context.Context, _ match) bool {
	path, head, ok := q.head()
	if !ok {
		return false
	}
	if loader, ok := elfLoader(head); ok {
		if q.there(loader, peek.Here) {
			return false
		}
		q.said(path + " needs the loader " + loader + ", which is not on this machine: it was built for another C library or architecture")
		return true
	}
	interpreter, args, crlf, ok := shebang(head)
	if !ok || !filepath.IsAbs(interpreter) {
		return false
	}
	if crlf {
		q.said("the first line of " + path + " ends with a carriage return (it was saved with line ends of Windows), so that the system looks for " +
			filepath.Base(interpreter) + `\r`)
		q.hint("Take them out:", `sed -i 's/\r$//' `+words.Quote(path)+q.andStart())
		return true
	}
	if o := q.obstacle(interpreter, peek.Exec); o != nil {
		q.said("the first line of " + path + " asks for " + interpreter + ", and " + o.Error())
		if near := q.closeBy(filepath.Base(interpreter)); len(near) > 0 {
			q.fact("close by: " + strings.Join(near, "  "))
			q.hint("Use:", q.instead(slices.Concat([]string{near[0]}, args, q.script(path))))
		}
		return true
	}
	if filepath.Base(interpreter) == "env" {
		args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") || strings.Contains(a, "=") })
		if len(args) > 0 {
			if _, o := q.lookup(args[0]); o != nil {
				return q.missing(args[0], -1)
			}
		}
	}
	return false
}

// script is the command line with the script's path in front of its arguments.
func (q *inquiry) script(path string) []string {
	return append([]string{q.brief(path)}, q.argv[1:]...)
}

// magics are begins of files that this system cannot execute.
var magics = []struct{ magic, what string }{
	{"MZ", "a Windows program"},
	{"\xcf\xfa\xed\xfe", "a macOS program"},
	{"\xca\xfe\xba\xbe", "a macOS program or a Java class"},
	{"PK\x03\x04", "an archive (zip or jar)"},
	{"\x1f\x8b", "a compressed file"},
}

// runners are the programs for scripts without a first line that names one.
var runners = map[string]string{".py": "python3", ".sh": "sh", ".js": "node", ".mjs": "node", ".rb": "ruby", ".pl": "perl", ".php": "php", ".jar": "java -jar"}

func wrongFormat(q *inquiry, _ context.Context, _ match) bool {
	path, head, ok := q.head()
	if !ok || bytes.HasPrefix(head, []byte("\x7fELF")) || bytes.HasPrefix(head, []byte("#!")) {
		return false
	}
	what := "no program: it has no first line that begins with #! and says what runs it"
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			what = m.what
		}
	}
	if len(head) == 0 {
		what = "empty"
	}
	q.said(path + " is " + what)
	if runner := strings.Fields(runners[filepath.Ext(path)]); len(runner) > 0 && len(head) > 0 {
		if _, o := q.lookup(runner[0]); o == nil {
			q.hint("Use:", q.instead(append(runner, q.script(path)...)))
		}
	}
	return true
}

// machines are the architectures of ELF files, by number, in the words of the Go tools.
var machines = map[uint16]string{
	3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64",
}

// elfHead reads the byte order and the architecture from the begin of an ELF file.
func elfHead(head []byte) (order binary.ByteOrder, machine uint16, ok bool) {
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return nil, 0, false
	}
	order = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return order, order.Uint16(head[18:]), true
}

// elfLoader is the loader that an ELF file asks for, when its begin tells.
func elfLoader(head []byte) (string, bool) {
	const (
		interp = 3
		most   = 64 // program headers
	)
	order, _, ok := elfHead(head)
	if !ok || len(head) < 64 {
		return "", false
	}
	var at, size, n uint64
	wide := head[4] == 2
	if wide {
		at, size, n = order.Uint64(head[32:]), uint64(order.Uint16(head[54:])), uint64(order.Uint16(head[56:]))
	} else {
		at, size, n = uint64(order.Uint32(head[28:])), uint64(order.Uint16(head[42:])), uint64(order.Uint16(head[44:]))
	}
	for i := range min(n, most) {
		from := at + i*size
		if size < 32 || from > uint64(len(head)) || from+size > uint64(len(head)) || (wide && size < 56) {
			return "", false
		}
		h := head[from : from+size]
		if order.Uint32(h) != interp {
			continue
		}
		var offset, length uint64
		if wide {
			offset, length = order.Uint64(h[8:]), order.Uint64(h[32:])
		} else {
			offset, length = uint64(order.Uint32(h[4:])), uint64(order.Uint32(h[16:]))
		}
		if offset > uint64(len(head)) || length > uint64(len(head))-offset {
			return "", false
		}
		path := strings.TrimRight(string(head[offset:offset+length]), "\x00")
		return path, filepath.IsAbs(path)
	}
	return "", false
}

func wrongArchitecture(q *inquiry, _ context.Context, _ match) bool {
	path, head, ok := q.head()
	if !ok {
		return false
	}
	_, machine, ok := elfHead(head)
	name := machines[machine]
	ours := strings.TrimSuffix(q.sys.Arch(), "le")
	if !ok || name == ours || name == "" {
		return false
	}
	q.said(path + " is built for " + name + ", and this machine is " + q.sys.Arch())
	return true
}
