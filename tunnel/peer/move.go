package peer

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

// MoveState is how far a switch of the path is.
type MoveState uint8

// The states. Moved and Stayed are final; no end is in one of them while the other
// end is in the other.
const (
	MoveNone    MoveState = iota // there was none
	MoveProbing                  // the new path is tried
	MoveVoting                   // it works as far as this end knows: both vote
	MoveInDoubt                  // this end has voted, and the time is over
	Moved
	Stayed
)

// String is the state for people.
func (s MoveState) String() string {
	switch s {
	case MoveNone:
		return "none"
	case MoveProbing:
		return "probing"
	case MoveVoting:
		return "voting"
	case MoveInDoubt:
		return "in doubt"
	case Moved:
		return "moved"
	case Stayed:
		return "stayed"
	}
	return "invalid"
}

// Move is a switch of the path, as one end sees it.
type Move struct {
	ID    uint64         // the same at both ends, 0: none
	To    netip.AddrPort // where the peer is on the new path
	State MoveState
	Own   bool   // this end asked for it
	Why   string // of Stayed and MoveInDoubt
}

// Why a path stayed.
const (
	whySilent  = "the peer does not answer there"
	whyOneWay  = "the peer gets no answer there: the path works one way only"
	whyAborted = "the peer did not vote in time"
	whyCrossed = "the peer asked for another path at the same time"
	whyEnded   = "the session ended"
)

// move is a switch of the path: each end first sees by itself that the peer hears it
// there, and only then takes part in a ladder, so that COMMIT says that both do.
type move struct {
	Move
	until          time.Time // who has not voted by then stays; zero: that is over
	token          uint64    // our PATH_CHALLENGE
	flood          handshake.Flood
	question       uint64    // the peer's
	asked          bool      // … and it waits for the answer
	received, sent int       // bytes from and to the new address (H-8)
	heard          time.Time // newest aside of the peer about it

	machine *ladder.Machine // nil: the new path was not shown to work
	message [ladder.MaxMessage]byte
	copied  int // bytes of message that are to leave on the path in use, too

	local    netip.Addr     // where asides to To leave from
	old      netip.AddrPort // where the peer was
	oldLocal netip.Addr     // … and where datagrams left from
	arrived  bool           // the peer sends on the new path
}

// MovePath asks the peer to switch to another path: the one that leads to the
// address. Status tells how it goes, and PathDecided when it is decided, or in doubt
// at the deadline. The number names the switch. The errors are ErrNoSession,
// ErrMoving, ErrSamePath and ErrAddress; nothing has changed then.
func (p *Peer) MovePath(now time.Time, to netip.AddrPort, deadline time.Time) (id uint64, err error) {
	p.advance(now)
	s := p.cur
	switch ip := to.Addr(); {
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || to.Port() == 0:
		return 0, ErrAddress
	case s == nil || s.confirm != nil || p.leaving:
		return 0, ErrNoSession
	case to == p.path.addr:
		return 0, ErrSamePath
	case s.move != nil && !s.move.settled() && !s.move.idle(p.now):
		return 0, ErrMoving
	}
	p.startMove(s, Move{ID: p.moveID(), To: to, State: MoveProbing, Own: true}, deadline)
	return s.move.ID, nil
}

// moveID numbers a switch. The lowest bit says which end asked for it, so that an
// answer that comes late never passes for a question.
func (p *Peer) moveID() uint64 { return p.token()&^1 | askedBy(p.local, p.cfg.Remote) }

// askedBy is the lowest bit of the switches that one end asks for.
func askedBy(one, other handshake.PublicKey) uint64 {
	if one.Less(other) {
		return 0
	}
	return 1
}

func (p *Peer) startMove(s *session, m Move, until time.Time) {
	s.move = &move{Move: m, until: until, token: p.token(), flood: handshake.NewFlood(p.now, p.jitter)}
	p.moved = m
}

// asks reports whether the peer is still to show that it hears us on the new path.
func (m *move) asks() bool { return m.State == MoveProbing }

