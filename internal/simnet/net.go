// Package simnet joins two peers by two modelled links in virtual time. After
// every call into a peer it checks the clauses of the driving contract
// (docs/architecture.md), so that any scenario built on it tests them too.
//
// The same seed and the same calls give the same run. Nothing sleeps.
package simnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
	"github.com/totg/totg/tunnel/peer"
)

// Config is a scenario.
type Config struct {
	Seed  uint64
	Links [2]link.Config // from A to B, from B to A
	Rate  rate.Config    // of both peers
	// Called leaves out B's knowledge of where A is.
	Called    bool
	Keepalive time.Duration
	Rekey     time.Duration // 0: as usual
	// Rules of both peers.
	Rules []flow.Rule
	// MarkAbove is how many bytes may wait at a link, in each direction, before
	// what comes gets a congestion mark; 0 is no mark.
	MarkAbove int
}

// Violation is a broken clause or safety property. Panicking with it ends the
// run; the text names the seed.
type Violation struct {
	Seed uint64
	At   time.Duration
	What string
}

// Error describes the violation.
func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d at %v: %s", v.Seed, v.At, v.What)
}

// Host is one end.
type Host struct {
	net   *Net
	id    int
	key   handshake.PrivateKey
	addr  netip.AddrPort
	peer  *peer.Peer // nil while it is down
	rng   *rand.ChaCha8
	datag [2048]byte
	unit  [flow.MaxUnit]byte

	// Received is called with every unit that the host delivers, and Beside with what
	// came beside the tunnel.
	Received, Beside func(unit []byte)
	// Events counts what the peer reported.
	Events [peer.PathDecided + 1]int
}

// Net is two hosts and the links between them.
type Net struct {
	cfg   Config
	start time.Time
	now   time.Time
	rng   *rand.Rand
	hosts [2]*Host
	links [2]*link.Link
	trace uint64 // hash of everything sent and delivered
	steps int

	cut    [2]time.Time    // nothing enters the link of that host until then
	sealed map[uint64]bool // key by its receiver index, and packet number: used
}

// headerLen is the size of the IP and UDP headers that a datagram would have;
// here they hold the sender's address and, at markAt, a congestion mark.
const (
	headerLen = 28
	markAt    = headerLen - 1
)

// New builds the net. Both hosts start at once.
func New(cfg Config) (*Net, error) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	n := &Net{sealed: map[uint64]bool{}, cfg: cfg, start: start, now: start, rng: rand.New(rand.NewPCG(cfg.Seed, 0))}
	for i := range n.links {
		l, err := link.New(start, cfg.Links[i], rand.New(rand.NewPCG(cfg.Seed, uint64(1+i))))
		if err != nil {
			return nil, err
		}
		n.links[i] = l
	}
	for i := range n.hosts {
		var seed [32]byte
		for j := range seed {
			seed[j] = byte(n.rng.Uint32())
		}
		h := &Host{net: n, id: i, rng: rand.NewChaCha8(seed), addr: address(i, 0)}
		key, err := handshake.GenerateKey(h.rng)
		if err != nil {
			return nil, err
		}
		h.key = key
		n.hosts[i] = h
	}
	for i := range n.hosts {
		n.Start(i)
	}
	return n, nil
}

// address is where host i is after it moved so many times.
func address(i, moves int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + i), byte(1 + moves)}), 4430)
}

// Host returns host 0, A, or 1, B.
func (n *Net) Host(i int) *Host { return n.hosts[i] }

// Elapsed is the virtual time since the start.
func (n *Net) Elapsed() time.Duration { return n.now.Sub(n.start) }

// Trace is a hash of everything that the hosts sent and delivered.
func (n *Net) Trace() uint64 { return n.trace }

// Steps is the number of events so far.
func (n *Net) Steps() int { return n.steps }

func (n *Net) fail(format string, args ...any) {
	panic(&Violation{Seed: n.cfg.Seed, At: n.Elapsed(), What: fmt.Sprintf(format, args...)})
}

