package listeners

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func lines(t *testing.T, r *rig, want ...string) {
	t.Helper()
	if d := cmp.Diff(strings.Join(want, "\n"), r.said()); d != "" {
		t.Error(d)
	}
}

func TestConversationWithAPool(t *testing.T) {
	g := poolOf("g", "REMOTE_COMMUNICATION", 10, "l")
	r := newRig(t, nil, g)
	r.remote("a")
	r.remote("b")
	r.hear(g, "l", "READY\n")
	r.expect("l", "a0/0")
	lines(t, r, "debug l: ACKNOWLEDGED -> READY", "debug event 0 sent to listener l", "debug rebuffering event 1 for pool g (buf size=0, max=10)")
	r.hear(g, "l", "RESULT 4\nFAILREADY\n")
	r.expect("l", "a0/0 a0/0")
	lines(t, r, "warn l: event was rejected", "debug l: BUSY -> ACKNOWLEDGED", "debug rebuffering event 0 for pool g (buf size=1, max=10)",
		"debug l: ACKNOWLEDGED -> READY", "debug event 0 sent to listener l", "debug rebuffering event 1 for pool g (buf size=0, max=10)")
	r.hear(g, "l", "RESULT 2\nOK")
	r.hear(g, "l", "\nREADY\n")
	r.expect("l", "a0/0 a0/0 b1/1")
	r.hear(g, "l", "RESULT 2\nOKREADY\n")
	for key := range r.left() {
		if strings.HasPrefix(key, itemPrefix) {
			t.Errorf("%s is kept", key)
		}
	}
}

func TestOverflow(t *testing.T) {
	g := poolOf("g", "REMOTE_COMMUNICATION", 2, "l")
	r := newRig(t, nil, g)
	for _, k := range []string{"a", "b", "c", "d"} {
		r.remote(k)
	}
	lines(t, r, "error pool g event buffer overflowed, discarding event 0", "error pool g event buffer overflowed, discarding event 1")
	r.hear(g, "l", "READY\n")
	r.hear(g, "l", "RESULT 2\nOKREADY\n")
	r.expect("l", "c2/2 d3/3")
}

func TestPoolsApart(t *testing.T) {
	a, b := poolOf("a", "REMOTE_COMMUNICATION", 10, "la"), poolOf("b", "REMOTE_COMMUNICATION,PROCESS_GROUP_ADDED", 10, "lb")
	r := newRig(t, nil, a, b)
	r.remote("x") // b has heard of itself as event 0
	r.hear(a, "la", "READY\n")
	r.hear(b, "lb", "READY\n")
	r.hear(b, "lb", "RESULT 2\nOKREADY\n")
	r.expect("la", "x1/0")
	r.until("lb has both", func() bool { return strings.HasSuffix(r.got("lb"), "x1/1") })
	r.hear(b, "lb", "RESULT 2\nOKREADY\n")
	r.hear(a, "la", "RESULT 4\nFAILREADY\n")
	r.expect("la", "x1/0 x1/0")
	if strings.Count(r.got("lb"), "x1/1") != 1 {
		t.Errorf("another pool's event came back: %q", r.got("lb"))
	}
}

func TestBrokenPipeAndTheNext(t *testing.T) {
	g := poolOf("g", "REMOTE_COMMUNICATION", 10, "l0", "l1")
	r := newRig(t, nil, g)
	r.inputs["l0"].set(func(i *input) { i.broken = true })
	r.hear(g, "l0", "READY\n")
	r.hear(g, "l1", "READY\n")
	r.said()
	r.remote("a")
	r.expect("l1", "a0/0")
	r.until("the other is restarted", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Equal(r.bounced, []string{"g:l0/1"})
	})
	lines(t, r, "debug epipe occurred while sending event 0 to listener l0, listener state unchanged",
		"warn l0: is restarted now: it has closed its standard input", "debug event 0 sent to listener l1")
}

func TestDeafListener(t *testing.T) {
	g := poolOf("g", "REMOTE_COMMUNICATION", 10, "l")
	r := newRig(t, nil, g)
	r.inputs["l"].set(func(i *input) { i.queued = maxQueued + 1 })
	r.hear(g, "l", "READY\n")
	r.remote("a")
	r.until("it is restarted", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.bounced) == 1 })
	if got := r.said(); !strings.Contains(got, "warn l: does not read its events") {
		t.Error(got)
	}
}

