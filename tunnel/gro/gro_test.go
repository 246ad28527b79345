package gro

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/internal/wire"
)

// part is TCP data as the kernel gives it: one segment, or several in one.
type part struct {
	v6       bool
	sequence uint32
	ack      uint32
	stamp    uint32 // 0: no time stamps
	flags    byte   // besides ACK
	data     []byte
	size     int // of a segment; 0: it is a single one
}

const (
	mss           = 1000
	virtioHeaders = 2
)

// unit is the unit of a part.
func (p part) unit() []byte {
	transport := ipv4Len
	if p.v6 {
		transport = ipv6Len
	}
	headers := transport + tcpLen
	if p.stamp > 0 {
		headers += 12
	}
	u := make([]byte, packetAt+headers+len(p.data))
	h, b := u[1:packetAt], u[packetAt:]
	u[0], h[0] = flagVirtio, needsChecksum
	pseudo := uint64(protocolTCP) + uint64(len(b)-transport)
	addresses := b[12:20]
	if p.v6 {
		b[0], b[ipv6Next], b[ipv6Hops] = 6<<4, protocolTCP, 64
		binary.BigEndian.PutUint16(b[ipv6Length:], uint16(len(b)-ipv6Len))
		addresses = b[8:40]
	} else {
		b[0], b[ipv4Protocol], b[ipv4TTL], b[ipv4Fragment] = 0x45, protocolTCP, 64, dontFragment>>8
		binary.BigEndian.PutUint16(b[ipv4Length:], uint16(len(b)))
	}
	for i := range addresses {
		addresses[i] = byte(100 + i)
	}
	pseudo = wire.Sum(pseudo, addresses)
	if !p.v6 {
		binary.BigEndian.PutUint16(b[ipv4Checksum:], ^wire.Fold(wire.Sum(0, b[:ipv4Len])))
	}
	tcp := b[transport:]
	binary.BigEndian.PutUint32(tcp[tcpSequence:], p.sequence)
	binary.BigEndian.PutUint32(tcp[tcpAck:], p.ack)
	tcp[tcpOffset], tcp[tcpFlags], tcp[tcpWindow] = byte(headers-transport)<<2, flagACK|p.flags, byte(p.ack)
	if p.stamp > 0 {
		copy(tcp[tcpLen:], []byte{1, 1, 8, 10})
		binary.BigEndian.PutUint32(tcp[tcpLen+4:], p.stamp)
	}
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], wire.Fold(pseudo))
	copy(b[headers:], p.data)
	if p.size > 0 {
		h[virtioGSO] = gsoTCPv4
		if p.v6 {
			h[virtioGSO] = gsoTCPv6
		}
		binary.LittleEndian.PutUint16(h[virtioSize:], uint16(p.size))
	}
	binary.LittleEndian.PutUint16(h[virtioHeaders:], uint16(headers))
	binary.LittleEndian.PutUint16(h[virtioStart:], uint16(transport))
	binary.LittleEndian.PutUint16(h[virtioChecksum:], tcpChecksum)
	return u
}

// bulk is the part of a stream that begins at sequence number from.
func bulk(from, n int) part {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte((from + i) * 7)
	}
	return part{sequence: uint32(from), data: data, size: mss}
}

// bed is a Table with what came out of it.
type bed struct {
	Table
	now  time.Time
	left [][]byte
}

func newBed() *bed { return &bed{now: time.Unix(1000, 0)} }

const rtt = 32 * time.Millisecond

func (b *bed) out(unit []byte) { b.left = append(b.left, bytes.Clone(unit)) }

func (b *bed) add(f int, units ...[]byte) {
	for _, u := range units {
		b.Add(b.now, rtt, Flow{Src: netip.MustParseAddr("10.0.0.1"), SrcPort: uint16(f)}, bytes.Clone(u), b.out)
	}
}

func (b *bed) wait(d time.Duration) {
	b.now = b.now.Add(d)
	b.Flush(b.now, b.out)
}

// expect compares what came out, in order, and forgets it.
func (b *bed) expect(t *testing.T, what string, want ...[]byte) {
	t.Helper()
	if !slices.EqualFunc(b.left, want, bytes.Equal) {
		t.Errorf("%s: %d units came out, not the %d that should, or others", what, len(b.left), len(want))
		for i := range min(len(b.left), len(want)) {
			if at := differ(b.left[i], want[i]); at >= 0 {
				t.Errorf("unit %d of %d bytes, wanted %d: byte %d differs", i, len(b.left[i]), len(want[i]), at)
			}
		}
	}
	b.left = nil
}

func differ(a, b []byte) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

