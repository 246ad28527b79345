package channel

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
)

func TestMessageVectors(t *testing.T) { // C-2
	kinds := map[string]uint8{"NEW": typeNew, "ACKNOWLEDGE": typeAcknowledge, "FINALIZE": typeFinalize, "CLOSE": typeClose}
	for _, row := range vectors(t, "messages.txt") {
		want := message{
			kind: kinds[row[0]], id: ID(hexNumber(t, row[1])), caps: Capabilities(hexNumber(t, row[4])),
			opener: row[5] == "1", reason: Reason(hexNumber(t, row[6])),
		}
		copy(want.cookie1[:], hexBytes(t, row[2]))
		copy(want.cookie2[:], hexBytes(t, row[3]))
		enc := hexBytes(t, row[7])
		if got := appendMessage([]byte("before"), &want); string(got) != "before"+string(enc) {
			t.Errorf("%v: encoded %x", row, got)
		}
		if len(enc) != messageLen(want.kind) {
			t.Errorf("%s: length %d, messageLen says %d", row[0], len(enc), messageLen(want.kind))
		}
		r := wire.NewReader(enc)
		if got, err := parseMessage(&r); err != nil || got != want || r.Len() != 0 {
			t.Errorf("%v: parsed %+v, %v", row, got, err)
		}
		for n := range enc { // truncated at every length
			r := wire.NewReader(enc[:n])
			if _, err := parseMessage(&r); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut to %d bytes: %v", row[0], n, err)
			}
		}
	}
}

func TestMessageErrors(t *testing.T) {
	zeros := strings.Repeat("\x00", 64)
	tests := []struct {
		name string
		in   string
		want error
	}{
		{"type 0", "\x00", ErrMessageType},
		{"COOKIE on channel 0", "\x0d" + zeros, ErrMessageType},
		{"type 7f", "\x7f", ErrMessageType},
		{"NEW for half 0", "\x0a" + zeros[:10], ErrID},
		{"ACKNOWLEDGE without a responder half", "\x0b\x00\x01" + zeros[:18], ErrID},
		{"FINALIZE without an initiator half", "\x0c\x00\x00\x00\x01" + zeros[:10], ErrID},
		{"CLOSE of channel 0", "\x0e" + zeros[:7], ErrID},
		{"FINALIZE with bit 3", "\x0c\x00\x01\x00\x01" + zeros[:8] + "\x00\x08", ErrCapabilities}, // C-4
		{"FINALIZE with bit 15", "\x0c\x00\x01\x00\x01" + zeros[:8] + "\x80\x00", ErrCapabilities},
		{"CLOSE by nobody", "\x0e\x00\x01\x00\x01\x02\x00\x00", ErrMessage},
		{"trailing garbage", "\x0e\x00\x01\x00\x01\x01\x00\x00\x99", ErrMessageType},
		{"trailing half message", "\x0e\x00\x01\x00\x01\x01\x00\x00\x0a", ErrTruncated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkMessages([]byte(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("checkMessages: %v, want %v", err, tt.want)
			}
			m := newMux(t, 1, Limits{})
			seg := append(appendHeader(nil, header{flags: flagsWhole}, len(tt.in)), tt.in...)
			// A good message in front must have no effect either.
			good := appendMessage(nil, &message{kind: typeNew, id: makeID(7, 0)})
			good = append(appendHeader(nil, header{flags: flagsWhole, seq: 1}, len(good)), good...)
			if err := m.HandleSegments(epoch(), append(good, seg...)); !errors.Is(err, tt.want) {
				t.Errorf("HandleSegments: %v, want %v", err, tt.want)
			}
			if m.ControlPending() || m.Stats() != (Stats{}) {
				t.Errorf("a malformed symbol had an effect: %+v", m.Stats())
			}
		})
	}
}

