package ladder

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/totg/totg/handshake"
)

// Config is one action between two parties. Session, Action and Params must be
// the same on both sides.
type Config struct {
	Private handshake.PrivateKey
	Remote  handshake.PublicKey // the pinned key of the peer
	Session [SessionLen]byte    // hash of what both share, such as the handshake's transcript
	Nonce   [NonceLen]byte      // fresh from a cryptographic source for every Machine
	Action  uint8
	Params  []byte     // at most MaxParams
	Rand    *rand.Rand // for the jitter of the flood
	// Deadline is when a party that has not voted aborts. Zero: never.
	Deadline time.Time
	Rule     Rule // VoteOnce, but for the simulator
}

func (c *Config) validate() error {
	switch {
	case c.Private.IsZero():
		return ErrNoKey
	case c.Private.Public() == c.Remote:
		return ErrOwnKey
	case c.Rand == nil:
		return ErrNoRand
	case c.Nonce == [NonceLen]byte{}:
		return ErrNonce
	case len(c.Params) > MaxParams:
		return ErrParams
	case c.Rule > Paper6:
		return ErrRule
	}
	_, err := c.Remote.X25519()
	return err
}

// Machine is one party's side of one action. See the package's contract.
type Machine struct {
	private handshake.PrivateKey
	remote  handshake.PublicKey
	session [SessionLen]byte
	action  uint8
	params  []byte
	rule    Rule

	pair
	stage  Stage // what this party has bound itself to
	stable Stage // what of it is on stable storage
	knows  bool  // that the peer has decided
	quiet  bool  // decided by a rule that says nothing (paper.go)

	now      time.Time // newest seen
	deadline time.Time // zero: none, or over
	linger   time.Time // when a decided party stops repeating itself
	flood    handshake.Flood
	rng      *rand.Rand
	answer   bool // the peer asked

	events [numEvents]bool
	drops  [NumDrops]uint64
}

// New begins an action. EventPersist follows at once, and nothing is sent
// before it was answered: a party that crashes must know afterwards that it
// took part.
func New(now time.Time, cfg Config) (*Machine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Machine{
		private: cfg.Private, remote: cfg.Remote, session: cfg.Session,
		action: cfg.Action, params: slices.Clone(cfg.Params), rule: cfg.Rule,
		now: now, deadline: cfg.Deadline, rng: cfg.Rand,
	}
	own := cfg.Private.Public()
	m.role = roleB
	if own.Less(cfg.Remote) {
		m.role = roleA
	}
	m.context = newContext(own, cfg.Remote, cfg.Session, cfg.Action, cfg.Params)
	m.own.nonce = cfg.Nonce
	m.own.climbTo(LevelC, m.sign(&m.pair, byte(LevelC)))
	m.enter(StageBegun)
	return m, nil
}

// sign is the own signature at a domain, over the artifacts of p.
func (m *Machine) sign(p *pair, domain byte) Signature {
	return m.private.Sign(p.text(p.role, domain))
}

// ID names this party's side of the action, for a log of records.
func (m *Machine) ID() [sha256.Size]byte {
	return sha256.Sum256(append(m.context[:len(m.context):len(m.context)], m.own.nonce[:]...))
}

// Remote is the peer's pinned key.
func (m *Machine) Remote() handshake.PublicKey { return m.remote }

// Action is what the action is: its number and parameters. The slice must not
// be changed.
func (m *Machine) Action() (action uint8, params []byte) { return m.action, m.params }

// Level is the own level.
func (m *Machine) Level() Level { return m.own.level }

// Peer tells what is known of the peer: the nonce of its commitment, if one was
// heard, and whether it has signed over this party's own, from which on no other
// commitment takes its place.
func (m *Machine) Peer() (nonce [NonceLen]byte, heard, bound bool) {
	return m.peer.nonce, m.peer.level >= LevelC, m.peer.level >= LevelD
}

// Recognizes reports whether a message shows that the peer signed over this
// party's own nonce: it is about this attempt and no other at the same action.
// Nothing changes.
func (m *Machine) Recognizes(b []byte) bool {
	msg, err := Parse(b)
	if err != nil || msg.Level < LevelD || msg.Action != m.action || !bytes.Equal(msg.Params, m.params) {
		return false
	}
	p := m.pair
	p.peer = chain{nonce: msg.Nonce}
	for l := LevelC; l <= LevelD; l++ {
		if !m.remote.Verify(p.text(p.role.other(), byte(l)), msg.SigOf(l)) {
			return false
		}
		p.peer.climbTo(l, *msg.SigOf(l))
	}
	return true
}

// Rest ends the repeating of a party that has decided. It still answers.
func (m *Machine) Rest() {
	if m.stable.decided() {
		m.linger = m.now
	}
}

// Outcome is what this party knows. A decision counts once it is stable, so
// that a restart never takes it back.
func (m *Machine) Outcome() Outcome {
	switch {
	case m.stable == StageJoined:
		return Committed
	case m.stable == StageRefused, m.stable == StageOverruled:
		return Aborted
	case m.stage == StageBegun, m.stage == StageRefused, m.stage == StageNone:
		return Open
	}
	return InDoubt
}

// Receipt is SHA-256(V_A ‖ V_B), equal on both sides. It is there once
// the action is Committed.
func (m *Machine) Receipt() (receipt [ReceiptLen]byte, ok bool) {
	if m.Outcome() != Committed {
		return receipt, false
	}
	return m.receipt(), true
}

