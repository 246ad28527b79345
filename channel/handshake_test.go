package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// segment wraps messages into a control segment with a number of its own.
func segment(seq uint32, messages ...[]byte) []byte {
	n := 0
	for _, m := range messages {
		n += len(m)
	}
	b := appendHeader(nil, header{flags: flagsWhole, seq: seq}, n)
	for _, m := range messages {
		b = append(b, m...)
	}
	return b
}

// renumber gives a control segment another sequence number, so that a repeat
// is not recognised as one.
func renumber(b []byte, seq uint32) []byte {
	b = append([]byte(nil), b...)
	putSequence(b, seq)
	return b
}

func putSequence(b []byte, seq uint32) { b[5], b[6], b[7] = byte(seq>>16), byte(seq>>8), byte(seq) }

// only is the single control segment that waits at m.
func (p *pair) only(m *Mux) []byte {
	p.t.Helper()
	s := p.control(m)
	if len(s) != 1 {
		p.t.Fatalf("%d control segments wait, want 1", len(s))
	}
	return s[0]
}

func TestHandshakeStepByStep(t *testing.T) { // C-2
	p := newPair(t, Limits{})
	h, err := p.a.Open(p.now, ModeTCP)
	if err != nil {
		t.Fatal(err)
	}
	step := func(from *Mux, kind byte, length int, state State) []byte {
		t.Helper()
		s := p.only(from)
		if s[SegmentHeaderLen] != kind || len(s) != SegmentHeaderLen+length || p.a.State(h) != state {
			t.Fatalf("message %x in state %v", s, p.a.State(h))
		}
		return s
	}
	p.give(p.b, step(p.a, typeNew, newLen, Opening))
	if len(p.b.slots) != 0 { // C-3: nothing allocated for NEW
		t.Error("the responder keeps state for NEW")
	}
	p.give(p.a, step(p.b, typeAcknowledge, acknowledgeLen, Opening))
	if p.a.State(h) != Finalizing {
		t.Fatalf("after ACKNOWLEDGE: %v", p.a.State(h))
	}
	out, seq, ok := p.a.AppendControl(nil, 1200)
	if !ok || out[SegmentHeaderLen] != typeFinalize {
		t.Fatalf("FINALIZE: %x", out)
	}
	p.a.OnControlDelivered(p.now, seq-1)
	p.a.OnControlDelivered(p.now, seq+1)
	if p.a.State(h) != Finalizing {
		t.Error("ready before FINALIZE was delivered")
	}
	p.give(p.b, out)
	theirs := lastEvent(t, p.b)
	want := Event{Kind: EventOpened, ID: theirs.ID, Handle: theirs.Handle, Capabilities: ModeTCP, ByPeer: true}
	if diff := cmp.Diff(want, theirs, cmp.AllowUnexported(Handle{})); diff != "" || !theirs.ID.negotiable() {
		t.Error(diff)
	}
	p.a.OnControlDelivered(p.now, seq)
	p.a.OnControlDelivered(p.now, seq)
	if e := lastEvent(t, p.a); p.a.State(h) != Established || e.ID != theirs.ID || e.ByPeer {
		t.Errorf("%v, %+v", p.a.State(h), e)
	}
	if !p.a.Deadline().IsZero() || !p.b.Deadline().IsZero() || p.a.ControlPending() || p.b.ControlPending() {
		t.Error("something is left to do")
	}
}

