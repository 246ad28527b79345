package peer

import (
	"time"

	"github.com/totg/totg/handshake/ladder"
)

// Leave ends the session in agreement with the peer, so that both ends know:
// the Peer closes when both have voted for it, and in any case after a while, for a
// host that goes down cannot wait for ever. Closed tells when that is done.
func (p *Peer) Leave(now time.Time) {
	p.advance(now)
	s := p.cur
	if p.down || s == nil || s.confirm != nil {
		p.Close(now, CloseNormal)
		return
	}
	p.leaving = true
	p.startLeave(s)
	p.timers[timerLeave] = p.now.Add(min(max(leaveRTTs*s.sender.RTT(), leaveMin), leaveMax))
}

// Closed reports whether the Peer does nothing more.
func (p *Peer) Closed() bool { return p.down }

// startLeave begins the ladder of the close, unless the peer did.
func (p *Peer) startLeave(s *session) {
	if s.leave == nil {
		s.leave = p.newLadder(ladder.Config{Session: s.keys.Hash, Action: ladder.ActionClose, Nonce: p.nonce()})
	}
}

// handleLeave takes a message about the close: nobody is held who wants to go.
func (p *Peer) handleLeave(s *session, msg []byte) {
	p.startLeave(s)
	s.leave.Handle(p.now, msg)
	p.tendLeave(s)
}

// tendLeave closes on COMMIT. The side that leaves does so at once; the other stays
// until it knows that its vote arrived.
func (p *Peer) tendLeave(s *session) {
	if s.leave == nil {
		return
	}
	s.leave.HandleTimeout(p.now)
	committed := p.onLadder(s.leave)
	switch {
	case p.leaving && committed:
		p.timers[timerLeave] = p.now.Add(time.Nanosecond)
	case p.leaving:
	case s.leave.Done():
		p.timers[timerLeave] = p.now.Add(time.Nanosecond)
	case committed:
		p.timers[timerLeave] = p.now.Add(leaveMax)
	}
}

// onLeaveTimer ends the session: as agreed, or, where that took too long, by CLOSE
// alone.
func (p *Peer) onLeaveTimer() {
	switch {
	case p.leaving:
		p.Close(p.now, CloseNormal)
	case p.cur != nil:
		p.onRemoteClose(CloseError{Code: CloseNormal, Reason: "agreed", Remote: true})
	}
}
