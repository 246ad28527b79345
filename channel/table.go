package channel

import "time"

// channel is one end of a channel.
type channel struct {
	id     ID // its responder half is 0 while Opening
	handle Handle
	caps   Capabilities
	state  State
	remote bool // opened by the peer
	reason Reason

	// The handshake of a channel of ours.
	tries   int           // of the current message
	retryAt time.Duration // next try, or the end
	cookie2 cookie
	carried [handshakeTries]uint32 // control segments that carried FINALIZE
	sentFin int                    // how many of them

	since    time.Duration // when it was made, then when it was Established
	patience time.Duration // with a gap, 0: the default

	unitsSent, unitsReceived uint64
	lost                     uint64 // segments given up, as reported
	lossQueued               bool   // an EventLost waits

	waiting uint8  // kinds of messages that wait to be sent, as bits
	sent    uint64 // segments sent: the next sequence number
	within  bool   // the last segment sent did not end its unit
	stalled bool   // is in the queue of stalled channels

	// The receiving side, one of the two; nil while Opening and when Closed.
	ordered   *ordered
	unordered *unordered
}

// listen makes the receiving side.
func (c *channel) listen() {
	if c.caps&Ordered != 0 {
		c.ordered = newOrdered(c)
	} else {
		c.unordered = newUnordered(c)
	}
}

// release frees the receiving side's memory.
func (c *channel) release(in *intake) {
	switch {
	case c.ordered != nil:
		in.stats.Incomplete += uint64(c.ordered.release(in))
	case c.unordered != nil:
		in.stats.Incomplete += uint64(c.unordered.release(in))
	}
	c.ordered, c.unordered = nil, nil
}

// table holds the channels that one side opened, by the opener's half. That
// half alone tells them apart; the whole id is compared after the lookup.
type table struct {
	byHalf map[uint16]*channel // by c1
	half2  map[uint16]struct{} // the c2 in use
	slots  int                 // slots held, closed channels included
}

func newTable() table {
	return table{byHalf: map[uint16]*channel{}, half2: map[uint16]struct{}{}}
}

// freeHalf1 is the next c1 after last that is free (C-1). Halves are handed out
// in turn, so that one returns only after all others.
func (t *table) freeHalf1(last uint16) uint16 {
	for {
		last++
		if last != 0 && t.byHalf[last] == nil {
			return last
		}
	}
}

// freeHalf2 is the same for c2.
func (t *table) freeHalf2(last uint16) uint16 {
	for {
		last++
		if _, taken := t.half2[last]; last != 0 && !taken {
			return last
		}
	}
}

// tombs are the last channels that closed: messages and segments for them are
// late, not strange.
type tombs struct {
	keys  [maxTombs]tomb
	count int // ever added
}

type tomb struct {
	id     ID
	remote bool
}

func (t *tombs) has(id ID, remote bool) bool {
	for i := range min(t.count, maxTombs) {
		if t.keys[i] == (tomb{id, remote}) {
			return true
		}
	}
	return false
}

func (t *tombs) add(id ID, remote bool) {
	t.keys[t.count%maxTombs] = tomb{id, remote}
	t.count++
}

func (m *Mux) table(remote bool) *table {
	if remote {
		return &m.remote
	}
	return &m.local
}

// newChannel gives a new channel a slot and a place in its table.
func (m *Mux) newChannel(id ID, caps Capabilities, remote bool) *channel {
	var slot uint32
	if n := len(m.freeSlots); n > 0 {
		slot = m.freeSlots[n-1]
		m.freeSlots = m.freeSlots[:n-1]
	} else {
		slot = uint32(len(m.slots))
		m.slots = append(m.slots, nil)
		m.gens = append(m.gens, 0)
	}
	m.gens[slot]++
	c := &channel{id: id, caps: caps, remote: remote, handle: Handle{slot, m.gens[slot]}, since: m.at}
	m.slots[slot] = c
	t := m.table(remote)
	t.slots++
	t.byHalf[id.Initiator()] = c
	if remote {
		t.half2[id.Responder()] = struct{}{}
	}
	return c
}

// lookup is the channel that a handle names, or nil.
func (m *Mux) lookup(h Handle) *channel {
	if int64(h.slot) >= int64(len(m.slots)) {
		return nil
	}
	if c := m.slots[h.slot]; c != nil && c.handle == h {
		return c
	}
	return nil
}

// find is the open channel with this id that the side opened, or nil.
func (m *Mux) find(id ID, remote bool) *channel {
	if c := m.last; c != nil && c.id == id && c.remote == remote {
		return c
	}
	c := m.table(remote).byHalf[id.Initiator()]
	if c == nil || c.id != id {
		return nil
	}
	m.last = c
	return c
}

// establish makes a channel ready for data of ours.
func (m *Mux) establish(c *channel) {
	if c.state == Finalizing {
		m.handshaking--
	}
	c.state, c.since = Established, m.at
	m.in.stats.Opened++
	m.event(Event{Kind: EventOpened, Handle: c.handle, ID: c.id, Capabilities: c.caps, ByPeer: c.remote})
	m.rearm()
}

// violate closes a channel on which the peer broke the rules.
func (m *Mux) violate(c *channel, why Reason) {
	m.in.stats.Violations++
	m.shut(c, why, false)
}

// shut ends a channel. The peer is told, unless it ended it or has never heard
// of it (C-5: both ends learn of a close and its reason).
func (m *Mux) shut(c *channel, why Reason, byPeer bool) {
	kind := EventClosed
	known := c.state == Established || c.sentFin > 0
	if c.state != Established {
		kind = EventRefused
		m.handshaking--
	} else {
		m.in.stats.Closed++
	}
	m.event(Event{
		Kind: kind, Handle: c.handle, ID: c.id, Capabilities: c.caps, Reason: why, ByPeer: byPeer,
	})
	t := m.table(c.remote)
	delete(t.byHalf, c.id.Initiator())
	if c.remote {
		delete(t.half2, c.id.Responder())
	}
	if c.id.negotiable() {
		m.tombs.add(c.id, c.remote)
	}
	c.release(&m.in)
	c.state, c.reason = Closed, why
	m.last = nil
	if known && !byPeer {
		m.enqueue(c, typeClose)
	}
	m.vacate(c)
	m.rearm()
}

// vacate frees the slot of a closed channel of which nothing waits to be sent.
// Until then it counts against the limit: that bounds the control queue.
func (m *Mux) vacate(c *channel) {
	if c.state != Closed || c.waiting != 0 {
		return
	}
	m.slots[c.handle.slot] = nil
	m.freeSlots = append(m.freeSlots, c.handle.slot)
	m.table(c.remote).slots--
}

// event queues an event for PollEvent; the oldest gives way.
func (m *Mux) event(e Event) {
	if m.events.len() >= maxEvents {
		m.events.pop()
		m.in.stats.EventsDropped++
	}
	m.events.push(e)
}

// rearm finds when the next handshake is due.
func (m *Mux) rearm() {
	m.handshakeAt = 0
	if m.handshaking == 0 {
		return
	}
	for _, c := range m.slots {
		if c != nil && (c.state == Opening || c.state == Finalizing) {
			m.handshakeAt = sooner(m.handshakeAt, c.retryAt)
		}
	}
}
