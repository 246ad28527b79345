package channel

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// streamed opens a channel and returns 1-segment units u0, u1, … ready to be
// given to the far end.
func streamed(t *testing.T, caps Capabilities, n int) (p *pair, to Handle, segments [][]byte) {
	t.Helper()
	p = newPair(t, Limits{})
	p.b.SetPath(40*time.Millisecond, time.Millisecond)
	h, to := p.open(caps)
	for i := range n {
		segments = append(segments, p.a.AppendSegment(nil, h, Whole, []byte{'u', byte('0' + i)}))
	}
	return p, to, segments
}

// wait lets time pass and timeouts run.
func (p *pair) wait(d time.Duration) {
	p.t.Helper()
	p.now = p.now.Add(d)
	p.b.HandleTimeout(p.now)
	checkMux(p.t, p.b)
	if d := p.b.Deadline(); !d.IsZero() && !d.After(p.now) {
		p.t.Fatalf("the deadline %v is not after now", d)
	}
}

// TestStreamingShift: a gap waits as long as it may, not longer, counted from the
// arrival that showed it; what comes after that is late (C-5).
func TestStreamingShift(t *testing.T) {
	const ms = time.Millisecond
	for caps, patience := range map[Capabilities]time.Duration{ModeStreaming1: 10 * ms, ModeStreaming2: 42 * ms} {
		p, to, u := streamed(t, caps, 8)
		p.give(p.b, u[0])
		p.give(p.b, u[3]) // shows 1 and 2
		p.wait(patience / 2)
		p.give(p.b, u[6]) // shows 4 and 5
		p.give(p.b, u[1])
		p.wait(patience/2 - 1)
		if got := strings.Join(p.units(p.b), " "); got != "u0 u1" {
			t.Fatalf("%v: before the time %q", caps, got)
		}
		p.wait(1)
		if got := strings.Join(p.units(p.b), " "); got != "u3" {
			t.Fatalf("%v: at the time %q", caps, got)
		}
		p.give(p.b, u[2])
		p.give(p.b, u[2])
		p.give(p.b, u[1])
		p.give(p.b, u[4])
		p.wait(patience / 2)
		if got := strings.Join(p.units(p.b), " "); got != "u4 u6" {
			t.Fatalf("%v: after the second gap %q", caps, got)
		}
		p.give(p.b, u[5])
		p.give(p.b, u[7])
		if got := strings.Join(p.units(p.b), " "); got != "u7" || !p.b.Deadline().IsZero() {
			t.Fatalf("%v: delivery went back: %q", caps, got)
		}
		s := p.b.Stats()
		i, ok := p.b.Info(to)
		if s.Skipped != 2 || s.Late != 3 || s.Duplicates != 1 || !ok || i.Skipped != 2 || i.Late != 3 || i.UnitsReceived != 6 || i.State != Established {
			t.Errorf("%v: %+v, %+v", caps, s, i)
		}
		e := lastEvent(t, p.b) // both gaps in one event, for nobody polled in between
		if e.Kind != EventLost || e.Segments != 2 || e.Handle != to {
			t.Errorf("%v: %+v", caps, e)
		}
		p.give(p.b, p.a.AppendSegment(nil, p.a.slots[0].handle, Whole, []byte("u8")))
		if _, more := p.b.PollEvent(); more {
			t.Errorf("%v: an event without a loss", caps)
		}
	}
}

// TestSetPatience: the streaming timeout is settable for each channel (C-5), and
// goes back to its default.
func TestSetPatience(t *testing.T) {
	p, to, u := streamed(t, ModeStreaming1, 5)
	p.b.SetPatience(to, time.Second)
	p.give(p.b, u[1])
	p.wait(time.Second - 1)
	if got := p.units(p.b); len(got) != 0 {
		t.Fatalf("too early: %q", got)
	}
	p.wait(1)
	if got := p.units(p.b); len(got) != 1 {
		t.Fatalf("too late: %q", got)
	}
	p.b.SetPatience(to, 0)
	p.b.SetPatience(Handle{}, time.Second)
	p.give(p.b, u[3])
	p.wait(10 * time.Millisecond)
	if got := p.units(p.b); len(got) != 1 {
		t.Errorf("the default is not back: %q", got)
	}
	p.give(p.b, u[4])
	p.b.SetPatience(to, time.Second)
}

