package channel

import "time"

// outgoing is a message that waits for AppendControl. It is built when it is
// sent: a flood that overruns the queue costs no cookie.
type outgoing struct {
	kind uint8
	from *channel // nil for an answer without a channel

	// Of an answer.
	opener  bool
	id      ID
	cookie1 cookie
	reason  Reason
}

// enqueue queues a message of a channel, unless the same one waits already.
// Each channel has at most three items at a time (NEW, FINALIZE, CLOSE).
func (m *Mux) enqueue(c *channel, kind uint8) {
	bit := uint8(1) << (kind & 7)
	if c.waiting&bit != 0 {
		return
	}
	c.waiting |= bit
	m.control.push(outgoing{kind: kind, from: c})
}

// reply queues an answer that the peer provoked. It reports false where too
// many wait: the peer has to ask again.
func (m *Mux) reply(o outgoing) bool {
	if m.replies >= maxReplies {
		m.in.stats.RepliesDropped++
		return false
	}
	m.replies++
	m.control.push(o)
	return true
}

// obsolete reports whether a queued message has lost its sense.
func (o *outgoing) obsolete() bool {
	switch {
	case o.from == nil:
		return false
	case o.kind == typeNew:
		return o.from.state != Opening
	case o.kind == typeFinalize:
		return o.from.state != Finalizing
	}
	return false
}

// next is the oldest message that is worth sending, or nil.
func (m *Mux) next() *outgoing {
	for m.control.len() > 0 {
		o := m.control.front()
		if !o.obsolete() {
			return o
		}
		m.sent()
	}
	return nil
}

// sent removes the oldest message.
func (m *Mux) sent() {
	o := m.control.pop()
	if o.from == nil {
		m.replies--
		return
	}
	o.from.waiting &^= 1 << (o.kind & 7)
	m.vacate(o.from)
}

// message builds a queued message.
func (m *Mux) message(o *outgoing) message {
	if o.from == nil {
		msg := message{kind: o.kind, id: o.id, opener: o.opener, reason: o.reason, cookie1: o.cookie1}
		if o.kind == typeAcknowledge {
			msg.cookie2 = m.seal2(o.id)
		}
		return msg
	}
	c := o.from
	msg := message{kind: o.kind, id: c.id, caps: c.caps, cookie2: c.cookie2, reason: c.reason, opener: !c.remote}
	if o.kind == typeNew {
		msg.cookie1 = m.seal1(c.id.Initiator())
	}
	return msg
}

// ControlPending reports whether AppendControl has something to send, given
// enough room.
func (m *Mux) ControlPending() bool { return m.next() != nil }

// AppendControl appends one segment of channel 0, of at most room bytes, with
// as many of the waiting messages as fit: many channels open in parallel in
// three datagrams (C-2). seq names the segment for OnControlDelivered. ok is
// false, and out is dst, where nothing waits or fits.
func (m *Mux) AppendControl(dst []byte, room int) (out []byte, seq uint32, ok bool) {
	room = min(room-SegmentHeaderLen, MaxSegment)
	fits, n := 0, 0
	for i := range m.control.len() {
		o := m.control.get(i)
		if o.obsolete() {
			continue
		}
		if n+messageLen(o.kind) > room {
			break
		}
		n += messageLen(o.kind)
		fits++
	}
	if fits == 0 {
		return dst, 0, false
	}
	seq = m.controlSeq
	m.controlSeq++
	m.tail = nil
	dst = appendHeader(dst, header{seq: seq, flags: flagsWhole}, n)
	for range fits {
		o := m.next()
		msg := m.message(o)
		dst = appendMessage(dst, &msg)
		if o.kind == typeFinalize {
			o.from.carried[o.from.sentFin] = seq
			o.from.sentFin++
		}
		m.sent()
	}
	return dst, seq, true
}

// OnControlDelivered notes that a control segment reached the peer. The
// channels whose FINALIZE was in it become Established: data that is sent now
// cannot meet a peer that does not know the channel.
func (m *Mux) OnControlDelivered(now time.Time, seq uint32) {
	m.observe(now)
	if m.handshaking == 0 {
		return
	}
	for _, c := range m.slots {
		if c == nil || c.state != Finalizing {
			continue
		}
		for _, carried := range c.carried[:c.sentFin] {
			if carried == seq {
				m.establish(c)
				break
			}
		}
	}
}
