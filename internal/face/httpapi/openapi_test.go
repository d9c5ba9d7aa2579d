package httpapi

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/face/httpapi/apitest"
)

func document(t *testing.T) *apitest.Document {
	t.Helper()
	d, err := apitest.Parse(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRoutesAreDescribed: the interface and its description have the same routes, methods and parameters.
func TestRoutesAreDescribed(t *testing.T) {
	have := map[string][]string{}
	for _, r := range (&API{}).routes() {
		params := strings.Fields(r.params)
		slices.Sort(params)
		have[r.method+" "+r.path] = append([]string{}, params...)
	}
	if d := cmp.Diff(have, document(t).Operations()); d != "" {
		t.Errorf("routes without -, description with +:\n%s", d)
	}
}

// types are the Go types of the schemas. Those that are left out have none of their own.
func types() map[string]reflect.Type {
	out := map[string]reflect.Type{"Gap": reflect.TypeFor[gap]()}
	for _, t := range []reflect.Type{
		reflect.TypeFor[upkeep.System](), reflect.TypeFor[upkeep.Who](), reflect.TypeFor[upkeep.Exit](), reflect.TypeFor[upkeep.Origin](),
		reflect.TypeFor[upkeep.Surroundings](), reflect.TypeFor[upkeep.Process](), reflect.TypeFor[upkeep.Branch](), reflect.TypeFor[upkeep.Usage](), reflect.TypeFor[upkeep.Action](),
		reflect.TypeFor[upkeep.Result](), reflect.TypeFor[upkeep.Operation](), reflect.TypeFor[upkeep.Explanation](),
		reflect.TypeFor[upkeep.Evidence](), reflect.TypeFor[upkeep.Hint](), reflect.TypeFor[upkeep.Event](), reflect.TypeFor[upkeep.LogLine](),
		reflect.TypeFor[upkeep.Definition](), reflect.TypeFor[upkeep.Value](), reflect.TypeFor[upkeep.Change](), reflect.TypeFor[upkeep.Edited](),
		reflect.TypeFor[upkeep.Step](), reflect.TypeFor[upkeep.Plan](), reflect.TypeFor[upkeep.Mistake](), reflect.TypeFor[upkeep.Problem](),
		reflect.TypeFor[upkeep.Adoption](), reflect.TypeFor[upkeep.Adoptable](),
		reflect.TypeFor[upkeep.Notifier](), reflect.TypeFor[upkeep.Delivery](),
		reflect.TypeFor[upkeep.Check](),
	} {
		out[t.Name()] = t
	}
	return out
}

// TestSchemasAreTheTypes: each schema has the members of its Go type, of the same types, null where the type can be null
// and absent where it can be absent; and each type of the client is described.
func TestSchemasAreTheTypes(t *testing.T) {
	d := document(t)
	for name, typ := range types() {
		s := d.Schema(name)
		if s == nil {
			t.Errorf("%s is not described", name)
			continue
		}
		want, required := map[string]string{}, []string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			optional := strings.Contains(options, "omit")
			want[member] = kind(f.Type, optional)
			if !optional {
				required = append(required, member)
			}
		}
		have, listed := map[string]string{}, []string{}
		for member, p := range s["properties"].(map[string]any) {
			have[member] = described(d, p.(map[string]any))
		}
		list, _ := s["required"].([]any)
		for _, member := range list {
			listed = append(listed, member.(string))
		}
		slices.Sort(required)
		slices.Sort(listed)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: type -, schema +:\n%s", name, diff)
		}
		if diff := cmp.Diff(required, listed); diff != "" {
			t.Errorf("%s, what is always there: type -, schema +:\n%s", name, diff)
		}
	}
	for _, name := range d.Schemas() {
		if types()[name] == nil && !slices.Contains([]string{
			"Switch", "State", "Empty", "Order", "Apply", "Adoptables", "Notifiers", "Deliveries", "Checks", "Processes", "Excerpts", "Operations", "Events", "Definitions",
		}, name) {
			t.Errorf("the schema %s has no type", name)
		}
	}
}

// kind is a Go type in words: that of a pointer, unless it is left out when it is nil, may be null.
func kind(t reflect.Type, optional bool) string {
	switch t.Kind() {
	case reflect.Pointer:
		if k := kind(t.Elem(), true); optional {
			return k
		} else {
			return k + " or null"
		}
	case reflect.Slice:
		return "array of " + kind(t.Elem(), true)
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	}
	if t == reflect.TypeFor[time.Time]() {
		return "time"
	}
	return t.Name()
}

// described is a schema in the same words.
func described(d *apitest.Document, s map[string]any) string {
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		if types()[name] != nil {
			return name
		}
		return described(d, d.Schema(name))
	}
	if list, ok := s["anyOf"].([]any); ok {
		return described(d, list[0].(map[string]any)) + " or null"
	}
	if list, ok := s["enum"].([]any); ok {
		if _, ok := list[0].(float64); ok {
			return "integer"
		}
		return "string"
	}
	if _, ok := s["const"].(string); ok {
		return "string"
	}
	null := ""
	typ := s["type"]
	if list, ok := typ.([]any); ok {
		typ, null = list[0], " or null"
	}
	switch {
	case s["format"] == "date-time":
		return "time" + null
	case typ == "array":
		return "array of " + described(d, s["items"].(map[string]any)) + null
	}
	return fmt.Sprint(typ) + null
}

// TestCodesAreDescribed: the codes that are given out and those described are the same.
func TestCodesAreDescribed(t *testing.T) {
	have := []string{"method_not_allowed", "no_reload", "precondition_required", "reload_ended", "too_large"}
	for _, k := range kinds {
		have = append(have, k.code)
	}
	for _, k := range refusals {
		have = append(have, k.code)
	}
	slices.Sort(have)
	var listed []string
	for _, code := range document(t).Schema("Problem")["properties"].(map[string]any)["code"].(map[string]any)["enum"].([]any) {
		listed = append(listed, code.(string))
	}
	if d := cmp.Diff(slices.Compact(have), listed); d != "" {
		t.Errorf("given out -, described +:\n%s", d)
	}
}
