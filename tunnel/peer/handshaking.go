package peer

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/flow"
)

// attempt is our INIT on its way (H-4).
type attempt struct {
	init   *handshake.Initiator
	up     *ladder.Machine
	flood  handshake.Flood
	index  uint32
	to     netip.AddrPort
	start  time.Time
	number int // attempts in a row, from 0
}

// pending is a session that we answered and the peer has not used yet (H-6).
type pending struct {
	session *session
	init    []byte // the INIT, to know its repetitions
	resp    []byte
	flood   handshake.Flood
	until   time.Time // end of the flood
	from    netip.AddrPort
	credit  int // bytes that may go there (H-4)

	answered bool // a RESP has left
}

// startAttempt sends a fresh INIT unless one is on its way, the peer's own was just
// answered, or nobody knows where to.
func (p *Peer) startAttempt() {
	if p.attempt == nil && !p.answering() && p.target(0).IsValid() && !p.down {
		p.newAttempt(0)
	}
}

// answering reports whether the peer calls and has not used the answer yet. A call
// of ours would cross it, and the session that wins would cost what was sent under
// the other. It is heard of again and again until it has the answer, and one that is
// not is no reason to wait: it may be a recording (H-6).
func (p *Peer) answering() bool { return p.next != nil && p.now.Before(p.next.until) }

// target is where to call the peer: where it was last and where it should be,
// in turn. An address that was never validated gets no flood of INITs (H-8).
func (p *Peer) target(number int) netip.AddrPort {
	last, configured := p.path.proven, p.cfg.Endpoint
	if !last.IsValid() || (configured.IsValid() && number%2 == 1) {
		return configured
	}
	return last
}

func (p *Peer) newAttempt(number int) {
	index := p.newIndex()
	up := p.newUp()
	in, err := handshake.NewInit(p.now, handshake.InitConfig{
		Private: p.cfg.Private, Peer: p.cfg.Remote, PSK: p.cfg.PSK, Index: index,
		Params: p.params(), Ladder: p.ladderBytes(up), Random: p.cfg.Random, // H-3
	})
	if err != nil {
		panic("peer: " + err.Error()) // the keys were checked by New
	}
	p.attempt = &attempt{
		init: in, up: up, flood: handshake.NewFlood(p.now, p.jitter), index: index,
		to: p.target(number), start: p.now, number: number,
	}
	p.emit(Event{Kind: IndexAdded, Index: index})
	p.timers[timerGiveUp] = p.now.Add(handshake.GiveUp(number))
}

// stopAttempt forgets our INIT.
func (p *Peer) stopAttempt() {
	if p.attempt != nil {
		p.emit(Event{Kind: IndexRemoved, Index: p.attempt.index})
		p.attempt, p.spare = nil, engines{}
		p.timers[timerGiveUp] = time.Time{}
	}
}

// onGiveUp starts over with a fresh INIT.
func (p *Peer) onGiveUp() {
	n := p.attempt.number + 1
	p.stopAttempt()
	p.newAttempt(n)
}

// HandleInit handles an INIT that was opened with our key: raw are its bytes.
func (p *Peer) HandleInit(now time.Time, from Inbound, in *handshake.Init, raw []byte) DropReason {
	p.advance(now)
	return p.count(p.handleInit(from, in, raw))
}

