package channel

import "time"

// unordered receives one direction of a channel whose units are delivered as
// soon as they are complete (C-4): modes UDP and Z, whose units may be lost, X,
// which closes when one is, and SCTP, which loses none. Segments of units that
// are not complete wait in the ring, joined into runs: neighbours of the same
// unit. A run's two ends know its extent, so that a segment costs the same
// whatever the size of its unit.
type unordered struct {
	handle  Handle
	window  window
	strict  bool      // every segment counts: X, SCTP
	patient bool      // … and what is missing may still come: SCTP
	jumps   jumps     // if strict
	late    uint64    // segments behind the window, dropped
	ring    []*buffer // waiting segments by number; covers low … window.end-1
	low     uint64    // none waits below
	held    int       // segments in the ring
}

// run is a series of neighbouring segments of one unit.
type run struct {
	lo, hi uint64 // sequence numbers of the first and the last
	sum    int    // bytes in all
}

func newUnordered(c *channel) *unordered {
	u := &unordered{handle: c.handle, strict: c.caps&CloseOnLoss != 0}
	u.patient = u.strict && c.caps&Resend != 0
	size := unorderedWindow
	if u.patient {
		size = reliableWindow
	}
	u.window = newWindow(size)
	return u
}

// gap is when the oldest gap showed; ok is false if there is none, or none that
// counts.
func (u *unordered) gap() (since time.Duration, ok bool) {
	if u.jumps.list.len() == 0 {
		return 0, false
	}
	return u.jumps.list.front().at, true
}

// noRoom is what a segment does for which there is no room: it breaks a channel
// of which every segment counts.
func (u *unordered) noRoom(in *intake, n uint64) Reason {
	if u.strict {
		return ReasonOverflow
	}
	in.stats.NoRoom += n
	return ReasonNone
}

// receive takes a segment. A reason other than ReasonNone breaks the channel.
func (u *unordered) receive(in *intake, at time.Duration, h header, body []byte) Reason {
	seq, ok := u.window.locate(h.seq)
	switch {
	case !ok:
		in.stats.Late++
		u.late++
		return ReasonNone
	case u.window.has(seq):
		in.stats.Duplicates++
		return ReasonNone
	}
	if u.strict {
		u.jumps.add(&u.window, seq, at)
	}
	u.window.mark(seq)
	if u.strict && !u.jumps.advance(&u.window) {
		if u.patient { // more open than any correct peer leaves
			return ReasonOverflow
		}
		return ReasonLoss
	}
	u.forget(in)
	if h.flags&flagsWhole != flagsWhole {
		return u.piece(in, at, seq, h.flags, body)
	}
	if !u.fits(seq, h.flags) {
		return ReasonFraming
	}
	if in.full() || !in.deliver(u.handle, body) {
		return u.noRoom(in, 1)
	}
	return ReasonNone
}

// forget drops waiting segments that have fallen out of the window.
func (u *unordered) forget(in *intake) {
	if u.held == 0 {
		u.low = u.window.end
		return
	}
	if u.window.end < u.window.reach() {
		return
	}
	for start := u.window.end - u.window.reach(); u.low < start && u.held > 0; u.low++ {
		if u.waiting(u.low) != nil {
			in.stats.Incomplete += uint64(u.dropRun(in, u.low))
		}
	}
}

// waiting is the segment that waits under the number seq, or nil.
func (u *unordered) waiting(seq uint64) *buffer {
	if u.held == 0 || seq < u.low || seq >= u.window.end || seq-u.low >= uint64(len(u.ring)) {
		return nil
	}
	return u.ring[seq&uint64(len(u.ring)-1)]
}

// fits reports whether a segment's flags agree with those of its neighbours: a
// unit ends exactly where the next begins.
func (u *unordered) fits(seq uint64, flags uint8) bool {
	if seq > 0 {
		b := u.waiting(seq - 1)
		if b != nil && (b.flags&flagLast != 0) != (flags&flagFirst != 0) {
			return false
		}
	}
	b := u.waiting(seq + 1)
	return b == nil || (b.flags&flagFirst != 0) == (flags&flagLast != 0)
}