// TestStreamingUnits: a shift in the middle of a unit drops the whole unit and
// nothing else. The boundaries of units are kept.
func TestStreamingUnits(t *testing.T) {
	cut := func(p *pair, h Handle) [][]byte {
		var s [][]byte
		for _, u := range []string{"aaa", "bbb", "c", "ddd"} {
			s = append(s, p.cut(p.a, h, []byte(u), 1)...)
		}
		return s // a0-2, b3-5, c6, d7-9
	}
	for _, tt := range []struct {
		lost []int
		want string
	}{
		{[]int{1}, "bbb c ddd"},
		{[]int{2}, "bbb c ddd"},
		{[]int{2, 3}, "c ddd"},
		{[]int{5, 6}, "aaa ddd"},
		{[]int{4}, "aaa c ddd"},
		{[]int{0, 9}, "bbb c"},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 8}, ""},
		{[]int{3, 7}, "aaa c"},
	} {
		p := newPair(t, Limits{})
		h, to := p.open(ModeStreaming2)
		for i, b := range cut(p, h) {
			if !slices.Contains(tt.lost, i) {
				p.give(p.b, b)
			}
		}
		p.wait(time.Second)
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("end")))
		p.wait(time.Second)
		got := strings.Join(p.units(p.b), " ")
		if want := strings.TrimSpace(tt.want + " end"); got != want {
			t.Errorf("without %v: %q, want %q", tt.lost, got, want)
		}
		if s := p.b.Stats(); s.Violations != 0 || s.Skipped != uint64(len(tt.lost)) || p.b.State(to) != Established {
			t.Errorf("without %v: %+v", tt.lost, s)
		}
	}
}

// TestStreamingAhead: a stream that goes on after a long blackout is shifted, not
// broken, and one that nobody reads loses its newest.
func TestStreamingAhead(t *testing.T) {
	p, to, u := streamed(t, ModeStreaming1, 1)
	id := p.b.lookup(to).id
	jump := func(seq uint32) {
		p.give(p.b, append(appendHeader(nil, header{id: id, seq: seq, flags: flagsWhole | flagOpener}, 1), byte(seq)))
	}
	p.give(p.b, u[0])
	jump(5)
	jump(maxAhead + 1) // gives 1 to 4 up, and what follows at once
	if got := p.units(p.b); len(got) != 2 || got[1] != "\x05" {
		t.Fatalf("%q", got)
	}
	const far = 1 << (SequenceBits - 2)
	jump(far)
	p.wait(time.Second)
	if got := p.units(p.b); len(got) != 2 || p.b.State(to) != Established {
		t.Fatalf("%q", got)
	}
	if s := p.b.Stats(); s.Skipped != far-3 || s.Violations != 0 {
		t.Errorf("%+v", s)
	}
	for i := range uint32(maxReady + 5) {
		jump(far + 1 + i)
	}
	jump(far + 2*maxAhead)
	if s := p.b.Stats(); s.NoRoom != 1 || s.Violations != 0 {
		t.Errorf("%+v", s)
	}
	if got := p.units(p.b); len(got) != maxReady+5 {
		t.Errorf("%d units", len(got))
	}
}

// TestStreamingNoMemory: what does not fit is lost, and the channel lives.
func TestStreamingNoMemory(t *testing.T) {
	p := newPair(t, Limits{BufferBytes: minBufferBytes})
	h, to := p.open(ModeStreaming2)
	for range 4 {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, make([]byte, MaxSegment)))
	}
	first := p.a.AppendSegment(nil, h, Whole, []byte("first"))
	for range 6 {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, make([]byte, MaxSegment)))
	}
	p.units(p.b)
	p.give(p.b, first)
	p.wait(time.Second)
	p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("last")))
	p.wait(time.Second)
	got := p.units(p.b)
	if s := p.b.Stats(); s.NoRoom == 0 || s.Violations != 0 || p.b.State(to) != Established || got[len(got)-1] != "last" {
		t.Errorf("%d units, %+v", len(got), s)
	}
}

// TestResendLimit: channels that lose nothing wait long, then close, and both ends
// learn why (C-4).
func TestResendLimit(t *testing.T) {
	for _, caps := range []Capabilities{ModeSCTP, ModeTCP} {
		p, to, u := streamed(t, caps, 3)
		p.give(p.b, u[2])
		p.wait(time.Second)
		p.give(p.b, u[1])
		p.wait(DefaultResendLimit - time.Second - 1)
		if p.b.State(to) != Established {
			t.Fatalf("%v closed too early", caps)
		}
		p.wait(1)
		if e := lastEvent(t, p.b); e.Kind != EventClosed || e.Reason != ReasonResend || e.ByPeer {
			t.Fatalf("%v: %+v", caps, e)
		}
		p.settle()
		if e := lastEvent(t, p.a); e.Kind != EventClosed || e.Reason != ReasonResend || !e.ByPeer {
			t.Errorf("%v: at the other end %+v", caps, e)
		}
		p.units(p.b)
		if s := p.b.Stats(); s.Buffered != 0 || s.Violations != 0 {
			t.Errorf("%v: %+v", caps, s)
		}
	}
}

