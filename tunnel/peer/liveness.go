package peer

import (
	"math"
	"time"
)

// onSent notes that a datagram left; ask says that the peer must answer it.
func (p *Peer) onSent(s *session, ask bool) {
	if p.cfg.Keepalive > 0 {
		p.timers[timerKeepalive] = p.now.Add(p.cfg.Keepalive)
	}
	if ask && s.waiting.IsZero() {
		s.waiting = p.now
		p.timers[timerDead] = p.now.Add(p.probeAfter(s))
	}
}

// probeAfter is the silence after which PINGs flood: longer on a slow path.
func (p *Peer) probeAfter(s *session) time.Duration {
	return max(probeAfter, 3*s.sender.RTT())
}

// deadAfter is the silence after which a new handshake starts: a second of
// doubt, and then as many PINGs as must be lost, there or back, to leave
// deadDoubt that the peer lives. A new session costs what is in flight.
func (p *Peer) deadAfter(s *session) time.Duration {
	loss := min(p.roundTripLoss(), 0.99)
	probes := 1.0
	if loss > 0 {
		probes = deadBurst * math.Log(deadDoubt) / math.Log(loss)
	}
	d := p.probeAfter(s) + s.sender.RTT() + time.Duration(probes)*probeInterval
	return min(max(d, deadAfterMin), deadAfterMax)
}

// roundTripLoss is the share of questions or answers that are lost.
func (p *Peer) roundTripLoss() float64 {
	if p.cur == nil {
		return 0.5
	}
	there, back := p.cur.sender.Stats().Loss, p.cur.receiver.ReturnLoss()
	return 1 - (1-there)*(1-back)
}

// onDeadTimer runs while a question is open: flood PINGs, then start again.
func (p *Peer) onDeadTimer() {
	s := p.cur
	if s == nil || s.waiting.IsZero() {
		return
	}
	silence := p.now.Sub(s.waiting)
	p.pingDue = true
	p.timers[timerDead] = p.now.Add(min(max(silence/lostShare, probeInterval), lostInterval))
	if silence >= p.deadAfter(s) {
		s.lost = true
		p.startAttempt() // the old keys stay until the new ones are confirmed (H-6)
	}
	if silence >= expireAfter {
		if !p.cfg.Endpoint.IsValid() {
			p.stopAttempt() // it knows where we are; we no longer know where it is
		}
		p.dropSession(&CloseError{Code: CloseNormal, Reason: "peer is silent"})
	}
}

// onKeepalive asks for a sign of life so that address translators on the way
// keep their entry.
func (p *Peer) onKeepalive() {
	if p.cur != nil {
		p.pingDue = true
		p.timers[timerKeepalive] = p.now.Add(p.cfg.Keepalive)
	}
}
