package simnet

import (
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/peer"
)

// who leaves does so in agreement with the other: both know, soon, at losses
// that CLOSE alone, sent three times, would often not survive; and within a second
// where the other is silent.
func TestLeave(t *testing.T) {
	for _, loss := range []float64{0, 0.5, 0.8} {
		const runs = 100
		knew, slowest := 0, time.Duration(0)
		for seed := range uint64(runs) {
			n, err := New(Config{Seed: seed, Links: lossy(loss), Rate: rate.Config{Mode: rate.Fixed, Ceiling: 9e6}})
			if err != nil {
				t.Fatal(err)
			}
			up := func() bool { return n.Status(0).State == "up" && n.Status(1).State == "up" }
			if !n.Run(time.Minute, up) {
				t.Fatalf("loss %v, seed %d: no session", loss, seed)
			}
			n.Run(n.Elapsed()+time.Second, nil)
			start := n.Elapsed()
			n.Leave(0)
			if !n.Run(start+1100*time.Millisecond, func() bool { return n.Status(0).State == "closed" }) {
				t.Fatalf("loss %v, seed %d: not closed after 1.1 s", loss, seed)
			}
			slowest = max(slowest, n.Elapsed()-start)
			if n.Run(start+2500*time.Millisecond, func() bool { return n.Host(1).Events[peer.SessionDown] > 0 }) {
				knew++
			}
		}
		t.Logf("loss %v: the other knew in %d of %d, gone within %v", loss, knew, runs, slowest)
		if want := map[float64]int{0: runs, 0.5: runs, 0.8: 90}[loss]; knew < want {
			t.Errorf("loss %v: the other knew in %d of %d, want %d", loss, knew, runs, want)
		}
	}
}

// Both leave at once: both close, and nobody waits for the other in vain.
func TestLeaveBoth(t *testing.T) {
	n, err := New(Config{Seed: 1, Links: lossy(0.3), Rate: rate.Config{Mode: rate.Fair}})
	if err != nil {
		t.Fatal(err)
	}
	n.Run(2*time.Second, nil)
	n.Leave(0)
	n.Leave(1)
	if !n.Run(3100*time.Millisecond, func() bool { return n.Status(0).State == "closed" && n.Status(1).State == "closed" }) {
		t.Errorf("%q and %q", n.Status(0).State, n.Status(1).State)
	}
}
