package channel

// ordered receives one direction of a channel whose units keep their order and
// lose nothing (ModeTCP, C-4). A segment that is next goes straight into the
// unit being assembled; only what came early waits in the ring.
type ordered struct {
	next uint64    // sequence number of the next segment, 64 bits inside (C-6)
	ring []*buffer // early segments by number; covers next … next+len(ring)-1
	held int       // segments in the ring
	unit *buffer   // being assembled
}

// receive takes a segment. A reason other than ReasonNone breaks the channel.
func (o *ordered) receive(in *intake, h header, body []byte) Reason {
	ahead := int32(h.seq - uint32(o.next))
	switch {
	case ahead < 0:
		in.stats.Duplicates++
		return ReasonNone
	case ahead > 0 || in.full():
		return o.keep(in, h.flags, uint32(ahead), body)
	}
	// The ring cannot hold this segment: drain takes what is next at once,
	// unless the ready queue is full, and ReadUnit makes up for that.
	if why := o.join(in, h.flags, body); why != ReasonNone {
		return why
	}
	o.next++
	if o.held == 0 {
		return ReasonNone
	}
	return o.drain(in)
}

// at is the ring's entry for sequence number seq.
func (o *ordered) at(seq uint64) *buffer { return o.ring[seq&uint64(len(o.ring)-1)] }

// stalled reports whether the next segment is here and only waits for room in
// the ready queue.
func (o *ordered) stalled() bool { return o.held > 0 && o.at(o.next) != nil }

// keep stores a segment that cannot be delivered yet, ahead of next by that
// many.
func (o *ordered) keep(in *intake, flags uint8, ahead uint32, body []byte) Reason {
	if ahead >= maxAhead {
		return ReasonOverflow
	}
	seq := o.next + uint64(ahead)
	if int(ahead) >= len(o.ring) && !o.widen(in, int(ahead)+1) {
		return ReasonOverflow
	}
	if o.at(seq) != nil {
		in.stats.Duplicates++
		return ReasonNone
	}
	b := in.pool.get(len(body))
	if b == nil {
		return ReasonOverflow
	}
	b.b = append(b.b, body...)
	b.flags = flags
	o.ring[seq&uint64(len(o.ring)-1)] = b
	o.held++
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

// join adds the next segment to the unit in assembly. On failure nothing has
// changed.
func (o *ordered) join(in *intake, flags uint8, body []byte) Reason {
	if o.unit == nil != (flags&flagFirst != 0) {
		return ReasonFraming
	}
	if flags&flagsWhole == flagsWhole {
		if !in.deliver(body) {
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
		in.ready.push(unit)
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
		if why := o.joinHeld(in, b); why != ReasonNone {
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

// joinHeld is join for a segment of the ring. One that begins a unit becomes
// the unit, without a copy.
func (o *ordered) joinHeld(in *intake, b *buffer) Reason {
	flags := b.flags
	if flags&flagFirst != 0 && o.unit == nil {
		o.advance(in, b, flags)
		return ReasonNone
	}
	why := o.join(in, flags, b.b)
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