// What is joined is the unit that the sender's kernel would have made of all the data.
func TestJoin(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, stamped := range []bool{false, true} {
			b := newBed()
			whole := bulk(5000, 7*mss)
			whole.v6, whole.ack, whole.flags = v6, 3, flagPSH
			var parts [][]byte
			for i, n := range []int{2, 4, 1} {
				p := bulk(5000+[]int{0, 2, 6}[i]*mss, n*mss)
				p.v6, p.ack = v6, uint32(1+i)
				if i == 1 {
					p.flags = flagPSH
				}
				if n == 1 {
					p.size = 0
				}
				if stamped {
					p.stamp, whole.stamp = uint32(70+i), uint32(70+i)
				}
				parts = append(parts, p.unit())
			}
			b.add(1, parts...)
			b.expect(t, "at first")
			if due := b.Due(); !due.Equal(b.now.Add(rtt / holdShare)) {
				t.Errorf("due in %v", due.Sub(b.now))
			}
			b.wait(rtt/holdShare - 1)
			b.expect(t, "before it is due")
			b.wait(1)
			b.expect(t, "when it is due", whole.unit())
			if !b.Due().IsZero() {
				t.Error("something is due where nothing waits")
			}
		}
	}
}

// A segment that waits for nothing leaves as it came.
func TestAlone(t *testing.T) {
	b := newBed()
	u := bulk(0, 2*mss).unit()
	b.add(1, u)
	b.wait(holdMax)
	b.expect(t, "one", u)
	b.add(1, u)
	b.FlushAll(b.now, b.out)
	b.expect(t, "at the end", u)
}

// Over a long path, too, nothing waits for longer than holdMax.
func TestHoldMax(t *testing.T) {
	b := newBed()
	b.Add(b.now, time.Second, Flow{}, bulk(0, 2*mss).unit(), b.out)
	if due := b.Due(); !due.Equal(b.now.Add(holdMax)) {
		t.Errorf("due in %v", due.Sub(b.now))
	}
}

// The end of what an application wrote is a short segment: it waits for nothing, and
// neither does what waited for it.
func TestShortEnd(t *testing.T) {
	b := newBed()
	b.add(1, bulk(0, 2*mss).unit(), bulk(2*mss, mss+1).unit())
	b.expect(t, "a super-packet with a short end", bulk(0, 3*mss+1).unit())
	single := bulk(2*mss, 1)
	single.size = 0
	b.add(1, bulk(0, 2*mss).unit(), single.unit())
	b.expect(t, "a short segment", bulk(0, 2*mss+1).unit())
	b.add(1, single.unit())
	b.expect(t, "a segment by itself", single.unit())
	b.add(1, bulk(0, mss+1).unit())
	b.expect(t, "a short end by itself", bulk(0, mss+1).unit())
}

// Nothing longer than maxJoined is made, and what is longer leaves as it came.
func TestMaxJoined(t *testing.T) {
	b := newBed()
	const room = (maxJoined - ipv4Len - tcpLen) / mss
	b.add(1, bulk(0, (room-1)*mss).unit(), bulk((room-1)*mss, mss).unit())
	b.expect(t, "full", bulk(0, room*mss).unit())
	b.add(1, bulk(0, (room-1)*mss).unit(), bulk((room-1)*mss, 2*mss).unit())
	b.expect(t, "one too many", bulk(0, (room-1)*mss).unit())
	b.wait(holdMax)
	b.expect(t, "the other", bulk((room-1)*mss, 2*mss).unit())
	b.add(1, bulk(0, 60*mss).unit())
	b.expect(t, "longer", bulk(0, 60*mss).unit())
}

