package header

import (
	"testing"

	"github.com/totg/totg/tunnel/flow"
)

// stream is the next unit of a steady transfer.
type stream struct {
	unit   []byte
	tcp    int
	length int // payload
}

func newStream(v6 bool, segments int) *stream {
	s := newSender(v6, true)
	u := &stream{unit: s.unit(segments * s.mss), length: segments * s.mss}
	u.tcp = len(u.unit) - u.length - 32
	return u
}

// next writes the next unit into dst.
func (s *stream) next(dst []byte) []byte {
	tcp := s.unit[s.tcp:]
	put32(tcp[tcpSeq:], u32(tcp[tcpSeq:])+uint32(s.length))
	put32(tcp[tcpLen+4:], u32(tcp[tcpLen+4:])+1)
	put32(tcp[tcpLen+8:], u32(tcp[tcpLen+8:])+1)
	return dst[:copy(dst, s.unit)]
}

func streams() map[string]*stream {
	return map[string]*stream{
		"IPv4-1448": newStream(false, 1),
		"IPv4-4344": newStream(false, 3),
		"IPv6-4344": newStream(true, 3),
	}
}

// BenchmarkCompress is a unit of a steady transfer; header bytes are those before
// the payload. What Compress wrote over is restored, the payload is not touched.
func BenchmarkCompress(b *testing.B) {
	for name, s := range streams() {
		b.Run(name, func(b *testing.B) {
			c, unit := NewCompressor(), make([]byte, len(s.unit))
			compress(c, s.next(unit))
			headers, n := len(s.unit)-s.length, 0
			for b.Loop() {
				s.next(unit[:headers])
				n += len(compress(c, unit)) - s.length
			}
			b.ReportMetric(float64(n)/float64(b.N), "header-B/op")
		})
	}
}

// BenchmarkExpand is the same unit at the other end.
func BenchmarkExpand(b *testing.B) {
	for name, s := range streams() {
		b.Run(name, func(b *testing.B) {
			c, d := NewCompressor(), NewDecompressor()
			unit, dst := make([]byte, len(s.unit)), make([]byte, flow.MaxUnit)
			if _, err := d.Expand(dst, compress(c, s.next(unit))); err != nil {
				b.Fatal(err)
			}
			w := compress(c, s.next(unit)) // its timestamps go on with every repeat
			for b.Loop() {
				if _, err := d.Expand(dst, w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocations: neither direction allocates, whatever comes.
func TestAllocations(t *testing.T) {
	c, d, dst, unit := NewCompressor(), NewDecompressor(), make([]byte, flow.MaxUnit), make([]byte, flow.MaxUnit)
	v4, v6 := newSender(false, true).unit(3*1448), newSender(true, true).unit(1448)
	rare := newSender(false, false).unit(10)
	rare[1+ipv4Len+tcpFlags] |= tcpSYN
	malformed := []byte{flagCompressed, 0, 0xff}
	send := func(u []byte, want string) {
		w := compress(c, unit[:copy(unit, u)])
		if _, err := d.Expand(dst, w); err != nil || how(w) != want {
			t.Fatalf("%s, want %s: %v", how(w), want, err)
		}
	}
	send(v6, "whole")
	// AllocsPerRun rounds its average down, so a run is a round of all kinds.
	allocations := testing.AllocsPerRun(100, func() {
		v4[1+flow.VirtioLen+8]-- // the time to live
		mend(v4)
		send(v4, "whole")
		put32(v6[1+flow.VirtioLen+ipv6Len+tcpAck:], u32(v4[1+flow.VirtioLen+8:]))
		send(v4, "compressed")
		send(v6, "compressed")
		send(rare, "unchanged")
		if _, err := d.Expand(dst, malformed); err == nil {
			t.Fatal("no error")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations a round", allocations)
	}
}
