package channel

import "time"

// ordered receives one direction of a channel whose units keep their order
// (C-4): modes TCP and Y, which lose nothing before they close, and Streaming 1
// and 2, which skip a gap that lasts too long. A segment that is next goes
// straight into the unit being assembled; only what came early waits in the ring.
type ordered struct {
	handle Handle
	next   uint64    // sequence number of the next segment, 64 bits inside (C-6)
	ring   []*buffer // early segments by number; covers next … next+len(ring)-1
	held   int       // segments in the ring
	unit   *buffer   // being assembled

	// The age of the gap at next. A segment that was the newest when it came
	// showed all gaps between it and the newest before it.
	high  uint64        // one above the newest segment
	shown uint64        // the segment that showed the gap, if beyond next
	since time.Duration // … and when

	// Streaming.
	skips   bool
	broken  bool   // the beginning of the unit at next was given up
	seen    window // tells late segments from repeats
	skipped uint64 // segments given up
	late    uint64 // … that came after all, dropped
}

func newOrdered(c *channel) *ordered {
	o := &ordered{handle: c.handle, skips: c.caps&CloseOnLoss == 0}
	if o.skips {
		o.seen = newWindow(unorderedWindow)
	}
	return o
}

// receive takes a segment. A reason other than ReasonNone breaks the channel.
func (o *ordered) receive(in *intake, at time.Duration, h header, body []byte) Reason {
	ahead := distance(o.next, h.seq)
	if ahead < 0 {
		o.dropOld(in, h.seq)
		return ReasonNone
	}
	if o.skips {
		if ahead = o.reach(in, uint64(ahead)); ahead < 0 {
			return ReasonNone
		}
		o.seen.mark(o.next + uint64(ahead))
	}
	if ahead > 0 || in.full() {
		return o.keep(in, at, ahead, h.flags, body)
	}
	// The ring cannot hold this segment: drain takes what is next at once,
	// unless the ready queue is full, and ReadUnit makes up for that.
	if why := o.take(in, h.flags, body); why != ReasonNone {
		return why
	}
	o.next++
	o.high = max(o.high, o.next)
	if o.held == 0 {
		return ReasonNone
	}
	return o.drain(in)
}

// dropOld counts a segment below next: a repeat, or one that was given up.
// Delivery never goes back (C-5).
func (o *ordered) dropOld(in *intake, seq uint32) {
	if o.skips {
		if full, ok := o.seen.locate(seq); !ok || !o.seen.has(full) {
			in.stats.Late++
			o.late++
			return
		}
	}
	in.stats.Duplicates++
}

// reach makes room on a Streaming channel for a segment far ahead: rather than
// break, it gives up the oldest gaps, however young. It returns how far ahead of
// next the segment is then, -1 where it must be dropped.
func (o *ordered) reach(in *intake, ahead uint64) int64 {
	seq := o.next + ahead
	for seq-o.next >= maxAhead {
		switch {
		case o.stalled(): // nobody reads
			in.stats.NoRoom++
			return -1
		case o.held > 0:
			if o.shift(in) != ReasonNone {
				in.stats.NoRoom++
				return -1
			}
		default:
			o.giveUp(in, seq)
		}
	}
	return int64(seq - o.next)
}

// at is the ring's entry for sequence number seq.
func (o *ordered) at(seq uint64) *buffer { return o.ring[seq&uint64(len(o.ring)-1)] }

// stalled reports whether the next segment is here and only waits for room in
// the ready queue.
func (o *ordered) stalled() bool { return o.held > 0 && o.at(o.next) != nil }

// gap is when the gap at next showed; ok is false if there is none.
func (o *ordered) gap() (since time.Duration, ok bool) {
	if o.held == 0 || o.at(o.next) != nil {
		return 0, false
	}
	if o.shown <= o.next { // it was delivered: the next one that showed a gap
		for o.shown = o.next + 1; ; o.shown++ {
			if b := o.at(o.shown); b != nil && b.shows {
				o.since = b.at
				break
			}
		}
	}
	return o.since, true
}

// shift gives up the gap at next and delivers what is behind it (C-4, modes 010
// and 011).
func (o *ordered) shift(in *intake) Reason {
	seq := o.next
	for o.at(seq) == nil {
		seq++
	}
	o.giveUp(in, seq)
	return o.drain(in)
}

// giveUp moves next up to seq, and drops the unit that loses a part by it.
func (o *ordered) giveUp(in *intake, seq uint64) {
	n := seq - o.next
	o.skipped += n
	in.stats.Skipped += n
	o.next, o.high = seq, max(o.high, seq)
	o.broken = true
	o.dropUnit(in)
}

// dropUnit drops the unit in assembly.
func (o *ordered) dropUnit(in *intake) {
	if o.unit != nil {
		in.stats.Incomplete++
		in.pool.put(o.unit)
		o.unit = nil
	}
}

