package main

import (
	"fmt"
	"slices"

	"github.com/totg/totg/internal/batch"
)

// result is what one run showed.
type result struct {
	scenario scenario
	figures  figures
	verdicts []verdict
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
	jobs := make([]*result, len(results))
	for i := range results {
		jobs[i] = &results[i]
	}
	n := 0
	err := batch.Run(jobs, workers, func(r *result) float64 { return r.scenario.effort() }, (*result).play, func(*result) {
		n++
		done(n, len(results))
	})
	return results, err
}

// effort is about how long a run takes.
func (sc *scenario) effort() float64 {
	return float64(sc.rate) * sc.duration.Seconds() * float64(len(sc.flows)+2*len(sc.rivals))
}

// play makes the run.
func (r *result) play() error {
	w, err := newWorld(r.scenario)
	if err == nil {
		err = w.runTraced(r.trace)
	}
	if err != nil {
		return fmt.Errorf("%s, seed %d: %w", r.scenario.name, r.scenario.seed, err)
	}
	r.figures = w.figures()
	for i := range r.scenario.gates {
		r.verdicts = append(r.verdicts, r.scenario.gates[i].judge(&r.scenario, &r.figures))
	}
	return nil
}
