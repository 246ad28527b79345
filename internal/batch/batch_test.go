package batch

import (
	"errors"
	"slices"
	"testing"
)

// Every job is done once, and told of once.
func TestRun(t *testing.T) {
	for _, workers := range []int{1, 3} {
		jobs := []int{3, 1, 4, 1, 5, 9, 2, 6}
		want := slices.Sorted(slices.Values(jobs))
		var order []int
		err := Run(jobs, workers, func(j int) float64 { return float64(j) }, func(int) error { return nil }, func(j int) { order = append(order, j) })
		if err != nil {
			t.Error(err)
		}
		if workers == 1 && !slices.IsSortedFunc(order, func(a, b int) int { return b - a }) {
			t.Errorf("done in the order %v", order)
		}
		if slices.Sort(order); !slices.Equal(order, want) {
			t.Errorf("done: %v, want %v", order, want)
		}
	}
}

// The first error ends it.
func TestRunError(t *testing.T) {
	broken := errors.New("broken")
	did := 0
	err := Run(make([]int, 1000), 1, func(int) float64 { return 0 }, func(int) error { return broken }, func(int) { did++ })
	if !errors.Is(err, broken) || did > 3 {
		t.Errorf("%v after %d jobs", err, did)
	}
}