func TestTimeLimits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		talk    string
		want    string
		bounced int
	}{
		{"busy", 0, "READY\n", "warn l: has not answered event 0 for 61 seconds", 0},
		{"silent", 0, "", "warn l: has not said READY for 61 seconds", 0},
		{"busy, limited", 30 * time.Second, "READY\n", "warn l: has not answered event 0 within 30 seconds", 1},
		{"silent, limited", 30 * time.Second, "", "warn l: has not said READY within 30 seconds", 1},
	} {
		g := poolOf("g", "REMOTE_COMMUNICATION", 10, "l")
		g.Pool.Timeout = tt.timeout
		r := newRig(t, nil, g)
		r.hear(g, "l", tt.talk)
		r.remote("a")
		if tt.talk != "" {
			r.expect("l", "a0/0")
		}
		r.said()
		r.pass(29 * time.Second)
		r.pass(32 * time.Second)
		var got string
		r.until(tt.name, func() bool { got += r.said() + "\n"; return strings.Contains(got, tt.want) })
		r.until(tt.name, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.bounced) == tt.bounced })
	}
}

// TestSuccessor: what is left by a kill at any point is gone on with.
func TestSuccessor(t *testing.T) {
	g := func() *model.Group { return poolOf("g", "REMOTE_COMMUNICATION", 10, "l") }
	before := newRig(t, nil, g())
	before.remote("a")
	before.remote("b")
	before.hear(g(), "l", "READY\n")
	before.expect("l", "a0/0")
	t.Run("busy", func(t *testing.T) {
		r := newRig(t, before.left(), g())
		r.hear(g(), "l", "RESULT 2\nOKREADY\n")
		r.expect("l", "b1/1")
		r.remote("c")
		r.hear(g(), "l", "RESULT 2\nOKREADY\n")
		r.expect("l", "b1/1 c2/2")
	})
	t.Run("another instance", func(t *testing.T) {
		left := before.left()
		left[memberPrefix+"g:l"] = []byte(strings.Replace(string(left[memberPrefix+"g:l"]), `"Gen":1`, `"Gen":9`, 1))
		r := newRig(t, left, g())
		r.hear(g(), "l", "READY\n")
		r.expect("l", "a0/0")
	})
	t.Run("unsure", func(t *testing.T) {
		left := before.left()
		left[memberPrefix+"g:l"] = []byte(strings.Replace(string(left[memberPrefix+"g:l"]), `"Gen":1`, `"Gen":1,"Unsure":true`, 1))
		r := newRig(t, left, g())
		r.until("it is restarted", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return slices.Equal(r.bounced, []string{"g:l/1"}) })
		r.p.Listen(model.ID{Group: "g", Name: "l"}, 2, r.inputs["l"])
	})
	t.Run("the pool is gone", func(t *testing.T) {
		r := newRig(t, before.left(), poolOf("h", "REMOTE_COMMUNICATION", 10, "l"))
		for key := range r.left() {
			if strings.HasPrefix(key, keyPrefix) && strings.Contains(key, "/g") {
				t.Errorf("%s is kept", key)
			}
		}
	})
	t.Run("the listener is gone", func(t *testing.T) {
		p := New(Options{Log: before, Journal: before, Table: before.core.Table})
		p.Restore(before.left(), []*model.Group{g()})
		p.Settle()
		if n := len(p.pools[0].buffer); n != 2 || p.pools[0].buffer[0].serial != 0 || p.Serial() != 2 {
			t.Errorf("%d events wait, the next serial is %d", n, p.Serial())
		}
	})
	t.Run("damage", func(t *testing.T) {
		for key, value := range before.left() {
			for _, bad := range [][]byte{{}, value[:len(value)/2], []byte("{{{"), []byte(`{"Held":99}`)} {
				left := before.left()
				left[key] = bad
				New(Options{Log: before, Table: before.core.Table}).Restore(left, []*model.Group{g()})
			}
		}
	})
}

