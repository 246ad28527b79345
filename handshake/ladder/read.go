package ladder

// read checks msg against the pinned key and this party's own artifacts, and
// returns the artifacts of both with what it brings. The Machine is as it
// was. A message takes effect as a whole or not at all, but for a commitment
// whose upper levels do not hold: then msg is cut to that.
func (m *Machine) read(msg *Message) (pair, Drop) {
	p := m.pair
	fresh := p.peer.level == LevelNone || msg.Nonce != p.peer.nonce
	if fresh {
		// Before the peer has signed over this party's nonce nothing shows that
		// what came first was no recording: the newer attempt wins.
		if p.peer.level >= LevelD {
			return pair{}, DropAttempt
		}
		p.peer = chain{nonce: msg.Nonce}
		if !m.frozen() {
			p.own.level = LevelC
		}
	}
	drop := m.readRest(&p, msg)
	if drop == DropSignature && fresh && p.peer.level == LevelC && !p.peer.aborted {
		// A commitment holds by itself: what stands on it may be over a
		// recording of this party's that the peer took for the present attempt,
		// and two such must not wait for each other.
		*msg = Message{Level: LevelC}
		return p, DropNone
	}
	return p, drop
}

// readRest checks a message whose commitment is that of p.peer.
func (m *Machine) readRest(p *pair, msg *Message) Drop {
	if p.peer.aborted && msg.Level == LevelV {
		return DropEquivocation
	}
	if drop := m.readLevels(p, msg); drop != DropNone {
		return drop
	}
	if msg.Abort != nil {
		if drop := m.readAbort(p, msg.Abort); drop != DropNone {
			return drop
		}
	}
	if msg.Receipt != nil && !m.showsDecision(p, msg) {
		return DropReceipt
	}
	return DropNone
}

// frozen reports whether this party signs nothing more: it refused.
func (m *Machine) frozen() bool { return m.stage == StageRefused }

// readLevels takes the peer's signatures from C upwards, and signs what each
// of them allows: the level above stands on it.
func (m *Machine) readLevels(p *pair, msg *Message) Drop {
	for l := LevelC; l <= msg.Level; l++ {
		sig := msg.SigOf(l)
		if l <= p.peer.level {
			if *sig != *p.peer.sig(l) { // an honest peer signs once, and always alike
				return DropConflict
			}
			continue
		}
		if m.frozen() && l > LevelD || l > p.own.level+1 {
			// Who refused does not climb: D shows which attempt of the peer's
			// this is, and what stands above needs signatures of its own.
			return DropNone
		}
		if !m.remote.Verify(p.text(p.role.other(), byte(l)), sig) {
			return DropSignature
		}
		p.peer.climbTo(l, *sig)
		m.climb(p)
	}
	return DropNone
}

// climb signs every level that the peer's artifacts allow, but for the vote:
// that is a decision (decide.go).
func (m *Machine) climb(p *pair) {
	if m.frozen() {
		return
	}
	for top := min(p.peer.level.reach(), m.rule.top()); p.own.level < top; {
		l := p.own.level + 1
		p.own.climbTo(l, m.sign(p, byte(l)))
	}
}

func (m *Machine) readAbort(p *pair, sig *Signature) Drop {
	switch {
	case p.peer.level == LevelV:
		return DropEquivocation
	case p.peer.aborted && p.peer.abort != *sig:
		return DropConflict
	case !p.peer.aborted && !m.remote.Verify(p.text(p.role.other(), domainAbort), sig):
		return DropSignature
	}
	p.peer.aborted, p.peer.abort = true, *sig
	return DropNone
}

// showsDecision reports whether the RECEIPT of msg is that of this action: of
// both votes, or of this party's ABORT, which it may have forgotten in a restart.
func (m *Machine) showsDecision(p *pair, msg *Message) bool {
	if m.frozen() {
		abort := m.sign(p, domainAbort)
		return *msg.Receipt == overruled(&abort)
	}
	return p.own.level == LevelV && p.peer.level == LevelV && *msg.Receipt == p.receipt()
}
