package peer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// way is one direction of a path.
type way struct {
	delay time.Duration
	loss  float64
}

// flight is a datagram on its way to host to, which is to get it at a time.
type flight struct {
	at   time.Time
	to   int
	from netip.AddrPort
	b    []byte
}

// paths is two peers that several paths join: path i leads from address i of one
// to address i of the other. All of it is virtual.
type paths struct {
	*duo
	addrs  [3][2]netip.AddrPort
	lanes  [3][2]way // by path and sender
	rng    *rand.Rand
	air    []flight
	local  netip.Addr                          // where the peers are told that datagrams come to
	spy    func(from, path int, b []byte) bool // true: lost
	seen   map[uint64]*[2]MoveState            // by number of the switch: the final state of each end
	replay string
}

func newPaths(tb testing.TB, seed uint64, change func(i int, c *Config)) *paths {
	tb.Helper()
	x := &paths{
		duo: newDuo(tb, change), rng: rand.New(rand.NewPCG(seed, 1)), seen: map[uint64]*[2]MoveState{},
		replay: fmt.Sprintf("seed %d: go test ./tunnel/peer -run '%s'", seed, tb.Name()),
	}
	x.addrs[0] = x.addr
	for i := range x.lanes {
		for j := range 2 {
			x.addrs[i][j] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + 10*i + j)}), 4430)
			x.lanes[i][j].delay = time.Duration(10+5*i) * time.Millisecond
		}
	}
	return x
}

// lose gives every path the same loss in both directions.
func (x *paths) lose(p float64) {
	for i := range x.lanes {
		x.lanes[i][0].loss, x.lanes[i][1].loss = p, p
	}
}

func (x *paths) drain(i int) {
	p := x.p[i]
	for {
		n, to, ok := p.Poll(x.now, x.buf[:])
		if !ok {
			break
		}
		for j := range x.lanes {
			l := x.lanes[j][i]
			if to != x.addrs[j][1-i] || x.spy != nil && x.spy(i, j, x.buf[:n]) || x.rng.Float64() < l.loss {
				continue
			}
			x.air = append(x.air, flight{x.now.Add(l.delay), 1 - i, x.addrs[j][i], bytes.Clone(x.buf[:n])})
		}
	}
	for {
		if _, ok := p.ReadPacket(x.unit[:]); !ok {
			break
		}
		x.got[i]++
	}
	for {
		if _, ok := p.PollEvent(); !ok {
			break
		}
	}
	if at := p.NextDeadline(); !at.IsZero() && !at.After(x.now) {
		x.tb.Fatalf("%s: host %d is drained, deadline %v is not after now", x.replay, i, at)
	}
	x.check(i)
}

// check holds the ends to each other: never is one moved and the other stayed.
func (x *paths) check(i int) {
	m := x.p[i].Status().Move
	if m.State != Moved && m.State != Stayed {
		return
	}
	s := x.seen[m.ID]
	if s == nil {
		s = &[2]MoveState{}
		x.seen[m.ID] = s
	}
	if s[i] != MoveNone && s[i] != m.State || s[1-i] != MoveNone && s[1-i] != m.State {
		x.tb.Fatalf("%s: host %d says %v (%s) of switch %x; so far %v", x.replay, i, m.State, m.Why, m.ID, *s)
	}
	s[i] = m.State
}

// wait passes time.
func (x *paths) wait(t time.Duration) {
	for end := x.now.Add(t); x.now.Before(end); {
		x.now = x.now.Add(time.Millisecond)
		flying := x.air
		x.air = nil
		for _, f := range flying {
			if f.at.After(x.now) {
				x.air = append(x.air, f)
				continue
			}
			x.p[f.to].HandleDatagram(x.now, Inbound{From: f.from, To: x.local}, f.b)
			x.drain(f.to)
		}
		for i, p := range x.p {
			p.HandleTimeout(x.now)
			x.drain(i)
		}
	}
}

// talk sends packets of a stream both ways for a while. It returns how many.
func (x *paths) talk(t time.Duration) (sent [2]int) {
	for end := x.now.Add(t); x.now.Before(end); x.wait(5 * time.Millisecond) {
		for i, p := range x.p {
			if p.WritePacket(x.now, packet(6, 700)) {
				sent[i]++
			}
			x.drain(i)
		}
	}
	return sent
}

func (x *paths) connect() {
	x.tb.Helper()
	for i := range x.p {
		x.drain(i)
	}
	x.wait(4 * time.Second)
	for i, p := range x.p {
		if s := p.Status().State; s != "up" {
			x.tb.Fatalf("%s: host %d is %q", x.replay, i, s)
		}
	}
}

// move has host i ask for path j.
func (x *paths) move(i, j int, patience time.Duration) uint64 {
	x.tb.Helper()
	id, err := x.p[i].MovePath(x.now, x.addrs[j][1-i], x.now.Add(patience))
	if err != nil {
		x.tb.Fatalf("%s: %v", x.replay, err)
	}
	x.drain(i)
	return id
}

// decided is how long it takes until both ends have moved, at most the patience.
func (x *paths) decided(patience time.Duration) time.Duration {
	start := x.now
	for x.now.Sub(start) < patience && (x.state(0) != Moved || x.state(1) != Moved) {
		x.wait(time.Millisecond)
	}
	return x.now.Sub(start)
}

func (x *paths) state(i int) MoveState { return x.p[i].Status().Move.State }

// on reports whether each end has the other on path j.
func (x *paths) on(j int) bool {
	return x.p[0].path.addr == x.addrs[j][1] && x.p[1].path.addr == x.addrs[j][0]
}