// Start brings host i up with no memory of what was before, like a process that
// was killed and started again.
func (n *Net) Start(i int) {
	h, other := n.hosts[i], n.hosts[1-i]
	cfg := peer.Config{
		Redundancy: peer.AutoRedundancy,
		Private:    h.key, Remote: other.key.Public(), AES: true, Rate: n.cfg.Rate,
		Keepalive: n.cfg.Keepalive, Rekey: n.cfg.Rekey, Rules: n.cfg.Rules, Random: io.Reader(h.rng),
	}
	if i == 0 || !n.cfg.Called {
		cfg.Endpoint = other.addr
	}
	p, err := peer.New(n.now, cfg)
	if err != nil {
		n.fail("peer.New: %v", err)
	}
	h.peer = p
	h.drain()
}

// Kill takes host i down without a word.
func (n *Net) Kill(i int) { n.hosts[i].peer = nil }

// Close takes host i down in good order.
func (n *Net) Close(i int) {
	h := n.hosts[i]
	h.peer.Close(n.now, peer.CloseNormal)
	h.drain()
	h.peer = nil
}

// Leave has host i leave in agreement with the other. It is down when it has.
func (n *Net) Leave(i int) {
	h := n.hosts[i]
	h.peer.Leave(n.now)
	h.drain()
}

// Move gives host i another address.
func (n *Net) Move(i int) {
	h := n.hosts[i]
	b := h.addr.Addr().As4()
	h.addr = address(i, int(b[3]))
}

// Cut keeps everything that host i sends from the link for a while.
func (n *Net) Cut(i int, d time.Duration) { n.cut[i] = n.now.Add(d) }

// Write gives host i a unit to send and reports whether it took it.
func (n *Net) Write(i int, unit []byte) bool {
	h := n.hosts[i]
	if h.peer == nil {
		return false
	}
	ok := h.peer.WritePacket(n.now, unit)
	h.drain()
	return ok
}

// beside marks what does not go through the tunnel.
const beside = 0x80

// Beside has host i send a unit beside the tunnel, as a packet of the unit's size.
func (n *Net) Beside(i int, unit []byte) {
	var pkt [2048]byte
	pkt[0] = beside
	n.links[i].Send(n.now, pkt[:copy(pkt[1:], unit[2:])+1])
}

// Inject lets host i receive a datagram that no host sent.
func (n *Net) Inject(i int, from netip.AddrPort, b []byte) peer.DropReason {
	return n.hosts[i].receive(peer.Inbound{From: from}, bytes.Clone(b))
}

// Status is host i's.
func (n *Net) Status(i int) peer.Status {
	if n.hosts[i].peer == nil {
		return peer.Status{State: "down"}
	}
	return n.hosts[i].peer.Status()
}

// Run lets virtual time pass until deadline after the start, or until done says
// so. It reports whether done did.
func (n *Net) Run(deadline time.Duration, done func() bool) bool {
	end := n.start.Add(deadline)
	for {
		if done != nil && done() {
			return true
		}
		next := n.next()
		if next.IsZero() || next.After(end) {
			n.now = end
			return false
		}
		n.step(next)
	}
}

// next is the time of the next event.
func (n *Net) next() (d time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	for i := range n.links {
		sooner(n.links[i].Next())
		if p := n.hosts[i].peer; p != nil {
			sooner(p.NextDeadline())
		}
	}
	return d
}

// step moves to the next event and handles all that is due.
func (n *Net) step(at time.Time) {
	if at.After(n.now) {
		n.now = at
	}
	n.steps++
	for i := range n.links {
		n.deliver(i)
	}
	for _, h := range n.hosts {
		if h.peer == nil {
			continue
		}
		if d := h.peer.NextDeadline(); !d.IsZero() && !d.After(n.now) {
			h.peer.HandleTimeout(n.now)
			h.drain()
		}
	}
}

// deliver hands over what arrived at the end of link i.
func (n *Net) deliver(i int) {
	var buf [2048]byte
	for {
		size, ok := n.links[i].Receive(n.now, buf[:])
		if !ok {
			return
		}
		b := buf[:size]
		if take := n.hosts[1-i].Beside; b[0] == beside && take != nil { // or a bit was flipped
			take(append([]byte{0, 0x45}, b[1:]...))
			continue
		}
		host, moves := int(b[0]), int(b[1])
		if size <= headerLen || host != i || moves > 250 || !headerIntact(b) {
			continue // the network stack drops a damaged header
		}
		to := n.hosts[1-i]
		if to.addr.Addr().As4()[3] != b[2] {
			continue // nobody lives at that address any more
		}
		if to.peer != nil {
			to.receive(peer.Inbound{From: address(host, moves), CE: b[markAt] != 0}, b[headerLen:])
		}
	}
}

