package simnet

import (
	"fmt"
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// hystart ends the slow start of a stream before the first loss, as Linux's CUBIC
// does where the delay rises (tcp_cubic.c, hystart_update; RFC 9406 is alike): when
// the least round trip of a round exceeds the shortest so far by an eighth.
type hystart struct {
	least   time.Duration // shortest round trip so far
	round   uint32        // it ends with an acknowledgement of more segments
	current time.Duration // least round trip of the round
	samples int           // of the round
	ended   time.Duration // when slow start was over
	window  float64       // … and the window then, in segments
}

const (
	hystartWindow  = 16 // segments: below, slow start goes on
	hystartSamples = 8
	hystartMin     = 4 * time.Millisecond
	hystartMax     = 16 * time.Millisecond
	// hystartGrowth is the least growth of the window by an acknowledged segment
	// then, until the first loss (tcp_cubic.c, bictcp_update: one in 20).
	hystartGrowth = 1.0 / 20
	// hystartAck is how many segments that are delivered at once have an
	// acknowledgement: those of 16 KiB (ADR 069). HyStart takes eight samples a
	// round, so their number decides when it ends.
	hystartAck = 11
)

// look takes the round trip of the newest segment below next, and ends slow start
// if it is time.
func (h *hystart) look(s *stream, rtt time.Duration, next uint32) {
	if h.least == 0 || rtt < h.least {
		h.least = rtt
	}
	if s.window >= hystartWindow && s.window < s.threshold && h.late(rtt, next, s.sent) {
		h.ended, h.window, s.threshold = s.news, s.window, s.window
	}
}

// late reports whether the round trips of this round are longer than they were.
func (h *hystart) late(rtt time.Duration, next, sent uint32) bool {
	if next > h.round {
		h.round, h.samples = sent, 0
	}
	if h.samples == 0 || rtt < h.current {
		h.current = rtt
	}
	if h.samples < hystartSamples {
		h.samples++
		return false
	}
	return h.current > h.least+min(max(h.least/8, hystartMin), hystartMax)
}

// growth is that of a window by an acknowledged segment, before the first loss.
func (h *hystart) growth(now time.Duration, window float64) float64 {
	t := (now - h.ended).Seconds()
	return max(hystartGrowth, (0.4*t*t*t+h.window-window)/window)
}

// ack is how many segments the next acknowledgement tells of, where it told of so
// many before. Without HyStart nothing depends on it: one tells of all.
func (h *hystart) ack(told, arrived uint32) uint32 {
	if h == nil {
		return arrived
	}
	return min(told+hystartAck, arrived)
}

// TestStart: what an inner TCP gets of a lossy path of known rate in its first four
// seconds, when HyStart has left it a window that the delay of coding soon fills.
func TestStart(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		least float64 // share of (1-p)·C, in every seed
	}{{0.05, 0.76}, {0.2, 0.76}, {0.5, 0.76}, {0.7, 0.73}} {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			sum, worst, seeds := 0.0, 1.0, max(*streamSeeds, 2)
			for seed := *streamSeed; seed < *streamSeed+seeds; seed++ {
				known := rate.Config{Mode: rate.Fixed, Ceiling: startRate}
				share := playStart(t, start{c.loss, seed, known, 4 * time.Second})
				sum, worst = sum+share, min(worst, share)
				if share < c.least {
					t.Errorf("%.3f is below %.2f\n  go test ./internal/simnet -run '%s' -stream-seed %d -stream-log -v", share, c.least, t.Name(), seed)
				}
			}
			t.Logf("share of the capacity: %.4f, at least %.3f", sum/float64(seeds), worst)
		})
	}
}

// TestFairStart (G-3): the same where the rate has to be found, after some requests
// of seven segments each. The bursts of slow start may not wait for those of STARTUP.
func TestFairStart(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		least float64 // mean share of the first two seconds
	}{{0.01, 0.66}, {0.05, 0.64}} {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			sum, seeds := 0.0, max(*streamSeeds, 8)
			for seed := *streamSeed; seed < *streamSeed+seeds; seed++ {
				sum += playStart(t, start{c.loss, seed, rate.Config{Mode: rate.Fair}, 2 * time.Second})
			}
			if mean := sum / float64(seeds); mean < c.least {
				t.Errorf("%.3f is below %.2f\n  go test ./internal/simnet -run '%s' -stream-seed %d -stream-log -v", mean, c.least, t.Name(), *streamSeed)
			} else {
				t.Logf("share of the capacity: %.4f", mean)
			}
		})
	}
}

const startRate = 50_000_000

// start is the beginning of a connection.
type start struct {
	loss   float64
	seed   uint64
	rate   rate.Config
	length time.Duration
}

// request has host 0 send an answer of seven segments.
func request(n *Net) {
	s := newStreams(n, 1)[0]
	s.window = 7
	s.turn()
	n.Run(n.Elapsed()+100*time.Millisecond, nil)
}

// playStart is the share of the capacity.
func playStart(t *testing.T, c start) float64 {
	t.Helper()
	const capacity, each = startRate, 500 * time.Millisecond
	seed, loss, length := c.seed, c.loss, c.length
	n, err := New(Config{Seed: seed, Links: symmetric(capacity/1e6, 40*time.Millisecond, loss, 0), Rate: c.rate})
	if err != nil {
		t.Fatal(err)
	}
	trickle(n)
	if c.rate.Mode == rate.Fair {
		for range 3 {
			request(n)
		}
	}
	s := newStreams(n, 1)[0]
	s.hystart = &hystart{}
	begin, last, before := n.Elapsed(), uint32(0), n.Status(1)
	for at := begin + each; at <= begin+length; at += each {
		n.Run(at, func() bool {
			s.turn()
			return false
		})
		if *streamLog {
			sum, now := time.Duration(0), n.Status(1)
			for _, rtt := range s.rtts {
				sum += rtt
			}
			t.Logf("%v: %.3f of (1-p)·C, window %.0f KB, round trip %v, useless %.3f", at-begin,
				float64(s.arrived-last)*segment*8/each.Seconds()/capacity/(1-loss), s.window*segment/1e3,
				(sum / time.Duration(max(len(s.rtts), 1))).Round(time.Millisecond),
				float64(now.Useless-before.Useless)/float64(now.RxDatagrams-before.RxDatagrams))
			last, before, s.rtts = s.arrived, now, s.rtts[:0]
		}
	}
	if s.hystart.ended == 0 && c.rate.Mode == rate.Fixed {
		t.Errorf("seed %d: HyStart did not end slow start", seed)
	}
	return float64(s.arrived) * segment * 8 / length.Seconds() / capacity / (1 - loss)
}