// TestThreeDatagrams: it takes three datagrams to open one channel, and three to
// open fifty (C-2).
func TestThreeDatagrams(t *testing.T) {
	for _, n := range []int{1, 2, DefaultOpening} {
		p := newPair(t, Limits{})
		var handles []Handle
		for range n {
			h, err := p.a.Open(p.now, ModeUDP)
			if err != nil {
				t.Fatal(err)
			}
			handles = append(handles, h)
		}
		if _, err := p.a.Open(p.now, ModeUDP); n == DefaultOpening && !errors.Is(err, ErrTooManyOpening) {
			t.Errorf("one more: %v", err)
		}
		if n < DefaultOpening {
			p.a.CloseChannel(p.now, p.a.slots[n].handle, ReasonNone)
		}
		p.give(p.b, p.only(p.a)) // the first
		p.give(p.a, p.only(p.b)) // the second
		p.give(p.b, p.only(p.a)) // the third
		if got := p.b.Stats().Channels; got != n || len(handles) != n || p.b.ControlPending() {
			t.Errorf("%d channels of %d", got, n)
		}
		for _, h := range handles { // and data may follow at once
			p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("early")))
		}
		if got := p.units(p.b); len(got) != n {
			t.Errorf("%d units of %d", len(got), n)
		}
	}
}

// TestCrossedWires lets both sides open channels with the same first half, and
// then carries data on both, in both directions (C-1).
func TestCrossedWires(t *testing.T) {
	p := newPair(t, Limits{})
	p.a.half1, p.b.half1, p.a.half2, p.b.half2 = 0x1233, 0x1233, 0x1233, 0x1233
	ha, _ := p.a.Open(p.now, ModeTCP)
	hb, _ := p.b.Open(p.now, ModeTCP)
	p.settle()
	if p.a.State(ha) != Established || p.b.State(hb) != Established {
		t.Fatalf("%v and %v", p.a.State(ha), p.b.State(hb))
	}
	var ids []ID
	var far []Handle // at b, of a's channel; at a, of b's channel
	for _, m := range []*Mux{p.b, p.a} {
		for e, ok := m.PollEvent(); ok; e, ok = m.PollEvent() {
			ids = append(ids, e.ID)
			if e.ByPeer {
				far = append(far, e.Handle)
			}
		}
	}
	for _, id := range ids {
		if id != 0x12341234 {
			t.Fatalf("ids %v do not cross", ids)
		}
	}
	for i, send := range []struct {
		from, to *Mux
		h        Handle
	}{{p.a, p.b, ha}, {p.a, p.b, far[1]}, {p.b, p.a, hb}, {p.b, p.a, far[0]}} {
		p.give(send.to, send.from.AppendSegment(nil, send.h, Whole, unit(i, 20)))
		if got := p.units(send.to); len(got) != 1 || got[0] != string(unit(i, 20)) {
			t.Errorf("case %d: %q", i, got)
		}
	}
	p.a.CloseChannel(p.now, ha, ReasonIdle)
	p.settle()
	if p.b.State(far[0]) != Closed || p.b.State(hb) != Established || p.a.State(far[1]) != Established {
		t.Error("the close met the wrong one of the two")
	}
}

// TestRepeats delivers every handshake message again at every later point: the
// outcome is the same (C-3).
func TestRepeats(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.a.Open(p.now, ModeTCP)
	seq := uint32(100)
	again := func(m *Mux, b []byte) { seq++; p.give(m, renumber(b, seq)) }

	newMsg := p.only(p.a)
	p.give(p.b, newMsg)
	ack := p.only(p.b)
	again(p.b, newMsg)
	ack2 := p.only(p.b) // another id: the responder kept nothing
	p.give(p.a, ack)
	again(p.a, ack)
	again(p.a, ack2)
	if s := p.a.Stats(); s.RepeatedMessage != 2 {
		t.Errorf("repeats of ACKNOWLEDGE: %+v", s)
	}
	fin := p.only(p.a)
	p.give(p.b, fin)
	opened := lastEvent(t, p.b)
	again(p.b, fin)
	again(p.b, newMsg)
	same := p.only(p.b) // NEW for an established c1 gets the same id again
	if id := ID(binary.BigEndian.Uint32(same[SegmentHeaderLen+1:])); id != opened.ID {
		t.Errorf("NEW again: id %v, was %v", id, opened.ID)
	}
	p.a.OnControlDelivered(p.now, 1)
	again(p.a, same)
	again(p.a, ack)
	if p.a.State(h) != Established || p.b.State(opened.Handle) != Established {
		t.Errorf("%v and %v", p.a.State(h), p.b.State(opened.Handle))
	}
	if s := p.b.Stats(); s.Opened != 1 || s.RepeatedMessage != 2 || s.Channels != 1 {
		t.Errorf("at the responder: %+v", s)
	}

	// Differing capabilities in the second FINALIZE: ignored and counted.
	fin[len(fin)-1] = byte(ModeUDP)
	again(p.b, fin)
	// Another id under the same c1: stale.
	binary.BigEndian.PutUint32(fin[SegmentHeaderLen+1:], uint32(opened.ID)^1)
	again(p.b, fin)
	if s := p.b.Stats(); s.CapsIgnored != 1 || s.StaleMessages != 1 || s.Channels != 1 {
		t.Errorf("at the responder: %+v", s)
	}
	p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("still in order")))
	if got := p.units(p.b); len(got) != 1 {
		t.Errorf("data after the repeats: %q", got)
	}
	// Repeats that even carry their old number are segments seen before.
	before := p.b.Stats().Duplicates
	p.give(p.b, newMsg)
	if p.b.Stats().Duplicates != before+1 || p.b.ControlPending() {
		t.Error("a repeated control segment was processed")
	}
}

