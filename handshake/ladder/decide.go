package ladder

// apply makes what was read this party's own, and decides.
func (m *Machine) apply(next pair, msg *Message) {
	rose := next.own.level > m.own.level
	stranger := next.peer.nonce != m.peer.nonce
	m.pair = next
	if rose {
		m.events[EventProgress] = true
	}
	if rose || stranger {
		m.restartFlood()
	}
	if m.rule == VoteOnce {
		m.decide()
	} else {
		m.decideAsPaper()
	}
	if m.stage == StageRefused && (stranger || !m.own.aborted) {
		m.refuse()
	}
	if msg.Receipt != nil || m.peer.aborted {
		m.learn()
	}
	if m.stage.decided() && !msg.Seen {
		m.answer = true // a decided party keeps answering
		m.linger = m.now.Add(lingerFor)
	}
}

// decide is the rule: vote once. The stage is the one place where V and
// ABORT meet, and it leaves StageBegun once.
func (m *Machine) decide() {
	if m.stage == StageBegun {
		switch {
		case m.peer.aborted:
			m.enter(StageRefused) // who has not voted adopts the peer's ABORT
		case m.peer.level >= LevelQC:
			m.own.climbTo(LevelV, m.sign(&m.pair, byte(LevelV)))
			m.events[EventProgress] = true
			m.enter(StageVoted)
		}
	}
	if m.stage == StageVoted {
		switch {
		case m.peer.aborted:
			m.enter(StageOverruled)
		case m.peer.level == LevelV:
			m.enter(StageJoined)
		}
	}
}

// enter binds this party to a stage and asks for its record to be stored.
// Nothing of it shows before OnStable.
func (m *Machine) enter(s Stage) {
	m.stage = s
	m.events[EventPersist] = true
	if s == StageRefused && m.peer.level >= LevelC {
		m.refuse()
	}
}

// refuse signs ABORT for the peer's commitment. It leaves when the refusal is
// stable. A party that refused before it heard the peer signs when it does.
func (m *Machine) refuse() {
	m.own.aborted, m.own.abort = true, m.sign(&m.pair, domainAbort)
	m.restartFlood()
}

// learn notes that the peer has decided.
func (m *Machine) learn() {
	if m.stage.decided() && !m.knows {
		m.knows = true
		m.events[EventDone] = m.stable.decided()
	}
}

// decided tells the outcome, when it is stable.
func (m *Machine) decided(e Event) {
	m.events[e] = true
	m.events[EventInDoubt] = false
	m.events[EventDone] = m.knows
	m.answer = m.knows // what the peer asked before it was stable
	m.linger = m.now.Add(lingerFor)
}
