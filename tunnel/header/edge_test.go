package header

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/totg/totg/tunnel/flow"
)

// edit returns a unit with some bytes changed, and the IPv4 checksum right.
func edit(unit []byte, f func(b []byte)) []byte {
	b := bytes.Clone(unit)
	f(b)
	mend(b)
	return b
}

// mend sets the IPv4 checksum, so that something else decides.
func mend(unit []byte) {
	if len(unit) < 1+ipv4Len {
		return
	}
	ip := unit[packetAt(unit[0]):]
	if len(ip) >= ipv4Len && ip[0]>>4 == 4 {
		put16(ip[ipv4Checksum:], 0)
		put16(ip[ipv4Checksum:], ^uint16(sum16(0, ip[:ipv4Len])))
	}
}

// odd are units that cannot be compressed, or almost.
func odd() map[string][]byte {
	v4, v6 := newSender(false, false).unit(4), newSender(true, false).unit(4)
	udp := func(b []byte) { b[1+ipv4Protocol] = 17 }
	ethernet := append([]byte{flow.FlagEthernet}, append(append(make([]byte, 12), 8, 0), v4[1:]...)...)
	wrong := bytes.Clone(v4)
	wrong[1+ipv4Checksum]++
	other := bytes.Clone(v4) // for one's complement the same number as zero
	other[1+ipv4ID], other[1+ipv4ID+1] = 0, 0
	mend(other)
	put16(other[1+ipv4ID:], u16(other[1+ipv4Checksum:]))
	put16(other[1+ipv4Checksum:], 0xffff)
	return map[string][]byte{
		"empty":             {},
		"a flag":            {0},
		"virtio alone":      append([]byte{flow.FlagVirtio}, make([]byte, flow.VirtioLen)...),
		"both flags":        append([]byte{flow.FlagVirtio | flow.FlagEthernet}, v4...),
		"Ethernet":          ethernet,
		"UDP":               edit(v4, udp),
		"wrong checksum":    wrong,
		"checksum 0xffff":   other,
		"fragment":          edit(v4, func(b []byte) { b[1+ipv4Fragment] = 0x20 }),
		"last fragment":     edit(v4, func(b []byte) { b[1+ipv4Fragment+1] = 1 }),
		"IPv4 options":      edit(v4, func(b []byte) { b[1] = 0x46 }),
		"version 5":         edit(v4, func(b []byte) { b[1] = 0x55 }),
		"SYN":               edit(v4, func(b []byte) { b[21+tcpFlags] |= tcpSYN }),
		"RST":               edit(v4, func(b []byte) { b[21+tcpFlags] |= tcpRST }),
		"URG":               edit(v4, func(b []byte) { b[21+tcpFlags] |= tcpURG }),
		"IPv4 too long":     edit(v4, func(b []byte) { b[1+ipv4Total+1]++ }),
		"IPv4 padded":       edit(v4, func(b []byte) { b[1+ipv4Total+1]-- }),
		"TCP header short":  edit(v4, func(b []byte) { b[21+tcpOffset] = 0x40 }),
		"TCP header long":   edit(v4[:1+ipv4Len+tcpLen], func(b []byte) { put16(b[1+ipv4Total:], 40) }),
		"TCP cut":           edit(v4[:1+ipv4Len+tcpLen-1], func(b []byte) { put16(b[1+ipv4Total:], 39) }),
		"IPv6 hop-by-hop":   edit(v6, func(b []byte) { b[1+ipv6Next] = 0 }),
		"IPv6 fragment":     edit(v6, func(b []byte) { b[1+ipv6Next] = 44 }),
		"IPv6 padded":       edit(v6, func(b []byte) { b[1+ipv6Payload+1]-- }),
		"IPv6 jumbo":        edit(v6, func(b []byte) { put16(b[1+ipv6Payload:], 0) }),
		"IPv6 TCP cut":      edit(v6[:1+ipv6Len+tcpLen-1], func(b []byte) { put16(b[1+ipv6Payload:], tcpLen-1) }),
		"IPv6 header alone": edit(v6[:1+ipv6Len], func(b []byte) { put16(b[1+ipv6Payload:], 0) }),
	}
}