// keep stores a segment that cannot be delivered yet, so far ahead of next.
func (o *ordered) keep(in *intake, at time.Duration, ahead int64, flags uint8, body []byte) Reason {
	if ahead >= maxAhead {
		return ReasonOverflow
	}
	seq := o.next + uint64(ahead)
	if int(ahead) >= len(o.ring) && !o.widen(in, int(ahead)+1) {
		return o.noRoom(in)
	}
	if o.at(seq) != nil {
		in.stats.Duplicates++
		return ReasonNone
	}
	b := in.pool.get(len(body))
	if b == nil {
		return o.noRoom(in)
	}
	b.b = append(b.b, body...)
	b.flags, b.at, b.shows = flags, at, seq >= o.high
	o.high = max(o.high, seq+1)
	o.ring[seq&uint64(len(o.ring)-1)] = b
	o.held++
	return ReasonNone
}

// noRoom is what a segment does for which there is no memory: it breaks a channel
// that loses nothing, and is lost on another.
func (o *ordered) noRoom(in *intake) Reason {
	if !o.skips {
		return ReasonOverflow
	}
	in.stats.NoRoom++
	return ReasonNone
}

// widen makes the ring cover n segments.
func (o *ordered) widen(in *intake, n int) bool {
	ring := in.pool.getRing(n)
	if ring == nil {
		return false
	}
	for i, left := o.next, o.held; left > 0; i++ {
		if b := o.at(i); b != nil {
			ring[i&uint64(len(ring)-1)] = b
			o.ring[i&uint64(len(o.ring)-1)] = nil
			left--
		}
	}
	in.pool.putRing(o.ring)
	o.ring = ring
	return true
}

// take adds the next segment to the unit in assembly, or drops it where the
// unit's beginning was given up.
func (o *ordered) take(in *intake, flags uint8, body []byte) Reason {
	if o.broken {
		if flags&flagFirst == 0 {
			in.stats.Incomplete++
			return ReasonNone
		}
		o.broken = false
	}
	why := o.join(in, flags, body)
	if why == ReasonOverflow && o.skips { // no memory: as if it had been lost
		in.stats.NoRoom++
		o.dropUnit(in)
		o.broken = true
		return ReasonNone
	}
	return why
}

// join adds the next segment to the unit in assembly. On failure nothing has
// changed.
func (o *ordered) join(in *intake, flags uint8, body []byte) Reason {
	if o.unit == nil != (flags&flagFirst != 0) {
		return ReasonFraming
	}
	if flags&flagsWhole == flagsWhole {
		if !in.deliver(o.handle, body) {
			return ReasonOverflow
		}
		return ReasonNone
	}
	var unit *buffer
	if o.unit == nil {
		unit = in.pool.get(len(body))
	} else {
		n := len(o.unit.b) + len(body)
		if n > MaxUnit {
			return ReasonFraming
		}
		unit = in.pool.grown(o.unit, n)
	}
	if unit == nil {
		return ReasonOverflow
	}
	unit.b = append(unit.b, body...)
	o.advance(in, unit, flags)
	return ReasonNone
}

// advance makes unit the one in assembly, or delivers it where flags say that
// it is complete.
func (o *ordered) advance(in *intake, unit *buffer, flags uint8) {
	o.unit = unit
	if flags&flagLast != 0 {
		in.push(o.handle, unit)
		o.unit = nil
	}
}

// drain delivers early segments that have become next, while the ready queue
// has room.
func (o *ordered) drain(in *intake) Reason {
	for o.held > 0 && !in.full() {
		b := o.at(o.next)
		if b == nil {
			return ReasonNone
		}
		if why := o.takeHeld(in, b); why != ReasonNone {
			return why
		}
		o.ring[o.next&uint64(len(o.ring)-1)] = nil
		o.held--
		o.next++
	}
	if o.held == 0 && len(o.ring) > minRing {
		in.pool.putRing(o.ring)
		o.ring = nil
	}
	return ReasonNone
}

// takeHeld is take for a segment of the ring. One that begins a unit becomes
// the unit, without a copy.
func (o *ordered) takeHeld(in *intake, b *buffer) Reason {
	flags := b.flags
	if flags&flagFirst != 0 && o.unit == nil {
		o.broken = false
		o.advance(in, b, flags)
		return ReasonNone
	}
	why := o.take(in, flags, b.b)
	if why == ReasonNone {
		in.pool.put(b)
	}
	return why
}

// release gives all memory back and returns how many segments were lost with
// it.
func (o *ordered) release(in *intake) int {
	lost := o.held
	for i := o.next; o.held > 0; i++ {
		if b := o.at(i); b != nil {
			o.ring[i&uint64(len(o.ring)-1)] = nil
			in.pool.put(b)
			o.held--
		}
	}
	in.pool.putRing(o.ring)
	if o.unit != nil {
		in.pool.put(o.unit)
	}
	o.ring, o.unit = nil, nil
	return lost
}