// TestReorderingIsNoLoss: X and Y live as long as what is missing comes within
// the reordering window (C-5).
func TestReorderingIsNoLoss(t *testing.T) {
	for _, caps := range []Capabilities{ModeX, ModeY} {
		p, to, u := streamed(t, caps, 7)
		for _, i := range []int{1, 0, 5, 2, 4} {
			p.give(p.b, u[i])
			p.wait(2 * time.Millisecond)
		}
		p.wait(3 * time.Millisecond)
		p.give(p.b, u[3]) // 9 ms after 5 showed it
		p.wait(time.Hour)
		if got := p.units(p.b); len(got) != 6 || p.b.State(to) != Established || !p.b.Deadline().IsZero() {
			t.Errorf("%v: %q, %v", caps, got, p.b.State(to))
		}
	}
}

// TestManyGaps: more gaps than are told apart, and a segment that leaves the
// window, still end as the mode says.
func TestManyGaps(t *testing.T) {
	for _, tt := range []struct {
		caps Capabilities
		last uint32
		want Reason
	}{{ModeX, unorderedWindow, ReasonLoss}, {ModeSCTP, reliableWindow, ReasonOverflow}} {
		p, to, _ := streamed(t, tt.caps, 0)
		id := p.b.lookup(to).id
		for seq := uint32(1); seq < tt.last && p.b.State(to) == Established; seq += 2 {
			p.giveFast(p.b, append(appendHeader(nil, header{id: id, seq: seq, flags: flagsWhole | flagOpener}, 1), 1))
			for {
				if _, ok := p.b.ReadUnit(p.buf); !ok {
					break
				}
			}
			if c := p.b.lookup(to); c != nil && c.unordered != nil && c.unordered.jumps.list.len() > maxJumps {
				t.Fatal("too many gaps are kept")
			}
		}
		if e := lastEvent(t, p.b); e.Kind != EventClosed || e.Reason != tt.want {
			t.Errorf("%v: %+v", tt.caps, e)
		}
	}
}

// TestPatience: the defaults follow the path (C-5).
func TestPatience(t *testing.T) {
	const ms = time.Millisecond
	m := newMux(t, 1, Limits{})
	for _, tt := range []struct {
		caps              Capabilities
		rtt, jitter, want time.Duration
	}{
		{ModeStreaming1, 100 * ms, 4 * ms, 25 * ms},
		{ModeStreaming1, 100 * ms, 40 * ms, 80 * ms},
		{ModeStreaming1, ms, 0, minPatience},
		{ModeStreaming2, 100 * ms, 4 * ms, 108 * ms},
		{ModeStreaming2, 0, -ms, minPatience},
		{ModeX, 100 * ms, 4 * ms, 25 * ms},
		{ModeY, 100 * ms, 40 * ms, 80 * ms},
		{ModeSCTP, 100 * ms, 4 * ms, DefaultResendLimit},
		{ModeTCP, 100 * ms, 4 * ms, DefaultResendLimit},
		{ModeUDP, 100 * ms, 4 * ms, 0},
		{ModeZ, 100 * ms, 4 * ms, 0},
	} {
		m.SetPath(tt.rtt, tt.jitter)
		if got := m.patience(&channel{caps: tt.caps}); got != tt.want {
			t.Errorf("%v with %v and %v: %v, want %v", tt.caps, tt.rtt, tt.jitter, got, tt.want)
		}
	}
}

// TestStreaming2Patience: at 10 % loss, one round trip of patience delivers 99.9 %
// of the units in order (C-5).
func TestStreaming2Patience(t *testing.T) {
	n, h := newNet(t, ModeStreaming2, 0.1, 5)
	n.b.SetPatience(n.b.slots[0].handle, netRTT)
	const units = 20_000
	play(t, n, h, units)
	(&modeCase{caps: ModeStreaming2, inOrder: true, patience: true}).checkDelivery(t, n)
	if len(n.got) < units*999/1000 {
		t.Errorf("%d units of %d", len(n.got), units)
	}
	t.Logf("%d units of %d, %+v", len(n.got), units, n.b.Stats())
}
