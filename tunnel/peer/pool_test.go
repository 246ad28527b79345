package peer

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/tunnel/flow"
)

// tcpSegment is a unit of a TCP connection whose headers can be shortened.
func tcpSegment(seq uint32, payload int) []byte {
	u := make([]byte, 1+40+payload)
	p := u[1:]
	p[0], p[8], p[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum>>16+sum))
	p[21], p[23], p[32], p[33] = 80, 81, 5<<4, 0x10
	binary.BigEndian.PutUint32(p[24:], seq)
	return u
}

// TestChannelCloses: when the channel of a flow closes with data on its way, the
// flow goes on in another, and its headers are whole again for the other end (C-6,
//
func TestChannelCloses(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	d.pass(time.Second)
	write := func(seq uint32) []byte {
		u := tcpSegment(seq, 100)
		if !d.p[0].WritePacket(d.now, bytes.Clone(u)) {
			t.Fatal("not taken")
		}
		return u
	}
	write(0)
	d.pass(100 * time.Millisecond)
	d.cut = func(from int, _ []byte) bool { return from == 0 }
	write(1_000_000) // a context that the other end does not hear of in time
	d.pass(5 * time.Millisecond)
	s := d.p[0].cur
	m := &s.pools.by[flow.Stream][channel.ModeTCP]
	closed := 0
	for i := range m.lanes {
		if m.lanes[i].own {
			s.mux.CloseChannel(d.now, m.lanes[i].h, channel.ReasonLoss)
			closed++
		}
	}
	if closed != 1 {
		t.Fatalf("%d channels of flows", closed)
	}
	d.cut = nil
	before := d.got[1]
	want := write(1_000_100)
	d.pass(500 * time.Millisecond)
	if d.got[1] <= before || !bytes.Equal(d.unit[:len(want)], want) {
		t.Errorf("%d units, the last is not as it was sent", d.got[1]-before)
	}
	if st := d.p[0].Status(); st.State != "up" || st.ChannelsClosed != 1 {
		t.Errorf("%+v", st)
	}
}

// TestIdleChannels: a flow's channel serves a new flow or closes when nothing was
// sent on it for a minute, and the flow gets another when it comes back (C-6).
func TestIdleChannels(t *testing.T) {
	d := newDuo(t, func(_ int, c *Config) { c.Keepalive = time.Second })
	d.connect()
	own := func() (n int) {
		d.p[0].cur.pools.each(func(_ flow.Class, m *pool) {
			for i := range m.lanes {
				if m.lanes[i].own {
					n++
				}
			}
		})
		return n
	}
	d.pass(time.Second)
	for i := range 30 {
		u := packet(17, 900)
		u[1+20], u[1+21] = byte(i), 7
		d.p[0].WritePacket(d.now, u)
		d.pass(50 * time.Millisecond)
	}
	if n := own(); n < 20 || n > 30 {
		t.Errorf("%d channels of flows", n)
	}
	before := d.p[0].Status().Channels
	for range 80 {
		d.now = d.now.Add(time.Second)
		d.p[0].HandleTimeout(d.now)
		d.p[1].HandleTimeout(d.now)
		d.exchange()
	}
	if n, left := own(), d.p[0].Status().Channels; n != 0 || left > before-15 {
		t.Errorf("%d channels of flows, %d of %d in all", n, left, before)
	}
	got := d.got[1]
	d.p[0].WritePacket(d.now, packet(17, 900))
	d.exchange()
	if d.got[1] != got+1 {
		t.Error("a flow that comes back waits")
	}
}

// C-6: a flow gets a channel of its own when what it sent on the first of its mode
// has arrived, but not in the middle of a symbol that already holds some of it: what
// comes after would overtake that.
func TestFlowMovesWhenNothingCanOvertake(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	d.pass(time.Second)
	s := d.p[0].cur
	m := &s.pools.by[flow.Stream][channel.ModeTCP]
	l := &m.lanes[5]
	*l = lane{h: m.base, block: s.sender.OldestBlock()} // all of it has arrived
	s.touched = append(s.touched[:0], l)
	if got := d.p[0].assign(s, m, 5); got.own || got.h != m.base {
		t.Error("moved within a symbol")
	}
	s.touched = s.touched[:0]
	l.block = s.sender.OldestBlock() + 1
	if got := d.p[0].assign(s, m, 5); got.own {
		t.Error("moved while something is on its way")
	}
	l.block = s.sender.OldestBlock()
	if got := d.p[0].assign(s, m, 5); !got.own || got.h == m.base {
		t.Error("not moved")
	}
}