func TestTicks(t *testing.T) {
	var k ticks
	want := func(types ...model.EventType) func(model.EventType) bool {
		return func(t model.EventType) bool { return slices.Contains(types, t) }
	}
	all := want(model.EventTick5, model.EventTick60, model.EventTick3600)
	for _, step := range []struct {
		at     int64
		wanted func(model.EventType) bool
		due    string
		next   int64
	}{
		{3598, all, "", 3600},
		{3599, all, "", 3600},
		{3600, all, "TICK_5=3600 TICK_60=3600 TICK_3600=3600", 3605},
		{3604, all, "", 3605},
		{3606, all, "TICK_5=3605", 3610},
		{3666, all, "TICK_5=3665 TICK_60=3660", 3670}, // missed ones are not made up
		{3600, all, "TICK_5=3600 TICK_60=3600", 3605}, // the clock went back
		{9000, want(), "", 0},
		{9007, all, "", 9010}, // somebody new begins with the next
		{9010, want(model.EventTick60), "", 9060},
	} {
		var due []string
		for _, e := range k.take(time.Unix(step.at, 0), step.wanted) {
			due = append(due, string(e.Type)+"="+e.Time.UTC().Format("15:04:05"))
		}
		var want []string
		for w := range strings.FieldsSeq(step.due) {
			name, at, _ := strings.Cut(w, "=")
			seconds := map[string]int64{"3600": 3600, "3605": 3605, "3665": 3665, "3660": 3660}[at]
			want = append(want, name+"="+time.Unix(seconds, 0).UTC().Format("15:04:05"))
		}
		if !slices.Equal(due, want) {
			t.Errorf("at %d: %v, want %v", step.at, due, want)
		}
		if at, ok := k.next(time.Unix(step.at, 0), step.wanted); ok != (step.next != 0) || ok && at.Unix() != step.next {
			t.Errorf("at %d: the next at %v, want %d", step.at, at.Unix(), step.next)
		}
	}
}

// output makes an event of a piece of output.
func (r *rig) output(n int) {
	r.p.Offer(model.Event{Type: model.EventProcessLogStdout, ID: model.ID{Group: "w", Name: "w"}, PID: 5, Data: make([]byte, n)})
}

// TestFloodWaitsForWhoAnswers: output waits for an answer when much is to be sent, and goes on with it; who never answers
// holds it up once.
func TestFloodWaitsForWhoAnswers(t *testing.T) {
	g := poolOf("g", "PROCESS_LOG", 1000, "l")
	r := newRig(t, nil, g)
	r.hear(g, "l", "READY\n")
	r.pass(time.Hour) // the clock stands: the event is always a moment old
	big := func() bool { r.p.mu.Lock(); defer r.p.mu.Unlock(); return r.p.pools[0].bytes > ahead }
	waits := func() bool { r.p.mu.Lock(); defer r.p.mu.Unlock(); return r.p.waits }
	behind := func() bool {
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		return r.p.behind(model.EventProcessLogStdout) != nil
	}
	for !big() {
		if behind() {
			t.Fatal("it waits with little to send")
		}
		r.output(128 << 10)
	}
	if !behind() {
		t.Fatal("it does not wait")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		r.p.catchUp(r.p.pools[0])
	}()
	size := func() int { r.p.mu.Lock(); defer r.p.mu.Unlock(); return r.p.pools[0].bytes }
	for size() > ahead/2 {
		r.hear(g, "l", "RESULT 2\nOKREADY\n")
	}
	<-done
	if waits() {
		t.Error("half of it is gone, and it still waits")
	}
	for !big() {
		r.output(128 << 10)
	}
	r.output(1) // nobody answers: back by itself
	if waits() {
		t.Error("it still waits")
	}
	r.mu.Lock()
	r.now = r.now.Add(patience)
	r.mu.Unlock()
	if behind() {
		t.Error("who does not answer is waited for again")
	}
}

// TestBytesOfABuffer: what a pool counts is what is in its buffer, whatever happens.
func TestBytesOfABuffer(t *testing.T) {
	g := poolOf("g", "PROCESS_LOG,REMOTE_COMMUNICATION", 3, "l")
	r := newRig(t, nil, g)
	check := func(p *Pools, when string) {
		t.Helper()
		p.mu.Lock()
		defer p.mu.Unlock()
		n := 0
		for _, it := range p.pools[0].buffer {
			n += len(it.record)
		}
		if n != p.pools[0].bytes {
			t.Errorf("%s: %d bytes, %d are counted", when, n, p.pools[0].bytes)
		}
	}
	for n := range 6 {
		r.output(n * 1000)
		check(r.p, "overflow")
	}
	r.hear(g, "l", "READY\n")
	check(r.p, "sent")
	r.hear(g, "l", "RESULT 4\nFAIL")
	check(r.p, "rejected")
	r.hear(g, "l", "READY\n")
	check(r.p, "sent again")
	heir := New(Options{Log: r, Journal: r, Table: r.core.Table})
	heir.Restore(r.left(), []*model.Group{g})
	check(heir, "restored")
	heir.Settle()
	check(heir, "settled")
}

