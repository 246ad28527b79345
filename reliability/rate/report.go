package rate

import (
	"cmp"
	"slices"
	"time"
)

// Epoch is what a receipt tells of a send interval (W-5), field by field as in
// the RECEIPT frame, so that one converts to the other.
type Epoch struct {
	ID        uint8
	Count     uint16 // datagrams that arrived
	FirstPN   uint16 // largest packet number minus the epoch's first to arrive
	LastPN    uint16 // largest packet number minus the epoch's last to arrive
	FirstTime uint16 // arrival before the largest's, in units of 16 µs
	LastTime  uint16
}

// unit is the unit of Hold and of an epoch's times.
const unit = 16 * time.Microsecond

// saturated is the value of a 16-bit field that says "this much or more".
const saturated = 65535

// Report is what a receipt tells the controller: the newest arrival, totals
// modulo 2^32, and the last epochs. Receipts are state: any may be missing.
type Report struct {
	Largest   uint64 // largest packet number that arrived
	Arrival   uint32 // its arrival by the receiver's clock, µs modulo 2^32
	Hold      uint16 // time from then to the receipt, units of 16 µs, saturated
	Datagrams uint32 // that arrived
	Gaps      uint32 // runs of packet numbers that were missing when a later one arrived
	CE        uint32 // that carried a congestion mark
	Epochs    []Epoch
}

// sample is one arrival whose departure is known.
type sample struct {
	record
	pn      uint64
	arrival time.Duration // receiver's clock, unwrapped
	counted bool          // the newest of its report:
	arrived uint64        // datagrams that had arrived then
}

// delay is the one-way delay plus the constant between the two clocks.
func (s *sample) delay() time.Duration { return s.arrival - s.at }

// maxSamples is the most samples that a report can hold.
const maxSamples = 2*maxEpochs + 1

// samples lists the arrivals of a report that are newer than packet number
// after (-1: all), in the order of their numbers. The newest is last.
func (c *Controller) samples(r *Report, after int64, arrival time.Duration, list []sample) []sample {
	add := func(pn uint64, at time.Duration) {
		if int64(pn) > after && c.log.known(pn) {
			list = append(list, sample{record: *c.log.at(pn), pn: pn, arrival: at})
		}
	}
	for _, e := range r.Epochs[:min(len(r.Epochs), maxEpochs)] {
		if e.FirstPN < saturated && e.FirstTime < saturated && uint64(e.FirstPN) <= r.Largest {
			add(r.Largest-uint64(e.FirstPN), arrival-time.Duration(e.FirstTime)*unit)
		}
		if e.LastPN < saturated && e.LastTime < saturated && uint64(e.LastPN) <= r.Largest {
			add(r.Largest-uint64(e.LastPN), arrival-time.Duration(e.LastTime)*unit)
		}
	}
	add(r.Largest, arrival)
	slices.SortStableFunc(list, func(a, b sample) int { return cmp.Compare(a.pn, b.pn) })
	return slices.CompactFunc(list, func(a, b sample) bool { return a.pn == b.pn })
}