// Done reports whether both parties have decided: nobody needs this Machine or
// its record, unless a RECEIPT was forged (package doc).
func (m *Machine) Done() bool { return m.stable.decided() && m.knows }

// Drops counts messages without effect, by reason.
func (m *Machine) Drops() [NumDrops]uint64 { return m.drops }

// Handle takes a message of the peer. A message that is dropped has changed
// nothing but its counter.
func (m *Machine) Handle(now time.Time, b []byte) Drop {
	m.advance(now)
	drop := m.handle(b)
	if drop != DropNone {
		m.drops[drop]++
	}
	return drop
}

func (m *Machine) handle(b []byte) Drop {
	msg, err := Parse(b)
	switch {
	case err != nil:
		return DropMalformed
	case msg.Action != m.action || !bytes.Equal(msg.Params, m.params):
		return DropAction
	case m.quiet:
		return DropNone
	}
	next, drop := m.read(&msg)
	if drop != DropNone {
		return drop
	}
	m.apply(next, &msg)
	return DropNone
}

// HandleTimeout acts on the deadline: a party that has not voted aborts,
// one that has is in doubt and says so.
func (m *Machine) HandleTimeout(now time.Time) {
	m.advance(now)
	if m.deadline.IsZero() || m.now.Before(m.deadline) {
		return
	}
	m.deadline = time.Time{}
	if m.rule != VoteOnce {
		m.expire()
		return
	}
	switch m.stage {
	case StageNone, StageBegun:
		m.enter(StageRefused)
	case StageVoted:
		m.events[EventInDoubt] = true
	case StageRefused, StageJoined, StageOverruled:
	}
}

// Abort refuses the action, if this party has not voted yet, and reports
// whether it could.
func (m *Machine) Abort(now time.Time) bool {
	m.advance(now)
	if m.stage == StageBegun && m.rule == VoteOnce {
		m.enter(StageRefused)
	}
	return m.stage == StageRefused
}

// OnStable tells that the record of stage, as Record named it, is on stable
// storage. It panics for a stage that this party never was in.
func (m *Machine) OnStable(now time.Time, stage Stage) {
	if !m.stage.follows(stage) || stage == StageNone {
		panic("ladder: OnStable with a stage that Record did not name")
	}
	m.advance(now)
	if stage <= m.stable {
		return // a late word of an earlier one
	}
	m.stable = stage
	m.restartFlood() // what may be sent is more now
	switch stage {
	case StageJoined:
		m.decided(EventCommitted)
	case StageRefused, StageOverruled:
		m.decided(EventAborted)
	case StageNone, StageBegun, StageVoted:
	}
}

// PollEvent tells what happened, one event at a time.
func (m *Machine) PollEvent() (Event, bool) {
	for e := range m.events {
		if m.events[e] {
			m.events[e] = false
			return Event(e), true
		}
	}
	return 0, false
}

// Poll writes the next message to buf, of MaxMessage bytes at least, if one is
// due: at once after progress, then as H-4 floods until the peer shows that it
// has it, and one for each question of the peer.
func (m *Machine) Poll(now time.Time, buf []byte) (n int, ok bool) {
	if len(buf) < MaxMessage {
		panic("ladder: buffer shorter than MaxMessage")
	}
	m.HandleTimeout(now)
	if !m.speaks() || !m.answer && (!m.floods() || !m.flood.Due(m.now)) {
		return 0, false
	}
	m.answer = false
	m.flood.OnSent(m.now)
	msg := m.message()
	return len(msg.Append(buf[:0])), true
}

// NextDeadline is when Poll or HandleTimeout is to be called, zero for never.
func (m *Machine) NextDeadline() time.Time {
	switch {
	case m.answer && m.speaks():
		return m.now
	case !m.floods():
		return m.deadline
	case m.deadline.IsZero() || m.flood.Deadline().Before(m.deadline):
		return m.flood.Deadline()
	}
	return m.deadline
}

func (m *Machine) advance(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
}

// speaks reports whether there is anything that may leave: the beginning must
// be stable.
func (m *Machine) speaks() bool { return m.stable != StageNone && !m.quiet }

// floods reports whether the message is repeated unasked: until the peer has
// decided, and after the own decision for a while.
func (m *Machine) floods() bool {
	return m.speaks() && !m.Done() && (!m.stable.decided() || m.now.Before(m.linger))
}

func (m *Machine) restartFlood() { m.flood = handshake.NewFlood(m.now, m.rng) }

// message is the highest one that may leave: no vote, no ABORT and no
// RECEIPT before it is stable.
func (m *Machine) message() Message {
	msg := Message{
		Action: m.action, Params: m.params, Nonce: m.own.nonce,
		Level: m.own.level, Sigs: m.own.sigs, Seen: m.Done(),
	}
	if m.rule != VoteOnce {
		return msg
	}
	switch m.stable {
	case StageNone, StageBegun:
		msg.Level = min(msg.Level, LevelQC)
	case StageRefused:
		msg.Level = LevelC // until the peer's nonce is known, it is asked for by that alone
		if m.own.aborted {
			msg.Abort = &m.own.abort
		}
	case StageJoined:
		sum := m.receipt()
		msg.Receipt = &sum
	case StageOverruled:
		sum := overruled(&m.peer.abort)
		msg.Receipt = &sum
	case StageVoted:
	}
	return msg
}
