package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
)

// grid lists the cells of G-6.
func grid() []scenario {
	var list []scenario
	for _, mbits := range []int64{1, 10, 100, 1000} {
		for _, rtt := range []time.Duration{20, 100, 600} {
			for _, loss := range []float64{0, .1, .3, .5, .7, .9, .98} {
				list = append(list, cell(mbits, rtt*time.Millisecond, loss))
			}
		}
	}
	return list
}

// cell is one link of the grid.
func cell(mbits int64, rtt time.Duration, loss float64) scenario {
	sc := scenario{
		name: fmt.Sprintf("grid %dM %dms %g", mbits, rtt.Milliseconds(), loss),
		rate: mbits * 1e6, rtt: rtt, loss: loss, flows: []flowSpec{{}},
		duration: 40 * time.Second, warm: 15 * time.Second,
		gates: []gate{busyGate(0.98), sentGate()},
	}
	switch mbits {
	case 1:
		sc.duration, sc.warm = 140*time.Second, 40*time.Second
	case 1000:
		sc.duration, sc.warm = 20*time.Second, 12*time.Second
	}
	if rtt <= 100*time.Millisecond {
		sc.gates = append(sc.gates, queueGate())
	}
	return sc
}

// seeds is how many seeds a scenario has: many where few datagrams arrive or
// where chance decides when flows meet.
func (sc *scenario) seeds(most int) int {
	switch {
	case sc.loss >= 0.9:
		return most
	case sc.many:
		return min(most, sharedSeeds)
	}
	return 1
}

// sharedSeeds is how many seeds a scenario with several flows has.
const sharedSeeds = 8

// base is the link of most scenarios.
func base(name string) scenario {
	return scenario{
		name: name, rate: 20e6, rtt: 100 * time.Millisecond, flows: []flowSpec{{}},
		duration: 60 * time.Second, warm: 10 * time.Second, gates: []gate{sentGate()},
	}
}

// scenarios lists what is not on the grid.
func scenarios() []scenario {
	return slices.Concat(startScenarios(), pathScenarios(), stepScenarios(), policerScenarios(), sharedScenarios(), senderScenarios())
}

// startScenarios are about the first second.
func startScenarios() []scenario {
	var list []scenario
	for _, loss := range []float64{0, 0.1, 0.3, 0.5, 0.7} {
		sc := base(fmt.Sprintf("start 50M 40ms %g", loss))
		sc.rate, sc.rtt, sc.loss = 50e6, 40*time.Millisecond, loss
		sc.duration, sc.warm = 20*time.Second, 2*time.Second
		sc.gates = append(sc.gates, startGate(0.6), busyGate(0.98), queueGate())
		list = append(list, sc)
	}
	return list
}

// pathScenarios are paths that stay as they are.
func pathScenarios() []scenario {
	var list []scenario
	add := func(name string, change func(*scenario)) {
		sc := base(name)
		sc.gates = append(sc.gates, busyGate(0.95))
		change(&sc)
		list = append(list, sc)
	}
	for _, n := range []float64{5, 20, 100} {
		add(fmt.Sprintf("bursts of %g, loss 0.3", n), func(sc *scenario) { sc.loss, sc.burst = 0.3, n })
	}
	for _, p := range []float64{0.5, 0.9} {
		add(fmt.Sprintf("loss %g before the bottleneck", p), func(sc *scenario) { sc.before = p })
	}
	for _, j := range []time.Duration{1, 3, 10} {
		add(fmt.Sprintf("jitter %d ms, loss 0.1", j), func(sc *scenario) { sc.loss, sc.jitter = 0.1, j*time.Millisecond })
		add(fmt.Sprintf("jitter %d ms with reordering, loss 0.1", j), func(sc *scenario) {
			sc.loss, sc.jitter, sc.reorders = 0.1, j*time.Millisecond, true
		})
	}
	for _, p := range []float64{0, 0.3, 0.5, 0.7} {
		for _, mbits := range []int64{10, 100} {
			add(fmt.Sprintf("buffer 0.1 BDP %dM 20ms, loss %g", mbits, p), func(sc *scenario) {
				sc.rate, sc.rtt, sc.loss = mbits*1e6, 20*time.Millisecond, p
				sc.buffer = max(link.BDP(sc.rate, sc.rtt)/10, 4*link.DefaultMTU)
				sc.gates[1] = busyGate(0.9)
			})
		}
	}
	add("buffer 5 BDP 50M 200ms", func(sc *scenario) {
		sc.rate, sc.rtt, sc.buffer = 50e6, 200*time.Millisecond, 5*link.BDP(50e6, 200*time.Millisecond)
	})
	for _, ppm := range []float64{-100, 100} {
		add(fmt.Sprintf("clock skew %+g ppm", ppm), func(sc *scenario) { sc.skew = ppm / 1e6 })
	}
	for _, p := range []float64{0, 0.1, 0.5} {
		add(fmt.Sprintf("busy hosts 50M 40ms, loss %g", p), func(sc *scenario) {
			sc.rate, sc.rtt, sc.loss, sc.noise = 50e6, 40*time.Millisecond, p, busyHost()
			sc.gates[1] = busyGate(0.9)
			sc.gates = append(sc.gates, startGate(0.6))
		})
	}
	return list
}

