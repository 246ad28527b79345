package header

import (
	"bytes"
	"testing"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/flow"
)

// Operations of a fuzzed sequence.
const (
	opRaw    = iota // a unit as it stands in the input
	opAgain         // the newest unit again, with some bytes changed
	opSender        // the next unit of a connection
	numOps
)

// script reads units off a fuzzer's input, so that it finds sequences that reach
// a compressed unit, and units that almost do.
type script struct {
	r       wire.Reader
	last    []byte
	senders [4]*sender
}

func newScript(input []byte) *script {
	s := &script{r: wire.NewReader(input)}
	for i := range s.senders {
		s.senders[i] = newSender(i&1 != 0, i&2 != 0)
		s.senders[i].mss = 100
	}
	return s
}

// next is the next unit; nil at the end.
func (s *script) next() []byte {
	if s.r.Len() == 0 {
		return nil
	}
	op := s.r.U8()
	unit := bytes.Clone(s.last)
	switch op % numOps {
	case opRaw:
		unit = bytes.Clone(s.r.Bytes(min(int(s.r.U8()), s.r.Len())))
		if len(unit) > 0 {
			unit[0] &= unitFlags
		}
	case opAgain:
		for range op / numOps % 4 {
			if len(unit) > 1 {
				unit[1+int(s.r.U8())%(len(unit)-1)] ^= s.r.U8()
			}
		}
		if s.r.U8()&1 != 0 {
			mend(unit)
		}
	case opSender:
		unit = s.fromSender(s.senders[op/numOps%4])
	}
	s.last = bytes.Clone(unit)
	return append([]byte{}, unit...)
}

func (s *script) fromSender(c *sender) []byte {
	what := s.r.U8()
	if what&1 != 0 {
		c.seq += s.r.U32()
	}
	if what&2 != 0 {
		c.ack += s.r.U32()
	}
	if what&4 != 0 {
		c.stamp, c.echo = c.stamp+uint32(s.r.U8()), c.echo-s.r.U32()
	}
	if what&8 != 0 {
		c.window, c.id = s.r.U16(), s.r.U16()
	}
	if what&16 != 0 {
		c.flags = s.r.U8()
	}
	if what&32 != 0 {
		c.options = append(bytes.Clone(s.r.Bytes(min(int(s.r.U8())%11*4, s.r.Len()))), make([]byte, 3)...)
		c.options = c.options[:len(c.options)/4*4]
	}
	return c.unit(int(s.r.U16()) % 400)
}

// FuzzRoundTrip: packets come from any program of the host, in any order. What
// the Compressor makes of them becomes what they were, and both ends agree.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{2, 0, 1, 0, 2, 0, 1, 0, 2, 4, 9, 0, 0, 0, 1, 1, 0})
	f.Add([]byte{8, 0, 1, 0, 8, 0, 16, 0, 4, 0, 1, 4, 77, 1, 0, 7, 30, 1, 31, 2, 1})
	f.Add([]byte{5, 0, 0, 9, 11, 32, 3, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 20, 11, 4, 1, 0, 0, 0, 1, 0, 5})
	for _, unit := range odd() {
		f.Add(append([]byte{opRaw, byte(min(len(unit), 255))}, unit...))
	}
	p := newPair()
	f.Fuzz(func(t *testing.T, input []byte) {
		*p.c, *p.d = Compressor{}, Decompressor{}
		s := newScript(input)
		for unit := s.next(); unit != nil; unit = s.next() {
			w := p.roundTrip(t, unit)
			if len(w) > 0 && how(w) == "compressed" && len(w) >= len(unit) {
				t.Errorf("a compressed unit of %d bytes has %d", len(unit), len(w))
			}
		}
		if p.c.contexts != p.d.contexts {
			t.Error("the two ends differ")
		}
	})
}

// FuzzExpand: units come from an authenticated but hostile peer. Whatever they
// are, Expand does not panic and keeps to flow.MaxUnit, an error leaves the state
// as it was, and what was compressed becomes a packet that can be.
func FuzzExpand(f *testing.F) {
	f.Add([]byte{9, 0x09, 0, 0, 1, 2, 3, 4, 5, 6})
	f.Add([]byte{20, 0x69, 0, 0xff, 9, 9, 1, 1, 0, 0, 5, 0, 0, 0, 0, 0, 16, 2, 2, 2, 2, 2, 2, 9})
	f.Add([]byte{4, 0x08, 1, 0xc0, 2, 6, 0x18, 1, 0x34, 2, 2, 2})
	for _, v := range []bool{false, true} {
		unit := compress(NewCompressor(), newSender(v, v).unit(20))
		f.Add(append(append([]byte{byte(len(unit))}, unit...), 4, 0x18, u8(unit, v), 0, 7))
	}
	var known [4]context // what the fuzzer begins with
	for i := range known {
		h, _ := parse(newSender(i&1 != 0, i&2 != 0).unit(9))
		known[i].set(&h)
	}
	d, dst := NewDecompressor(), make([]byte, flow.MaxUnit+1)
	f.Fuzz(func(t *testing.T, input []byte) {
		*d = Decompressor{}
		copy(d.contexts[:], known[:])
		r := wire.NewReader(input)
		for r.Len() > 0 {
			unit, before := r.Bytes(min(int(r.U8()), r.Len())), *d
			n, err := d.Expand(dst, unit)
			if n > flow.MaxUnit || err != nil && (n != 0 || *d != before) {
				t.Fatalf("%x: %d bytes, %v, or the state changed", unit, n, err)
			}
			if err != nil || len(unit) == 0 || how(unit) == "unchanged" {
				continue
			}
			if _, ok := parse(dst[:n]); !ok {
				t.Fatalf("%x became %x", unit, head(dst[:n]))
			}
			if _, ok := flow.Parse(dst[:n]); !ok {
				t.Fatalf("%x became %x, which is no unit", unit, head(dst[:n]))
			}
		}
	})
}

// u8 is the number of the context that a whole unit sets.
func u8(unit []byte, v6 bool) byte {
	packet := unit[packetAt(unit[0]):]
	if v6 {
		return packet[ipv6Payload+1]
	}
	return packet[ipv4Total+1]
}
