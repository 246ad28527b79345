package flow

import "encoding/binary"

// Queue holds the packets that wait for the path: one first-in-first-out queue
// per class with a common limit in bytes, and an even share of the path for each
// class that has something (deficit round robin, RFC 8290 section 3).
type Queue struct {
	classes [NumClasses]fifo
	deficit [NumClasses]int
	turn    Class
	limit   int
	dropped uint64
}

// quantum is what a class may send in one turn, bytes: one full packet.
const quantum = 1514

// MinLimit is the least limit of a Queue, bytes per class: a super-packet must
// find room behind another.
const MinLimit = 2 * (MaxUnit + unitHeader)

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
// allowed; ok is false if there is none.
func (q *Queue) Next(allowed [NumClasses]bool) (c Class, ok bool) {
	for range 2 * NumClasses {
		c = q.turn
		if q.classes[c].count > 0 && allowed[c] {
			if q.deficit[c] > 0 {
				return c, true
			}
			q.deficit[c] += quantum
		} else if q.classes[c].count == 0 {
			q.deficit[c] = 0 // an idle class saves nothing up
		}
		q.turn = (q.turn + 1) % NumClasses
	}
	for c = range Class(NumClasses) { // deep in debt, yet alone
		if q.classes[c].count > 0 && allowed[c] {
			return c, true
		}
	}
	return 0, false
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
