package peer

import (
	"errors"
	"testing"
	"time"

	"github.com/totg/totg/channel"
)

// newUnitsDuo connects two peers that carry a program's units.
func newUnitsDuo(t *testing.T) *duo {
	t.Helper()
	d := newDuo(t, func(_ int, c *Config) { c.Units = true })
	d.connect()
	return d
}

// open opens a channel and returns its name at both ends.
func (d *duo) open(o ChannelOptions) (a, b ChannelID) {
	d.tb.Helper()
	a, err := d.p[0].OpenChannel(d.now, o)
	if err != nil {
		d.tb.Fatal(err)
	}
	if err := d.p[0].WriteUnit(d.now, a, []byte{1}, 0); !errors.Is(err, ErrNotReady) {
		d.tb.Errorf("before the peer answered: %v", err)
	}
	d.pass(20 * time.Millisecond)
	e, ok := d.p[1].PollChannelEvent()
	if !ok || e.Kind != channel.EventOpened || !e.ByPeer || e.Capabilities != o.Capabilities {
		d.tb.Fatalf("%v %+v", ok, e)
	}
	if e, ok := d.p[0].PollChannelEvent(); !ok || e.Kind != channel.EventOpened || e.Channel != a {
		d.tb.Fatalf("%v %+v", ok, e)
	}
	return a, e.Channel
}

// TestUnits: a program's channels carry what it writes, and nothing is an inner
// packet. // C-4
func TestUnits(t *testing.T) {
	d := newUnitsDuo(t)
	for caps := range channel.ModeTCP + 1 {
		a, b := d.open(ChannelOptions{Capabilities: caps, Interactive: caps == channel.ModeZ})
		for i, from := range []ChannelID{a, b} {
			if err := d.p[i].WriteUnit(d.now, from, []byte{byte(caps), byte(i)}, 0); err != nil {
				t.Fatal(err)
			}
			if d.p[i].Delivered(from) {
				t.Errorf("%v: delivered before it was sent", caps)
			}
			d.pass(20 * time.Millisecond)
			id, n, ok := d.p[1-i].ReadUnit(d.unit[:])
			if want := []ChannelID{b, a}[i]; !ok || n != 2 || d.unit[0] != byte(caps) || d.unit[1] != byte(i) || id != want {
				t.Fatalf("%v: %v %d bytes on %v", caps, ok, n, id)
			}
			d.pass(time.Second)
			if !d.p[i].Delivered(from) {
				t.Errorf("%v: not delivered", caps)
			}
		}
	}
	if d.p[0].WritePacket(d.now, packet(17, 100)) {
		t.Error("an inner packet was taken")
	}
	if _, ok := d.p[0].ReadPacket(d.unit[:]); ok {
		t.Error("an inner packet came")
	}
}

// TestUnitErrors: each mistake has its error and changes nothing.
func TestUnitErrors(t *testing.T) {
	d := newDuo(t, func(_ int, c *Config) { c.Units = true })
	if _, err := d.p[0].OpenChannel(d.now, ChannelOptions{}); !errors.Is(err, ErrNoSession) {
		t.Errorf("without a session: %v", err)
	}
	if err := d.p[0].WriteUnit(d.now, ChannelID{}, []byte{1}, 0); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("without a channel: %v", err)
	}
	if _, _, ok := d.p[0].ReadUnit(d.unit[:]); ok || !d.p[0].Delivered(ChannelID{}) {
		t.Error("something is there")
	}
	d.connect()
	a, _ := d.open(ChannelOptions{Capabilities: channel.ModeTCP})
	for _, c := range []struct {
		unit     []byte
		deadline time.Duration
		want     error
	}{{nil, 0, ErrUnit}, {make([]byte, channel.MaxUnit+1), 0, ErrUnit}, {[]byte{1}, 1, ErrDeadline}} {
		if err := d.p[0].WriteUnit(d.now, a, c.unit, c.deadline); !errors.Is(err, c.want) {
			t.Errorf("%d bytes: %v, want %v", len(c.unit), err, c.want)
		}
	}
	plain := newDuo(t, nil)
	plain.connect()
	if _, err := plain.p[0].OpenChannel(plain.now, ChannelOptions{}); !errors.Is(err, ErrNoSession) {
		t.Errorf("of a tunnel: %v", err)
	}
}

// TestUnitsKept: what the queue took for a reliable channel arrives, however much
// others write; what finds no room is refused.
func TestUnitsKept(t *testing.T) {
	d := newUnitsDuo(t)
	a, _ := d.open(ChannelOptions{Capabilities: channel.ModeTCP})
	z, _ := d.open(ChannelOptions{Capabilities: channel.ModeZ})
	unit := make([]byte, 9000)
	taken := 0
	for full := false; !full; {
		switch err := d.p[0].WriteUnit(d.now, a, unit, 0); {
		case errors.Is(err, ErrQueueFull):
			full = true
		case err != nil:
			t.Fatal(err)
		default:
			taken++
		}
	}
	if err := d.p[0].WriteUnit(d.now, z, unit, 0); !errors.Is(err, ErrQueueFull) {
		t.Errorf("beyond the limit: %v", err)
	}
	arrived := 0
	for range 4000 {
		d.pass(time.Millisecond)
		for {
			if _, _, ok := d.p[1].ReadUnit(d.unit[:]); !ok {
				break
			}
			arrived++
		}
	}
	if arrived != taken {
		t.Errorf("%d units of %d arrived", arrived, taken)
	}
}

// TestUnitsOfClosed: what waits for a channel that closed is dropped and holds up
// nothing, and a session that ends takes its channels with it.
func TestUnitsOfClosed(t *testing.T) {
	d := newUnitsDuo(t)
	a, _ := d.open(ChannelOptions{Capabilities: channel.ModeTCP})
	b, _ := d.open(ChannelOptions{Capabilities: channel.ModeTCP})
	for range 20 {
		for _, id := range []ChannelID{a, b} {
			if err := d.p[0].WriteUnit(d.now, id, make([]byte, 5000), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.p[0].CloseChannel(d.now, a, channel.ReasonIdle)
	if e, ok := d.p[0].PollChannelEvent(); !ok || e.Kind != channel.EventClosed || e.Channel != a || e.Reason != channel.ReasonIdle {
		t.Errorf("%v %+v", ok, e)
	}
	d.pass(time.Second)
	arrived := 0
	for {
		id, _, ok := d.p[1].ReadUnit(d.unit[:])
		if !ok {
			break
		}
		_ = id
		arrived++
	}
	if arrived < 20 || arrived > 21 || d.p[0].Status().QueueBytes != 0 {
		t.Errorf("%d units arrived, %d bytes wait", arrived, d.p[0].Status().QueueBytes)
	}
	if err := d.p[0].WriteUnit(d.now, a, []byte{1}, 0); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("on a closed channel: %v", err)
	}
	d.p[0].Close(d.now, CloseNormal)
	d.pass(20 * time.Millisecond)
	closed := 0
	for {
		e, ok := d.p[1].PollChannelEvent()
		if !ok {
			break
		}
		if e.Kind == channel.EventClosed {
			closed++
		}
	}
	if closed != 2 {
		t.Errorf("%d channels closed at the other end", closed)
	}
}