// TestFewWakeUps: a flood does not wake the goroutine of Run for each event.
func TestFewWakeUps(t *testing.T) {
	g := poolOf("g", "PROCESS_LOG", 1000, "l")
	r := newRig(t, nil, g)
	p := New(Options{Log: r, Journal: r, Table: r.core.Table})
	p.Restore(r.left(), []*model.Group{g})
	p.mu.Lock()
	p.members = map[model.ID]*member{}
	p.mu.Unlock()
	p.Listen(model.ID{Group: "g", Name: "l"}, 1, &input{})
	woken := func() bool {
		select {
		case <-p.wake:
			return true
		default:
			return false
		}
	}
	woken()
	p.Heard(model.ID{Group: "g", Name: "l"}, 1, []byte("READY\n"))
	woken()
	p.Offer(model.Event{Type: model.EventProcessLogStdout})
	if !woken() {
		t.Fatal("nobody looks at the time limit of the first event")
	}
	p.mu.Lock()
	p.looks = p.next(p.o.Now())
	p.mu.Unlock()
	for range 10 {
		p.Offer(model.Event{Type: model.EventProcessLogStdout})
		p.Heard(model.ID{Group: "g", Name: "l"}, 1, []byte("RESULT 2\nOKREADY\n"))
	}
	if woken() {
		t.Error("it is woken for nothing")
	}
	p.Drain([]string{"g"}, func() {})
	woken()
	p.Heard(model.ID{Group: "g", Name: "l"}, 1, []byte("RESULT 2\nOKREADY\n"))
	if !woken() {
		t.Error("who waits for the last event does not hear of it")
	}
}

// TestRest: only who is not listened to is read slowly, and not its successor.
func TestRest(t *testing.T) {
	g := poolOf("g", "REMOTE_COMMUNICATION", 10, "l")
	r := newRig(t, nil, g)
	id := model.ID{Group: "g", Name: "l"}
	for _, tt := range []struct {
		talk string
		gen  uint64
		want time.Duration
	}{{"", 1, 0}, {"READY\n", 1, 0}, {"nonsense", 1, unheard}, {"", 2, 0}} {
		r.hear(g, "l", tt.talk)
		if got := r.p.Rest(id, tt.gen); got != tt.want {
			t.Errorf("after %q, instance %d: %v, want %v", tt.talk, tt.gen, got, tt.want)
		}
	}
}

// TestGather: output is left to gather only while everybody who wants it has plenty to do, of that kind.
func TestGather(t *testing.T) {
	g, h := poolOf("g", "PROCESS_LOG", 1000, "l", "m"), poolOf("h", "PROCESS_LOG_STDOUT", 1000, "l")
	r := newRig(t, nil, g, h)
	gathers := func(when string, want time.Duration) {
		t.Helper()
		if got := r.p.Gather(model.EventProcessLogStdout); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	gathers("nothing to do", 0)
	for range 2*plenty - 1 {
		r.output(100)
	}
	gathers("one pool of two has plenty", 0)
	r.output(100)
	gathers("both have plenty", gathering)
	if got := r.p.Gather(model.EventProcessLogStderr); got != gathering {
		t.Errorf("whoever wants stderr has plenty to do as well: %v", got)
	}
	if got := r.p.Gather(model.EventProcessCommunicationStdout); got != 0 {
		t.Errorf("nobody wants this: %v", got)
	}
	r.hear(g, "l", "READY\n") // one is taken
	gathers("one of them has one less than plenty", 0)
	r.output(100)
	gathers("again plenty", gathering)
	for range 2 * plenty {
		r.hear(h, "l", "READY\n")
		r.hear(h, "l", "RESULT 2\nOK")
	}
	gathers("one has caught up", 0)
}
