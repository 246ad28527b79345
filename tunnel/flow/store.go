package flow

import (
	"math/bits"
	"time"
)

// item is a unit that waits.
type item struct {
	buf       []byte // of a size class
	n         int    // bytes of the unit
	at        time.Time
	treatment Treatment
	flow      uint8 // number of the flow queue
	ticket    int   // of Held
	next      *item
}

// Buffers have sizes of powers of two, from minBuffer to maxBuffer bytes.
const (
	minBuffer     = 128
	bufferClasses = 11
	maxBuffer     = minBuffer << (bufferClasses - 1)
)

const _ = uint(maxBuffer - MaxUnit)

// store is the memory of a Queue: what is free is kept for later, up to a limit.
type store struct {
	limit int // bytes kept free
	idle  int
	free  [bufferClasses]*item
}

func bufferClass(n int) int {
	return max(bits.Len(uint(n-1)), bits.Len(minBuffer-1)) - bits.Len(minBuffer-1)
}

// get returns an item with a copy of the unit.
func (s *store) get(unit []byte) *item {
	c := bufferClass(len(unit))
	it := s.free[c]
	if it == nil {
		it = &item{buf: make([]byte, minBuffer<<c)}
	} else {
		s.free[c], it.next = it.next, nil
		s.idle -= len(it.buf)
	}
	it.n = copy(it.buf, unit)
	return it
}

// put takes an item back.
func (s *store) put(it *item) {
	if s.idle+len(it.buf) > s.limit {
		return
	}
	c := bufferClass(len(it.buf))
	*it = item{buf: it.buf, next: s.free[c]}
	s.free[c] = it
	s.idle += len(it.buf)
}