// TestUnchanged: what is not understood wholly travels as it is.
func TestUnchanged(t *testing.T) {
	for name, unit := range odd() {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			for _, s := range []*sender{newSender(false, false), newSender(true, false)} {
				p.pass(t, s.unit(100))
			}
			before := p.c.contexts
			if w := p.pass(t, unit); !bytes.Equal(w, unit) || p.c.contexts != before {
				t.Errorf("%x became %x", unit, w)
			}
		})
	}
}

// TestLargest: the length fields have 16 bits, and a unit flow.MaxUnit bytes.
func TestLargest(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			largest := maxPacket - ipv4Len - tcpLen - 12
			if s.v6 {
				largest = maxPacket - ipv6Len - tcpLen - 12
			}
			for _, want := range []string{"whole", "compressed"} {
				if w := p.pass(t, s.unit(largest)); how(w) != want {
					t.Errorf("%s, want %s", how(w), want)
				}
			}
			// A peer can claim more payload than the length field or dst can hold.
			w := p.pass(t, s.unit(largest))
			before := p.d.contexts
			for n := range 100 {
				n, err := p.d.Expand(p.dst, append(bytes.Clone(w), make([]byte, n)...))
				if n > flow.MaxUnit || err != nil && (n != 0 || !errors.Is(err, ErrMalformed)) {
					t.Fatalf("%d, %v", n, err)
				}
				if err == nil {
					before = p.d.contexts
				} else if p.d.contexts != before {
					t.Fatal("an error changed a context")
				}
			}
		})
	}
}

// TestMalformed: what no Compressor makes is an error, and changes nothing.
func TestMalformed(t *testing.T) {
	p, s := newPair(), newSender(false, true)
	p.pass(t, s.unit(s.mss))
	another := newSender(false, true)
	another.port = 7
	whole := compress(NewCompressor(), another.unit(10))
	good := p.pass(t, s.unit(s.mss))[:fixedLen]
	six, bare := newSender(true, true), newSender(true, true)
	six.port, bare.port, bare.bare = 9, 8, true
	p.pass(t, six.unit(9))
	p.pass(t, bare.unit(9))
	v6, plain := p.pass(t, six.unit(9))[:fixedLen], p.pass(t, bare.unit(9))[:fixedLen]
	change := func(b []byte, at int, v byte, more ...byte) []byte {
		b = append(bytes.Clone(b), more...)
		b[at] = v
		return b
	}
	unset := byte(0)
	for p.d.contexts[unset].size != 0 {
		unset++
	}
	for name, unit := range map[string][]byte{
		"unknown flag":            change(good, 0, 0x89),
		"compressed and whole":    change(good, 0, 0x0d),
		"compressed Ethernet":     change(good, 0, 0x0b),
		"PSH alone":               change(good, 0, 0x10),
		"fixed bytes cut":         good[:2],
		"context that is not set": change(good, 1, unset),
		"super without header":    change(good, 0, 0x48),
		"virtio without header":   change(change(good, 0, 0x08), 2, maskVirtio, make([]byte, 10)...),
		"virtio of another kind":  change(good, 2, maskVirtio, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0),
		"super never seen":        change(good, 0, 0x49),
		"ID of IPv6":              change(v6, 2, maskID, 2),
		"timestamp without one":   change(plain, 2, maskStamp, 2),
		"echo without one":        change(plain, 2, maskEcho, 2),
		"SYN":                     change(good, 2, maskFlags, tcpACK|tcpSYN),
		"PSH twice":               change(good, 2, maskFlags, tcpACK|tcpPSH),
		"field cut":               change(good, 2, maskSeq, 0x80, 0, 0),
		"field missing":           change(good, 2, maskSeq),
		"virtio cut":              change(good, 2, maskVirtio, 1, 0, 0),
		"checksum cut":            change(good, 0, 0x29, 1),
		"field above 32 bits":     change(good, 2, maskSeq, 0xc0, 0, 0, 1, 0, 0, 0, 0),
		"whole, cut":              whole[:60],
		"whole, header cut":       whole[:40],
		"whole, flag alone":       whole[:1],
		"whole, Ethernet":         change(whole, 0, flagContext|flow.FlagEthernet),
		"whole, context 256":      change(whole, 1+10+ipv4Total, 1),
		"whole, SYN":              change(whole, 1+10+20+tcpFlags, tcpSYN),
		"whole, wrong checksum":   change(whole, 1+10+ipv4Checksum, whole[1+10+ipv4Checksum]+1),
		"longer than any unit":    make([]byte, flow.MaxUnit+1),
	} {
		before := p.d.contexts
		if n, err := p.d.Expand(p.dst, unit); n != 0 || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if p.d.contexts != before {
			t.Errorf("%s: a context changed", name)
		}
	}
}

