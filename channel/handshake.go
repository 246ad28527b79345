package channel

import "github.com/totg/totg/internal/wire"

// handleControl takes a segment of channel 0. Its messages have been checked.
func (m *Mux) handleControl(seq uint32, body []byte) {
	full, ok := m.controlSeen.locate(seq)
	switch {
	case !ok:
		m.in.stats.Late++
		return
	case m.controlSeen.has(full):
		m.in.stats.Duplicates++
		return
	}
	m.controlSeen.mark(full)
	r := wire.NewReader(body)
	for r.Len() > 0 {
		msg, err := parseMessage(&r)
		if err != nil {
			return
		}
		switch msg.kind {
		case typeNew:
			m.handleNew(&msg)
		case typeAcknowledge:
			m.handleAcknowledge(&msg)
		case typeFinalize:
			m.handleFinalize(&msg)
		case typeClose:
			m.handleClose(&msg)
		}
	}
}

// handleNew answers an offer with an id and a cookie, and keeps nothing: the
// responder allocates nothing before a valid cookie2 comes back (C-3). NEW for
// a channel that is established gets the same id again.
func (m *Mux) handleNew(msg *message) {
	var id ID
	if c := m.remote.byHalf[msg.id.Initiator()]; c != nil {
		m.in.stats.RepeatedMessage++
		id = c.id
	} else {
		m.half2 = m.remote.freeHalf2(m.half2)
		id = makeID(msg.id.Initiator(), m.half2)
	}
	m.reply(outgoing{kind: typeAcknowledge, id: id, cookie1: msg.cookie1})
}

// handleAcknowledge takes the id for a channel of ours and goes on to FINALIZE.
func (m *Mux) handleAcknowledge(msg *message) {
	c := m.local.byHalf[msg.id.Initiator()]
	if c == nil {
		m.in.stats.StaleMessages++
		return
	}
	if !m.open1(msg.id.Initiator(), &msg.cookie1) {
		m.in.stats.WrongCookies++
		return
	}
	if c.state != Opening {
		// A repeat, or the answer to a repeated NEW, which may name another id.
		m.in.stats.RepeatedMessage++
		return
	}
	c.id = msg.id
	c.cookie2 = msg.cookie2
	c.state = Finalizing
	c.tries = 0
	c.listen()
	m.try(c)
}

// handleFinalize opens a channel of the peer by FINALIZE, or by COOKIE in a
// segment of its own (C-2). Only here does the responder allocate, and only for
// a cookie that it made itself a short time ago (C-3).
func (m *Mux) handleFinalize(msg *message) {
	if c := m.remote.byHalf[msg.id.Initiator()]; c != nil {
		switch {
		case c.id != msg.id:
			m.in.stats.StaleMessages++
		case c.caps != msg.caps: // C-3: ignored and counted
			m.in.stats.CapsIgnored++
		default:
			m.in.stats.RepeatedMessage++
		}
		return
	}
	if m.tombs.has(msg.id, true) {
		m.in.stats.StaleMessages++
		return
	}
	if !m.open2(msg.id, &msg.cookie2) {
		m.in.stats.WrongCookies++
		return
	}
	if why := m.refuse(msg); why != ReasonNone {
		m.in.stats.Refused++
		m.turnAway(msg.id, true, why)
		return
	}
	c := m.newChannel(msg.id, msg.caps, true)
	c.listen()
	m.establish(c)
}

// refuse says why a channel of the peer cannot be opened.
func (m *Mux) refuse(msg *message) Reason {
	if m.remote.slots >= m.limits.Channels {
		return ReasonLimit
	}
	if _, taken := m.remote.half2[msg.id.Responder()]; taken {
		return ReasonConflict
	}
	return ReasonNone
}

// turnAway answers for a channel that does not exist here with CLOSE, once.
func (m *Mux) turnAway(id ID, remote bool, why Reason) {
	if m.reply(outgoing{kind: typeClose, id: id, opener: !remote, reason: why}) {
		m.tombs.add(id, remote)
	}
}

// stray drops a segment for a channel that does not exist. The sender holds it
// for open, so it is told, once; for one that closed here it knows or will.
func (m *Mux) stray(h header) {
	m.in.stats.UnknownChannel++
	remote := h.flags&flagOpener != 0
	if !m.tombs.has(h.id, remote) {
		m.turnAway(h.id, remote, ReasonUnknown)
	}
}

// handleClose ends a channel on the peer's word.
func (m *Mux) handleClose(msg *message) {
	if c := m.find(msg.id, msg.opener); c != nil {
		m.shut(c, msg.reason, true)
		return
	}
	m.in.stats.StaleMessages++
	if msg.opener && !m.tombs.has(msg.id, true) {
		m.tombs.add(msg.id, true) // it may have overtaken its FINALIZE
	}
}

// try queues the message of a handshake's current state and sets the time for
// the next try, twice as far away each time (C-3).
func (m *Mux) try(c *channel) {
	c.retryAt = m.at + m.limits.HandshakeTimeout<<c.tries
	c.tries++
	kind := uint8(typeNew)
	if c.state == Finalizing {
		kind = typeFinalize
	}
	m.enqueue(c, kind)
	m.rearm()
}

// retry repeats or ends the handshakes that are due.
func (m *Mux) retry() {
	for _, c := range m.slots {
		if c == nil || (c.state != Opening && c.state != Finalizing) || c.retryAt > m.at {
			continue
		}
		if c.tries >= handshakeTries { // C-3: three tries
			m.shut(c, ReasonTimeout, false)
		} else {
			m.try(c)
		}
	}
}
