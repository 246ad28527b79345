package flow

import "time"

// flowQueue is the queue of the flows that have the same hash.
type flowQueue struct {
	head, tail *item
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
		f.state = idleFlow
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
