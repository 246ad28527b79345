package handshake

const (
	replayWordBits = 64
	replayWords    = 256 // a power of two
)

// ReplayWindowSize is how far behind the largest packet number a new one may
// arrive (W-2): 0.16 s of 1200-byte datagrams at 1 Gbit/s, in 2 KiB. One word
// of the ring is being refilled and does not count.
const ReplayWindowSize = (replayWords - 1) * replayWordBits

// ReplayWindow knows which packet numbers of one path and key have arrived
// (W-2). The zero value has seen none.
//
// It works in two steps, so that a forged datagram changes nothing: Check
// before the datagram is opened, Mark after it opened.
type ReplayWindow struct {
	next uint64 // largest marked + 1
	ring [replayWords]uint64
}

// Check reports whether pn is fresh: not marked, and not too old to tell.
func (w *ReplayWindow) Check(pn uint64) bool {
	switch {
	case pn == maxPN: // never sealed
		return false
	case pn >= w.next:
		return true
	case w.next-pn > ReplayWindowSize:
		return false
	}
	word, bit := replayPosition(pn)
	return w.ring[word]&bit == 0
}

// Mark notes that pn arrived. A number that Check refuses changes nothing.
func (w *ReplayWindow) Mark(pn uint64) {
	if !w.Check(pn) {
		return
	}
	if pn >= w.next {
		// Clear the words between that of the largest number and pn's.
		n := pn / replayWordBits
		last := w.next / replayWordBits
		if w.next%replayWordBits != 0 {
			last++ // partly in use
		}
		if n >= last {
			for i := range min(n-last+1, replayWords) {
				w.ring[(n-i)%replayWords] = 0
			}
		}
		w.next = pn + 1
	}
	word, bit := replayPosition(pn)
	w.ring[word] |= bit
}

func replayPosition(pn uint64) (word int, bit uint64) {
	return int(pn / replayWordBits % replayWords), 1 << (pn % replayWordBits)
}

// ReconstructPN returns the packet number whose low 32 bits a datagram carries
// (W-1): the one nearest to largest, the largest number that has opened so far
// (0 if none has). It is right for numbers up to 2^31-1 away.
func ReconstructPN(largest uint64, low uint32) uint64 {
	d := int64(int32(low - uint32(largest)))
	switch {
	case d < 0 && largest < uint64(-d): // nothing below 0
		d += 1 << 32
	case d > 0 && largest > maxPN-uint64(d): // nor above 64 bits
		d -= 1 << 32
	}
	return largest + uint64(d)
}
