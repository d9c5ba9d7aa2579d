package keeper

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

func sampleManifest(t testing.TB) (state, []*held, []byte) {
	t.Helper()
	s := state{
		Timings: Timings{}.filled(), Socket: "/run/s", Path: "/usr/bin/upkeep", Image: 64, Link: 5, Listener: -1, EverReady: true,
		Last: "signal 9", Orphans: 7, OrphanPID: 8, OrphanRaw: 9, Manager: 10, ManagerPidfd: 11,
		ReadyFor: time.Minute, Safe: true, Backoff: 3, Crashes: []time.Duration{time.Second, 0},
	}
	var items []*held
	for i := range 300 {
		items = append(items, &held{Item: Item{
			Key: fmt.Sprint("k", i), Note: bytes.Repeat([]byte{byte(i)}, i), Roles: "ip", FDs: []int{100 + 2*i, 101 + 2*i}, PID: i + 1,
			Ended: i%2 == 0, Raw: uint32(i % 2 * 256),
		}, watched: i%3 == 0})
	}
	var b bytes.Buffer
	if err := writeManifest(&b, s, items); err != nil {
		t.Fatal(err)
	}
	if err := writeSignals(&b, []int{15, 1}); err != nil {
		t.Fatal(err)
	}
	s.pending = []int{15, 1}
	return s, items, b.Bytes()
}

func TestManifest(t *testing.T) {
	s, items, b := sampleManifest(t)
	got, msgs, err := readManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got, cmp.AllowUnexported(state{})); diff != "" {
		t.Error(diff)
	}
	if len(msgs) != len(items) {
		t.Fatalf("%d items", len(msgs))
	}
	for i, m := range msgs {
		h := items[i]
		want := wire.Message{
			Type: wire.Item, Key: h.Key, Note: h.Note, Roles: h.Roles, FDs: h.FDs, PID: h.PID, Ended: h.Ended, Raw: h.Raw,
		}
		if h.watched {
			want.Number = flagWatched
		}
		if len(want.Note) == 0 {
			want.Note = nil
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Fatal(diff)
		}
	}
	for cut := 0; cut < len(b); cut += 199 {
		if _, got, err := readManifest(b[:cut]); err == nil && len(got) == len(items) {
			t.Fatalf("%d of %d bytes are enough", cut, len(b))
		}
	}
}

func FuzzManifest(f *testing.F) {
	_, _, b := sampleManifest(f)
	f.Add(b[:2000])
	f.Add([]byte{2, '{', '}', 1, 65})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, items, err := readManifest(b)
		if err != nil {
			return
		}
		for _, m := range items {
			if len(m.FDs) != len(m.Roles) {
				t.Fatalf("%+v", m)
			}
		}
	})
}
