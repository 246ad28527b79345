package main

import (
	"fmt"
	"time"
)

// The setting of R-9 and its goals. Delays are in milliseconds.
const (
	goalRTT = 100 * time.Millisecond
	// goalEfficiency holds for independent losses, goalBurstEfficiency for
	// bursts of up to goalBurst packets and losses of up to goalBurstLoss.
	goalEfficiency, goalMaxLoss                   = 0.975, 0.98
	goalBurstEfficiency, goalBurst, goalBurstLoss = 0.97, 20, 0.5
)

// goal is a goal that applies to a row, and what was measured.
type goal struct {
	Name     string   `json:"name"`
	Measured estimate `json:"measured"`
	Limit    float64  `json:"limit"`
	Met      bool     `json:"met"`
	text     string   // for people
}

// Names of goals: the columns that are judged.
const (
	nameEfficiency = "efficiency"
	nameMean       = "in_order_mean_ms"
	nameP99        = "in_order_p99_ms"
	nameLone       = "lone_p99_ms"
)

// judge returns the goals of R-9 that apply to a row.
func judge(r *result) []goal {
	if r.rtt != goalRTT || (r.rate != 10e6 && r.rate != 100e6) {
		return nil
	}
	var goals []goal
	switch {
	case r.burst == 1 && r.loss <= goalMaxLoss:
		goals = append(goals, judgeEfficiency(r, goalEfficiency))
	case r.burst > 1 && r.burst <= goalBurst && r.loss <= goalBurstLoss:
		goals = append(goals, judgeEfficiency(r, goalBurstEfficiency))
	}
	if r.rate != 10e6 || r.burst != 1 {
		return goals
	}
	switch r.loss {
	case 0.5:
		return append(goals, judgeDelays(r, 320, 600, 5)...)
	case 0.9:
		return append(goals, judgeDelays(r, 900, 1600, 15)...)
	}
	return goals
}

// judgeEfficiency compares with a goal so that the luck of the drawn losses
// decides nothing: the share of the datagrams that arrived is not the engine's
// doing. So the confidence interval must reach the goal, and of the arrivals as
// many as the goal says must be of use. An interval from few runs may be narrow
// by chance: it counts as three standard deviations of the draw at least.
func judgeEfficiency(r *result, limit float64) goal {
	s := r.summary(flood)
	e := s.efficiency
	reach := 3 * r.drawNoise(s.sent)
	if e.half > reach { // false for NaN
		reach = e.half
	}
	return goal{
		Name: nameEfficiency, Measured: e, Limit: limit, Met: e.mean+reach >= limit && 1-s.useless.mean >= limit,
		text: fmt.Sprintf("efficiency %v, useless %.4f of the arrivals; the goal is %v", e, s.useless.mean, limit),
	}
}

// judgeDelays compares the mean and the 99th percentile of the delay in order,
// and the 99th percentile of lone messages.
func judgeDelays(r *result, meanLimit, p99Limit, loneLimit float64) []goal {
	atMost := func(name, text string, measured estimate, limit float64) goal {
		return goal{
			Name: name, Measured: measured, Limit: limit, Met: measured.mean <= limit,
			text: fmt.Sprintf("%s %.1f ms; the goal is at most %v ms", text, measured.mean, limit),
		}
	}
	load, alone := r.summary(flood), r.summary(lone)
	return []goal{
		atMost(nameMean, "mean delay in order", load.mean, meanLimit),
		atMost(nameP99, "99th percentile of the delay in order", load.p99, p99Limit),
		atMost(nameLone, "99th percentile of lone messages less the one-way delay", alone.p99, loneLimit),
	}
}
