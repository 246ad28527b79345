package channel

import (
	"encoding/binary"
	"runtime"
	"testing"
)

// TestNewFlood sends a million NEW: the responder's memory does not grow (C-3).
func TestNewFlood(t *testing.T) {
	m := newMux(t, 2, Limits{})
	b := segment(0, appendMessage(nil, &message{kind: typeNew, id: makeID(1, 0)}))
	seq := uint32(0)
	flood := func(n int) {
		for i := range n {
			seq++
			putSequence(b, seq)
			binary.BigEndian.PutUint16(b[SegmentHeaderLen+1:], uint16(i%0xffff+1))
			if err := m.HandleSegments(epoch(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood(10_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	flood(1_000_000)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
		t.Errorf("a million NEW allocated %d bytes", grown)
	}
	if s := m.Stats(); s.RepliesDropped != 1_010_000-maxReplies || s.Channels != 0 || len(m.slots) != 0 {
		t.Errorf("%+v", s)
	}
	checkMux(t, m)
	sent := 0
	for out, _, ok := m.AppendControl(nil, 1200); ok; out, _, ok = m.AppendControl(nil, 1200) {
		sent += (len(out) - SegmentHeaderLen) / acknowledgeLen
	}
	if sent != maxReplies {
		t.Errorf("%d answers", sent)
	}
}

// TestControlRoom packs messages into less room than they need.
func TestControlRoom(t *testing.T) {
	p := newPair(t, Limits{})
	for range 3 {
		if _, err := p.a.Open(p.now, ModeTCP); err != nil {
			t.Fatal(err)
		}
	}
	for room := -1; room < SegmentHeaderLen+newLen; room++ {
		if out, _, ok := p.a.AppendControl([]byte("dst"), room); ok || string(out) != "dst" {
			t.Fatalf("room %d: %q", room, out)
		}
	}
	for i, room := range []int{SegmentHeaderLen + newLen, SegmentHeaderLen + 2*newLen - 1} {
		out, seq, ok := p.a.AppendControl([]byte("dst"), room)
		if !ok || len(out) != 3+SegmentHeaderLen+newLen || int(seq) != i {
			t.Errorf("room %d: %d bytes, segment %d", room, len(out), seq)
		}
	}
	if out, _, ok := p.a.AppendControl(nil, 1<<20); !ok || len(out) != SegmentHeaderLen+newLen || p.a.ControlPending() {
		t.Errorf("the last: %d bytes", len(out))
	}
}

// TestControlSkips sends past messages of channels that have closed.
func TestControlSkips(t *testing.T) {
	p := newPair(t, Limits{})
	gone, _ := p.a.Open(p.now, ModeTCP)
	kept, _ := p.a.Open(p.now, ModeUDP)
	p.a.CloseChannel(p.now, gone, ReasonNone)
	out, _, ok := p.a.AppendControl(nil, 1200)
	if !ok || len(out) != SegmentHeaderLen+newLen || p.a.ControlPending() {
		t.Fatalf("%x", out)
	}
	p.give(p.b, out)
	p.settle()
	if p.a.State(kept) != Established || p.a.State(gone) != Closed || p.a.local.slots != 1 {
		t.Errorf("%v and %v", p.a.State(kept), p.a.State(gone))
	}
}

// TestResumeViolation: what waits for room in the ready queue turns out to be
// nonsense when ReadUnit gets to it.
func TestResumeViolation(t *testing.T) {
	p := newPair(t, Limits{})
	at, to := p.open(ModeTCP)
	for range maxReady {
		p.giveFast(p.b, p.a.AppendSegment(nil, at, Whole, []byte{1}))
	}
	bad := header{id: p.a.lookup(at).id, seq: maxReady, flags: flagOpener}
	p.give(p.b, append(appendHeader(nil, bad, 1), 1))
	if p.b.State(to) != Established {
		t.Fatal("closed before its turn")
	}
	if got := p.units(p.b); len(got) != maxReady || p.b.State(to) != Closed {
		t.Errorf("%d units, %v", len(got), p.b.State(to))
	}
	if e := lastEvent(t, p.b); e.Reason != ReasonFraming || p.b.Stats().Buffered != 0 {
		t.Errorf("%+v", e)
	}
}