// TestWrongCookies alters cookies in every message: dropped and counted, and
// the real one still works afterwards (C-3).
func TestWrongCookies(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.a.Open(p.now, ModeTCP)
	p.give(p.b, p.only(p.a))
	ack := p.only(p.b)
	for bit := range 8 * cookieLen {
		bad := renumber(ack, uint32(1000+bit))
		bad[SegmentHeaderLen+5+bit/8] ^= 1 << (bit % 8)
		p.give(p.a, bad)
	}
	if s := p.a.Stats(); s.WrongCookies != 8*cookieLen || p.a.State(h) != Opening || p.a.ControlPending() {
		t.Fatalf("forged ACKNOWLEDGE: %v, %+v", p.a.State(h), s)
	}
	for i, c1 := range []uint16{1, 0xffff} { // nobody asked for these
		p.give(p.a, segment(uint32(2000+i), appendMessage(nil, &message{kind: typeAcknowledge, id: makeID(c1, 1)})))
	}
	if s := p.a.Stats(); s.StaleMessages != 2 {
		t.Errorf("unasked ACKNOWLEDGE: %+v", s)
	}
	p.give(p.a, renumber(ack, 3000))
	fin := p.only(p.a)
	for bit := range 8 * (4 + cookieLen) { // id and cookie
		bad := renumber(fin, uint32(4000+bit))
		bad[SegmentHeaderLen+1+bit/8] ^= 1 << (bit % 8)
		if err := p.b.HandleSegments(p.now, bad); err != nil && !errors.Is(err, ErrID) {
			t.Fatal(err)
		}
	}
	if s := p.b.Stats(); s.WrongCookies < 8*cookieLen || s.Channels != 0 || len(p.b.slots) != 0 || p.b.ControlPending() {
		t.Fatalf("forged FINALIZE: %+v", s)
	}
	p.give(p.b, renumber(fin, 5000))
	if e := lastEvent(t, p.b); e.Kind != EventOpened {
		t.Errorf("the real FINALIZE: %+v", e)
	}
}

