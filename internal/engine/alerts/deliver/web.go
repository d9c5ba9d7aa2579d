package deliver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
)

// The headers of a webhook.
const (
	EventHeader     = "Upkeep-Event"     // alert.fatal
	DeliveryHeader  = "Upkeep-Delivery"  // the message's id, the same in every attempt
	SignatureHeader = "Upkeep-Signature" // t=SECONDS,v1=HEX
)

// Sign is the value of the header that shows a webhook who sends: HMAC-SHA256 with the notifier's secret over the time,
// a dot, and the body.
func Sign(secret string, unix int64, body []byte) string {
	t := strconv.FormatInt(unix, 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// webhook posts the JSON of the message.
func (d *delivery) webhook(ctx context.Context, address string) error {
	body, err := d.r.JSON()
	if err != nil {
		return err
	}
	header := http.Header{EventHeader: {d.r.Type()}, DeliveryHeader: {d.r.ID}}
	if d.n.Secret != "" {
		secret, err := d.secret(d.n.Secret)
		if err != nil {
			return err
		}
		signature := Sign(secret, d.o.Now().Unix(), body)
		d.secrets = append(d.secrets, signature)
		header.Set(SignatureHeader, signature)
	}
	return d.post(ctx, address, header, body)
}

// chat posts the message in Slack's form.
func (d *delivery) chat(ctx context.Context, address string) error {
	body, err := d.r.Slack()
	if err != nil {
		return err
	}
	return d.post(ctx, address, http.Header{}, body)
}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 2 << 10

// post sends a body; the answer must be a success.
func (d *delivery) post(ctx context.Context, address string, header http.Header, body []byte) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("this is no address of a web server")
	}
	// All but the host may be a secret: the path of a chat service's webhook is one.
	d.secrets = append(d.secrets, address, u.RequestURI(), u.Path, u.RawQuery, u.User.String())
	if password, ok := u.User.Password(); ok {
		d.secrets = append(d.secrets, password)
	}
	for _, values := range u.Query() {
		d.secrets = append(d.secrets, values...)
	}
	d.secrets = append(d.secrets, strings.FieldsFunc(u.Path+"?"+u.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=", r) })...)
	if d.secrets = trimmed(d.secrets); u.Scheme == "http" {
		d.tell("not encrypted: http")
	}
	ctx, cancel := context.WithTimeout(ctx, webTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errors.New("this is no address of a web server")
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "upkeep")
	d.tell("> POST " + shownURL(address))
	d.tell(fmt.Sprintf("> %d bytes of JSON", len(body)))
	answer, err := d.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // its text has the address
			err = wrapped.Err
		}
		d.tell("< " + err.Error())
		return err
	}
	defer answer.Body.Close()
	d.tell("< " + answer.Proto + " " + answer.Status)
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	d.output(string(text))
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return fmt.Errorf("the server answers %s: a redirection, which is not followed", answer.Status)
	case answer.StatusCode == http.StatusBadRequest, answer.StatusCode == http.StatusRequestEntityTooLarge, answer.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("the server answers %s: the message is %w", answer.Status, ErrRefused)
	case answer.StatusCode >= 300:
		return fmt.Errorf("the server answers %s", answer.Status)
	}
	return nil
}

// trimmed leaves out what is too short to be a secret: it would be found everywhere.
func trimmed(secrets []string) []string {
	out := secrets[:0]
	for _, s := range secrets {
		if len(s) >= 4 {
			out = append(out, s)
		}
	}
	return out
}

// command runs a command with the JSON of the message as its input.
func (d *delivery) command(ctx context.Context, text string) error {
	argv, err := shellwords.Split(text)
	if err != nil {
		return err
	}
	if len(argv) == 0 {
		return errors.New("there is no command")
	}
	body, err := d.r.JSON()
	if err != nil {
		return err
	}
	e := &errand.Errand{Argv: argv, Env: d.o.Environ, Input: body, Limit: commandTime, Begin: d.o.Begin}
	d.tell("run " + strings.TrimPrefix(Shown("exec:"+text), "exec:"))
	out, err := e.Run(ctx)
	d.output(out)
	return err
}