// mayAsk reports whether an aside may go to the new address: to one that nobody
// named here, thrice what came from it (H-8).
func (m *move) mayAsk() bool {
	return m.Own || !m.asks() || m.sent+asideProbe <= amplification*m.received
}

// beside is where asides go: to the path that is not in use.
func (m *move) beside() (to netip.AddrPort, from netip.Addr) {
	if m.State == Moved {
		return m.old, m.oldLocal
	}
	return m.To, m.local
}

// holds reports whether an address says nothing of where the peer is now: it may
// have switched before us, or we before it.
func (m *move) holds(from netip.AddrPort) bool {
	if m.State == Moved {
		return from == m.old && !m.arrived
	}
	return from == m.To && m.machine != nil && m.machine.Outcome() == ladder.InDoubt
}

// settled reports whether the peer needs nothing more of this end for this switch:
// it knows the outcome, or cannot have voted.
func (m *move) settled() bool {
	if m.machine == nil {
		return m.State == Stayed
	}
	return m.machine.Done() || m.refused()
}

// idle reports a switch that the peer seems to have given up, without a vote.
func (m *move) idle(now time.Time) bool {
	return !m.Own && m.machine == nil && now.Sub(m.heard) > moveIdle
}

// refused reports a switch that was aborted before this end signed QC, the least
// that a vote of the peer stands on.
func (m *move) refused() bool {
	return m.machine.Outcome() == ladder.Aborted && m.machine.Level() < ladder.LevelQC
}

// appendLadder appends the message of the ladder that is due, and keeps it for the
// path in use: it goes over both.
func (m *move) appendLadder(now time.Time, dst []byte) []byte {
	if m.machine == nil {
		return dst
	}
	n, ok := m.machine.Poll(now, m.message[:])
	if !ok {
		return dst
	}
	m.copied = n
	dst = append(dst, frameLadder)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	return append(dst, m.message[:n]...)
}

// onMoveChallenge answers on the new path. One of a switch that is not known begins
// it here.
func (p *Peer) onMoveChallenge(s *session, a asideFrom, token uint64) {
	m := s.move
	if m == nil || m.ID != a.id {
		if !a.newest || a.id&1 != askedBy(p.cfg.Remote, p.local) || m != nil && !p.yields(m) {
			return
		}
		p.startMove(s, Move{ID: a.id, To: a.from, State: MoveProbing}, p.now.Add(moveFor))
		m = s.move
		m.local, m.received, m.heard = a.to, a.size, p.now
	}
	if !m.Own && m.asks() && a.newest && (a.from != m.To || a.to != m.local) {
		// A translator on the way has changed its mind, or somebody else sent what
		// he had recorded: the newest counts, until one is shown to be right.
		m.To, m.local, m.token, m.received, m.sent = a.from, a.to, p.token(), a.size, 0
		p.moved = m.Move
	}
	if m.undecided() && (m.Own || a.from == m.To) {
		m.question, m.asked = token, true
	}
}

func (m *move) undecided() bool { return m.State != Moved && m.State != Stayed }

// yields gives way to another switch, which the peer asks for, if nothing of the
// present one can be decided any more. Where both asked at once the smaller key
// goes first.
func (p *Peer) yields(m *move) bool {
	switch {
	case m.settled():
		return true
	case m.machine != nil || m.Own && p.local.Less(p.cfg.Remote):
		return false
	case m.Own:
		p.decideMove(m, Stayed, whyCrossed)
	}
	return true
}

// onMoveResponse begins the vote: the peer hears this end on the new path. The
// address that the user named may answer from another one of the host's.
func (p *Peer) onMoveResponse(s *session, a asideFrom, token uint64) {
	m := s.move
	if m == nil || m.ID != a.id || !m.asks() || token != m.token || !m.Own && a.from != m.To {
		return
	}
	m.State = MoveVoting
	p.moved = m.Move
	m.machine = p.newLadder(ladder.Config{
		Session: s.keys.Hash, Action: ladder.ActionPath, Params: binary.BigEndian.AppendUint64(nil, m.ID),
		Nonce: p.nonce(), Deadline: m.until,
	})
}

