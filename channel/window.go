package channel

// window remembers which of the newest sequence numbers have been seen. Bits
// are recycled a word at a time, so it reaches back 64 numbers less than it has
// bits.
type window struct {
	end  uint64   // one more than the largest number seen
	seen []uint64 // bits by number; power of two words
}

// newWindow makes a window of that many bits, a power of two of at least 128.
func newWindow(size int) window { return window{seen: make([]uint64, size/64)} }

// reach is how far behind end a number may be.
func (w *window) reach() uint64 { return uint64(len(w.seen)-1) * 64 }

// distance is how far ahead of near the 64-bit number is that the low bits seq mean,
// negative behind it: of all such numbers it is the closest (C-6).
func distance(near uint64, seq uint32) int64 {
	const unused = 32 - SequenceBits // shifted out, so that the sign is right
	return int64(int32((seq-uint32(near))<<unused) >> unused)
}

// locate finds the 64-bit number (C-6) that is meant by the low bits seq: the
// one closest to the newest. ok is false where it lies behind the window or
// below zero.
func (w *window) locate(seq uint32) (full uint64, ok bool) {
	off := distance(w.end, seq)
	if off >= 0 {
		return w.end + uint64(off), true
	}
	back := uint64(-off)
	if back > w.end || back > w.reach() {
		return 0, false
	}
	return w.end - back, true
}

// has reports whether a number that locate found has been seen.
func (w *window) has(seq uint64) bool {
	return seq < w.end && w.seen[seq/64&uint64(len(w.seen)-1)]&(1<<(seq%64)) != 0
}

// mark notes a number that locate found, and moves the window up to it.
func (w *window) mark(seq uint64) {
	mask := uint64(len(w.seen) - 1)
	if seq >= w.end {
		// The words beyond the newest number still describe old ones.
		if first, last := (w.end+63)/64, seq/64; first <= last {
			if last-first > mask {
				first = last - mask
			}
			for i := first; i <= last; i++ {
				w.seen[i&mask] = 0
			}
		}
		w.end = seq + 1
	}
	w.seen[seq/64&mask] |= 1 << (seq % 64)
}