func (p *Peer) handleInit(from Inbound, in *handshake.Init, raw []byte) DropReason {
	if p.down {
		return DropClosed
	}
	if in.Remote != p.remoteStatic {
		return DropInit
	}
	if q := p.next; q != nil && handshake.SameInit(q.init, raw) {
		if from.From == q.from {
			q.credit = min(q.credit+amplification*len(raw), math.MaxInt32)
			q.until = p.now.Add(respFloodTime)
		}
		return DropNone
	}
	if !in.Timestamp.After(p.newest) {
		return DropStale
	}
	if a := p.attempt; a != nil && p.local.Less(p.cfg.Remote) && p.now.Sub(a.start) < crossedGrace {
		return DropCrossed
	}
	up := p.newUp()
	if up.Handle(p.now, in.Ladder) != ladder.DropNone {
		return DropInit
	}
	index := p.newIndex()
	resp, keys, err := in.Respond(handshake.RespondConfig{
		PSK: p.cfg.PSK, Index: index, Params: p.params(), Ladder: p.ladderBytes(up), Random: p.cfg.Random, // H-3
	})
	if err != nil {
		return DropInit
	}
	s, err := p.newSession(keys, up)
	if err != nil {
		return DropInit
	}
	p.stopAttempt()
	p.dropPending()
	p.newest = in.Timestamp
	p.next = &pending{
		session: s, init: bytes.Clone(raw), resp: resp, flood: handshake.NewFlood(p.now, p.jitter),
		until: p.now.Add(respFloodTime), from: from.From, credit: p.respCredit(from.From, len(raw)),
	}
	p.timers[timerPending] = p.now.Add(pendingTime)
	p.emit(Event{Kind: IndexAdded, Index: index})
	return DropNone
}

// respCredit is how many bytes of RESPs an INIT of n bytes may cause: three times
// its own, but to where the user says that the peer is, or where it was shown to be
// (H-4, H-8).
func (p *Peer) respCredit(from netip.AddrPort, n int) int {
	if from == p.cfg.Endpoint || from == p.path.proven {
		return math.MaxInt32
	}
	return amplification * n
}

// handleResp completes our INIT.
func (p *Peer) handleResp(in Inbound, b []byte) DropReason {
	a := p.attempt
	if a == nil || len(b) < 9 || binary.BigEndian.Uint32(b[5:]) != a.index {
		return DropResp
	}
	keys, err := a.init.HandleResp(b)
	if err != nil {
		return DropResp
	}
	s, err := p.newSession(keys, a.up)
	if err != nil {
		return DropResp
	}
	p.furnish(s)
	s.heard = keys.RemoteLadder
	p.attempt = nil // its index lives on in the session
	p.timers[timerGiveUp] = time.Time{}
	p.dropPending()
	p.dropSession(nil)
	p.cur = s
	p.program.begin()
	p.path.moveTo(in.From, 0)
	p.path.validate() // it answered what we sent there
	p.path.size = baseDatagram
	// The peer may send only after it heard from us: say something at once,
	// and again until it answers (H-3).
	flood := handshake.NewFlood(p.now, p.jitter)
	s.confirm = &flood
	p.onKeyed(s)
	return DropNone
}

// handleCookie puts the peer's cookie into our INIT and sends that at once: the
// peer is under load and wants to know that we hear it (H-5). The budget of the
// flood bounds what a forger can make us send (H-4).
func (p *Peer) handleCookie(b []byte) DropReason {
	a := p.attempt
	if a == nil {
		return DropCookie
	}
	fresh, err := a.init.HandleCookie(b)
	if err != nil {
		return DropCookie
	}
	if fresh {
		a.flood = handshake.NewFlood(p.now, p.jitter)
	}
	return DropNone
}

// promote makes the pending session the current one: the peer used its keys.
func (p *Peer) promote(from netip.AddrPort) {
	q := p.next
	p.next = nil
	p.timers[timerPending] = time.Time{}
	p.dropSession(nil)
	p.cur = q.session
	p.furnish(p.cur)
	p.program.begin()
	p.path.moveTo(from, 0)
	if from == q.from { // it read the RESP that we sent there
		p.path.validate()
	}
	p.path.size = baseDatagram
	p.onKeyed(p.cur)
	p.emit(Event{Kind: SessionUp})
	p.searchSize()
}

// dropPending forgets a session that the peer never used.
func (p *Peer) dropPending() {
	if p.next != nil {
		p.emit(Event{Kind: IndexRemoved, Index: p.next.session.keys.LocalIndex})
		p.next.session.keys.Wipe()
		p.next = nil
		p.timers[timerPending] = time.Time{}
	}
}

