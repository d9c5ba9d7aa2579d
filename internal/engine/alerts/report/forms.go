package report

import (
	"encoding/json"
	"strings"
	"time"
)

// envelope is the JSON that webhooks and commands get.
type envelope struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"` // alert.fatal
	Time     time.Time `json:"time"`
	Host     string    `json:"host"`
	Notifier string    `json:"notifier"`
	Reminder bool      `json:"reminder"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Group    string    `json:"group,omitempty"`
	Programs []process `json:"programs"`
}

type process struct {
	Program  string     `json:"program"` // as people type it; empty = the daemon
	Process  string     `json:"process,omitempty"`
	State    string     `json:"state"`
	Headline string     `json:"headline"`
	Since    *time.Time `json:"since,omitempty"`
	Times    int        `json:"times,omitempty"`
	Facts    []fact     `json:"facts"`
	Log      *log       `json:"log,omitempty"`
}

type fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

type log struct {
	Stream string   `json:"stream"`
	Lines  []string `json:"lines"`
}

// Type is the kind of the message in its JSON and in the header of a webhook: "alert.fatal".
func (r *Report) Type() string { return "alert." + r.Kind }

// JSON is the message for programs.
func (r *Report) JSON() ([]byte, error) {
	e := envelope{
		ID: r.ID, Type: r.Type(), Time: r.Time.UTC(), Host: r.Host, Notifier: r.Notifier, Reminder: r.Reminder,
		Subject: r.Subject(), Text: r.Text(), Group: r.Group, Programs: []process{},
	}
	for i := range r.Items {
		it := &r.Items[i]
		p := process{Program: it.Name, Process: it.Process, State: r.State, Headline: it.Headline, Times: it.Times, Facts: []fact{}}
		if !it.Since.IsZero() {
			since := it.Since.UTC()
			p.Since = &since
		}
		for _, f := range it.Facts {
			p.Facts = append(p.Facts, fact(f))
		}
		if len(it.Lines) > 0 {
			p.Log = &log{Stream: it.Stream, Lines: it.Lines}
		}
		e.Programs = append(e.Programs, p)
	}
	return json.Marshal(e)
}

// chat is what Slack takes, and what others take from those who speak to Slack.
type chat struct {
	Text        string       `json:"text"`
	Attachments []attachment `json:"attachments,omitempty"`
}

type attachment struct {
	Fallback string   `json:"fallback"`
	Color    string   `json:"color"`
	Title    string   `json:"title,omitempty"`
	Fields   []field  `json:"fields,omitempty"`
	Text     string   `json:"text,omitempty"`
	Marks    []string `json:"mrkdwn_in"`
}

type field struct {
	Title string `json:"title"`
	Value string `json:"value"`
	Short bool   `json:"short"`
}

// chatLines is how many lines of output chat services get.
const chatLines = 10

// Slack is the message in the form of Slack's incoming webhooks.
func (r *Report) Slack() ([]byte, error) {
	c := chat{Text: escape(r.Subject())}
	color := "danger"
	switch r.Kind {
	case "recovered", "test":
		color = "good"
	case "restart", "started", "check", "backoff":
		color = "warning"
	}
	for i := range r.Items[:min(len(r.Items), Detailed)] {
		it := &r.Items[i]
		lead := line(it.Lead)
		if it.Name != "" {
			lead = line(it.Name) + " " + lead
		}
		a := attachment{Fallback: escape(lead), Color: color, Title: escape(lead), Marks: []string{"text"}}
		for _, f := range it.Facts[:min(len(it.Facts), 8)] {
			a.Fields = append(a.Fields, field{Title: escape(f.Name), Value: escape(line(f.Text)), Short: len(f.Text) < 40})
		}
		if n := len(it.Lines); n > 0 {
			var lines []string
			for _, l := range it.Lines[max(0, n-chatLines):] {
				lines = append(lines, cut(strings.ReplaceAll(line(l), "```", "'''"), 200))
			}
			a.Text = "```" + escape(strings.Join(lines, "\n")) + "```"
		}
		c.Attachments = append(c.Attachments, a)
	}
	return json.Marshal(c)
}

// escape keeps text from being links and mentions.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
