package apitest

import (
	"strings"
	"testing"
)

const small = `
paths:
  /a:
    parameters: [{name: p, in: query}, {name: h, in: header}]
    get:
      parameters: [{$ref: "#/components/parameters/q"}]
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/T"}}, application/x-ndjson: {schema: {type: string}}, text/event-stream: {schema: {type: integer}}}}
        "204": {}
        default: {content: {application/problem+json: {schema: {type: object, required: [code], properties: {code: {enum: [x]}}}}}}
components:
  parameters: {q: {name: q, in: query}}
  schemas:
    T:
      type: object
      required: [n]
      properties:
        n: {type: [integer, "null"], minimum: 0, maximum: 9}
        at: {type: string, format: date-time}
        l: {type: array, items: {const: z}}
        b: {anyOf: [{type: boolean}, {type: number}]}
    Odd: {pattern: x}
`

// TestTheValidatorFinds: a validator that finds nothing would make every other test pass.
func TestTheValidatorFinds(t *testing.T) {
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Operations()["GET /a"]; strings.Join(got, " ") != "p q" {
		t.Errorf("%q", got)
	}
	for _, c := range []struct{ text, wrong string }{
		{`{"n":1}`, ""},
		{`{"n":null,"at":"2026-11-21T22:00:00.5+01:00","l":["z"],"b":1.5}`, ""},
		{`{"n":1,"b":true,"l":[]}`, ""},
		{`{}`, "n is missing"},
		{`{"n":1.5}`, "T.n: 1.5 is no [integer null]"},
		{`{"n":-1}`, "minimum"},
		{`{"n":10}`, "maximum"},
		{`{"n":"1"}`, "is no [integer null]"},
		{`{"n":1,"at":"yesterday"}`, "parsing time"},
		{`{"n":1,"l":["z","y"]}`, "T.l[1]: y is not z"},
		{`{"n":1,"b":"x"}`, "is no boolean"},
		{`{"n":1,"more":1}`, "more is not described"},
		{`[]`, "is no object"},
		{`{"n":1`, "is no object"},
	} {
		got := strings.Join(d.Check("T", c.text), "\n")
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %s, want %s", c.text, got, c.wrong)
		}
	}
	for _, c := range []struct {
		operation         string
		status            int
		form, body, wrong string
	}{
		{"GET /a", 200, "application/json", `{"n":1}`, ""},
		{"GET /a", 200, "application/x-ndjson", "\"a\"\n\"b\"\n", ""},
		{"GET /a", 200, "application/x-ndjson", "\"a\"\nb\n", "is no string"},
		{"GET /a", 200, "text/event-stream", "retry: 1\n\nid: 1\nevent: x\ndata: 5\n\n", ""},
		{"GET /a", 200, "text/event-stream", "data: 5\n\ndata: \"6\"\n\n", "is no integer"},
		{"GET /a", 204, "", "", ""},
		{"GET /a", 204, "", "x", "there is a body"},
		{"GET /a", 404, "application/problem+json", `{"code":"x"}`, ""},
		{"GET /a", 404, "application/problem+json", `{"code":"y"}`, "y is none of"},
		{"GET /a", 404, "text/html", `<p>`, "text/html is not described"},
		{"GET /a", 201, "application/json", `{}`, "201 is not described"},
		{"GET /b", 200, "application/json", `{}`, "GET /b is not described"},
		{"GET /a", 200, "/", `{}`, "Content-Type"},
	} {
		got := strings.Join(d.Answer(c.operation, c.status, c.form, []byte(c.body)), "\n")
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if got := d.Check("Odd", `"x"`); len(got) != 1 || !strings.Contains(got[0], "the word pattern") {
		t.Errorf("%q", got)
	}
	if got := d.Check("None", `"x"`); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if _, err := Parse([]byte("a: [")); err == nil {
		t.Error("it was read")
	}
}