// busyHost is 1 to 5 ms late and stands still for 20 to 30 ms once a second.
func busyHost() noise {
	return noise{late: time.Millisecond, latest: 5 * time.Millisecond, stallEvery: time.Second, stallMin: 20 * time.Millisecond, stallMax: 30 * time.Millisecond}
}

// stepScenarios are paths that change.
func stepScenarios() []scenario {
	rateOf := func(at, every time.Duration, r int64) link.Change {
		return link.Change{At: at * time.Second, Every: every * time.Second, Rate: &r}
	}
	delayOf := func(at, every, d time.Duration) link.Change {
		d *= time.Millisecond
		return link.Change{At: at * time.Second, Every: every * time.Second, Delay: &d}
	}
	lossOf := func(at, every time.Duration, p float64) link.Change {
		return link.Change{At: at * time.Second, Every: every * time.Second, Loss: &p}
	}
	loss := base("loss 5 % to 60 % each 10 s")
	loss.loss = 0.05
	loss.schedule = []link.Change{lossOf(10, 20, 0.6), lossOf(20, 20, 0.05)}
	loss.gates = append(loss.gates, busyGate(0.98))

	var list []scenario
	for _, rtt := range []time.Duration{40, 100} {
		for _, p := range []float64{0, 0.3} {
			sc := base(fmt.Sprintf("capacity 20 to 10 to 20 Mbit/s each 15 s, %d ms, loss %g", rtt, p))
			sc.rtt, sc.loss = rtt*time.Millisecond, p
			sc.schedule = []link.Change{rateOf(15, 30, 10e6), rateOf(30, 30, 20e6)}
			sc.buffer = link.BDP(20e6, sc.rtt)
			sc.gates = append(sc.gates, recoverGate(), busyGate(0.95))
			list = append(list, sc)
		}
	}
	delay := base("base delay 50 to 90 to 50 ms each 15 s")
	delay.schedule = []link.Change{delayOf(15, 30, 90), delayOf(30, 30, 50)}
	delay.gates = append(delay.gates, busyGate(0.95))

	leo := base("low orbit: handover each 15 s")
	leo.rtt, leo.loss = 50*time.Millisecond, 0.01
	for i, mbits := range []int64{12, 26, 16, 22, 20} {
		at := time.Duration(15 * (i + 1))
		d := []time.Duration{37, 22, 32, 27, 25}[i]
		leo.schedule = append(leo.schedule, rateOf(at, 75, mbits*1e6), delayOf(at, 75, d),
			link.Change{At: at * time.Second, Every: 75 * time.Second, Outage: 60 * time.Millisecond})
	}
	leo.duration = 90 * time.Second
	leo.buffer = link.BDP(20e6, leo.rtt)
	leo.gates = append(leo.gates, busyGate(0.9), recoverGate())
	return append(list, loss, delay, leo)
}

// policerScenarios have a token bucket instead of a queue.
func policerScenarios() []scenario {
	var list []scenario
	for _, ms := range []int{50, 500} {
		for _, p := range []float64{0, 0.3, 0.9} {
			sc := base(fmt.Sprintf("policer 20M, bucket %d ms, loss %g", ms, p))
			sc.rate, sc.loss = 1e9, p
			sc.buffer = 4 << 20
			sc.policer = link.Policer{Rate: 20e6, Burst: 20e6 / 8 * ms / 1000}
			sc.gates = append(sc.gates, busyGate(0.9))
			if p == 0.9 {
				sc.gates[1] = busyGate(0.8)
			}
			list = append(list, sc)
		}
	}
	return list
}