func headerIntact(b []byte) bool {
	for _, c := range b[3:markAt] {
		if c != 0 {
			return false
		}
	}
	return true
}

// transmit sends a datagram of host h.
func (n *Net) transmit(h *Host, to netip.AddrPort, b []byte) {
	if b[0] == wire.TypeData && n.cfg.Rekey > 0 { // H-7: no key seals a packet number twice
		if id := binary.BigEndian.Uint64(b[1:]); n.sealed[id] {
			n.fail("host %d seals packet number %d again with the key of index %x", h.id, uint32(id), id>>32)
		} else {
			n.sealed[id] = true
		}
	}
	if n.now.Before(n.cut[h.id]) {
		return
	}
	var pkt [2048]byte
	pkt[0], pkt[1], pkt[2] = byte(h.id), h.addr.Addr().As4()[3]-1, to.Addr().As4()[3]
	size := headerLen + copy(pkt[headerLen:], b)
	if n.cfg.MarkAbove > 0 && n.links[h.id].Stats().QueueBytes > n.cfg.MarkAbove {
		pkt[markAt] = 1
	}
	n.note(byte(h.id), b)
	n.links[h.id].Send(n.now, pkt[:size])
}

// note adds to the trace.
func (n *Net) note(kind byte, b []byte) {
	f := fnv.New64a()
	_, _ = f.Write([]byte{kind})
	_, _ = f.Write(b)
	n.trace = n.trace*1099511628211 + f.Sum64() + uint64(n.Elapsed())
}

// receive hands a datagram to the peer and checks that a dropped one changed
// nothing but counters (clause 6).
func (h *Host) receive(in peer.Inbound, b []byte) peer.DropReason {
	p := h.peer
	p.HandleTimeout(h.net.now) // so that time does nothing below
	h.drain()
	before, deadline := p.Status(), p.NextDeadline()
	reason := p.HandleDatagram(h.net.now, in, b)
	if reason != peer.DropNone {
		after := p.Status()
		after.Drops = before.Drops
		if after != before || !p.NextDeadline().Equal(deadline) {
			h.net.fail("dropped datagram (%v) changed the state: %+v, was %+v", reason, after, before)
		}
	}
	h.drain()
	return reason
}

// maxBurst is far more datagrams than one input can release: more is a spin.
const maxBurst = 100_000

// drain takes everything out of the peer and checks clauses 2, 4 and 5.
func (h *Host) drain() {
	n, p := h.net, h.peer
	for {
		size, ok := p.ReadPacket(h.unit[:])
		if !ok {
			break
		}
		n.note(2, h.unit[:size])
		if h.Received != nil {
			h.Received(h.unit[:size])
		}
	}
	for i := 0; ; i++ {
		size, to, ok := p.Poll(n.now, h.datag[:])
		if !ok {
			break
		}
		if i > maxBurst || size == 0 || size > peer.DefaultMaxDatagram || !to.IsValid() {
			n.fail("poll %d: %d bytes to %v", i, size, to)
		}
		n.transmit(h, to, h.datag[:size])
	}
	for {
		e, ok := p.PollEvent()
		if !ok {
			break
		}
		h.Events[e.Kind]++
	}
	if d := p.NextDeadline(); !d.IsZero() && !d.After(n.now) {
		n.fail("host %d drained, deadline %v is not after now (%+v)", h.id, d.Sub(n.start), p.Status())
	}
	p.HandleTimeout(n.now.Add(-time.Hour)) // clause 2: an older now is the newest seen
	if _, _, ok := p.Poll(n.now.Add(-time.Second), h.datag[:]); ok {
		n.fail("host %d sends more when time goes back", h.id)
	}
	if st := p.Status(); st.QueueBytes > peer.MaxQueueBytes(n.cfg.Rate.Ceiling) || st.InFlight > peer.MaxInFlight {
		n.fail("host %d: queue of %d bytes, %d symbols in flight", h.id, st.QueueBytes, st.InFlight)
	}
}