// handleMove takes a message of the ladder. Of a switch that was not shown to work
// here it counts as lost.
func (p *Peer) handleMove(s *session, msg *ladder.Message, raw []byte) error {
	if len(msg.Params) != 8 {
		return errFrame
	}
	m := s.move
	if m == nil || m.machine == nil || m.ID != binary.BigEndian.Uint64(msg.Params) {
		return nil
	}
	m.machine.Handle(p.now, raw)
	p.tendMove(s)
	return nil
}

// tendMove does what is due, and switches on COMMIT.
func (p *Peer) tendMove(s *session) {
	m := s.move
	if m == nil {
		return
	}
	over := !m.until.IsZero() && !p.now.Before(m.until)
	if m.machine == nil {
		if over {
			p.expireMove(s)
		}
		return
	}
	m.machine.HandleTimeout(p.now)
	switch committed := p.onLadder(m.machine); {
	case committed:
		p.switchPath(m)
	case m.undecided() && m.machine.Outcome() == ladder.Aborted:
		p.stay(m)
	case over && m.machine.Outcome() == ladder.InDoubt:
		p.decideMove(m, MoveInDoubt, "")
	}
	if over {
		m.until = time.Time{}
	}
}

// expireMove gives up a path on which the peer was not heard.
func (p *Peer) expireMove(s *session) {
	m := s.move
	m.until = time.Time{}
	switch {
	case m.Own && m.undecided():
		p.decideMove(m, Stayed, whySilent)
	case !m.Own: // it was the peer's wish, and may be a recording: nobody is told
		m.State, m.Why = Stayed, whySilent
		p.moved, s.move = m.Move, nil
	}
}

// stay ends a switch that was aborted.
func (p *Peer) stay(m *move) {
	why := whyAborted
	if _, heard, _ := m.machine.Peer(); !heard {
		m.machine.Rest() // nobody there to tell
		why = whyOneWay
	}
	p.decideMove(m, Stayed, why)
}

// switchPath sends on the new path from now on. Rate control goes on as after
// roaming; the datagram size is tried anew (W-4).
func (p *Peer) switchPath(m *move) {
	m.old, m.oldLocal = p.path.addr, p.path.local
	p.decideMove(m, Moved, "")
	p.path.moveTo(m.To, 0)
	p.path.local = m.local
	p.path.validate()
	p.path.probe = probe{}
	p.pingDue = true
	p.emit(Event{Kind: PathChanged})
	if p.path.size > baseDatagram {
		p.startProbe(p.path.size, true)
	} else {
		p.searchSize()
	}
}

func (p *Peer) decideMove(m *move, s MoveState, why string) {
	m.State, m.Why = s, why
	p.moved = m.Move
	p.emit(Event{Kind: PathDecided, Move: m.Move})
}

// endMove says what is known of a switch whose session ends: a vote was signed, or
// it was not and never will be.
func (p *Peer) endMove(s *session) {
	m := s.move
	switch {
	case m == nil || !m.undecided():
	case m.machine != nil && m.machine.Outcome() == ladder.InDoubt:
		p.decideMove(m, MoveInDoubt, whyEnded)
	default:
		p.decideMove(m, Stayed, whyEnded)
	}
}

// moveDeadline is when a switch of the path has work next.
func (p *Peer) moveDeadline(s *session) time.Time {
	m := s.move
	if m == nil {
		return time.Time{}
	}
	var d time.Time
	if m.asked {
		d = p.now
	}
	if m.asks() {
		d = earlier(d, m.flood.Deadline())
	}
	if m.machine != nil {
		d = earlier(d, m.machine.NextDeadline())
	}
	switch {
	case d.IsZero() || !m.mayAsk():
		d = time.Time{}
	case d.Before(s.asides.free):
		d = s.asides.free
	}
	return earlier(d, m.until)
}
