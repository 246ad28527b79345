package channel

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// early brings a channel of a to Finalizing: its id is known, FINALIZE waits.
func early(t *testing.T, caps Capabilities) (p *pair, h Handle) {
	t.Helper()
	p = newPair(t, Limits{})
	h, err := p.a.Open(p.now, caps)
	if err != nil {
		t.Fatal(err)
	}
	p.give(p.b, p.only(p.a))
	p.give(p.a, p.only(p.b))
	return p, h
}

// TestEarlyData: after ACKNOWLEDGE the opener sends at once; COOKIE opens the
// channel before the data behind it, however the symbols arrive, and stops when
// the peer shows that it has the channel (C-2).
func TestEarlyData(t *testing.T) {
	p, h := early(t, ModeTCP)
	if !p.a.CanSend(h) || p.a.Overhead(h) != SegmentHeaderLen+EarlySegmentLen {
		t.Fatalf("in %v: %v, %d", p.a.State(h), p.a.CanSend(h), p.a.Overhead(h))
	}
	one := p.a.AppendSegment(nil, h, Whole, []byte("one"))
	two := p.a.AppendSegment(nil, h, Whole, []byte("two"))
	if len(one) != p.a.Overhead(h)+3 {
		t.Errorf("%d bytes", len(one))
	}
	p.give(p.b, two)
	p.give(p.b, one)
	if got := p.units(p.b); len(got) != 2 || got[0] != "one" {
		t.Fatalf("%q", got)
	}
	to := lastEvent(t, p.b)
	if to.Kind != EventOpened || to.Capabilities != ModeTCP || !to.ByPeer {
		t.Fatalf("%+v", to)
	}
	p.give(p.b, p.only(p.a)) // FINALIZE is a repeat now
	if s := p.b.Stats(); s.Channels != 1 || s.Opened != 1 || s.RepeatedMessage != 2 {
		t.Errorf("%+v", s)
	}
	p.give(p.a, p.b.AppendSegment(nil, to.Handle, Whole, []byte("answer")))
	if p.a.State(h) != Established || p.a.Overhead(h) != SegmentHeaderLen {
		t.Error("the peer's data does not confirm")
	}
	if got := p.a.AppendSegment(nil, h, Whole, []byte("three")); got[0]&flagCookie != 0 {
		t.Error("COOKIE goes on")
	}
}

// TestEarlyAfterFinalize: COOKIE behind FINALIZE is a repeat, and capabilities
// that differ are ignored and counted (C-3).
func TestEarlyAfterFinalize(t *testing.T) {
	p, h := early(t, ModeZ)
	p.give(p.b, p.only(p.a))
	b := p.a.AppendSegment(nil, h, Whole, []byte("data"))
	other := bytes.Clone(b)
	other[EarlySegmentLen-1] = byte(ModeTCP)
	p.give(p.b, b)
	p.give(p.b, other)
	if s := p.b.Stats(); s.Channels != 1 || s.RepeatedMessage != 1 || s.CapsIgnored != 1 || s.UnitsDelivered != 0 {
		t.Errorf("%+v", s)
	}
	if got := p.units(p.b); len(got) != 1 || p.b.slots[0].caps != ModeZ {
		t.Errorf("%q", got)
	}
}

// TestEarlyWrongCookies: no spoofed, altered, old or misplaced COOKIE opens a
// channel, and its data is dropped (C-3).
func TestEarlyWrongCookies(t *testing.T) {
	refused := func(p *pair, b []byte) {
		t.Helper()
		before := p.b.Stats()
		p.give(p.b, b)
		s := p.b.Stats()
		if s.Channels != before.Channels || s.WrongCookies != before.WrongCookies+1 || s.UnknownChannel != before.UnknownChannel+1 || len(p.units(p.b)) != 0 {
			t.Errorf("%x: %+v", b, s)
		}
	}
	for bit := range 8 * cookieLen { // altered
		p, h := early(t, ModeTCP)
		b := p.a.AppendSegment(nil, h, Whole, []byte("data"))
		b[SegmentHeaderLen+1+bit/8] ^= 1 << (bit % 8)
		refused(p, b)
	}
	for _, at := range []int{2, 4} { // for another id
		p, h := early(t, ModeTCP)
		b := p.a.AppendSegment(nil, h, Whole, []byte("data"))
		b[at] ^= 0x40
		b[EarlySegmentLen+at] ^= 0x40
		refused(p, b)
	}
	stale, h := early(t, ModeTCP)
	b := stale.a.AppendSegment(nil, h, Whole, []byte("data"))
	stale.now = stale.now.Add(2*cookieStep + time.Second)
	refused(stale, b)

	closed, h := early(t, ModeTCP) // after the channel is over
	b = closed.a.AppendSegment(nil, h, Whole, []byte("data"))
	closed.give(closed.b, b)
	closed.units(closed.b)
	closed.b.CloseChannel(closed.now, closed.b.slots[0].handle, ReasonIdle)
	closed.give(closed.b, b)
	if s := closed.b.Stats(); s.Channels != 0 || s.StaleMessages != 1 || s.UnknownChannel != 1 {
		t.Errorf("after the close: %+v", s)
	}
}