// TestStaleCookies delivers messages long after they were made.
func TestStaleCookies(t *testing.T) {
	p := newPair(t, Limits{HandshakeTimeout: maxDuration})
	h, _ := p.a.Open(p.now, ModeTCP)
	p.give(p.b, p.only(p.a))
	ack := p.only(p.b)
	p.give(p.a, ack)
	fin := p.only(p.a)

	p.now = p.now.Add(2*cookieStep + time.Second)
	p.give(p.b, fin)
	if s := p.b.Stats(); s.WrongCookies != 1 || s.Channels != 0 {
		t.Fatalf("FINALIZE after two steps: %+v", s)
	}
	// The opener takes its delivery for success, so data comes: the responder
	// says that it knows no such channel, once.
	p.a.OnControlDelivered(p.now, 1)
	for range 3 {
		p.give(p.b, p.a.AppendSegment(nil, h, Whole, []byte("lost")))
	}
	if s := p.b.Stats(); s.UnknownChannel != 3 {
		t.Errorf("data for no channel: %+v", s)
	}
	p.give(p.a, p.only(p.b))
	if e := lastEvent(t, p.a); e.Kind != EventClosed || e.Reason != ReasonUnknown || !e.ByPeer || p.a.State(h) != Closed {
		t.Errorf("at the opener: %+v", e)
	}

	h, _ = p.a.Open(p.now, ModeTCP)
	newMsg := p.only(p.a)
	p.give(p.b, newMsg)
	ack = p.only(p.b)
	p.now = p.now.Add(2 * secretLifetime)
	p.give(p.a, ack)
	if s := p.a.Stats(); s.WrongCookies != 1 || p.a.State(h) != Opening {
		t.Errorf("ACKNOWLEDGE after two secrets: %v, %+v", p.a.State(h), s)
	}
}

// TestTimeouts loses everything after a point: three tries, twice as far apart
// each time, then the end (C-3).
func TestTimeouts(t *testing.T) {
	for _, finalizing := range []bool{false, true} {
		t.Run(fmt.Sprintf("finalizing=%v", finalizing), func(t *testing.T) {
			p := newPair(t, Limits{HandshakeTimeout: time.Second})
			h, _ := p.a.Open(p.now, ModeTCP)
			kind := byte(typeNew)
			if finalizing {
				p.give(p.b, p.only(p.a))
				p.give(p.a, p.only(p.b))
				kind = typeFinalize
			}
			for try, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
				if s := p.only(p.a); s[SegmentHeaderLen] != kind {
					t.Fatalf("try %d: %x", try, s)
				}
				if got := p.a.Deadline(); !got.Equal(p.now.Add(wait)) {
					t.Fatalf("try %d waits %v, want %v", try, got.Sub(p.now), wait)
				}
				p.a.HandleTimeout(p.now) // too early: nothing
				p.a.HandleTimeout(p.now.Add(wait - 1))
				if p.a.ControlPending() {
					t.Fatalf("try %d: repeated too early", try)
				}
				p.now = p.now.Add(wait)
				p.a.HandleTimeout(p.now)
				if d := p.a.Deadline(); !d.IsZero() && !d.After(p.now) {
					t.Fatalf("the deadline %v is not after now", d)
				}
			}
			e := lastEvent(t, p.a)
			if e.Kind != EventRefused || e.Reason != ReasonTimeout || e.ByPeer || p.a.State(h) != Closed {
				t.Errorf("at the end: %+v", e)
			}
			if !p.a.Deadline().IsZero() {
				t.Error("a deadline is left")
			}
			// A peer that may have got FINALIZE hears of the end.
			if got := p.a.ControlPending(); got != finalizing {
				t.Errorf("CLOSE pending: %v", got)
			}
		})
	}
}

// TestLateFinalize: CLOSE overtakes the FINALIZE of its channel, which must
// not bring the channel to life any more.
func TestLateFinalize(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.a.Open(p.now, ModeTCP)
	p.give(p.b, p.only(p.a))
	p.give(p.a, p.only(p.b))
	fin := p.only(p.a)
	p.a.CloseChannel(p.now, h, ReasonIdle)
	if e := lastEvent(t, p.a); e.Kind != EventRefused || e.Reason != ReasonIdle {
		t.Errorf("%+v", e)
	}
	p.give(p.b, p.only(p.a))
	p.give(p.b, fin)
	if s := p.b.Stats(); s.Channels != 0 || s.StaleMessages != 2 || p.b.ControlPending() {
		t.Errorf("%+v", s)
	}
}