// sharedScenarios have several flows.
func sharedScenarios() []scenario {
	var list []scenario
	several := func(n int, p float64) {
		sc := base(fmt.Sprintf("%d flows, loss %g", n, p))
		sc.loss, sc.flows = p, nil
		for i := range n {
			sc.flows = append(sc.flows, flowSpec{start: time.Duration(i) * 5 * time.Second})
		}
		sc.spread, sc.many = 4*time.Second, true
		sc.duration, sc.warm = 100*time.Second, 40*time.Second
		sc.gates = append(sc.gates, jainGate(), busyGate(0.98), dropGate())
		list = append(list, sc)
	}
	several(2, 0)
	several(2, 0.5)
	several(4, 0)
	against := func(name string, kind rivalKind, mode rate.Mode, mbits int64, rtt time.Duration, buffer float64, change ...func(*scenario)) {
		sc := base(fmt.Sprintf("%v against %s, %dM %dms, %g BDP", mode, name, mbits, rtt, buffer))
		sc.buffer = int(buffer * float64(link.BDP(mbits*1e6, rtt*time.Millisecond)))
		sc.rate, sc.rtt = mbits*1e6, rtt*time.Millisecond
		sc.flows = []flowSpec{{mode: mode}}
		sc.rivals = []rivalSpec{{kind: kind, start: 10 * time.Second}}
		sc.spread, sc.many = 4*time.Second, true
		sc.duration, sc.warm = 130*time.Second, 40*time.Second
		switch {
		case kind == cubic && mode == rate.Fair:
			sc.gates = append(sc.gates, shareGate(0.3, 0.7), dropGate())
		case mode == rate.Scavenger:
			sc.gates = append(sc.gates, shareGate(0, 0.3))
		}
		for _, f := range change {
			f(&sc)
		}
		list = append(list, sc)
	}
	against("CUBIC", cubic, rate.Fair, 50, 40, 1) // 250 KB
	against("CUBIC", cubic, rate.Fair, 20, 100, 1)
	against("CUBIC", cubic, rate.Fair, 50, 40, 2)
	against("CUBIC", cubic, rate.Fair, 20, 40, 1)
	against("CUBIC", cubic, rate.Fair, 100, 20, 1)
	against("CUBIC", cubic, rate.Fair, 50, 40, 1, func(sc *scenario) {
		sc.name += ", busy hosts"
		sc.noise = busyHost()
	})
	against("CUBIC", cubic, rate.Fair, 50, 40, 1, func(sc *scenario) {
		sc.name += ", which was there before"
		sc.flows[0].start, sc.rivals[0].start = 10*time.Second, 0
	})
	against("CUBIC", cubic, rate.Scavenger, 50, 40, 1)
	against("BBR", bbr, rate.Fair, 50, 40, 1)
	against("BBR", bbr, rate.Scavenger, 50, 40, 1)
	return list
}

// senderScenarios are about what the sender does.
func senderScenarios() []scenario {
	tenth := base("data for 200 ms of each 2 s")
	tenth.flows = []flowSpec{{on: 200 * time.Millisecond, period: 2 * time.Second}}
	tenth.gates = append(tenth.gates, busyGate(0.085))
	thin := base("data at a tenth of the capacity")
	thin.flows = []flowSpec{{app: 2e6}}
	thin.gates = append(thin.gates, busyGate(0.095))
	rests := base("data for 10 s of each 20 s")
	rests.flows = []flowSpec{{on: 10 * time.Second, period: 20 * time.Second}}
	rests.gates = append(rests.gates, busyGate(0.38)) // of 0.4, from 10 s to 60 s
	ceiling := base("ceiling of 5 Mbit/s")
	ceiling.flows = []flowSpec{{ceiling: 5e6}}
	ceiling.gates = append(ceiling.gates, busyGate(0.24))
	blackout := base("no receipts for 2 s")
	blackout.deafFrom, blackout.deafFor = 20*time.Second, 2*time.Second
	blackout.gates = append(blackout.gates, busyGate(0.94))
	outage := base("nothing gets through for 2 s")
	outage.schedule = []link.Change{{At: 20 * time.Second, Outage: 2 * time.Second}}
	outage.gates = append(outage.gates, busyGate(0.94))
	return []scenario{tenth, thin, rests, ceiling, blackout, outage}
}

func nth(list []float32, n int) float64 {
	slices.Sort(list)
	if len(list) == 0 {
		return math.NaN()
	}
	return float64(list[n])
}