// TestCookieErrors: what no correct peer sends changes nothing.
func TestCookieErrors(t *testing.T) {
	p, h := early(t, ModeTCP)
	good := p.a.AppendSegment(nil, h, Whole, []byte("data"))[:EarlySegmentLen]
	id := ID(0x10001)
	body := good[SegmentHeaderLen:]
	build := func(h header, body []byte) []byte { return append(appendHeader(nil, h, len(body)), body...) }
	with := func(at int, v byte) []byte {
		b := bytes.Clone(body)
		b[at] = v
		return b
	}
	const flags = flagCookie | flagOpener
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"on channel 0":     {build(header{flags: flags}, body), ErrControlSegment},
		"half an id":       {build(header{id: 7, flags: flags}, body), ErrID},
		"by the responder": {build(header{id: id, flags: flagCookie}, body), ErrMessage},
		"piece of a unit":  {build(header{id: id, flags: flags | flagFirst}, body), ErrMessage},
		"to the end":       {build(header{id: id, flags: flags | flagToEnd}, body), ErrMessage},
		"with a number":    {build(header{id: id, flags: flags, seq: 1}, body), ErrMessage},
		"too long":         {build(header{id: id, flags: flags}, append(bytes.Clone(body), 0)), ErrMessage},
		"too short":        {build(header{id: id, flags: flags}, body[:cookieMessageLen-1]), ErrTruncated},
		"another message":  {build(header{id: id, flags: flags}, with(0, typeFinalize)), ErrMessageType},
		"bit 3":            {build(header{id: id, flags: flags}, with(cookieMessageLen-1, 8)), ErrCapabilities},
	} {
		if err := p.b.HandleSegments(p.now, append(bytes.Clone(good), tt.b...)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if p.b.Stats().Channels != 0 {
			t.Fatalf("%s: a channel", name)
		}
	}
	for n := range good[1:] {
		if err := p.b.HandleSegments(p.now, good[:n+1]); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d bytes: %v", n+1, err)
		}
	}
}

// TestCookieVector: the encoding of COOKIE in its segment, computed apart from the
// code under test.
func TestCookieVector(t *testing.T) { // C-2
	for _, row := range vectors(t, "early.txt") {
		c := &channel{id: ID(hexNumber(t, row[0])), caps: Capabilities(hexNumber(t, row[2]))}
		copy(c.cookie2[:], hexBytes(t, row[1]))
		want := hexBytes(t, row[3])
		if got := newMux(t, 1, Limits{}).appendCookie(nil, c); !bytes.Equal(got, want) {
			t.Errorf("%v: %x", row, got)
		}
		h, body, rest, err := parseSegment(want, header{})
		if err != nil || len(rest) > 0 {
			t.Fatal(err)
		}
		if msg, err := parseCookie(h, body); err != nil || msg.id != c.id || msg.cookie2 != c.cookie2 || msg.caps != c.caps {
			t.Errorf("%v: parsed %+v, %v", row, msg, err)
		}
	}
}

// TestChannels lists what is open.
func TestChannels(t *testing.T) {
	p := newPair(t, Limits{})
	at, _ := p.open(ModeSCTP)
	p.now = p.now.Add(time.Second)
	p.give(p.b, p.a.AppendSegment(nil, at, Whole, []byte("x")))
	p.give(p.b, p.a.AppendSegment(nil, at, First, []byte("x")))
	p.units(p.b)
	ours, theirs := p.a.Channels(), p.b.Channels()
	if len(ours) != 1 || ours[0].UnitsSent != 1 || ours[0].ByPeer || ours[0].Capabilities != ModeSCTP {
		t.Errorf("%+v", ours)
	}
	if len(theirs) != 1 || theirs[0].UnitsReceived != 1 || !theirs[0].ByPeer || theirs[0].Waiting != 1 || theirs[0].Age != time.Second || theirs[0].ID != ours[0].ID {
		t.Errorf("%+v", theirs)
	}
	p.a.CloseChannel(p.now, at, ReasonNone)
	if _, ok := p.a.Info(at); ok || len(p.a.Channels()) != 0 {
		t.Error("a closed channel is listed")
	}
}
