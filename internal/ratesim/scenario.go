package main

import (
	"time"

	"github.com/totg/totg/internal/link"
)

// scenario is one run: a bottleneck, those who send through it, and for how long.
type scenario struct {
	name string
	seed uint64

	rate     int64 // bit/s
	rtt      time.Duration
	loss     float64 // behind the bottleneck and on the way back
	burst    float64 // mean length of a loss burst, packets
	before   float64 // loss before the bottleneck
	buffer   int     // bytes; 0 is one BDP, at least ten packets
	jitter   time.Duration
	reorders bool // jitter
	policer  link.Policer
	schedule []link.Change
	noise    noise
	skew     float64       // of the receiver's clock
	deafFrom time.Duration // no receipts from then
	deafFor  time.Duration // for so long

	flows    []flowSpec
	rivals   []rivalSpec
	spread   time.Duration // flows and rivals start up to so much later, at random
	many     bool          // play several seeds
	duration time.Duration
	warm     time.Duration // what is measured begins then
	gates    []gate
}

// link is the bottleneck.
func (sc *scenario) link() link.Config {
	return link.Config{
		Rate: sc.rate, Queue: sc.buffer, Delay: sc.rtt / 2, Loss: sc.loss, Burst: sc.burst, Jitter: sc.jitter,
		JitterReorders: sc.reorders, Policer: sc.policer, Schedule: sc.schedule,
	}
}

// returnLink carries the receipts of one flow.
func (sc *scenario) returnLink() link.Config {
	c := link.Config{Rate: sc.rate, Delay: sc.rtt / 2, Loss: max(sc.loss, sc.before)}
	for _, ch := range sc.schedule {
		if ch.Delay != nil {
			c.Schedule = append(c.Schedule, link.Change{At: ch.At, Every: ch.Every, Delay: ch.Delay})
		}
	}
	return c
}

// deaf reports whether receipts get lost now.
func (sc *scenario) deaf(now time.Duration) bool {
	return now >= sc.deafFrom && now < sc.deafFrom+sc.deafFor
}

// rivalSpec is another kind of flow.
type rivalSpec struct {
	kind  rivalKind
	start time.Duration
}

type rivalKind uint8

const (
	cubic rivalKind = iota
	bbr
)

func (r rivalSpec) endpoint(w *world, id uint8) endpoint {
	if r.kind == bbr {
		return newBBR(w, id, r.start)
	}
	return newCubic(w, id, r.start)
}
