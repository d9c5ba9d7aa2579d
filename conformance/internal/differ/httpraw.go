package differ

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stepHTTP sends a request byte by byte as written in a file and shows the answer:
// "http [-tcp] [-until PATTERN] [-conn] [-n N] [-grep PATTERN] [-body] FILE".
// The head's line ends become CRLF; "Content-Length: AUTO" is filled in; the file's last newline is not sent.
// -until ends reading an endless answer at a pattern, -conn shows whether the connection stays
// open afterwards, -n expects several answers, -grep shows matches only, -body leaves out the head.
func stepHTTP(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "until n grep", "tcp conn body")
	if err != nil || len(args) != 1 {
		return "", errors.Join(err, errors.New("http FILE"))
	}
	n := 1
	if v := opts["n"]; v != nil {
		if n, err = strconv.Atoi(v[0]); err != nil {
			return "", err
		}
	}
	var until *regexp.Regexp
	if u := opts["until"]; u != nil {
		if until, err = regexp.Compile(u[0]); err != nil {
			return "", err
		}
	}
	e := s.endpoint(opts)
	conn, err := (&net.Dialer{}).DialContext(ctx, e.network, e.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	request := wireRequest(readText(s.path(args[0])))
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	data, end := readAnswer(ctx, conn, n, until, strings.HasPrefix(string(request), "HEAD "))
	text := sortHeads(string(data))
	if strings.HasPrefix(string(request), "HEAD ") {
		text, _, _ = strings.Cut(text, "\n\n") // whether a forbidden body follows is nobody's contract
	}
	if opts["body"] != nil {
		_, text, _ = strings.Cut(text, "\n\n")
	}
	if g := opts["grep"]; g != nil {
		re, err := regexp.Compile(g[0])
		if err != nil {
			return "", err
		}
		text = strings.Join(re.FindAllString(text, -1), "\n")
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if opts["conn"] != nil && end == "" {
		end = connectionFate(conn)
	}
	return text + end, nil
}

// wireRequest turns a readable request into its bytes.
func wireRequest(text string) []byte {
	head, body, found := strings.Cut(text, "\n\n")
	if !found {
		head = strings.TrimRight(text, "\n")
	}
	body = strings.TrimSuffix(body, "\n")
	head = strings.ReplaceAll(head, "\nNEXT\n", "\n\n") // a second request on the same connection
	head = strings.ReplaceAll(head, "Content-Length: AUTO", "Content-Length: "+strconv.Itoa(len(body)))
	return []byte(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body)
}

var answerHead = regexp.MustCompile(`(?s)HTTP/\d\.\d \d{3}.*?\r\n\r\n`)

// sortHeads makes header names canonical and sorts them, since neither their order nor their case
// carries meaning, and shortens CRLF.
func sortHeads(text string) string {
	text = answerHead.ReplaceAllStringFunc(text, func(head string) string {
		lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
		for i, l := range lines[1:] {
			name, value, found := strings.Cut(l, ":")
			if found {
				lines[i+1] = http.CanonicalHeaderKey(name) + ":" + value
			}
		}
		slices.Sort(lines[1:])
		return strings.Join(lines, "\n") + "\n\n"
	})
	return strings.ReplaceAll(text, "\r\n", "\n")
}

// readAnswer reads until n answers are complete, until matches, or the peer closes.
func readAnswer(ctx context.Context, conn net.Conn, n int, until *regexp.Regexp, head bool) ([]byte, string) {
	limit := time.Now().Add(runLimit)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	if err := conn.SetReadDeadline(limit); err != nil {
		return nil, "[" + err.Error() + "]\n"
	}
	var got []byte
	buf := make([]byte, 32*1024)
	for {
		k, err := conn.Read(buf)
		got = append(got, buf[:k]...)
		switch {
		case until != nil && until.Match(got):
			return got, ""
		case until == nil && countAnswers(got, head) >= n:
			return got, ""
		case errors.Is(err, io.EOF):
			return got, "[closed]\n"
		case err != nil:
			return got, "[no more within the limit]\n"
		}
	}
}

// countAnswers counts complete HTTP answers at the start of data.
func countAnswers(data []byte, head bool) int {
	r := bufio.NewReader(bytes.NewReader(data))
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	count := 0
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return count
		}
		if res.ContentLength < 0 && len(res.TransferEncoding) == 0 {
			return count // ends with the connection
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return count
		}
		count++
	}
}

// connectionFate waits a moment for the peer to close.
func connectionFate(conn net.Conn) string {
	if err := conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond)); err != nil {
		return "[" + err.Error() + "]\n"
	}
	k, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	switch {
	case k > 0:
		return "[more data]\n"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "[open]\n"
	default:
		return "[closed]\n"
	}
}
