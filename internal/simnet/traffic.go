package simnet

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/totg/totg/tunnel/flow"
)

// Traffic writes numbered packets at one host and checks at the other that a
// stream's arrive in order and once, and that no message arrives twice.
type Traffic struct {
	net  *Net
	from int
	rng  *rand.Rand
	unit [flow.MaxUnit]byte

	sent     [flow.NumClasses]uint32 // packets that the host took, by Message or Stream
	sequence uint32                  // of TCP
	received [flow.NumClasses]uint32
	newest   uint32 // stream packet that arrived last, plus one
	seen     map[uint32]bool
	gaps     uint32 // stream packets that were skipped
}

// NewTraffic prepares traffic from host from to the other.
func NewTraffic(n *Net, from int) *Traffic {
	t := &Traffic{net: n, from: from, rng: rand.New(rand.NewPCG(n.cfg.Seed, uint64(10+from))), seen: map[uint32]bool{}}
	n.hosts[1-from].Received = t.receive
	return t
}

const (
	ipv4Len  = 20
	headLen  = ipv4Len + 20 // with a TCP header, or what stands there in a message
	bodyLen  = 8            // number, seed of the filling
	protoTCP = 6
	protoUDP = 17
	canMark  = 2 // ECN-capable transport, RFC 3168
)

// Send writes one packet of the class and of a random size up to limit bytes,
// and reports whether the host took it.
func (t *Traffic) Send(class flow.Class, limit int) bool {
	size := headLen + bodyLen + t.rng.IntN(max(1, limit-headLen-bodyLen))
	number := t.sent[class]
	u := t.unit[:1+size]
	clear(u[:1+headLen])
	p := u[1:]
	p[0], p[9] = 0x45, protoUDP
	if class == flow.Stream {
		p[1], p[9] = canMark, protoTCP            // what it is told by a mark need not be lost
		p[ipv4Len+12], p[ipv4Len+13] = 5<<4, 0x18 // five words, PSH and ACK
		binary.BigEndian.PutUint32(p[ipv4Len+4:], t.sequence)
		t.sequence += uint32(size - headLen)
	}
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	binary.BigEndian.PutUint32(p[headLen:], number)
	binary.BigEndian.PutUint32(p[headLen+4:], uint32(size)*2654435761)
	for i := headLen + bodyLen; i < size; i++ {
		p[i] = byte(i) ^ byte(number)
	}
	if !t.net.Write(t.from, u) {
		return false
	}
	t.sent[class]++
	return true
}

func (t *Traffic) receive(unit []byte) {
	n := t.net
	pkt, ok := flow.Parse(unit)
	p := unit[1:]
	if !ok || len(p) < headLen+bodyLen {
		n.fail("delivered no packet of ours: %x", unit[:min(len(unit), 40)])
	}
	number, mark := binary.BigEndian.Uint32(p[headLen:]), binary.BigEndian.Uint32(p[headLen+4:])
	class := flow.Message // of any size
	if pkt.Class == flow.Stream {
		class = flow.Stream
	}
	if number >= t.sent[class] || mark != uint32(len(p))*2654435761 {
		n.fail("packet %d of %d bytes was never sent so", number, len(p))
	}
	for i := headLen + bodyLen; i < len(p); i++ {
		if p[i] != byte(i)^byte(number) {
			n.fail("packet %d is damaged at byte %d", number, i)
		}
	}
	t.received[class]++
	if class == flow.Stream {
		if number < t.newest {
			n.fail("stream packet %d after %d", number, t.newest-1)
		}
		t.gaps += number - t.newest
		t.newest = number + 1
		return
	}
	if t.seen[number] {
		n.fail("message %d delivered twice", number)
	}
	t.seen[number] = true
}

// Sent and Received count the packets of a class; Gaps the stream packets that
// were skipped, which only the end of a session may cause.
func (t *Traffic) Sent(c flow.Class) uint32 { return t.sent[c] }

// Received is the number of packets that the other host delivered.
func (t *Traffic) Received(c flow.Class) uint32 { return t.received[c] }

// Gaps is the number of stream packets that were skipped.
func (t *Traffic) Gaps() uint32 { return t.gaps }
