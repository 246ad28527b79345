// Package batch works through a list of independent runs on several processors.
package batch

import (
	"cmp"
	"slices"
	"sync"
)

// Run does every job, on so many workers, those of the greatest effort first, so
// that no worker is left alone with one at the end. It calls done, in the caller's
// goroutine, with each job that ended. After an error it begins no more, and
// returns the first. The order of jobs changes.
func Run[J any](jobs []J, workers int, effort func(J) float64, do func(J) error, done func(J)) error {
	slices.SortStableFunc(jobs, func(a, b J) int { return cmp.Compare(effort(b), effort(a)) })
	type end struct {
		job J
		err error
	}
	queue, ends := make(chan J, len(jobs)), make(chan end)
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for j := range queue {
				ends <- end{j, do(j)}
			}
		})
	}
	go func() { group.Wait(); close(ends) }()

	var first error
	for e := range ends {
		if e.err != nil && first == nil {
			first = e.err
			for range queue { // no need for the rest
			}
		}
		done(e.job)
	}
	return first
}