// dropSession ends the current session; why is reported if it is not nil.
func (p *Peer) dropSession(why *CloseError) {
	s := p.cur
	if s == nil {
		return
	}
	p.retire(s)
	p.endMove(s)
	p.program.end()
	s.headers.restore(p.queue.Head(flow.Stream).B)
	s.keys.Wipe()
	p.dropNext(s)
	p.dropOld(s)
	p.emit(Event{Kind: IndexRemoved, Index: s.keys.LocalIndex})
	if why != nil {
		p.emit(Event{Kind: SessionDown, Err: why})
	}
	p.cur, p.pingDue, p.path.probe = nil, false, probe{}
	p.inner.Reset()
	for _, t := range [...]timer{timerDead, timerKeepalive, timerPath, timerQuiet, timerRekey, timerLeave, timerUp} {
		p.timers[t] = time.Time{}
	}
}

// pollHandshake returns INIT or RESP when one is due.
func (p *Peer) pollHandshake(buf []byte) (n int, to netip.AddrPort) {
	if p.now.Before(p.floodNext) {
		return 0, netip.AddrPort{}
	}
	if a := p.attempt; a != nil && a.flood.Due(p.now) {
		if p.now.After(a.start) { // it was sent
			p.prepare()
		}
		a.flood.OnSent(p.now)
		return p.flood(buf, a.init.Datagram()), a.to
	}
	q := p.next
	if q == nil || q.credit < len(q.resp) || !q.flood.Due(p.now) || p.now.After(q.until) {
		return 0, netip.AddrPort{}
	}
	if q.answered {
		p.furnish(q.session)
	}
	q.answered = true
	q.flood.OnSent(p.now)
	q.credit -= len(q.resp)
	return p.flood(buf, q.resp), q.from
}

// flood copies INIT or RESP to buf and charges it to the budget (H-4), which saves
// up for the answer to a call that crosses our own.
func (p *Peer) flood(buf, datagram []byte) int {
	each := shareTime(len(datagram), floodRate(p.cfg.Rate.Ceiling))
	if saved := p.now.Add(-floodSaved * each); p.floodNext.Before(saved) {
		p.floodNext = saved
	}
	p.floodNext = p.floodNext.Add(each)
	return copy(buf, datagram)
}

// shareTime is how long n bytes take at the share of a rate for what is flooded.
func shareTime(n int, rate int64) time.Duration {
	bits := float64(8 * (n + overheadIPv6))
	return time.Duration(bits / (floodShare * float64(rate)) * float64(time.Second))
}

// handshakeDeadline is when pollHandshake or the confirmation has work next.
func (p *Peer) handshakeDeadline() time.Time {
	var d time.Time
	if p.attempt != nil {
		d = earlier(d, p.floodAt(&p.attempt.flood))
	}
	if q := p.next; q != nil && q.credit >= len(q.resp) {
		if at := p.floodAt(&q.flood); !at.After(q.until) {
			d = earlier(d, at)
		}
	}
	if p.cur != nil && p.cur.confirm != nil {
		d = earlier(d, p.cur.confirm.Deadline())
	}
	return d
}

// floodAt is when the next datagram of a flood may leave: when it is due and the
// budget allows it.
func (p *Peer) floodAt(f *handshake.Flood) time.Time {
	if at := f.Deadline(); at.After(p.floodNext) {
		return at
	}
	return p.floodNext
}

// sessionOf returns the session of a receiver index and whether it still waits
// for its first datagram.
func (p *Peer) sessionOf(index uint32) (s *session, promote bool) {
	if p.cur != nil && p.cur.keyOf(index) != nil {
		return p.cur, false
	}
	if p.next != nil && p.next.session.keys.LocalIndex == index {
		return p.next.session, true
	}
	return nil, false
}

func (p *Peer) params() handshake.Params { return handshake.Params{AES: p.cfg.AES} }

func (p *Peer) newIndex() uint32 { return uint32(p.token()) }

// typeOf is the first byte of a datagram.
func typeOf(b []byte) byte {
	r := wire.NewReader(b)
	return r.U8()
}
