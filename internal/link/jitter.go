package link

import (
	"math/rand/v2"
	"time"
)

// jitter gives the deviation of the delay from its mean. Times count from the
// link's start.
//
// Independent draws per packet reorder. Holding each packet until its predecessor
// has arrived would restore the order, but at a high packet rate it turns the
// jitter into a constant extra delay (the largest of many draws). So jitter that
// keeps order wanders instead: straight lines between even draws, far enough
// apart that the delay never falls faster than time passes.
type jitter struct {
	amplitude time.Duration
	reorders  bool

	from, to time.Duration // deviations at the two turning points around now
	start    time.Duration // time of the first one
	began    bool
}

// at is the deviation at time t; t does not decrease.
func (j *jitter) at(t time.Duration, rng *rand.Rand) time.Duration {
	if j.amplitude == 0 {
		return 0
	}
	if j.reorders {
		return j.draw(rng)
	}
	step := wander * j.amplitude
	if !j.began {
		j.began, j.start, j.from, j.to = true, t, j.draw(rng), j.draw(rng)
	}
	if n := (t - j.start) / step; n > 0 {
		j.from = j.to
		if n > 1 { // idle meanwhile: the turning points in between do not matter
			j.from = j.draw(rng)
		}
		j.to = j.draw(rng)
		j.start += n * step
	}
	share := float64(t-j.start) / float64(step)
	return j.from + time.Duration(share*float64(j.to-j.from))
}

// set changes the amplitude; the walk starts anew.
func (j *jitter) set(amplitude time.Duration) {
	j.amplitude, j.began = amplitude, false
}

func (j *jitter) draw(rng *rand.Rand) time.Duration {
	return time.Duration((2*rng.Float64() - 1) * float64(j.amplitude))
}
