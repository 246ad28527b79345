package main

import (
	"github.com/totg/totg/internal/batch"
)

// figures are what a run shows. Shares are 0 to 1, delays in milliseconds.
type figures struct {
	sent       float64 // datagrams
	efficiency float64 // innovative symbols by datagrams sent and 1-p
	useless    float64 // share of the arrivals
	mean, p99  float64 // delay: in order; of lone messages one by one, over the one-way delay
	receipts   float64 // share of the return path
	lost       float64 // share of the lone messages that never arrived
}

// newFigures draws the figures of a run from what it counted.
func newFigures(sc scenario, o *outcome) figures {
	f := figures{
		sent:       float64(o.sent),
		efficiency: float64(o.arrived-o.useless) / float64(o.sent) / (1 - sc.loss),
		useless:    float64(o.useless) / float64(o.arrived),
		mean:       mean(o.delays), p99: quantile(o.delays, o.lost, 0.99),
		receipts: float64(o.receiptBytes) * 8 / (float64(sc.rate) * sc.duration.Seconds()),
		lost:     float64(o.lost) / float64(len(o.delays)+o.lost),
	}
	if sc.mode == lone {
		f.mean -= milliseconds(sc.rtt / 2)
		f.p99 -= milliseconds(sc.rtt / 2)
	}
	return f
}

// result is what was measured of a row, for each mode by seed.
type result struct {
	row
	figures [lone + 1][]figures
}

// summary is what the runs of one mode show together.
type summary struct {
	sent                                           float64 // datagrams
	efficiency, useless, mean, p99, receipts, lost estimate
}

func (r *result) summary(m mode) summary {
	of := func(figure func(f figures) float64) estimate {
		samples := make([]float64, len(r.figures[m]))
		for i, f := range r.figures[m] {
			samples[i] = figure(f)
		}
		return newEstimate(samples)
	}
	sent := 0.0
	for _, f := range r.figures[m] {
		sent += f.sent
	}
	return summary{
		sent:       sent,
		efficiency: of(func(f figures) float64 { return f.efficiency }),
		useless:    of(func(f figures) float64 { return f.useless }),
		mean:       of(func(f figures) float64 { return f.mean }),
		p99:        of(func(f figures) float64 { return f.p99 }),
		receipts:   of(func(f figures) float64 { return f.receipts }),
		lost:       of(func(f figures) float64 { return f.lost }),
	}
}

// job is a run and the place for its figures.
type job struct {
	scenario
	figures *figures
}

// plan returns the rows of the table, still empty, and the runs that fill them.
func plan(o *options) (results []result, jobs []job) {
	modes := []mode{flood, lone}
	if o.arq {
		modes = append(modes, plainARQ)
	}
	for _, r := range o.rows() {
		result := result{row: r}
		for _, m := range modes {
			result.figures[m] = make([]figures, o.seeds)
			for i := range result.figures[m] {
				jobs = append(jobs, job{
					scenario: scenario{row: r, mode: m, duration: r.duration(m, o.quick), seed: o.seed + uint64(i)},
					figures:  &result.figures[m][i],
				})
			}
		}
		results = append(results, result)
	}
	return results, jobs
}

// measure makes the runs on so many workers and tells after each one which share
// of the work is done, 0 to 1.
func measure(o *options, workers int, done func(share float64)) ([]result, error) {
	results, jobs := plan(o)
	total := 0.0
	for _, j := range jobs {
		total += j.datagrams()
	}
	share := 0.0
	err := batch.Run(jobs, workers, job.datagrams, job.do, func(j job) {
		share += j.datagrams() / total
		done(share)
	})
	return results, err
}

// do makes the run.
func (j job) do() error {
	o, err := j.run()
	if err != nil {
		return err
	}
	*j.figures = newFigures(j.scenario, o)
	return nil
}