// TestTruncated cuts a compressed header with all fields everywhere.
func TestTruncated(t *testing.T) {
	p, s := newPair(), newSender(false, true)
	p.pass(t, s.unit(0))
	s.flags, s.window, s.seq, s.ack, s.id = s.flags|tcpFIN, s.window+100, s.seq+1<<20, s.ack+1<<31, s.id+1
	s.stamp, s.echo, s.mss = s.stamp+100, s.echo+1, 100
	unit := s.unit(101)
	put16(unit[31+tcpChecksum:], 0x1234)
	w := compress(p.c, unit)
	w = w[:len(w)-101]
	if w[2] != 0xff {
		t.Fatalf("the mask is %#x", w[2])
	}
	before := p.d.contexts
	for n := 1; n < len(w); n++ {
		if _, err := p.d.Expand(p.dst, w[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes of %d: %v", n, len(w), err)
		}
		if p.d.contexts != before {
			t.Fatalf("%d bytes of %d changed a context", n, len(w))
		}
	}
	if n, err := p.d.Expand(p.dst, w); err != nil || n != 1+flow.VirtioLen+52 {
		t.Errorf("all of it: %d, %v", n, err)
	}
}

// TestMisuse: the caller's mistakes panic.
func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"unknown flag":   func() { compress(NewCompressor(), []byte{flagContext, 1}) },
		"too long":       func() { compress(NewCompressor(), make([]byte, flow.MaxUnit+1)) },
		"short dst":      func() { _, _ = NewDecompressor().Expand(make([]byte, flow.MaxUnit-1), []byte{0}) },
		"unknown flag 7": func() { compress(NewCompressor(), []byte{1 << 7}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestMutations changes bytes of headers at random, most of them with a checksum
// that stays right.
func TestMutations(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	p, count := newPair(), map[string]int{}
	var senders []*sender
	for i := range 12 {
		s := newSender(i%2 == 0, i%3 != 0)
		s.port, s.bare = uint16(rng.Uint32()), i == 7
		senders = append(senders, s)
	}
	for i := range 20_000 {
		s := senders[rng.IntN(len(senders))]
		unit := s.unit(rng.IntN(3) * rng.IntN(3000))
		s.stamp += uint32(rng.IntN(4))
		for range max(rng.IntN(4)-1, 0) {
			unit[1+rng.IntN(min(len(unit)-1, 70))] ^= 1 << rng.IntN(8)
		}
		if rng.IntN(4) > 0 {
			mend(unit)
		}
		count[how(p.pass(t, unit))]++
		if t.Failed() {
			t.Fatalf("seed %d, unit %d", seed, i)
		}
	}
	for _, what := range []string{"compressed", "whole", "unchanged"} {
		if count[what] < 1000 {
			t.Errorf("only %d units are %s", count[what], what)
		}
	}
	t.Log(count)
}
