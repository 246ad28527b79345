package flow

import "time"

// flowQueue is the queue of one flow or, where a set is full, of several.
type flowQueue struct {
	head, tail *item
	hash       uint64 // of its flow
	shared     bool   // others have something in it as well
	bytes      int
	deficit    int
	state      uint8
	next       int16 // in its list
	codel      codel
}

// States of a flow queue (RFC 8290, section 4.1).
const (
	idleFlow uint8 = iota
	newFlow
	oldFlow
)

// none ends a list of flow queues.
const none = -1

// flowList is a list of flow queues, oldest first.
type flowList struct{ head, tail int16 }

// lane is FQ-CoDel for the units of one class (RFC 8290).
type lane struct {
	flows  [numFlows]flowQueue
	fresh  flowList // flows that were idle: sparse ones go first
	old    flowList
	count  int   // units, the staged one included
	staged *item // the next to go: CoDel has let it pass
	law    *Law
	owner  *Queue
}

func (l *lane) init(q *Queue) {
	l.fresh, l.old = flowList{none, none}, flowList{none, none}
	l.law, l.owner = &q.law, q
}

func (l *lane) append(list *flowList, i int16) {
	l.flows[i].next = none
	if list.head == none {
		list.head = i
	} else {
		l.flows[list.tail].next = i
	}
	list.tail = i
}

func (l *lane) pop(list *flowList) { list.head = l.flows[list.head].next }

// queueOf is the index of the flow queue for a unit: that of its flow or, for one
// that has none in its set, one that is idle. Where all are busy the flow shares the
// first of its choice, and stays there until it is idle: nothing overtakes.
func (l *lane) queueOf(hash uint64) uint16 {
	set, way := hash%FlowNumbers, hash/FlowNumbers%flowWays
	free := uint64(numFlows)
	for k := range uint64(flowWays) {
		i := set + FlowNumbers*((way+k)%flowWays)
		f := &l.flows[i]
		if f.hash == hash {
			return uint16(i)
		}
		if f.state == idleFlow && free == numFlows {
			free = i
		}
	}
	first := set + FlowNumbers*way
	if free == numFlows || l.flows[first].shared {
		l.flows[first].shared = true
		return uint16(first)
	}
	l.flows[free].hash = hash
	return uint16(free)
}

// push appends a unit to its flow queue.
func (l *lane) push(it *item) {
	f := &l.flows[it.flow]
	if f.head == nil {
		f.head = it
	} else {
		f.tail.next = it
	}
	f.tail = it
	f.bytes += it.n
	l.count++
	if f.state == idleFlow {
		f.state, f.deficit = newFlow, quantum
		l.append(&l.fresh, int16(it.flow))
	}
}

// take removes the oldest unit of a flow queue.
func (f *flowQueue) take() *item {
	it := f.head
	f.head = it.next
	if f.head == nil {
		f.tail = nil
	}
	it.next = nil
	f.bytes -= it.n
	return it
}

// drop removes the oldest unit of a flow queue for good.
func (l *lane) drop(f *flowQueue) {
	it := f.take()
	l.count--
	l.owner.forget(it)
}

// stage chooses the next unit to go, unless there is one, and reports whether
// there is one then (RFC 8290, section 4.2).
func (l *lane) stage(now time.Time) bool {
	for l.staged == nil {
		list := &l.fresh
		if list.head == none {
			list = &l.old
		}
		if list.head == none {
			return false
		}
		i := list.head
		f := &l.flows[i]
		if f.deficit <= 0 {
			f.deficit += quantum
			l.pop(list)
			f.state = oldFlow
			l.append(&l.old, i)
			continue
		}
		it := l.dequeue(now, f)
		if it != nil {
			f.deficit -= it.n
			l.staged = it
			return true
		}
		l.pop(list)
		if f.state == newFlow && l.old.head != none { // it may not come back as a new one at once
			f.state = oldFlow
			l.append(&l.old, i)
			continue
		}
		f.state, f.shared = idleFlow, false
	}
	return true
}

// dequeue takes the next unit off a flow queue that CoDel lets pass, marked where
// it says so; nil if there is none.
func (l *lane) dequeue(now time.Time, f *flowQueue) *item {
	judge := f.codel.first
	for f.head != nil {
		it := f.head
		stayed := now.Sub(it.at)
		if d := it.treatment.Deadline; d > 0 && stayed > d {
			l.owner.stats.Expired++
			l.drop(f)
			continue
		}
		if judge(now, l.law, stayed, f.bytes-it.n) == pass {
			return f.take()
		}
		if MarkCE(it.buf[:it.n]) {
			l.owner.stats.Marked++
			return f.take()
		}
		l.owner.stats.Slowed++
		l.drop(f)
		judge = f.codel.next
	}
	f.codel.dropping = false
	return nil
}
