package web

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/piece"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// How much of a log is shown, in bytes.
const (
	usualLimit = 1024
	mostLimit  = 1 << 20
)

// tailPage is what the page of a log shows.
type tailPage struct {
	frame
	Name    string       // of the program; empty when none was given
	Quoted  template.URL // the name in an address
	Channel string       // stdout or stderr
	Limit   int
	Limits  []int // to choose from
	Text    string
	Failed  bool // Text says why there is nothing
}

// serveTail is the end of a program's log. Source: spec/supervisor 7.4, F35.
func (s *Site) serveTail(w http.ResponseWriter, r *http.Request) {
	f, status := s.read(w, r)
	if status != 0 {
		s.fail(w, status)
		return
	}
	name := f["processname"]
	p := tailPage{
		Name: visible(name), Channel: "stdout", Limit: limit(f["limit"]), Limits: []int{usualLimit, 10 << 10, 100 << 10, mostLimit},
		Quoted: template.URL(quote(name)), // nothing is left in it that has a meaning
	}
	if f["channel"] == "stderr" {
		p.Channel = "stderr"
	}
	if name == "" {
		p.frame, p.Text, p.Failed = s.frame("Supervisor tail of process None", ""), "No process name found", true
		s.page(w, http.StatusOK, "tail", &p)
		return
	}
	p.frame = s.frame("Supervisor tail of process "+p.Name,
		fmt.Sprintf("tail.html?processname=%s&limit=%d&channel=%s", p.Quoted, p.Limit, p.Channel))
	data, err := s.tail(r, name, p.Channel, p.Limit)
	switch {
	case service.CodeOf(err) == service.CodeNoFile:
		p.Text, p.Failed = "No file for "+p.Name, true
	case err != nil:
		p.Text, p.Failed = visible("ERROR: "+unexpected(s.o.Fault(err, name))), true
	default:
		p.Text = logText(data)
	}
	s.page(w, http.StatusOK, "tail", &p)
}

// tail reads the last bytes of a log.
func (s *Site) tail(r *http.Request, name, channel string, n int) ([]byte, error) {
	id, single := model.SplitNamespec(name)
	if !single {
		return nil, &service.Error{Code: service.CodeNoSuchProgram}
	}
	ref := service.LogRef{ID: id, Channel: service.Stdout}
	if channel == "stderr" {
		ref.Channel = service.Stderr
	}
	return s.o.Service.ReadLog(r.Context(), ref, int64(-n), 0)
}

// limit reads how many bytes are wanted.
func limit(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 {
		return usualLimit
	}
	return min(n, mostLimit)
}

// logText is a piece of a log as text: without the halves of characters at its ends, with line ends of one
// kind and visible control characters. Source: spec/supervisor F7.
func logText(data []byte) string {
	return visible(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(piece.Trim(data, true))))
}
