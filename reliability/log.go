package reliability

import "time"

// transmission is the record of one datagram sent.
type transmission struct {
	at time.Duration
	Transmission
}

// transmissionLog keeps the records of [head, next) and, while their slots are
// not needed, of earlier datagrams: one record per datagram, by packet number.
type transmissionLog struct {
	ring       []transmission // a power of two long
	head, next uint64
}

const firstLog = 1024

func newTransmissionLog() transmissionLog {
	return transmissionLog{ring: make([]transmission, firstLog)}
}

// at returns the record of pn, which must be known.
func (l *transmissionLog) at(pn uint64) *transmission {
	return &l.ring[pn&uint64(len(l.ring)-1)]
}

// known reports whether the record of pn is still there.
func (l *transmissionLog) known(pn uint64) bool {
	return pn < l.next && l.next-pn <= uint64(len(l.ring))
}

// full reports that add would overwrite the record at head.
func (l *transmissionLog) full() bool {
	return l.next-l.head == MaxTransmissions
}

// add records a datagram under the packet number next.
func (l *transmissionLog) add(t transmission) {
	if n := uint64(len(l.ring)); l.next-l.head == n && n < MaxTransmissions {
		grown := make([]transmission, 2*n)
		for pn := l.head; pn < l.next; pn++ {
			grown[pn&(2*n-1)] = *l.at(pn)
		}
		l.ring = grown
	}
	*l.at(l.next) = t
	l.next++
}
