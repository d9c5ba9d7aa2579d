package differ

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This XML-RPC client is deliberately apart from the product's codec: a mistake in the product must not
// hide itself in the judge.

// member is one entry of a struct, in wire order.
type member struct {
	name  string
	value any
}

// structValue is an XML-RPC struct.
type structValue []member

func (s structValue) get(name string) any {
	for _, m := range s {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// rpcFault is a fault answer.
type rpcFault struct {
	code int
	text string
}

func (f *rpcFault) Error() string { return fmt.Sprintf("fault %d: %s", f.code, f.text) }

// endpoint is where and how to talk to a daemon.
type endpoint struct {
	network, address string // "unix" or "tcp"
	user, password   string
}

// post sends a raw XML-RPC body and returns status and body.
func (e endpoint) post(ctx context.Context, body []byte) (int, string, []byte, error) {
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, e.network, e.address)
		},
	}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/RPC2", bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("Content-Type", "text/xml")
	if e.user != "" {
		req.SetBasicAuth(e.user, e.password)
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Status, data, err
}

// call invokes method; params is a list of JSON values separated by commas or blanks.
func (e endpoint) call(ctx context.Context, method, params string) (any, error) {
	body, err := encodeCall(method, params)
	if err != nil {
		return nil, err
	}
	code, status, data, err := e.post(ctx, body)
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("HTTP %s", status)
	}
	return decodeResponse(data)
}

// state asks for a process's state name; any trouble is "".
func (e endpoint) state(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	quoted, err := json.Marshal(name)
	if err != nil {
		return ""
	}
	v, err := e.call(ctx, "supervisor.getProcessInfo", string(quoted))
	if err != nil {
		return ""
	}
	info, _ := v.(structValue)
	s, _ := info.get("statename").(string)
	return s
}

func encodeCall(method, params string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0'?>\n<methodCall>\n<methodName>")
	if err := xml.EscapeText(&b, []byte(method)); err != nil {
		return nil, err
	}
	b.WriteString("</methodName>\n<params>\n")
	dec := json.NewDecoder(strings.NewReader(params))
	dec.UseNumber()
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("parameters %s: %w", params, err)
		}
		b.WriteString("<param>")
		encodeValue(&b, v)
		b.WriteString("</param>\n")
	}
	b.WriteString("</params>\n</methodCall>\n")
	return b.Bytes(), nil
}

func encodeValue(b *bytes.Buffer, v any) {
	b.WriteString("<value>")
	switch v := v.(type) {
	case nil:
		b.WriteString("<nil/>")
	case bool:
		n := 0
		if v {
			n = 1
		}
		fmt.Fprintf(b, "<boolean>%d</boolean>", n)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			fmt.Fprintf(b, "<double>%s</double>", v)
		} else {
			fmt.Fprintf(b, "<int>%s</int>", v)
		}
	case string:
		b.WriteString("<string>")
		b.WriteString(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(v))
		b.WriteString("</string>")
	case []any:
		b.WriteString("<array><data>")
		for _, x := range v {
			encodeValue(b, x)
		}
		b.WriteString("</data></array>")
	case map[string]any:
		b.WriteString("<struct>")
		for k, x := range v {
			fmt.Fprintf(b, "<member><name>%s</name>", k)
			encodeValue(b, x)
			b.WriteString("</member>")
		}
		b.WriteString("</struct>")
	}
	b.WriteString("</value>")
}

// node is a parsed XML element.
type node struct {
	name string
	text string
	kids []*node
}

func (n *node) kid(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

func parseXML(data []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	root := &node{}
	stack := []*node{root}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local}
			top.kids = append(top.kids, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		}
	}
}

func decodeResponse(data []byte) (any, error) {
	root, err := parseXML(data)
	if err != nil {
		return nil, fmt.Errorf("answer is no XML: %w", err)
	}
	res := root.kid("methodResponse")
	if res == nil {
		return nil, errors.New("answer is no methodResponse")
	}
	if f := res.kid("fault"); f != nil {
		s, _ := decodeValue(f.kid("value")).(structValue)
		code, _ := s.get("faultCode").(int)
		text, _ := s.get("faultString").(string)
		return nil, &rpcFault{code, text}
	}
	if p := res.kid("params"); p != nil && len(p.kids) == 1 && p.kids[0].kid("value") != nil {
		return decodeValue(p.kids[0].kid("value")), nil
	}
	return nil, errors.New("answer has not exactly one value")
}

func decodeValue(v *node) any {
	if v == nil {
		return nil
	}
	if len(v.kids) == 0 {
		return v.text
	}
	k := v.kids[0]
	switch k.name {
	case "int", "i4":
		n, err := strconv.Atoi(strings.TrimSpace(k.text))
		if err != nil {
			return "bad int " + k.text
		}
		return n
	case "boolean":
		return k.text == "1"
	case "double":
		f, err := strconv.ParseFloat(k.text, 64)
		if err != nil {
			return "bad double " + k.text
		}
		return f
	case "nil":
		return nil
	case "array":
		var out []any
		if d := k.kid("data"); d != nil {
			for _, x := range d.kids {
				out = append(out, decodeValue(x))
			}
		}
		return out
	case "struct":
		var out structValue
		for _, m := range k.kids {
			name := ""
			if n := m.kid("name"); n != nil {
				name = n.text
			}
			out = append(out, member{name, decodeValue(m.kid("value"))})
		}
		return out
	default:
		return k.text
	}
}

// renderResult shows a result or fault. Values that differ from run to run (pid, start, stop, now) are
// reduced to zero or not zero, which is what they mean to a client.
func renderResult(v any, err error) string {
	var fault *rpcFault
	switch {
	case errors.As(err, &fault):
		return fmt.Sprintf("fault %d %s\n", fault.code, strconv.Quote(fault.text))
	case err != nil:
		return fmt.Sprintf("error %s\n", err)
	}
	var b strings.Builder
	renderValue(&b, v, "")
	return b.String() + "\n"
}

func renderValue(b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case nil:
		b.WriteString("nil")
	case string:
		b.WriteString(strconv.Quote(v))
	case []any:
		if flat(v) {
			b.WriteString("[")
			for i, x := range v {
				if i > 0 {
					b.WriteString(" ")
				}
				renderValue(b, x, "")
			}
			b.WriteString("]")
			return
		}
		b.WriteString("[")
		for _, x := range v {
			b.WriteString("\n" + indent + "  ")
			renderValue(b, x, indent+"  ")
		}
		b.WriteString("\n" + indent + "]")
	case structValue:
		b.WriteString("{")
		for i, m := range v {
			if i > 0 {
				b.WriteString(" ")
			}
			fmt.Fprintf(b, "%s:", m.name)
			if n, ok := m.value.(int); ok && n != 0 && volatileMember(m.name) {
				b.WriteString("SET")
				continue
			}
			renderValue(b, m.value, indent)
		}
		b.WriteString("}")
	default:
		fmt.Fprintf(b, "%v", v)
	}
}

func volatileMember(name string) bool {
	return name == "pid" || name == "start" || name == "stop" || name == "now"
}

func flat(v []any) bool {
	for _, x := range v {
		switch x.(type) {
		case structValue, []any:
			return false
		}
	}
	return true
}
