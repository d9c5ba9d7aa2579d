package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// fill gives a value something, or nothing, by chance.
func fill(r *rand.Rand, v reflect.Value) {
	texts := []string{"", "web", "a b~!", "\"q\"", `\`, "<&>", "\x00\n\x7f", "grün ●", "\xff\u2028"}
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		zone := time.FixedZone("", []int{0, 3600, -19800}[r.IntN(3)])
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(1<<32), r.Int64N(3)*100_000_001).In(zone)))
	case v.Kind() == reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range v.Len() {
				fill(r, v.Index(i))
			}
		}
	case v.Kind() == reflect.String:
		v.SetString(texts[r.IntN(len(texts))])
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case v.CanInt():
		v.SetInt(r.Int64N(5) - 2)
	case v.CanUint():
		v.SetUint(r.Uint64N(3) * (math.MaxUint64 / 2))
	case v.CanFloat():
		v.SetFloat([]float64{0, 1, -2.0 / 3, 1e-7, 1e-6, 1e20, 1e21, 123456.789, math.Copysign(0, -1)}[r.IntN(9)])
	default:
		panic(fmt.Sprintf("nothing is known of %s", v.Type()))
	}
}

// TestShapeIsJSON: what is written is what encoding/json writes, byte for byte, whatever is in it.
func TestShapeIsJSON(t *testing.T) {
	s := shapeOf(reflect.TypeFor[upkeep.Process]())
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var p upkeep.Process
		fill(r, reflect.ValueOf(&p).Elem())
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.put(nil, reflect.ValueOf(p)); !bytes.Equal(got, want) {
			t.Fatalf("\n%s\n%s", got, want)
		}
	}
}

// TestShapeOfWhatIsNoNumber: figures that JSON cannot tell are not told.
func TestShapeOfWhatIsNoNumber(t *testing.T) {
	b := upkeep.Branch{PID: 1, CPU: math.NaN()}
	got := string(shapeOf(reflect.TypeOf(b)).put(nil, reflect.ValueOf(b)))
	if want := `{"pid":1,"parent":0,"command":"","cpu_percent":null,"memory_bytes":0}`; got != want {
		t.Error(got)
	}
}

// TestShapeOnly: the members asked for are those of the whole but for what is null or empty, and no others.
func TestShapeOnly(t *testing.T) {
	whole := shapeOf(reflect.TypeFor[upkeep.Process]())
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var p upkeep.Process
		fill(r, reflect.ValueOf(&p).Elem())
		var names []string
		for _, m := range whole.members {
			if r.IntN(2) == 0 {
				names = append(names, m.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		s, err := whole.only(names)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		unmarshal(t, whole.put(nil, reflect.ValueOf(p)), &want)
		unmarshal(t, s.put(nil, reflect.ValueOf(p)), &got)
		for name, v := range want {
			if list, ok := v.([]any); !slices.Contains(names, name) || v == nil || v == "" || ok && len(list) == 0 {
				delete(want, name)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%v: whole -, only +:\n%s", names, d)
		}
	}
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

// crowd is a service with many programs.
type crowd struct {
	fake
	list []model.Status
}

func (c *crowd) List(context.Context) ([]model.Status, error) { return slices.Clone(c.list), nil }

func (c *crowd) Figures(_ context.Context, ids []model.ID) map[model.ID]service.Figures {
	out := map[model.ID]service.Figures{}
	for i, id := range ids {
		out[id] = service.Figures{CPU: 0.5, Memory: int64(i), Listen: []string{}}
	}
	return out
}

func newCrowd(n int) *crowd {
	c := &crowd{list: make([]model.Status, n)}
	for i := range c.list {
		id := model.ID{Group: fmt.Sprintf("p%05d", i), Name: fmt.Sprintf("p%05d", i)}
		c.list[i] = model.Status{ID: id, State: model.Running, PID: 1000 + i, Start: now, Generation: 1, Program: &model.Program{
			ID: id, Section: id.Name, Command: model.Command{Line: "/bin/sleep 1000000"}, Origin: model.Origin{File: "/etc/supervisord.conf", Line: i},
		}}
	}
	return c
}

// TestLongList: a list of many pages is one list, of all programs in their order.
func TestLongList(t *testing.T) {
	a := New(Options{Service: newCrowd(fewPrograms + 1), Now: func() time.Time { return now }})
	defer a.Close()
	for path, longest := range map[string]int{
		"/v1/processes": 1 << 20, "/v1/processes?figures=1": 1 << 20, "/v1/processes?figures=few&fields=id,state,pid,last_exit,cpu_percent": 60 << 10,
		"/v1/processes?fields=id&fields=memory_bytes&figures=1": 60 << 10,
	} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var l struct {
			Items []upkeep.Process `json:"items"`
		}
		unmarshal(t, w.Body.Bytes(), &l)
		if w.Code != http.StatusOK || len(l.Items) != fewPrograms+1 || w.Body.Len() > longest || !strings.HasSuffix(w.Body.String(), "]}\n") {
			t.Fatalf("%s: %d, %d programs in %d bytes", path, w.Code, len(l.Items), w.Body.Len())
		}
		for i := range l.Items {
			p, figures := &l.Items[i], strings.Contains(path, "figures=1")
			if p.ID != fmt.Sprintf("p%05d", i) || figures != (p.Memory != nil) || figures && *p.Memory != int64(i) {
				t.Fatalf("%s: %d is %+v", path, i, p)
			}
		}
	}
}

// BenchmarkList is the answer to `upkeep status` of 1,000 programs, and to one that wants everything.
func BenchmarkList(b *testing.B) {
	a := New(Options{Service: newCrowd(1000)})
	defer a.Close()
	for _, path := range []string{"/v1/processes", "/v1/processes?fields=id,group,name,state,since,pid,last_exit,summary,cpu_percent,memory_bytes,listen"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
			}
		})
	}
}
