package simnet

import (
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// TestBesideCubic (G-4): an inner TCP gets its part of a link that a TCP beside the
// tunnel fills, whoever was there first. What starves before the controller competes
// takes seconds to come back, for the inner TCP has closed its window.
func TestBesideCubic(t *testing.T) {
	for _, c := range []struct {
		name        string
		rival       time.Duration // it starts
		own         time.Duration // the inner TCP starts
		least, most float64       // share of the 40 s that begin 5 s after both
	}{
		{"rival-first", 1300 * time.Millisecond, 6200 * time.Millisecond, 0.25, 0.7},
		{"rival-second", 6200 * time.Millisecond, 1200 * time.Millisecond, 0.3, 0.7},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := *streamSeed; seed < *streamSeed+max(*streamSeeds, 1); seed++ {
				share := playBeside(t, seed, c.rival, c.own)
				t.Logf("seed %d: share %.3f", seed, share)
				if share < c.least || share > c.most {
					t.Errorf("%.3f is not within %g and %g\n  go test ./internal/simnet -run '%s' -stream-seed %d -stream-log -v", share, c.least, c.most, t.Name(), seed)
				}
			}
		})
	}
}

// playBeside is the share of the inner TCP.
func playBeside(t *testing.T, seed uint64, rivalAt, ownAt time.Duration) float64 {
	t.Helper()
	n, err := New(Config{Seed: seed, Links: symmetric(50, 40*time.Millisecond, 0, 0), Rate: rate.Config{Mode: rate.Fair}})
	if err != nil {
		t.Fatal(err)
	}
	trickle(n)
	rivalAt += time.Duration(seed%7) * 10 * time.Millisecond
	var own, rival *stream
	turn := func() bool {
		if own == nil && n.Elapsed() >= ownAt {
			own = newStreams(n, 1)[0]
			own.hystart = &hystart{}
		}
		if rival == nil && n.Elapsed() >= rivalAt {
			rival = newBeside(n)
			rival.hystart = &hystart{}
		}
		for _, s := range []*stream{own, rival} {
			if s != nil {
				s.turn()
			}
		}
		return false
	}
	const each, length = 500 * time.Millisecond, 40 * time.Second
	begin := max(rivalAt, ownAt) + 5*time.Second
	n.Run(begin, turn)
	var last, from [2]uint32
	for at := begin; at <= begin+length; at += each {
		n.Run(at, turn)
		now := [2]uint32{own.arrived, rival.arrived}
		if at == begin {
			last, from = now, now
		}
		if *streamLog {
			st := n.Status(0)
			t.Logf("%v: own %.1f, rival %.1f Mbit/s, %s rate %.1f capacity %.1f q %v/%v window %.0f and %.0f", at,
				float64(now[0]-last[0])*segment*8/each.Seconds()/1e6, float64(now[1]-last[1])*segment*8/each.Seconds()/1e6,
				st.Phase, float64(st.Rate)/1e6, float64(st.Capacity)/1e6, st.QueueDelay, st.QueueTarget, own.window, rival.window)
		}
		last = now
	}
	mine, others := float64(last[0]-from[0]), float64(last[1]-from[1])
	return mine / (mine + others)
}
