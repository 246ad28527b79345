package channel

import "time"

// intake is what the channels of a Mux share on the receiving side: memory, the
// complete units, and the pieces of incomplete ones in order of arrival.
type intake struct {
	pool    pool
	ready   queue[*buffer]
	oldest  *buffer // waiting piece of an unordered channel
	newest  *buffer
	timeout time.Duration // of a waiting piece
	stats   Stats
}

// full reports whether no complete unit may be added.
func (in *intake) full() bool { return in.ready.len() >= maxReady }

// deliver copies a whole unit into the ready queue. It reports false, without
// effect, where there is no memory. The queue must not be full.
func (in *intake) deliver(from Handle, b []byte) bool {
	u := in.pool.get(len(b))
	if u == nil {
		return false
	}
	u.b = append(u.b, b...)
	in.push(from, u)
	return true
}

// push adds a complete unit to the ready queue.
func (in *intake) push(from Handle, u *buffer) {
	u.from = from
	in.ready.push(u)
}

// wait appends b to the pieces in order of arrival.
func (in *intake) wait(b *buffer) {
	b.prev = in.newest
	if in.newest == nil {
		in.oldest = b
	} else {
		in.newest.next = b
	}
	in.newest = b
}

// unwait removes b from them.
func (in *intake) unwait(b *buffer) {
	if b.prev == nil {
		in.oldest = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		in.newest = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.prev, b.next = nil, nil
}

// expire drops the pieces that waited too long, each with its neighbours of the
// same unit.
func (in *intake) expire(at time.Duration) {
	for in.oldest != nil && in.oldest.at+in.timeout <= at {
		in.stats.Incomplete += uint64(in.oldest.owner.dropRun(in, in.oldest.seq))
	}
}