// What does not continue the data before it ends the waiting, and is not touched.
func TestApart(t *testing.T) {
	const ip, tcp = packetAt, packetAt + ipv4Len
	set := func(at int, to byte) func([]byte) { return func(u []byte) { u[at] = to } }
	fixed := func(at int, to byte) func([]byte) {
		return func(u []byte) {
			u[at], u[ip+ipv4Checksum], u[ip+ipv4Checksum+1] = to, 0, 0
			binary.BigEndian.PutUint16(u[ip+ipv4Checksum:], ^wire.Fold(wire.Sum(0, u[ip:ip+ipv4Len])))
		}
	}
	for name, change := range map[string]func(u []byte){
		"FIN":                     set(tcp+tcpFlags, flagACK|1),
		"SYN":                     set(tcp+tcpFlags, flagACK|2),
		"RST":                     set(tcp+tcpFlags, flagACK|4),
		"URG":                     set(tcp+tcpFlags, flagACK|1<<5),
		"ECE":                     set(tcp+tcpFlags, flagACK|1<<6),
		"CWR":                     set(tcp+tcpFlags, flagACK|1<<7),
		"no ACK":                  set(tcp+tcpFlags, 0),
		"AE":                      set(tcp+tcpOffset, 5<<4|1),
		"a gap":                   set(tcp+tcpSequence+3, 0xff),
		"a repeat":                set(tcp+tcpSequence+2, 0),
		"CE mark":                 fixed(ip+ipv4TOS, 3),
		"another TTL":             fixed(ip+ipv4TTL, 63),
		"may be fragmented":       fixed(ip+ipv4Fragment, 0),
		"a fragment":              fixed(ip+ipv4Fragment, 0x20),
		"not TCP":                 fixed(ip+ipv4Protocol, 17),
		"a wrong checksum":        set(ip+ipv4Checksum, 0x55),
		"IP options":              set(ip, 0x46),
		"no IP":                   set(ip, 0x15),
		"a length that is wrong":  fixed(ip+ipv4Length+1, 1),
		"a complete checksum":     set(1, 0),
		"another flag of virtio":  set(1, needsChecksum|2),
		"GSO of IPv6":             set(1+virtioGSO, gsoTCPv6),
		"GSO of UDP":              set(1+virtioGSO, 5),
		"GSO with CWR":            set(1+virtioGSO, gsoTCPv4|0x80),
		"larger segments":         set(1+virtioSize+1, 4),
		"segments of nothing":     func(u []byte) { u[1+virtioSize], u[1+virtioSize+1] = 0, 0 },
		"another checksum start":  set(1+virtioStart, ipv4Len+4),
		"another checksum offset": set(1+virtioChecksum, tcpChecksum-2),
		"an Ethernet frame":       set(0, flagVirtio|2),
		"headers alone":           set(tcp+tcpOffset, 15<<4),
		"a header too short":      set(tcp+tcpOffset, 4<<4),
	} {
		b := newBed()
		first, second := bulk(mss, 2*mss).unit(), bulk(3*mss, 2*mss).unit()
		if name == "headers alone" {
			p := bulk(3*mss, 40)
			second = p.unit()
		}
		change(second)
		b.add(1, first, second)
		b.wait(holdMax)
		b.expect(t, name, first, second)
	}
	b := newBed()
	stamped, plain := bulk(0, 2*mss), bulk(2*mss, 2*mss)
	stamped.stamp = 1
	b.add(1, stamped.unit(), plain.unit())
	b.wait(holdMax)
	b.expect(t, "other options", stamped.unit(), plain.unit())
	six := bulk(2*mss, 2*mss)
	six.v6 = true
	b.add(1, bulk(0, 2*mss).unit(), six.unit())
	b.wait(holdMax)
	b.expect(t, "another version", bulk(0, 2*mss).unit(), six.unit())
	class := six.unit()
	class[packetAt+1] = 0x30
	six.sequence = 0
	b.add(1, six.unit(), class)
	b.wait(holdMax)
	b.expect(t, "another class of IPv6", six.unit(), class)
}

// Flows wait beside each other, and what waited longest makes room for one too many.
func TestFlows(t *testing.T) {
	b := newBed()
	for f := range maxFlows {
		b.add(f, bulk(f*mss, 2*mss).unit())
		b.now = b.now.Add(time.Microsecond)
	}
	b.expect(t, "as many as there is room for")
	b.add(1, bulk(3*mss, 2*mss).unit())
	b.add(maxFlows, bulk(9*mss, 2*mss).unit())
	b.expect(t, "one more", bulk(0, 2*mss).unit())
	b.wait(rtt/holdShare - maxFlows*time.Microsecond + time.Microsecond)
	b.expect(t, "the first one that is due", bulk(mss, 4*mss).unit())
}

// FuzzTable: whatever comes out is what went in, byte for byte and in order, as it was
// or with the data joined.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0, 4, 0, 0, 5, 0, 0, 0}, byte(1))
	f.Add([]byte{1, 2, 31, 3, 1, 4, 44, 0, 9, 0, 0, 0}, byte(3))
	f.Add([]byte{8, 1, 0, 0, 8, 1, 20, 9, 8, 1, 0, 0}, byte(0))
	f.Fuzz(func(t *testing.T, ops []byte, seed byte) {
		b := newBed()
		var in [][]byte
		next := int(seed)
		for ; len(ops) >= 4; ops = ops[4:] {
			p := bulk(next, int(ops[1])*mss/2+1)
			p.v6 = ops[0]&1 > 0
			p.size = mss / 2 * int(ops[0]>>1&3)
			p.stamp = uint32(ops[0] >> 3 & 1)
			next += len(p.data)
			u := p.unit()
			if at := int(ops[2]); at > 0 { // one byte of the headers is another
				u[at%(packetAt+52)%len(u)] ^= ops[3]
			}
			if len(u) > packetAt+65535 {
				continue
			}
			in = append(in, u)
			b.add(1, u)
			if ops[3]&7 == 7 {
				b.wait(time.Millisecond)
			}
		}
		b.FlushAll(b.now, b.out)
		for i, u := range b.left {
			if len(in) > 0 && bytes.Equal(u, in[0]) {
				in = in[1:]
				continue
			}
			s, ok := parse(u)
			if !ok || len(s.packet) > maxJoined {
				t.Fatalf("unit %d is neither one that came nor made of such", i)
			}
			for data := s.packet[s.headers:]; len(data) > 0; in = in[1:] {
				if len(in) == 0 {
					t.Fatalf("unit %d has data that did not come", i)
				}
				from, ok := parse(in[0])
				if !ok || !bytes.HasPrefix(data, from.packet[from.headers:]) {
					t.Fatalf("unit %d: the data is not that of the unit which is next", i)
				}
				data = data[len(from.packet)-from.headers:]
			}
		}
		if len(in) > 0 {
			t.Fatalf("%d units are lost", len(in))
		}
	})
}
