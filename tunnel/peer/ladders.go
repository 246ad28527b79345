package peer

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/agreement"
)

// ladders is what this host says and hears of ladders: the budgets of
// both directions. The machines themselves are the session's, for what ends with
// it, and the Book's, for named actions.
type ladders struct {
	next    time.Time // no message leaves before (X-3: under the rate budget)
	credit  float64   // messages that may be looked at now
	counted time.Time // when credit was counted
}

// takes reports whether one more message of the peer may be looked at: each may
// cost a dozen signatures.
func (l *ladders) takes(now time.Time) bool {
	l.credit = min(l.credit+now.Sub(l.counted).Seconds()*ladderRate, ladderBurst)
	l.counted = now
	if l.credit < 1 {
		return false
	}
	l.credit--
	return true
}

// newUp begins the ladder that brings the tunnel up. It ends with the
// session, so nothing of it needs a disk. Its session is zero: INIT carries its
// commitment, and the session has no hash yet; the nonces of both do.
func (p *Peer) newUp() *ladder.Machine {
	return p.newLadder(ladder.Config{Action: ladder.ActionUp, Nonce: p.nonce()})
}

// nonce is fresh for each action.
func (p *Peer) nonce() (nonce [ladder.NonceLen]byte) {
	if _, err := io.ReadFull(p.cfg.Random, nonce[:]); err != nil {
		panic("peer: randomness: " + err.Error())
	}
	return nonce
}

// newLadder begins an action that ends with the session.
func (p *Peer) newLadder(cfg ladder.Config) *ladder.Machine {
	cfg.Private, cfg.Remote, cfg.Rand = p.cfg.Private, p.cfg.Remote, p.jitter
	m, err := ladder.New(p.now, cfg)
	if err != nil {
		panic("peer: " + err.Error()) // the keys were checked by New
	}
	p.onLadder(m)
	return m
}

// onLadder handles the events of a machine that ends with the session: what it
// binds itself to counts at once. It reports whether the action was committed
// just now.
func (p *Peer) onLadder(m *ladder.Machine) (committed bool) {
	for {
		e, ok := m.PollEvent()
		if !ok {
			return committed
		}
		switch e {
		case ladder.EventPersist:
			stage, _ := m.Record()
			m.OnStable(p.now, stage)
		case ladder.EventCommitted:
			committed = true
		case ladder.EventProgress, ladder.EventInDoubt, ladder.EventAborted, ladder.EventDone:
		}
	}
}

// ladderBytes is what a machine says now, for INIT and RESP (H-3).
func (p *Peer) ladderBytes(m *ladder.Machine) []byte {
	buf := make([]byte, ladder.MaxMessage)
	n, _ := m.Poll(p.now, buf)
	return buf[:n]
}

// handleLadder handles a LADDER frame after its type.
func (p *Peer) handleLadder(s *session, r *wire.Reader) error {
	msg := r.Bytes(int(r.U16()))
	if r.Err() != nil {
		return errFrame
	}
	if !p.ladders.takes(p.now) {
		return nil // as if it were lost
	}
	m, err := ladder.Parse(msg)
	if err != nil {
		return errFrame
	}
	switch m.Action {
	case ladder.ActionUp:
		s.up.Handle(p.now, msg)
		p.onUp(s)
	case ladder.ActionRekey:
		return p.handleRekey(s, &m, msg)
	case ladder.ActionPath:
		return p.handleMove(s, &m, msg)
	case ladder.ActionClose:
		p.handleLeave(s, msg)
	case ladder.ActionNamed:
		if p.cfg.Agreements != nil && p.cfg.Agreements.Handle(p.now, msg) == agreement.DropMalformed {
			return errFrame
		}
	default:
		return errUnknownAction
	}
	return nil
}

var errUnknownAction = errors.New("ladder of an unknown action")

// hearUp looks at the ladder of RESP, after the first datagrams have left: four
// signatures take as long as the handshake, and data does not wait for them.
func (p *Peer) hearUp(s *session) {
	if s.heard == nil {
		return
	}
	s.up.Handle(p.now, s.heard) // dropped: the peer says it again
	s.heard = nil
	p.onUp(s)
}

