package peer

import (
	"encoding/binary"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

// rekey is the switch to a key epoch (H-7): a ladder whose nonces are the halves
// of a key exchange, so that both ends change or neither does.
type rekey struct {
	number   uint32
	machine  *ladder.Machine
	exchange handshake.Exchange
	next     *handshake.Epoch // ready to receive; nil: the peer's half is not certain, or switched
	heard    bool             // a datagram opened under next before the switch
}

// oldEpoch is the receiving key of the key epoch before: what the peer sealed
// before it switched opens a while longer.
type oldEpoch struct {
	key   *handshake.Key // nil: none
	index uint32
}

// startRekey begins the switch to the next epoch.
func (p *Peer) startRekey(s *session) {
	x, err := handshake.NewExchange(p.cfg.Random)
	if err != nil {
		panic("peer: " + err.Error())
	}
	p.dropNext(s)
	k := &rekey{number: s.keys.Epoch() + 1, exchange: x}
	k.machine = p.newLadder(ladder.Config{
		Session: s.keys.Hash, Action: ladder.ActionRekey, Params: binary.BigEndian.AppendUint32(nil, k.number),
		Nonce: x.Public(),
	})
	s.rekey = k
}

// handleRekey takes a message about the switch of the key epoch.
func (p *Peer) handleRekey(s *session, m *ladder.Message, msg []byte) error {
	if len(m.Params) != 4 {
		return errFrame
	}
	number := binary.BigEndian.Uint32(m.Params)
	k := s.rekey
	if k == nil || k.number != number {
		// Another epoch than the next is an answer that came too late. The peer
		// has switched to the present one if it wants another.
		if number != s.keys.Epoch()+1 || p.now.Sub(s.keyed) < rekeyLeast {
			return nil
		}
		p.startRekey(s)
		k = s.rekey
	}
	k.machine.Handle(p.now, msg)
	if err := p.prepareEpoch(s); err != nil {
		return err
	}
	p.tendRekey(s)
	return nil
}

// prepareEpoch makes the next keys ready to receive as soon as the peer's half of
// the exchange is certain: the peer may switch first (make before break).
func (p *Peer) prepareEpoch(s *session) error {
	k := s.rekey
	nonce, _, bound := k.machine.Peer()
	if !bound || k.next != nil || k.number != s.keys.Epoch()+1 {
		return nil
	}
	next, err := s.keys.NextEpoch(k.exchange, nonce)
	if err != nil {
		return err
	}
	k.next = next
	p.emit(Event{Kind: IndexAdded, Index: next.LocalIndex})
	return nil
}

// tendRekey begins a switch when one is due, and makes it on COMMIT.
func (p *Peer) tendRekey(s *session) {
	if k := s.rekey; k != nil {
		k.machine.HandleTimeout(p.now)
		if p.onLadder(k.machine) {
			p.switchEpoch(s)
		}
	}
	if s.sender.NextPN()-s.keyedPN >= maxEpochDatagrams && p.mayRekey(s) {
		p.startRekey(s)
	}
}

// mayRekey reports whether no switch is under way: one that is in doubt stays so
// until it is decided.
func (p *Peer) mayRekey(s *session) bool {
	return s.confirm == nil && (s.rekey == nil || s.rekey.machine.Done() || s.rekey.machine.Outcome() == ladder.Aborted)
}

// onRekeyTimer begins a switch, unless one is under way.
func (p *Peer) onRekeyTimer() {
	s := p.cur
	if s == nil {
		return
	}
	p.timers[timerRekey] = p.now.Add(p.rekeyAgain())
	if p.mayRekey(s) {
		p.startRekey(s)
	}
}

// rekeyAgain is the pause after which a switch that could not begin is tried.
func (p *Peer) rekeyAgain() time.Duration { return max(p.cfg.Rekey/8, rekeyPause) }

// onKeyed notes that the session has fresh keys.
func (p *Peer) onKeyed(s *session) {
	s.keyed, s.keyedPN = p.now, s.sender.NextPN()
	p.timers[timerRekey] = p.now.Add(p.cfg.Rekey)
}

// switchEpoch makes the next epoch the session's. The old receiving key stays
// until a while after the peer has switched, too.
func (p *Peer) switchEpoch(s *session) {
	k := s.rekey
	p.dropOld(s)
	s.old.key, s.old.index = s.keys.Switch(k.next)
	k.next, k.exchange = nil, handshake.Exchange{}
	p.onKeyed(s)
	p.stats.Rekeyed++
	if k.heard {
		p.timers[timerOld] = p.now.Add(p.overlap(s))
	}
}

// overlap is how long the old receiving key outlives the peer's switch (H-7).
func (p *Peer) overlap(s *session) time.Duration {
	return max(overlapMin, 3*s.sender.RTO())
}

// keyOf is the receiving key of an index, nil if there is none.
func (s *session) keyOf(index uint32) *handshake.Key {
	switch {
	case index == s.keys.LocalIndex:
		return s.keys.Recv
	case s.old.key != nil && index == s.old.index:
		return s.old.key
	case s.rekey != nil && s.rekey.next != nil && index == s.rekey.next.LocalIndex:
		return s.rekey.next.Recv
	}
	return nil
}

// onOpened notes under which epoch a datagram of the peer opened.
func (p *Peer) onOpened(s *session, index uint32) {
	switch {
	case index == s.keys.LocalIndex:
		if s.old.key != nil && p.timers[timerOld].IsZero() {
			p.timers[timerOld] = p.now.Add(p.overlap(s))
		}
	case index != s.old.index:
		s.rekey.heard = true
	}
}

// dropOld wipes the old receiving key.
func (p *Peer) dropOld(s *session) {
	if s.old.key != nil {
		s.old.key.Wipe()
		p.emit(Event{Kind: IndexRemoved, Index: s.old.index})
		s.old = oldEpoch{}
	}
	p.timers[timerOld] = time.Time{}
}

// dropNext wipes keys that were not switched to.
func (p *Peer) dropNext(s *session) {
	if s.rekey != nil && s.rekey.next != nil {
		p.emit(Event{Kind: IndexRemoved, Index: s.rekey.next.LocalIndex})
		s.rekey.next.Wipe()
		s.rekey.next = nil
	}
}
