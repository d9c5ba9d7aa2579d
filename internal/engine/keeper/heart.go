package keeper

import "time"

// beats is into how many parts the wait for an answer is cut.
const beats = 5

// heart asks the other side whether it lives. It counts parts of the wait instead of measuring the whole:
// a process that was stopped itself, together with the other one or not, finds one part gone when it goes
// on, and does not take its own absence for the other's.
type heart struct {
	every time.Duration // between an answer and the next question
	part  time.Duration // of the wait for an answer
	next  time.Time     // when there is something to do; zero: the heart rests

	number uint64
	asked  bool
	missed int
}

func newHeart(t Timings) heart {
	return heart{every: t.PingEvery, part: max(t.HangAfter-t.PingEvery, beats) / beats}
}

// start begins to ask.
func (h *heart) start(now time.Time) {
	h.asked, h.missed, h.next = false, 0, now.Add(h.every)
}

// stop ends it.
func (h *heart) stop() { h.next = time.Time{} }

// tick says what is to do now: ask with the present number, or give the other side up.
func (h *heart) tick(now time.Time) (ask, dead bool) {
	if h.next.IsZero() || now.Before(h.next) {
		return false, false
	}
	h.next = now.Add(h.part)
	if !h.asked {
		h.asked, h.missed = true, 0
		h.number++
		return true, false
	}
	h.missed++
	if h.missed < beats {
		return false, false
	}
	h.stop()
	return false, true
}

// answer takes an answer; one to an earlier question is none.
func (h *heart) answer(number uint64, now time.Time) {
	if h.asked && number == h.number && !h.next.IsZero() {
		h.start(now)
	}
}
