package report

import (
	"regexp"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "[hidden]"

// hider finds one kind of secret. put takes its place; ${1} is what the first group matches, and stays.
type hider struct {
	re  *regexp.Regexp
	put string
}

// hiders are all kinds, in the order in which they are looked for. Their time is linear in the text (RE2).
func hiders() []hider {
	var out []hider
	for _, pattern := range []string{
		// Authorization: Basic dXNlcjpw
		`(?i)((?:proxy-)?authorization["']?[ \t]*[:=][ \t]*)[^\n]+`,
		// password=…, "api_key": "…", DB_SECRET: …
		`(?i)([a-z0-9_.-]*(?:passw(?:or)?d|passphrase|passwort|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[a-z0-9_.-]*["']?[ \t]*[=:][ \t]*)(?:"[^"\n]*(?:"|$)|'[^'\n]*(?:'|$)|\S+)`,
		`(?i)(\bbearer[ \t]+)[a-z0-9+/=._~-]+`,
		`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#]*@`, // user:password
		`()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`,
		`()\bgh[pousr]_[A-Za-z0-9]{20,}`,
		`()\bxox[abeoprs]-[A-Za-z0-9-]+`,
		`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`,
		`(?i)(https://hooks\.slack\.com/)\S+`,
	} {
		put := "${1}" + Hidden
		if strings.HasSuffix(pattern, "@") {
			put += "@"
		}
		out = append(out, hider{regexp.MustCompile(pattern), put})
	}
	return out
}

// Hider takes secrets out of texts. It is safe for concurrent use.
type Hider struct{ all []hider }

// NewHider makes one.
func NewHider() *Hider { return &Hider{all: hiders()} }

// Line is a line without what looks like a secret: passwords and keys that are named, credentials in addresses, tokens
// of well-known forms. Source: spec/reliability S25.
func (h *Hider) Line(s string) string {
	for _, k := range h.all {
		s = k.re.ReplaceAllString(s, k.put)
	}
	return s
}

// Lines are lines without secrets, also such as take several lines: private keys.
func (h *Hider) Lines(lines []string) []string {
	out := make([]string, 0, len(lines))
	inside := false
	for _, l := range lines { // the lines may begin in the middle of one
		if strings.Contains(l, "PRIVATE KEY-----") {
			inside = strings.Contains(l, "-----END ") && !strings.Contains(l, "-----BEGIN ")
			break
		}
	}
	for _, l := range lines {
		if strings.Contains(l, "-----BEGIN ") && strings.Contains(l, "PRIVATE KEY-----") {
			inside = true
		}
		end := strings.Contains(l, "-----END ")
		if inside {
			l = Hidden
		}
		inside = inside && !end
		if l = h.Line(l); l != Hidden || len(out) == 0 || out[len(out)-1] != Hidden {
			out = append(out, l)
		}
	}
	return out
}
