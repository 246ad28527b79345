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
	flood := func(n int) {
		for i := range n {
			binary.BigEndian.PutUint32(b[5:], binary.BigEndian.Uint32(b[5:])+1)
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