// TestCloseEarly closes a channel at each point of its handshake. Nothing that
// makes no sense any more is sent, and slots come back.
func TestCloseEarly(t *testing.T) {
	p := newPair(t, Limits{Channels: 1})
	for range 5 { // before NEW is sent
		h, err := p.a.Open(p.now, ModeTCP)
		if err != nil {
			t.Fatal(err)
		}
		p.a.CloseChannel(p.now, h, ReasonNone)
		p.a.CloseChannel(p.now, h, ReasonNone)
		if _, err := p.a.Open(p.now, ModeTCP); !errors.Is(err, ErrTooManyChannels) {
			t.Fatalf("the slot is free while a message waits: %v", err)
		}
		if p.a.ControlPending() {
			t.Fatal("a closed channel has something to send")
		}
	}
	h, _ := p.a.Open(p.now, ModeTCP) // before FINALIZE is sent
	p.give(p.b, p.only(p.a))
	p.give(p.a, p.only(p.b))
	p.a.CloseChannel(p.now, h, ReasonNone)
	if len(p.control(p.a)) != 0 {
		t.Error("the peer hears of a channel that it never had")
	}
	at, to := p.open(ModeTCP) // after
	p.b.CloseChannel(p.now, to, ReasonIdle)
	p.settle()
	want := Event{Kind: EventClosed, Handle: at, Capabilities: ModeTCP, Reason: ReasonIdle, ByPeer: true}
	got := lastEvent(t, p.a)
	got.ID = 0
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Handle{})); diff != "" {
		t.Error(diff)
	}
	p.open(ModeTCP)
}

// TestHandleNotReused keeps a handle over the life of its slot's next channel.
func TestHandleNotReused(t *testing.T) {
	p := newPair(t, Limits{Channels: 1})
	old, _ := p.open(ModeTCP)
	p.a.CloseChannel(p.now, old, ReasonNone)
	p.settle()
	h, _ := p.open(ModeTCP)
	if h == old || p.a.State(old) != Closed || p.a.State(h) != Established || p.a.State(Handle{}) != Closed || p.a.State(Handle{slot: 99}) != Closed {
		t.Error("handles are mixed up")
	}
	p.a.CloseChannel(p.now, old, ReasonNone)
	if p.a.State(h) != Established {
		t.Error("an old handle closes the new channel")
	}
}

// TestRefusals: offers that the responder cannot take are answered with CLOSE.
func TestRefusals(t *testing.T) {
	limited := newPair(t, Limits{Channels: 1})
	limited.b.limits.Channels = 0 // no room at the responder alone
	conflict := newPair(t, Limits{})
	for _, tt := range []struct {
		p    *pair
		want Reason
	}{{limited, ReasonLimit}, {conflict, ReasonConflict}} {
		t.Run(tt.want.String(), func(t *testing.T) {
			p := tt.p
			p.t = t
			h, _ := p.a.Open(p.now, ModeTCP)
			p.give(p.b, p.only(p.a))
			if p == conflict {
				p.b.remote.half2[p.b.half2] = struct{}{}
			}
			p.give(p.a, p.only(p.b))
			fin := p.only(p.a)
			p.give(p.b, fin)
			p.give(p.b, renumber(fin, 77)) // answered once
			p.give(p.a, p.only(p.b))
			if e := lastEvent(t, p.a); e.Kind != EventRefused || e.Reason != tt.want || !e.ByPeer || p.a.State(h) != Closed {
				t.Errorf("%+v", e)
			}
			if s := p.b.Stats(); s.Refused != 1 || s.Channels != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestResponderDataConfirms: data from the responder proves that it has
// FINALIZE, whether or not that segment is known to be delivered.
func TestResponderDataConfirms(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.a.Open(p.now, ModeUDP)
	p.give(p.b, p.only(p.a))
	p.give(p.a, p.only(p.b))
	p.give(p.b, p.only(p.a))
	to := lastEvent(t, p.b).Handle
	p.give(p.a, p.b.AppendSegment(nil, to, Whole, []byte("hello")))
	if got := p.units(p.a); p.a.State(h) != Established || len(got) != 1 || got[0] != "hello" {
		t.Errorf("%v, %q", p.a.State(h), got)
	}
}