// onUp tells when both are known to be there.
func (p *Peer) onUp(s *session) {
	if p.onLadder(s.up) && !s.committed {
		s.committed = true
		p.emit(Event{Kind: TunnelCommitted})
	}
}

// tendLadders does what is due.
func (p *Peer) tendLadders() {
	if b := p.cfg.Agreements; b != nil {
		b.HandleTimeout(p.now)
	}
	if p.cur != nil {
		p.cur.up.HandleTimeout(p.now)
		p.tendRekey(p.cur)
		p.tendMove(p.cur)
		p.tendLeave(p.cur)
	}
}

// callForLadders calls the peer where there is something to agree on and no
// session: what the Book would say is lost, and it says it again.
func (p *Peer) callForLadders() {
	b := p.cfg.Agreements
	if b == nil || p.cur != nil || p.down {
		return
	}
	var lost [ladder.MaxMessage]byte
	for {
		if _, ok := b.Poll(p.now, lost[:]); !ok {
			return
		}
		p.startAttempt()
	}
}

// appendLadder appends a ladder message that is due.
func (b *builder) appendLadder() {
	p := b.p
	if p.now.Before(p.ladders.next) {
		return
	}
	if b.s.sender.Measuring() && p.loaded() && b.s.leave == nil { // G-3: small datagrams, and the first packets first
		p.ladders.next = p.now.Add(ladderAgain)
		return
	}
	if room := b.limit - len(b.dst); room < ladderFrameMax {
		p.ladders.next = p.now.Add(ladderAgain)
		return
	}
	start := len(b.dst)
	b.dst = append(b.dst, frameLadder, 0, 0)
	msg := b.dst[start+ladderFrameLen : start+ladderFrameMax]
	n := p.pollLadder(b.s, msg)
	if n == 0 {
		b.dst = b.dst[:start]
		return
	}
	binary.BigEndian.PutUint16(b.dst[start+1:], uint16(n))
	b.dst = b.dst[:start+ladderFrameLen+n]
	b.ask = true
	p.ladders.next = p.now.Add(shareTime(ladderFrameLen+n, b.s.sender.Rate(p.now)))
}

// pollLadder writes the next message of any machine to buf: those that the
// session needs come first.
func (p *Peer) pollLadder(s *session, buf []byte) int {
	if s.leave != nil {
		if n, ok := s.leave.Poll(p.now, buf); ok {
			return n
		}
	}
	if s.heard == nil {
		if n, ok := s.up.Poll(p.now, buf); ok {
			return n
		}
	}
	if s.rekey != nil {
		if n, ok := s.rekey.machine.Poll(p.now, buf); ok {
			return n
		}
	}
	if s.move != nil && s.move.copied > 0 {
		n := copy(buf, s.move.message[:s.move.copied])
		s.move.copied = 0
		return n
	}
	if p.cfg.Agreements != nil {
		if n, ok := p.cfg.Agreements.Poll(p.now, buf); ok {
			return n
		}
	}
	return 0
}

// idleDeadline is when named actions have work while there is no session.
func (p *Peer) idleDeadline() time.Time {
	if p.cur != nil || p.cfg.Agreements == nil {
		return time.Time{}
	}
	return p.cfg.Agreements.NextDeadline()
}

// ladderDeadline is when a machine has work next.
func (p *Peer) ladderDeadline() time.Time {
	var d time.Time
	if b := p.cfg.Agreements; b != nil {
		d = b.NextDeadline()
	}
	if s := p.cur; s != nil {
		if s.heard == nil {
			d = earlier(d, s.up.NextDeadline())
		}
		if s.rekey != nil {
			d = earlier(d, s.rekey.machine.NextDeadline())
		}
		if s.leave != nil {
			d = earlier(d, s.leave.NextDeadline())
		}
		if s.move != nil && s.move.copied > 0 {
			d = p.now
		}
	}
	if !d.IsZero() && d.Before(p.ladders.next) {
		return p.ladders.next
	}
	return d
}
