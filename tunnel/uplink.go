package tunnel

import (
	"net/netip"
	"time"
)

// Sharing the uplink (T-3).
const (
	// uplinkQuantum is what a peer may send in a turn, bytes: one full packet.
	uplinkQuantum = 1514
	// uplinkBurst is what the uplink may catch up on where the loop came late,
	// as a peer's own pacing does (G-5).
	uplinkBurst = 5 * time.Millisecond
	// uplinkTurn bounds what leaves before the loop looks for input again,
	// bytes: a few milliseconds of work.
	uplinkTurn = 256 << 10
	// ipOverhead is the size of the IP and UDP headers that a datagram has at
	// least.
	ipOverhead = 28
)

// source is a peer as the uplink sees it: its pacing says what it may send now.
type source interface {
	Poll(now time.Time, buf []byte) (n int, to netip.AddrPort, ok bool)
	Source() netip.Addr // of the newest datagram
}

// uplink shares the rate of the interface between the peers that have something to
// send: each of them keeps to the rate by itself, and all together do so by deficit
// round robin (T-3). With one peer it adds nothing; without a bandwidth peers take
// turns, and the rate control of each leaves room for the others (G-4).
type uplink struct {
	rate   int64 // bit/s of IP bytes, of all together
	shared bool  // several peers use it, and there is a rate to share
	next   time.Time
	ring   []*line
}

// line is a peer's place on the uplink.
type line struct {
	from    source
	peer    *tunnelPeer
	deficit int
	waits   bool // it is in the ring
}

// add lets a peer send what it has.
func (u *uplink) add(l *line) {
	if !l.waits {
		l.waits = true
		u.ring = append(u.ring, l)
	}
}

// remove takes a peer that is gone out of the ring.
func (u *uplink) remove(l *line) {
	for i := range u.ring {
		if u.ring[i] == l {
			u.ring = append(u.ring[:i], u.ring[i+1:]...)
			l.waits = false
			return
		}
	}
}

// due is when to send again; ok is false if nothing waits.
func (u *uplink) due(now time.Time) (at time.Time, ok bool) {
	if len(u.ring) == 0 {
		return time.Time{}, false
	}
	if u.shared && u.next.After(now) {
		return u.next, true
	}
	return now, true
}

// send lets the peers send in turn, as long as the rate allows and no more than a
// turn of the loop. emit gives the space for a datagram, and takes it; done hears
// of each peer that has nothing more.
func (u *uplink) send(now time.Time, space func() []byte, emit func(n int, from netip.Addr, to netip.AddrPort), done func(l *line)) {
	for sent := 0; len(u.ring) > 0 && sent < uplinkTurn; {
		if u.shared && u.next.After(now) {
			return
		}
		l := u.ring[0]
		if l.deficit <= 0 {
			l.deficit += uplinkQuantum
		}
		for l.deficit > 0 {
			n, to, ok := l.from.Poll(now, space())
			if !ok {
				u.pop()
				l.waits, l.deficit = false, 0
				done(l)
				break
			}
			emit(n, l.from.Source(), to)
			cost := n + ipOverhead
			l.deficit -= cost
			sent += cost
			u.charge(now, cost)
		}
		if l.waits { // its turn is over
			u.pop()
			u.ring = append(u.ring, l)
		}
	}
}

// pop takes the first line out of the ring, which keeps its memory.
func (u *uplink) pop() { u.ring = u.ring[:copy(u.ring, u.ring[1:])] }

// charge moves the time of the next datagram.
func (u *uplink) charge(now time.Time, cost int) {
	if !u.shared {
		return
	}
	if earliest := now.Add(-uplinkBurst); u.next.Before(earliest) {
		u.next = earliest
	}
	u.next = u.next.Add(time.Duration(float64(8*cost) / float64(u.rate) * float64(time.Second)))
}
