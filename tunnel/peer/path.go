package peer

import (
	"math"
	"net/netip"
	"time"
)

// path is where the peer is and what fits there: address, validation (H-8) and
// datagram size (W-4).
type path struct {
	addr      netip.AddrPort
	local     netip.Addr // where datagrams to it leave from, invalid: as routes say
	validated bool
	proven    netip.AddrPort // the newest address that was validated
	received  int            // bytes from an address that is not validated
	sent      int            // bytes to it
	max       int            // largest UDP payload ever tried

	size  int // UDP payload in use, proven or baseDatagram
	probe probe
}

// probe is one question put to the path with PATH_CHALLENGE frames, padded to
// size: does a datagram of that size reach the peer, at that address? Size 0
// asks for the address alone.
type probe struct {
	active bool
	size   int
	token  uint64
	tries  int
	limit  int
	next   time.Time
	verify bool          // the size is in use already: failure means a black hole
	again  time.Duration // pause before the next search
}

// overhead is the IP and UDP header before a datagram to the peer.
func (p *path) overhead() int {
	if p.addr.Addr().Is6() {
		return overheadIPv6
	}
	return overheadIPv4
}

// ceiling is the largest UDP payload worth trying to the address.
func (p *path) ceiling() int {
	if p.addr.Addr().Is6() {
		return p.max - (overheadIPv6 - overheadIPv4)
	}
	return p.max
}

// credit is how many bytes of n may go to the address in one datagram (H-8).
func (p *path) credit(n int) int {
	if p.validated {
		return n
	}
	return min(n, max(0, amplification*p.received-p.sent))
}

// validate notes that the peer reads what is sent to its address.
func (p *path) validate() { p.validated, p.proven = true, p.addr }

// moveTo makes addr the peer's address. Nothing is known of it but that an
// authenticated datagram of n bytes came from there.
func (p *path) moveTo(addr netip.AddrPort, n int) {
	p.addr, p.local, p.validated, p.received, p.sent = addr, netip.Addr{}, false, n, 0
}

// deadline is when the next try is due, zero if there is none.
func (q *probe) deadline() time.Time {
	if !q.active {
		return time.Time{}
	}
	return q.next
}

// nextSize is the size to try after one of the given size failed, 0 if none:
// 1,400 passes most tunnels and mobile links, 1,280 every IPv6 path.
func nextSize(size int) int {
	for _, s := range [...]int{1400, 1280} {
		if s < size && s > baseDatagram {
			return s
		}
	}
	return 0
}

// probeTries is how many probes must fail before a size does not fit, when loss
// is the share of round trips that fail.
func probeTries(loss float64) int {
	if loss <= 0 {
		return probeTriesMin
	}
	n := math.Ceil(math.Log(probeDoubt) / math.Log(min(loss, 0.99)))
	return int(min(max(n, probeTriesMin), probeTriesMax))
}

// startProbe asks whether datagrams of size arrive.
func (p *Peer) startProbe(size int, verify bool) {
	q := &p.path.probe
	*q = probe{
		active: true, size: size, verify: verify, again: q.again,
		token: p.token(), limit: probeTries(p.roundTripLoss()), next: p.now,
	}
	p.timers[timerPath] = time.Time{}
}

// searchSize starts the search for a larger datagram, from the top.
func (p *Peer) searchSize() {
	if top := p.path.ceiling(); top > p.path.size {
		p.startProbe(top, false)
	}
}

// probeDue reports whether a probe belongs into the next datagram.
func (p *Peer) probeDue() bool {
	at := p.probeDeadline()
	return !at.IsZero() && !p.now.Before(at)
}

// probeDeadline is when a probe has work next, zero for not before an input: one
// for a size waits until the path was measured, for its datagrams are large (G-3).
func (p *Peer) probeDeadline() time.Time {
	q := &p.path.probe
	if q.size > 0 && p.path.validated && p.cur != nil && p.cur.sender.Measuring() {
		return time.Time{}
	}
	return q.deadline()
}

// onProbeSent schedules the next try, or ends the probe.
func (p *Peer) onProbeSent() {
	q := &p.path.probe
	q.tries++
	q.next = p.now.Add(probeSpacing)
	if q.tries >= q.limit {
		// The last try gets its round trip before it counts as failed.
		q.next = p.now.Add(2 * p.cur.sender.RTT())
	}
}

// failProbe ends a probe whose tries are used up.
func (p *Peer) failProbe() {
	q := &p.path.probe
	q.active = false
	switch {
	case q.size == 0:
		p.startProbe(0, false) // as long as the peer speaks from there
		return
	case q.verify:
		p.onBlackHole()
		return
	}
	if next := nextSize(q.size); next > p.path.size {
		p.startProbe(next, false)
		return
	}
	p.searchLater()
}

// searchLater puts the next search off, for longer each time.
func (p *Peer) searchLater() {
	q := &p.path.probe
	q.again = min(max(2*q.again, searchAgainMin), searchAgainMax)
	p.timers[timerPath] = p.now.Add(q.again)
}

// behind reports whether an address is the one that the peer still sends from, as it
// does not know yet that the path was switched.
func (p *Peer) behind(from netip.AddrPort) bool {
	m := p.cur.move
	return m != nil && m.State == Moved && m.holds(from)
}

// onPathResponse takes the answer to a probe.
func (p *Peer) onPathResponse(token uint64, from netip.AddrPort) {
	q := &p.path.probe
	if from != p.path.addr && !p.behind(from) || q.tries == 0 || token != q.token {
		return
	}
	p.path.validate()
	if !q.active {
		return
	}
	q.active = false
	switch {
	case q.size == 0 && p.path.size > baseDatagram:
		p.startProbe(p.path.size, true) // does the new path carry what the old did?
	case q.size == 0:
		p.searchSize()
	default:
		p.path.size = max(p.path.size, q.size)
		if p.path.size < p.path.ceiling() {
			p.searchLater()
		}
	}
}

// onBlackHole handles a path that no longer carries datagrams of the size in
// use: symbols of that size are in flight and cannot be cut, so the session
// starts again at the size that every path carries (W-4, RFC 8899 section 4.3).
func (p *Peer) onBlackHole() {
	if p.path.size <= baseDatagram {
		return
	}
	p.path.size = baseDatagram
	p.stats.BlackHoles++
	p.dropSession(nil)
	p.startAttempt()
}

// roam follows the peer to a new address (H-8).
func (p *Peer) roam(from netip.AddrPort, n int) {
	p.path.moveTo(from, n)
	p.emit(Event{Kind: PathChanged})
	p.startProbe(0, false)
}
