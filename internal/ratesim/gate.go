package main

import (
	"math"
	"time"
)

// figures are what a run shows.
type figures struct {
	Busy    float64   `json:"busy"`     // served by capacity, after the warm-up
	Queue   float64   `json:"queue_ms"` // mean waiting time
	P99     float64   `json:"queue_p99_ms"`
	Target  float64   `json:"target_ms"` // mean q*
	Sent    float64   `json:"sent"`      // by capacity, after 10 s
	Start   float64   `json:"start_s"`   // until 90 % of the capacity is served over 100 ms; -1: never
	Shares  []float64 `json:"shares"`    // of what is delivered, by host
	Early   float64   `json:"early"`     // the first flow's share soon after a rival met it; 0: there is none
	Recover float64   `json:"recover_s"` // longest time from a change of capacity to 85 % of it
	Dropped float64   `json:"dropped"`   // share dropped by the queue or the policer after the warm-up
}

// gateFrom is when the rate sent counts (G-6).
const gateFrom = 10 * time.Second

// recoverShare is the share of a new capacity that ends a recovery (G-6).
const recoverShare = 0.85

func (w *world) figures() figures {
	s := &w.series
	end := w.duration
	main := s.window(w.warm, end)
	late := s.window(min(gateFrom, w.warm), end)
	f := figures{
		Busy: main.served / main.capacity, Queue: 1000 * main.queue, Target: 1000 * main.target,
		Start: w.start(), Recover: w.recovery(), P99: 1000 * w.quantile(0.99),
	}
	total, sent := 0.0, 0.0
	for i := range late.sent {
		total += main.delivered[i]
		if i < len(w.flows) {
			sent += late.sent[i]
		}
	}
	for _, d := range main.delivered {
		f.Shares = append(f.Shares, d/max(total, 1))
	}
	f.Early = w.early()
	f.Sent = sent / (late.capacity / (1 - w.before))
	all := 0.0
	for _, x := range main.sent {
		all += x
	}
	f.Dropped = max(0, 1-main.served/max(all*(1-w.before), 1))
	return f
}

// early is the first flow's share of what is delivered in the earlyFor that begin
// earlyAfter the later of it and its rival started.
func (w *world) early() float64 {
	if len(w.rivals) == 0 {
		return 0
	}
	from := max(w.flows[0].start, w.rivals[0].start) + earlyAfter
	total := 0.0
	b := w.series.window(from, min(from+earlyFor, w.duration))
	for _, d := range b.delivered {
		total += d
	}
	return b.delivered[0] / max(total, 1)
}

const earlyAfter, earlyFor = 5 * time.Second, 40 * time.Second

// start is the time until 90 % of the capacity is in use for the first time, in
// seconds from the first flow's start.
func (w *world) start() float64 {
	for i := range w.series.bins {
		b := &w.series.bins[i]
		if b.capacity > 0 && b.served >= 0.9*b.capacity {
			return (time.Duration(i+1)*binTime - w.flows[0].start).Seconds()
		}
	}
	return -1
}

// recovery is the longest time from a change of the capacity until as much as
// recoverShare of it is in use over half a second, in seconds.
func (w *world) recovery() float64 {
	longest := 0.0
	bins := w.series.bins
	for i := 1; i < int(w.duration/binTime); i++ {
		if math.Abs(bins[i].capacity-bins[i-1].capacity) < 0.05*bins[i].capacity || time.Duration(i)*binTime < 2*time.Second {
			continue
		}
		took := (w.duration - time.Duration(i)*binTime).Seconds()
		for j := i; j+5 < int(w.duration/binTime); j++ {
			win := w.series.window(time.Duration(j)*binTime, time.Duration(j+5)*binTime)
			if win.served >= recoverShare*win.capacity {
				took = (time.Duration(j-i) * binTime).Seconds()
				break
			}
		}
		longest = max(longest, took)
	}
	return longest
}

func (w *world) quantile(share float64) float64 {
	from := int(w.warm / sampleTime)
	list := append([]float32(nil), w.series.queues[min(from, len(w.series.queues)):]...)
	if len(list) == 0 {
		return 0
	}
	return nth(list, int(share*float64(len(list)-1)))
}

// jain is Jain's index of fairness.
func jain(shares []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// gate is a condition on the figures of one run.
type gate struct {
	name  string
	value func(sc *scenario, f *figures) float64
	least float64
	most  func(sc *scenario, f *figures) float64 // nil: none
}

// verdict is a gate that was judged.
type verdict struct {
	Gate     string  `json:"gate"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Met      bool    `json:"met"`
}

func (g *gate) judge(sc *scenario, f *figures) verdict {
	v := verdict{Gate: g.name, Measured: g.value(sc, f), Limit: g.least}
	v.Met = v.Measured >= g.least
	if g.most != nil {
		if most := g.most(sc, f); !v.Met || v.Measured > most {
			v.Met = v.Met && v.Measured <= most
			if v.Measured > most {
				v.Limit = most
			}
		} else if g.least == 0 {
			v.Limit = most
		}
	}
	return v
}

func constant(x float64) func(*scenario, *figures) float64 {
	return func(*scenario, *figures) float64 { return x }
}

// The gates of G-6.
func busyGate(least float64) gate {
	return gate{name: "busy", least: least, value: func(_ *scenario, f *figures) float64 { return f.Busy }}
}

func sentGate() gate {
	return gate{name: "sent", value: func(_ *scenario, f *figures) float64 { return f.Sent }, most: constant(1.3)}
}

func queueGate() gate {
	return gate{
		name: "queue", value: func(_ *scenario, f *figures) float64 { return f.Queue },
		most: func(sc *scenario, f *figures) float64 {
			return 1.3*f.Target + 2*1000*datagramBits/float64(sc.rate)
		},
	}
}

const datagramBits = 8 * 1500

func jainGate() gate {
	return gate{name: "jain", least: 0.95, value: func(_ *scenario, f *figures) float64 { return jain(f.Shares) }}
}

func shareGate(least, most float64) gate {
	return gate{name: "share", least: least, most: constant(most), value: func(_ *scenario, f *figures) float64 { return f.Shares[0] }}
}

// dropGate is about all that is sent, that of rivals too.
func dropGate() gate {
	return gate{name: "dropped", value: func(_ *scenario, f *figures) float64 { return f.Dropped }, most: constant(0.01)}
}

func startGate(most float64) gate {
	return gate{name: "start", value: func(_ *scenario, f *figures) float64 {
		if f.Start < 0 {
			return math.Inf(1)
		}
		return f.Start
	}, most: constant(most)}
}

func recoverGate() gate {
	return gate{name: "recover", value: func(_ *scenario, f *figures) float64 { return f.Recover }, most: constant(3)}
}
