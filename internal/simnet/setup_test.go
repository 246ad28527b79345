package simnet

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

// setup is how long after the start of both hosts an inner packet of A that waits
// from the beginning is delivered at B. B knows where A is, or does not.
func setup(t *testing.T, seed uint64, called bool, loss float64, mode rate.Mode, class flow.Class) time.Duration {
	t.Helper()
	cfg := rate.Config{Mode: mode}
	if mode == rate.Fixed {
		cfg.Ceiling = 9e6
	}
	n, err := New(Config{Seed: seed, Links: lossy(loss), Called: called, Rate: cfg})
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
// it is there after 1.5 round trips; under loss the floods bring it soon. Streams
// and messages, with each way to find the rate, to a host that knows where the
// caller is, and to one that does not.
func TestSetup(t *testing.T) {
	const rtt = 40 * time.Millisecond
	// Where both know each other, both call at once, and of two calls that cross one
	// stands: the host whose call does not hears that half a round trip later.
	const crossed = rtt / 2
	for _, c := range []struct {
		loss  float64
		runs  uint64
		most  time.Duration // for the host whose call stands
		class flow.Class
	}{
		{0, 8, 3*rtt/2 + 5*time.Millisecond, flow.Stream},
		{0, 8, 3*rtt/2 + 5*time.Millisecond, flow.Message},
		{0.2, 200, 4 * rtt, flow.Stream},
		{0.2, 200, 4 * rtt, flow.Message},
		{0.9, 200, 3 * time.Second, flow.Stream}, // a message gives up at its deadline
	} {
		for _, mode := range []rate.Mode{rate.Fixed, rate.Fair} {
			for _, called := range []bool{false, true} {
				var all []time.Duration
				for seed := range c.runs {
					all = append(all, setup(t, seed, called, c.loss, mode, c.class))
				}
				slices.Sort(all)
				most := c.most
				if c.loss == 0 && !called {
					most += crossed
				}
				p50, p99 := all[len(all)/2], all[(len(all)*99-1)/100]
				what := fmt.Sprintf("loss %v, %v, class %v, stranger's address %v", c.loss, mode, c.class, called)
				t.Logf("%s: median %v, 99 %% within %v, slowest %v", what, p50, p99, all[len(all)-1])
				if p99 > most {
					t.Errorf("%s: 99 %% within %v, want %v: go test ./internal/simnet -run TestSetup -v", what, p99, most)
				}
			}
		}
	}
}
