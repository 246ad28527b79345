package channel

import (
	"math/bits"
	"time"
)

// Size classes of buffers, in bytes: small packets, one datagram's worth, a
// jumbo frame's, a whole unit.
const (
	classSmall = iota
	classDatagram
	classJumbo
	classUnit
	classes

	smallBytes    = 128
	datagramBytes = 2048
	jumboBytes    = 16384

	// bufferOverhead is the memory of a buffer beside its bytes, rounded up.
	bufferOverhead = 128
	// ringClasses are the powers of two from minRing to maxAhead.
	ringClasses = 12
	// ringEntry is the memory of one entry of a ring.
	ringEntry = 8
)

const _ = uint(minRing<<(ringClasses-1) - maxAhead)

// buffer holds a segment that waits for others, or a unit.
type buffer struct {
	b     []byte // filled part; the capacity is that of the class
	flags uint8
	class uint8
	from  Handle        // channel of a unit that is complete
	at    time.Duration // arrival of a segment that waits
	shows bool          // … on an ordered channel, as the newest: it showed a gap

	// Of a segment on an unordered channel that waits for its unit.
	owner      *unordered // nil in every other use
	seq        uint64
	run        run     // that it belongs to; valid at the run's two ends
	prev, next *buffer // in order of arrival
}

// pool is the memory for received data: buffers and rings of buffers. What is
// in use and what is free never exceed the limit together.
type pool struct {
	limit int // bytes
	used  int // bytes handed out
	idle  int // bytes in the free lists

	buffers [classes]stack[*buffer]
	rings   [ringClasses]stack[[]*buffer]
}

// stack is a free list. low is its smallest length since the last trim: that
// many items were not needed.
type stack[T any] struct {
	items []T
	low   int
}

func (s *stack[T]) push(v T) { s.items = append(s.items, v) }

func (s *stack[T]) pop() (v T, ok bool) {
	n := len(s.items)
	if n == 0 {
		return v, false
	}
	var zero T
	v, s.items[n-1] = s.items[n-1], zero
	s.items = s.items[:n-1]
	s.low = min(s.low, n-1)
	return v, true
}

// classOf is the smallest class for n bytes, at most MaxUnit.
func classOf(n int) uint8 {
	switch {
	case n <= smallBytes:
		return classSmall
	case n <= datagramBytes:
		return classDatagram
	case n <= jumboBytes:
		return classJumbo
	}
	return classUnit
}

func classBytes(class uint8) int {
	switch class {
	case classSmall:
		return smallBytes
	case classDatagram:
		return datagramBytes
	case classJumbo:
		return jumboBytes
	}
	return MaxUnit
}

// get returns an empty buffer for n bytes, its other fields arbitrary, or nil where the limit forbids it.
func (p *pool) get(n int) *buffer {
	class := classOf(n)
	size := classBytes(class) + bufferOverhead
	if p.used+size > p.limit {
		return nil
	}
	if b, ok := p.buffers[class].pop(); ok {
		p.idle -= size
		p.used += size
		return b
	}
	p.makeRoom(size)
	p.used += size
	return &buffer{b: make([]byte, 0, classBytes(class)), class: class}
}

// put takes a buffer back.
func (p *pool) put(b *buffer) {
	size := classBytes(b.class) + bufferOverhead
	p.used -= size
	p.idle += size
	b.b, b.owner = b.b[:0], nil
	p.buffers[b.class].push(b)
}

// grown returns a buffer with b's bytes and room for n in all, and takes b back.
// It is b itself where that has room, and nil, b untouched, beyond the limit.
func (p *pool) grown(b *buffer, n int) *buffer {
	if n <= cap(b.b) {
		return b
	}
	bigger := p.get(n)
	if bigger == nil {
		return nil
	}
	bigger.b = append(bigger.b, b.b...)
	p.put(b)
	return bigger
}

// getRing returns a ring of at least n nil entries, a power of two from minRing
// to maxAhead, or nil beyond the limit.
func (p *pool) getRing(n int) []*buffer {
	class := max(bits.Len(uint(n-1)), bits.Len(minRing-1)) - bits.Len(minRing-1)
	size := minRing << class * ringEntry
	if p.used+size > p.limit {
		return nil
	}
	if r, ok := p.rings[class].pop(); ok {
		p.idle -= size
		p.used += size
		return r
	}
	p.makeRoom(size)
	p.used += size
	return make([]*buffer, minRing<<class)
}

// putRing takes a ring back. All its entries must be nil.
func (p *pool) putRing(r []*buffer) {
	if r == nil {
		return
	}
	size := len(r) * ringEntry
	p.used -= size
	p.idle += size
	p.rings[bits.Len(uint(len(r)-1))-bits.Len(minRing-1)].push(r)
}

// makeRoom drops free memory until size more bytes fit under the limit.
func (p *pool) makeRoom(size int) {
	fits := func() bool { return p.used+p.idle+size <= p.limit }
	for i := range p.buffers {
		for !fits() && p.dropBuffer(i) {
		}
	}
	for i := range p.rings {
		for !fits() && p.dropRing(i) {
		}
	}
}

// trim drops what has not been needed since the last trim.
func (p *pool) trim() {
	for i := range p.buffers {
		for s := &p.buffers[i]; s.low > 0 && p.dropBuffer(i); {
		}
		p.buffers[i].low = len(p.buffers[i].items)
	}
	for i := range p.rings {
		for s := &p.rings[i]; s.low > 0 && p.dropRing(i); {
		}
		p.rings[i].low = len(p.rings[i].items)
	}
}

func (p *pool) dropBuffer(class int) bool {
	s := &p.buffers[class]
	low := s.low
	if _, ok := s.pop(); !ok {
		return false
	}
	s.low = max(low-1, 0)
	p.idle -= classBytes(uint8(class)) + bufferOverhead
	return true
}

func (p *pool) dropRing(class int) bool {
	s := &p.rings[class]
	low := s.low
	if _, ok := s.pop(); !ok {
		return false
	}
	s.low = max(low-1, 0)
	p.idle -= minRing << class * ringEntry
	return true
}