// piece takes a segment that is not a whole unit.
func (u *unordered) piece(in *intake, at time.Duration, seq uint64, flags uint8, body []byte) Reason {
	if !u.fits(seq, flags) || (seq == 0 && flags&flagFirst == 0) {
		return ReasonFraming
	}
	all := run{lo: seq, hi: seq, sum: len(body)}
	starts, ends := flags&flagFirst != 0, flags&flagLast != 0
	if !starts {
		if b := u.waiting(seq - 1); b != nil {
			all.lo, all.sum = b.run.lo, all.sum+b.run.sum
			starts = u.waiting(all.lo).flags&flagFirst != 0
		}
	}
	if !ends {
		if b := u.waiting(seq + 1); b != nil {
			all.hi, all.sum = b.run.hi, all.sum+b.run.sum
			ends = u.waiting(all.hi).flags&flagLast != 0
		}
	}
	if all.sum > MaxUnit {
		return ReasonFraming
	}
	if starts && ends {
		return u.complete(in, all, seq, body)
	}
	if !u.cover(in, seq) {
		return u.noRoom(in, 1)
	}
	b := in.pool.get(len(body))
	if b == nil {
		return u.noRoom(in, 1)
	}
	b.b = append(b.b, body...)
	b.owner, b.seq, b.flags, b.at = u, seq, flags, at
	u.ring[seq&uint64(len(u.ring)-1)] = b
	u.held++
	if !u.strict {
		in.wait(b)
	}
	u.waiting(all.lo).run = all
	u.waiting(all.hi).run = all
	return ReasonNone
}

// complete delivers the unit that a run makes; the segment seq of it is body,
// the others wait.
func (u *unordered) complete(in *intake, all run, seq uint64, body []byte) (why Reason) {
	var unit *buffer
	if !in.full() {
		unit = in.pool.get(all.sum)
	}
	if unit == nil {
		why = u.noRoom(in, all.hi-all.lo+1)
	}
	for i := all.lo; i <= all.hi; i++ {
		piece := body
		b := u.waiting(i)
		if i != seq {
			piece = b.b
		}
		if unit != nil {
			unit.b = append(unit.b, piece...)
		}
		if i != seq {
			u.drop(in, b)
		}
	}
	if unit != nil {
		in.push(u.handle, unit)
	}
	if u.held == 0 {
		u.rest(in)
	}
	return why
}

// cover makes the ring reach from the lowest waiting segment, seq included, to
// the newest one. It reports false where there is no memory.
func (u *unordered) cover(in *intake, seq uint64) bool {
	if u.held == 0 {
		u.low = seq
	}
	low := min(u.low, seq)
	if u.window.end-low <= uint64(len(u.ring)) {
		u.low = low
		return true
	}
	for low == u.low && u.waiting(low) == nil && low < seq {
		low++ // what waited at the low end has gone
		u.low = low
	}
	// Twice the need, so that growth and the walk above are rare.
	need := min(2*int(u.window.end-low), 64*len(u.window.seen))
	if need <= len(u.ring) {
		u.low = low
		return true
	}
	ring := in.pool.getRing(need)
	if ring == nil {
		return false
	}
	for i, left := u.low, u.held; left > 0; i++ {
		if b := u.waiting(i); b != nil {
			ring[i&uint64(len(ring)-1)] = b
			u.ring[i&uint64(len(u.ring)-1)] = nil
			left--
		}
	}
	in.pool.putRing(u.ring)
	u.ring, u.low = ring, low
	return true
}

// drop removes one waiting segment.
func (u *unordered) drop(in *intake, b *buffer) {
	u.ring[b.seq&uint64(len(u.ring)-1)] = nil
	u.held--
	if !u.strict {
		in.unwait(b)
	}
	in.pool.put(b)
}

// dropRun removes the run around seq and returns its length in segments.
func (u *unordered) dropRun(in *intake, seq uint64) int {
	lo, hi := seq, seq
	for u.waiting(lo).flags&flagFirst == 0 && lo > 0 && u.waiting(lo-1) != nil {
		lo--
	}
	for u.waiting(hi).flags&flagLast == 0 && u.waiting(hi+1) != nil {
		hi++
	}
	for i := lo; i <= hi; i++ {
		u.drop(in, u.waiting(i))
	}
	if u.held == 0 {
		u.rest(in)
	}
	return int(hi-lo) + 1
}

// rest gives a large ring back when nothing waits.
func (u *unordered) rest(in *intake) {
	if len(u.ring) > minRing {
		in.pool.putRing(u.ring)
		u.ring = nil
	}
}

// release gives all memory back and returns how many segments were lost with
// it.
func (u *unordered) release(in *intake) int {
	lost := u.held
	for i := u.low; u.held > 0; i++ {
		if b := u.waiting(i); b != nil {
			u.drop(in, b)
		}
	}
	in.pool.putRing(u.ring)
	u.ring = nil
	return lost
}
