package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// result is what one run showed.
type result struct {
	scenario scenario
	figures  figures
	verdicts []verdict
	err      error
	trace    string // file for the trace of the first flow; empty: none
}

// missed reports whether a gate failed.
func (r *result) missed() bool {
	return slices.ContainsFunc(r.verdicts, func(v verdict) bool { return !v.Met })
}

// measure makes the runs on so many workers and tells after each how many are
// done.
func measure(o *options, workers int, done func(done, all int)) ([]result, error) {
	var results []result
	for _, sc := range o.scenarios() {
		for i := range sc.seeds(o.seeds) {
			sc.seed = o.seed + uint64(i)
			results = append(results, result{scenario: sc})
		}
	}
	results[0].trace = o.trace
	// The longest first, so that no worker is left alone with one at the end.
	order := make([]*result, len(results))
	for i := range results {
		order[i] = &results[i]
	}
	slices.SortStableFunc(order, func(a, b *result) int { return cmp.Compare(b.scenario.effort(), a.scenario.effort()) })
	queue, finished := make(chan *result, len(order)), make(chan *result)
	for _, r := range order {
		queue <- r
	}
	close(queue)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for r := range queue {
				r.play()
				finished <- r
			}
		})
	}
	go func() { group.Wait(); close(finished) }()
	n := 0
	var err error
	for r := range finished {
		if r.err != nil && err == nil {
			err = fmt.Errorf("%s, seed %d: %w", r.scenario.name, r.scenario.seed, r.err)
		}
		n++
		done(n, len(results))
	}
	return results, err
}

// effort is about how long a run takes.
func (sc *scenario) effort() float64 {
	return float64(sc.rate) * sc.duration.Seconds() * float64(len(sc.flows)+2*len(sc.rivals))
}

// play makes the run.
func (r *result) play() {
	w, err := newWorld(r.scenario)
	if err == nil {
		err = w.runTraced(r.trace)
	}
	if err != nil {
		r.err = err
		return
	}
	r.figures = w.figures()
	for i := range r.scenario.gates {
		r.verdicts = append(r.verdicts, r.scenario.gates[i].judge(&r.scenario, &r.figures))
	}
}
