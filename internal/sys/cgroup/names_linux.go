package cgroup

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// prefix keeps names of groups apart from the names of the kernel's own files.
const prefix = "p-"

// The longest name of a directory that escape makes, and what it keeps of a longer name.
const (
	longest = 200
	kept    = 160
)

// escape makes the name of a directory from any text, one for each: letters, digits, '_' and '-' stand for
// themselves, '.' too except at the beginning, all other bytes are written as %XX. Long ones end in "~" and a hash.
func escape(name string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	out := b.String()
	if len(out) <= longest {
		return out
	}
	sum := sha256.Sum256([]byte(name))
	return out[:kept] + "~" + hex.EncodeToString(sum[:16])
}

// unescape finds the name again; false for directories that escape did not make and for shortened names.
func unescape(dir string) (string, bool) {
	s, ok := strings.CutPrefix(dir, prefix)
	if !ok || strings.Contains(s, "~") {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), escape(b.String()) == dir
}
