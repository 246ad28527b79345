package rate

import "time"

// record is what the sender knows of a datagram.
type record struct {
	at    time.Duration // when it left, since the controller's start
	bytes uint64        // sent up to and with it, in IP bytes
	size  int
	idles uint32 // how often the sender had nothing to send until then
	cuts  uint32 // drains that ended until then
}

// sendLog keeps the records of packet numbers that a report may still speak of.
type sendLog struct {
	ring       []record // a power of two
	head, next uint64   // packet numbers kept: head … next-1
	bytes      uint64
	idles      uint32
	cuts       uint32
}

// add records the next packet number.
func (l *sendLog) add(at time.Duration, size int, limited bool) {
	if limited {
		l.idles++
	}
	l.bytes += uint64(size)
	if n := l.next - l.head; n == uint64(len(l.ring)) {
		if n == MaxRecords {
			l.head++
		} else {
			l.grow()
		}
	}
	l.ring[l.next%uint64(len(l.ring))] = record{at: at, bytes: l.bytes, size: size, idles: l.idles, cuts: l.cuts}
	l.next++
}

func (l *sendLog) grow() {
	old := l.ring
	l.ring = make([]record, max(firstRecords, 2*len(old)))
	for pn := l.head; pn < l.next; pn++ {
		l.ring[pn%uint64(len(l.ring))] = old[pn%uint64(len(old))]
	}
}

// known reports whether the record of pn is kept.
func (l *sendLog) known(pn uint64) bool { return pn >= l.head && pn < l.next }

// at returns the record of a known packet number.
func (l *sendLog) at(pn uint64) *record { return &l.ring[pn%uint64(len(l.ring))] }

// forget drops the records below pn.
func (l *sendLog) forget(pn uint64) { l.head = max(l.head, min(pn, l.next)) }