// TestLastSegment: the last segment of a symbol needs no length.
func TestLastSegment(t *testing.T) {
	want := header{id: 0x10001, seq: 7, flags: flagFirst | flagToEnd}
	first := append(appendHeader(nil, header{id: 0x10001, seq: 6, flags: flagLast}, 2), 1, 2)
	b := append(appendHeader(first, want, 3), 3, 4, 5)
	if len(b) != SegmentHeaderLen+2+SegmentHeaderLen-LengthLen+3 {
		t.Errorf("%d bytes", len(b))
	}
	_, _, rest, err := parseSegment(b, header{})
	if err != nil {
		t.Fatal(err)
	}
	last := rest
	h, body, rest, err := parseSegment(rest, header{})
	if err != nil || h != want || !bytes.Equal(body, []byte{3, 4, 5}) || len(rest) != 0 {
		t.Errorf("parsed %+v %x %x %v", h, body, rest, err)
	}
	for n := range SegmentHeaderLen - LengthLen {
		if _, _, _, err := parseSegment(last[:n], header{}); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// TestNextSegment: a segment that continues the one before it in its symbol has
// neither id nor number, and only such a one does without.
func TestNextSegment(t *testing.T) {
	before := header{id: 0x10001, seq: 1<<SequenceBits - 1, flags: flagLast | flagOpener}
	b := append(appendHeader(nil, header{flags: flagFirst | flagOpener | flagNext}, 2), 7, 8)
	if want := []byte{flagFirst | flagOpener | flagNext, 0, 2, 7, 8}; !bytes.Equal(b, want) || len(b) != NextSegmentHeaderLen+2 {
		t.Fatalf("encoded %x", b)
	}
	h, body, rest, err := parseSegment(b, before)
	if err != nil || h.id != before.id || h.seq != 0 || !bytes.Equal(body, []byte{7, 8}) || len(rest) != 0 {
		t.Errorf("parsed %+v %x %x %v", h, body, rest, err)
	}
	if h, _, _, err := parseSegment(b, h); err != nil || h.seq != 1 {
		t.Errorf("the one after it: %+v %v", h, err)
	}
	for name, wrong := range map[string]header{
		"none": {}, "channel 0": {flags: flagsWhole}, "COOKIE": {id: 0x10001, flags: flagsWhole | flagOpener | flagCookie},
		"the other direction": {id: 0x10001, flags: flagsWhole},
	} {
		if _, _, _, err := parseSegment(b, wrong); !errors.Is(err, ErrFlags) {
			t.Errorf("behind %s: %v", name, err)
		}
	}
	b[0] |= flagCookie
	if _, _, _, err := parseSegment(b, before); !errors.Is(err, ErrFlags) {
		t.Errorf("a COOKIE: %v", err)
	}
}

func TestSegmentVectors(t *testing.T) {
	for _, row := range vectors(t, "segments.txt") {
		want := header{
			id: ID(hexNumber(t, row[0])), seq: uint32(hexNumber(t, row[1])), flags: uint8(hexNumber(t, row[2])),
		}
		body, enc := hexBytes(t, row[3]), hexBytes(t, row[4])
		if got := append(appendHeader(nil, want, len(body)), body...); !bytes.Equal(got, enc) {
			t.Errorf("%v: encoded %x", row, got)
		}
		h, got, rest, err := parseSegment(append(enc, "rest"...), header{})
		if err != nil || h != want || !bytes.Equal(got, body) || string(rest) != "rest" {
			t.Errorf("%v: parsed %+v %x %x %v", row, h, got, rest, err)
		}
		for n := range enc { // truncated at every length
			if _, _, _, err := parseSegment(enc[:n], header{}); !errors.Is(err, ErrTruncated) {
				t.Errorf("%v cut to %d bytes: %v", row, n, err)
			}
		}
	}
}

func TestSegmentErrors(t *testing.T) {
	tests := []struct {
		name string
		h    header
		n    int
		want error
	}{
		{"unknown flag", header{id: 0x10001, flags: 64}, 1, ErrFlags},
		{"next without one before", header{flags: flagsWhole | flagNext}, 1, ErrFlags},
		{"no length and no bytes", header{id: 0x10001, flags: flagsWhole | flagToEnd}, 0, ErrEmptySegment},
		{"channel 0 without a length", header{flags: flagsWhole | flagToEnd}, 1, ErrControlSegment},
		{"high flag", header{id: 0x10001, flags: 0x80}, 1, ErrFlags},
		{"empty", header{id: 0x10001, flags: flagsWhole}, 0, ErrEmptySegment},
		{"empty on channel 0", header{flags: flagsWhole}, 0, ErrEmptySegment},
		{"channel 0, first only", header{flags: flagFirst}, 1, ErrControlSegment},
		{"channel 0 with an opener", header{flags: flagsKnown &^ flagNext}, 1, ErrControlSegment},
		{"no initiator half", header{id: 1, flags: flagsWhole}, 1, ErrID},
		{"no responder half", header{id: 0x10000, flags: flagsWhole}, 1, ErrID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := append(appendHeader(nil, tt.h, tt.n), make([]byte, tt.n)...)
			if err := newMux(t, 1, Limits{}).HandleSegments(epoch(), b); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if err := newMux(t, 1, Limits{}).HandleSegments(epoch(), nil); err != nil {
		t.Errorf("an empty symbol: %v", err)
	}
}

// TestSymbolTruncated cuts a symbol of several segments at every length: only a
// cut between segments is acceptable, every other one changes nothing.
func TestSymbolTruncated(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeTCP)
	_, err := p.a.Open(p.now, ModeUDP)
	if err != nil {
		t.Fatal(err)
	}
	symbol, _, _ := p.a.AppendControl(nil, 1200)
	ends := map[int]bool{0: true, len(symbol): true}
	for i := range 3 {
		at := Whole
		if p.a.Follows(h) {
			at |= Next
		} else if i > 0 {
			t.Errorf("segment %d does not follow", i)
		}
		symbol = p.a.AppendSegment(symbol, h, at, unit(i, 10*i+1))
		ends[len(symbol)] = true
	}
	before := p.b.Stats()
	for n := range symbol {
		if ends[n] {
			continue
		}
		if err := p.b.HandleSegments(p.now, symbol[:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if diff := cmp.Diff(before, p.b.Stats()); diff != "" {
		t.Errorf("truncated symbols had an effect:\n%s", diff)
	}
	p.give(p.b, symbol)
	if got := p.units(p.b); len(got) != 3 {
		t.Errorf("the whole symbol gave %d units", len(got))
	}
}

func TestIDHalves(t *testing.T) { // C-1
	id := makeID(0xbeef, 0xd00d)
	if id != 0xbeefd00d || id.Initiator() != 0xbeef || id.Responder() != 0xd00d || id.String() != "beef:d00d" {
		t.Errorf("id %v", id)
	}
}

func TestCapabilities(t *testing.T) { // C-4
	tests := []struct {
		caps  Capabilities
		value uint16
		name  string
	}{
		{ModeUDP, 0, "UDP"},
		{ModeZ, 1, "Z"},
		{ModeStreaming1, 2, "Streaming 1"},
		{ModeStreaming2, 3, "Streaming 2"},
		{ModeX, 4, "X"},
		{ModeSCTP, 5, "SCTP"},
		{ModeY, 6, "Y"},
		{ModeTCP, 7, "TCP"},
	}
	for _, tt := range tests {
		if uint16(tt.caps) != tt.value || tt.caps.String() != tt.name || !tt.caps.Valid() {
			t.Errorf("%v: value %d", tt.caps, tt.caps)
		}
		if _, err := newMux(t, 1, Limits{}).Open(epoch(), tt.caps); err != nil {
			t.Errorf("Open(%v): %v", tt.caps, err)
		}
	}
	c := Capabilities(8)
	if _, err := newMux(t, 1, Limits{}).Open(epoch(), c); !errors.Is(err, ErrMode) || c.Valid() || c.String() != "capabilities(0x0008)" {
		t.Errorf("bit 3: %v, %v", c, err)
	}
}

// FuzzMessage: an authenticated peer may put anything into a control segment.
// What parses must encode to the same bytes; nothing may panic or be read
// beyond the end.
func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, &message{kind: typeNew, id: makeID(1, 0)}))
	f.Add(appendMessage(nil, &message{kind: typeAcknowledge, id: makeID(1, 2)}))
	f.Add(appendMessage(nil, &message{kind: typeFinalize, id: makeID(1, 2), caps: ModeTCP}))
	f.Add(appendMessage(nil, &message{kind: typeClose, id: makeID(1, 2), opener: true, reason: ReasonLimit}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		var again []byte
		for r.Len() > 0 {
			m, err := parseMessage(&r)
			if err != nil {
				if checkMessages(b) == nil {
					t.Fatal("checkMessages disagrees with parseMessage")
				}
				return
			}
			again = appendMessage(again, &m)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x parses and encodes to %x", b, again)
		}
	})
}

// FuzzSegments: an authenticated peer may put anything into a symbol. What
// check accepts must split into segments that encode to the same bytes, and a
// Mux must accept exactly what check accepts.
func FuzzSegments(f *testing.F) {
	one := append(appendHeader(nil, header{id: 0x10001, flags: flagFirst}, 2), 1, 2)
	f.Add(one)
	f.Add(append(appendHeader(bytes.Clone(one), header{flags: flagLast | flagNext}, 1), 3))
	f.Add(append(appendHeader(nil, header{flags: flagsWhole}, closeLen), appendMessage(nil, &message{kind: typeClose, id: makeID(1, 2)})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, want := check(b, header{})
		m := newMux(t, 1, Limits{})
		if err := m.HandleSegments(epoch(), b); !errors.Is(err, want) {
			t.Fatalf("HandleSegments: %v, check: %v", err, want)
		}
		checkMux(t, m)
		if want != nil {
			return
		}
		var again []byte
		before := header{}
		for rest := b; len(rest) > 0; {
			h, body, next, err := parseSegment(rest, before)
			if err != nil {
				t.Fatal(err)
			}
			again = append(appendHeader(again, h, len(body)), body...)
			rest, before = next, h
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x", b, again)
		}
	})
}
