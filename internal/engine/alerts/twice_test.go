package alerts

import (
	"errors"
	"net/mail"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/deliver"
	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

// TestComesTwice: a mail comes again when this process is killed between the server's last word and the record of it, and when that
// word is lost. It is the same one then, by which mail systems can tell; another mail is another one.
func TestComesTwice(t *testing.T) {
	for _, killed := range []bool{true, false} {
		server := (&smtptest.Server{}).Start(t)
		ops := ops(when(model.TriggerFatal)...)
		ops.Via, ops.From = "smtp://"+server.Addr, "upkeep@web-3"
		r := newRig(t, ops)
		real := deliver.New(deliver.Options{})
		send := func() (d delivery) {
			r.a.turn(t.Context(), r.now, func(one delivery) { d = one })
			if d.m == nil {
				t.Fatal("nothing is to be delivered")
			}
			if _, err := real.Deliver(t.Context(), d.who, d.To, d.m.Report); err != nil {
				t.Fatal(err)
			}
			return d
		}
		w := r.program("web")
		r.fatal(w)
		r.turn()
		r.now = r.now.Add(minute)
		d := send()
		if killed {
			r.restart()
		} else {
			r.a.posted.all = append(r.a.posted.all, outcome{d, errors.New("connection reset by peer")})
			r.turn()
			r.now = r.now.Add(minute)
		}
		d = send()
		r.a.posted.all = append(r.a.posted.all, outcome{d, nil})
		r.wait(minute)
		r.fatal(r.program("other"))
		r.turn()
		r.now = r.now.Add(minute)
		send()

		var ids, texts []string
		for _, m := range server.Mails() {
			parsed, err := mail.ReadMessage(strings.NewReader(m.Text))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, parsed.Header.Get("Message-Id"))
			_, text, _ := strings.Cut(m.Text, "Message-ID:")
			texts = append(texts, text)
		}
		if len(ids) != 3 || ids[0] == "" || ids[0] != ids[1] || texts[0] != texts[1] || ids[2] == ids[0] {
			t.Errorf("killed: %t: %q", killed, ids)
		}
	}
}
