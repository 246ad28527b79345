package reliability

import "time"

// epochRing keeps the receiver's record of the last MaxEpochs send intervals
// in order of first arrival (R-4, W-5).
type epochRing struct {
	list [MaxEpochs]rxEpoch
	n    int
}

type rxEpoch struct {
	id              uint8
	count           uint16
	firstPN, lastPN uint64
	first, last     time.Duration
}

func (e *epochRing) add(id uint8, pn uint64, at time.Duration) {
	for i := e.n - 1; i >= 0; i-- {
		x := &e.list[i]
		if x.id != id {
			continue
		}
		if x.count < 65535 {
			x.count++
		}
		x.lastPN, x.last = pn, at
		return
	}
	if e.n == MaxEpochs {
		copy(e.list[:], e.list[1:])
		e.n--
	}
	e.list[e.n] = rxEpoch{id: id, count: 1, firstPN: pn, lastPN: pn, first: at, last: at}
	e.n++
}

// report fills out with the newest epochs, oldest first, relative to the
// largest packet number and its arrival. It returns how many it wrote.
func (e *epochRing) report(out []Epoch, largest uint64, arrival time.Duration) int {
	from := max(0, e.n-len(out))
	for i, x := range e.list[from:e.n] {
		out[i] = Epoch{
			ID: x.id, Count: x.count,
			FirstPN:   saturate16(int64(largest - x.firstPN)),
			LastPN:    saturate16(int64(largest - x.lastPN)),
			FirstTime: saturate16((arrival - x.first).Microseconds() / timeUnit),
			LastTime:  saturate16((arrival - x.last).Microseconds() / timeUnit),
		}
	}
	return e.n - from
}
