package flow

import "encoding/binary"

// Queue holds the packets that wait for the path: one first-in-first-out queue
// per class with a common limit in bytes, and an even share of the path for each
// class that has something (deficit round robin, RFC 8290 section 3). Within its
// share, the interactive class goes first.
type Queue struct {
	classes [NumClasses]fifo
	deficit [NumClasses]int
	turn    Class
	limit   int
	dropped uint64
}

// NewQueue returns a Queue that can hold capacity bytes per class, at least
// MinLimit, and holds as many until SetLimit.
func NewQueue(capacity int) *Queue {
	q := &Queue{limit: max(capacity, MinLimit)}
	for c := range q.classes {
		q.classes[c].ring = make([]byte, q.limit)
	}
	return q
}

// SetLimit bounds what each class holds from now on, bytes within MinLimit and
// the capacity. What waits already stays.
func (q *Queue) SetLimit(limit int) { q.limit = max(limit, MinLimit) }

// Push appends a copy of the unit to its class. It reports false, and counts a
// drop, if there is no room.
func (q *Queue) Push(c Class, unit []byte) bool {
	if q.classes[c].bytes+len(unit) > q.limit || !q.classes[c].push(unit) {
		q.dropped++
		return false
	}
	return true
}

// Next returns the class whose turn it is, of those that have a unit and are
// allowed; ok is false if there is none. Until a Charge, a Push or a Pop it
// returns the same. An interactive unit waits for no more than a turn of each
// other class; a flood of them gets a turn a round, like the others.
func (q *Queue) Next(allowed [NumClasses]bool) (c Class, ok bool) {
	var ready [NumClasses]bool
	some := false
	for c := range ready {
		ready[c] = q.classes[c].count > 0 && allowed[c]
		some = some || ready[c]
	}
	if !some {
		return 0, false // and no round passes in which nobody sends
	}
	for { // two rounds take a class out of the deepest debt
		if ready[Interactive] && q.deficit[Interactive] > 0 {
			return Interactive, true
		}
		c = q.turn
		if ready[c] && q.deficit[c] > 0 {
			return c, true
		}
		q.grant(c, ready[c])
		q.turn = (q.turn + 1) % NumClasses
	}
}

// grant ends the turn of a class.
func (q *Queue) grant(c Class, ready bool) {
	switch {
	case ready:
		q.deficit[c] += quantum
	case q.classes[c].count > 0: // not allowed: its share waits with it
	case c == Interactive:
		// The unit that comes next must not wait for a turn. What was not used
		// in this round is not saved up beyond that, and a debt is not
		// forgiven: else a flood that lets its queue run empty now and then
		// would take everything.
		q.deficit[c] = min(q.deficit[c]+quantum, quantum)
	default:
		q.deficit[c] = 0 // an idle class saves nothing up
	}
}

// Charge takes n bytes off the class's share.
func (q *Queue) Charge(c Class, n int) { q.deficit[c] = max(q.deficit[c]-n, -quantum) }

// Head returns the oldest unit of the class, nil if none. It stays valid until
// Pop.
func (q *Queue) Head(c Class) []byte { return q.classes[c].head() }

// Pop removes the oldest unit of the class.
func (q *Queue) Pop(c Class) { q.classes[c].pop() }

// Len is the number of units that wait in the class.
func (q *Queue) Len(c Class) int { return q.classes[c].count }

// Bytes is the number of bytes that wait, in all classes.
func (q *Queue) Bytes() (n int) {
	for c := range q.classes {
		n += q.classes[c].bytes
	}
	return n
}

// Dropped is the number of units that found no room.
func (q *Queue) Dropped() uint64 { return q.dropped }

// unitHeader is the length before each unit in a ring.
const unitHeader = 4

// fifo is a ring of bytes in which every unit lies in one piece: one that does
// not fit before the ring's end starts at 0, and wrap remembers where the data
// stopped.
type fifo struct {
	ring        []byte
	read, write int
	wrap        int // end of the data before the wrap, 0 if not wrapped
	count       int
	bytes       int
}

func (f *fifo) push(unit []byte) bool {
	need := unitHeader + len(unit)
	switch {
	case f.count == 0:
		f.read, f.write, f.wrap = 0, 0, 0
		if need > len(f.ring) {
			return false
		}
	case f.wrap == 0 && f.write+need > len(f.ring):
		if need > f.read {
			return false
		}
		f.wrap, f.write = f.write, 0
	case f.wrap > 0 && f.write+need > f.read:
		return false
	}
	binary.BigEndian.PutUint32(f.ring[f.write:], uint32(len(unit)))
	copy(f.ring[f.write+unitHeader:], unit)
	f.write += need
	f.count++
	f.bytes += len(unit)
	return true
}

func (f *fifo) head() []byte {
	if f.count == 0 {
		return nil
	}
	n := int(binary.BigEndian.Uint32(f.ring[f.read:]))
	return f.ring[f.read+unitHeader : f.read+unitHeader+n]
}

func (f *fifo) pop() {
	n := len(f.head())
	f.read += unitHeader + n
	f.count--
	f.bytes -= n
	if f.wrap > 0 && f.read == f.wrap {
		f.read, f.wrap = 0, 0
	}
}
