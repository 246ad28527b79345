package flow

import (
	"math"
	"time"
)

// Law is what CoDel aims at (RFC 8289): a unit that stayed longer than Target,
// for an Interval, tells its sender to slow down.
type Law struct{ Target, Interval time.Duration }

// Queue holds the packets that wait for the path (T-2): one FQ-CoDel of 1024 flow
// queues for each class (RFC 8290), and an even share of the path for each class
// that has something, by deficit round robin. Within its share, the interactive
// class goes first.
type Queue struct {
	lanes        [NumClasses]lane
	deficit      [NumClasses]int
	turn         Class
	limit        int
	capacity     int
	bytes        int
	perturbation uint64
	law          Law
	store        store
	held         *Held
	keep         bool
	stats        QueueStats
}

// QueueStats count units since the Queue was made.
type QueueStats struct {
	Refused uint64 // found no room
	Evicted uint64 // gave way to others when there was no room
	Slowed  uint64 // dropped by CoDel
	Marked  uint64 // … or marked instead
	Expired uint64 // stayed longer than their deadline
}

// QueueConfig configures a Queue.
type QueueConfig struct {
	// Capacity is how many bytes it holds at most, at least MinLimit.
	Capacity int
	// Perturbation makes the hash of flows unforeseeable.
	Perturbation uint64
	// Held follows the units of the Stream class but lone ones; nil: nobody does.
	Held *Held
	// Keep: what was taken stays until it is popped, or its deadline: none gives
	// way to others.
	Keep bool
}

// NewQueue returns a Queue that holds as much as it can until SetLimit, and
// slows nobody down until SetLaw.
func NewQueue(cfg QueueConfig) *Queue {
	capacity := max(cfg.Capacity, MinLimit)
	q := &Queue{
		limit: capacity, capacity: capacity, perturbation: cfg.Perturbation, held: cfg.Held, keep: cfg.Keep,
		law: Law{Target: math.MaxInt64, Interval: time.Second}, store: store{limit: capacity},
	}
	for c := range q.lanes {
		q.lanes[c].init(q)
	}
	return q
}

// SetLimit bounds what waits from now on, bytes within MinLimit and the capacity.
// What waits already stays.
func (q *Queue) SetLimit(limit int) { q.limit = min(max(limit, MinLimit), q.capacity) }

// SetLaw sets CoDel's target and interval, which must be positive. The target
// must leave a queue that rides out what the path does to the sender's clock, or
// capacity idles; the caller knows the path.
func (q *Queue) SetLaw(law Law) {
	if law.Target <= 0 || law.Interval <= 0 {
		panic("flow: CoDel needs a positive target and interval")
	}
	q.law = law
}

// Push appends a copy of the unit, of a packet that Parse read, to its flow queue.
// If there is no room, the longest flow queue gives way, the oldest first; it
// reports false, and counts, where that is the unit's own.
func (q *Queue) Push(now time.Time, p *Packet, t Treatment, unit []byte) bool {
	i := q.lanes[t.Class].queueOf(flowHash(q.perturbation, p))
	for q.bytes+len(unit) > q.limit {
		l, f := q.fattest()
		if q.keep || f == nil || f.bytes <= q.lanes[t.Class].flows[i].bytes+len(unit) {
			q.stats.Refused++
			return false
		}
		q.stats.Evicted++
		l.drop(f)
	}
	it := q.store.get(unit)
	it.at, it.treatment, it.flow = now, t, i
	if q.held != nil && t.Class == Stream && !t.Lone {
		it.ticket = q.held.Add(unit)
	}
	q.bytes += len(unit)
	q.lanes[t.Class].push(it)
	return true
}

// fattest is the flow queue with the most bytes, nil if all are empty.
func (q *Queue) fattest() (lane *lane, most *flowQueue) {
	for c := range q.lanes {
		l := &q.lanes[c]
		for _, list := range [...]*flowList{&l.fresh, &l.old} {
			for i := list.head; i != none; i = l.flows[i].next {
				if f := &l.flows[i]; f.head != nil && (most == nil || f.bytes > most.bytes) {
					lane, most = l, f
				}
			}
		}
	}
	return lane, most
}

// forget takes note of a unit that is dropped from the queue.
func (q *Queue) forget(it *item) {
	q.bytes -= it.n
	if q.held != nil {
		q.held.Drop(it.ticket)
	}
	q.store.put(it)
}

// Next returns the class whose turn it is, of those that have a unit and are
// allowed; ok is false if there is none. Until a Charge, a Push or a Pop it
// returns the same. An interactive unit waits for no more than a turn of each
// other class; a flood of them gets a turn a round, like the others.
func (q *Queue) Next(now time.Time, allowed [NumClasses]bool) (c Class, ok bool) {
	var ready [NumClasses]bool
	some := false
	for c := range ready {
		ready[c] = allowed[c] && q.lanes[c].stage(now)
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
	case q.lanes[c].count > 0: // not allowed: its share waits with it
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

// Unit is a unit at the head of a class. It stays the head, and valid, until Pop.
type Unit struct {
	B         []byte // may be changed
	Treatment Treatment
	Flow      uint8     // the same for all packets of a flow, below FlowNumbers
	At        time.Time // of arrival
	Ticket    int       // of Held
}

// Head returns the unit of the class that goes next; B is nil if there is none.
// Next chooses it.
func (q *Queue) Head(c Class) (u Unit) {
	if it := q.lanes[c].staged; it != nil {
		u = Unit{B: it.buf[:it.n], Treatment: it.treatment, Flow: uint8(it.flow % FlowNumbers), At: it.at, Ticket: it.ticket}
	}
	return u
}

// Pop removes the unit at the head of the class, and chooses the next.
func (q *Queue) Pop(now time.Time, c Class) {
	l := &q.lanes[c]
	it := l.staged
	if it == nil {
		panic("flow: Pop of a class without a head")
	}
	l.staged = nil
	l.count--
	q.bytes -= it.n
	q.store.put(it)
	l.stage(now)
}

// Len is the number of units that wait in the class.
func (q *Queue) Len(c Class) int { return q.lanes[c].count }

// Stage reports whether the class has a head, and chooses it if it has none.
func (q *Queue) Stage(now time.Time, c Class) bool { return q.lanes[c].stage(now) }

// Has reports whether a unit with the tag waits in the class.
func (q *Queue) Has(c Class, tag uint64) bool {
	l := &q.lanes[c]
	if l.staged != nil && l.staged.treatment.Tag == tag {
		return true
	}
	for i := range l.flows {
		for it := l.flows[i].head; it != nil; it = it.next {
			if it.treatment.Tag == tag {
				return true
			}
		}
	}
	return false
}

// FlowBytes is the number of bytes that wait in a class for the flows of a number,
// the head of the class not included.
func (q *Queue) FlowBytes(c Class, number uint8) (n int) {
	for i := int(number); i < numFlows; i += FlowNumbers {
		n += q.lanes[c].flows[i].bytes
	}
	return n
}

// Bytes is the number of bytes that wait, in all classes.
func (q *Queue) Bytes() int { return q.bytes }

// Stats returns the counters.
func (q *Queue) Stats() QueueStats { return q.stats }
