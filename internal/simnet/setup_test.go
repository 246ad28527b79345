package simnet

import (
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

// setup is how long after the start of both hosts an inner packet of A that waits
// from the beginning is delivered at B. B knows where A is, or does not.
func setup(t *testing.T, seed uint64, loss float64, mode rate.Mode, class flow.Class) time.Duration {
	t.Helper()
	n, err := New(Config{
		Seed: seed, Links: lossy(loss), Called: seed%2 == 1, Rate: rate.Config{Mode: mode, Ceiling: 9e6},
	})
	if err != nil {
		t.Fatal(err)
	}
	x := NewTraffic(n, 0)
	if !x.Send(class, 84) {
		t.Fatal("not taken")
	}
	n.Run(2*time.Minute, func() bool { return x.Received(class) > 0 })
	if x.Received(class) == 0 {
		return 2 * time.Minute
	}
	return n.Elapsed()
}

// H-3, H-4, X-7: the first inner packet does not wait for the ladder. At 0 % loss
// it is there after 1.5 round trips; under loss the floods bring it soon. Stream and
// message, with every way to find the rate.
func TestSetup(t *testing.T) {
	const rtt = 40 * time.Millisecond
	for _, c := range []struct {
		loss float64
		runs uint64
		most time.Duration
	}{{0, 3, 3*rtt/2 + 5*time.Millisecond}, {0.2, 200, 4 * rtt}, {0.9, 200, 3 * time.Second}} {
		for _, mode := range []rate.Mode{rate.Fixed, rate.Fair} {
			for _, class := range []flow.Class{flow.Stream, flow.Message} {
				if class == flow.Message && c.loss > 0.5 {
					continue // it gives up at its deadline
				}
				var all []time.Duration
				for seed := range c.runs {
					all = append(all, setup(t, seed, c.loss, mode, class))
				}
				slices.Sort(all)
				p50, p99 := all[len(all)/2], all[(len(all)*99-1)/100]
				t.Logf("loss %v, %v, %v: median %v, 99 %% within %v, slowest %v", c.loss, mode, class, p50, p99, all[len(all)-1])
				if p99 > c.most {
					t.Errorf("loss %v, %v, %v: 99 %% within %v, want %v: go test ./internal/simnet -run TestSetup -v", c.loss, mode, class, p99, c.most)
				}
			}
		}
	}
}
