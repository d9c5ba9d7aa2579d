package web

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// maxMessage is how many characters of a message are shown.
const maxMessage = 4096

// statusPage is what the status page shows.
type statusPage struct {
	frame
	Message string
	Rows    []row
}

// row is one program in the table.
type row struct {
	Class       string // of the row
	Name        string
	Quoted      template.URL // the name in an address
	State       string
	StateClass  string
	Description string
	// First and Second are the actions on the process; empty = a blank place.
	First, Second action
}

// serveStatus is the status page and its actions.
func (s *Site) serveStatus(w http.ResponseWriter, r *http.Request) {
	f, status := s.read(w, r)
	if status != 0 {
		s.fail(w, status)
		return
	}
	if f["action"] != "" {
		s.act(w, r, f)
		return
	}
	p := statusPage{frame: s.frame("Supervisor Status", "index.html"), Message: visible(cut(f["message"], maxMessage))}
	list, err := s.o.Service.List(r.Context())
	status = http.StatusOK
	if err != nil {
		status, p.Message = http.StatusServiceUnavailable, unexpected(s.o.Fault(err, ""))
	}
	ids := make([]model.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	p.Rows = s.rows(list, s.o.Service.Checks(r.Context(), ids))
	s.page(w, status, "status", &p)
}

// rows are the lines of the table, with what checks have found. Source: spec/supervisor 7.2.
func (s *Site) rows(list []model.Status, found map[model.ID][]model.CheckState) []row {
	now := s.o.Now()
	rows := make([]row, len(list))
	for i := range list {
		st := &list[i]
		name := visible(st.ID.String())
		r := row{
			Name: name, Quoted: template.URL(quote(st.ID.String())), // nothing is left in it that has a meaning
			State: strings.ToLower(st.State.String()), StateClass: "statusnominal",
			Description: visible(model.Describe(*st, now)),
		}
		if i%2 == 1 {
			r.Class = "shade"
		}
		switch st.State {
		case model.Running:
			r.StateClass, r.First, r.Second = "statusrunning", actRestart, actStop
			if text := service.Condition(found[st.ID]); text != "" {
				r.Description += "; " + visible(text)
			}
			if st.Past.Adopted {
				r.Description += "; adopted"
			}
		case model.Fatal:
			r.StateClass, r.First = "statuserror", actStart
		case model.Backoff:
			r.StateClass, r.Second = "statuserror", actStop
		case model.Starting:
			r.Second = actStop
		case model.Stopped, model.Exited:
			r.First = actStart
		}
		rows[i] = r
	}
	return rows
}

// visible shows control characters by the pictures that Unicode has of them, and what is not UTF-8 by the
// replacement character; new lines and tabs stay.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return c
		case c < ' ':
			return '\u2400' + c
		case c == 0x7f:
			return '\u2421'
		case 0x80 <= c && c < 0xa0, 0x202a <= c && c <= 0x202e, 0x2066 <= c && c <= 0x2069, c == 0xfffe, c == 0xffff:
			return '\uFFFD' // controls without a picture, changes of direction, and what no document may hold
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
