package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// estimate is the mean of independent samples, one per seed, and half the width
// of its 95 % confidence interval: NaN for a single sample, which has none.
type estimate struct {
	mean, half float64
}

// newEstimate takes at least one sample.
func newEstimate(samples []float64) estimate {
	n := float64(len(samples))
	e := estimate{half: math.NaN()}
	for _, x := range samples {
		e.mean += x / n
	}
	if n < 2 {
		return e
	}
	squares := 0.0
	for _, x := range samples {
		squares += (x - e.mean) * (x - e.mean)
	}
	e.half = studentT(len(samples)-1) * math.Sqrt(squares/(n-1)/n)
	return e
}

// studentT is the 97.5 % quantile of Student's t distribution: what leaves 2.5 %
// on either side.
func studentT(freedom int) float64 {
	few := [...]float64{12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622}
	if freedom <= len(few) {
		return few[freedom-1]
	}
	// The expansion of Cornish and Fisher, from here on exact to 0.0002
	// (Abramowitz and Stegun, 26.7.5).
	const z = 1.959964
	const z3, z5, z7 = z * z * z, z * z * z * z * z, z * z * z * z * z * z * z
	v := float64(freedom)
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v) + (3*z7+19*z5+17*z3-15*z)/(384*v*v*v)
}

// String is the estimate of a share.
func (e estimate) String() string {
	if math.IsNaN(e.half) {
		return fmt.Sprintf("%.4f", e.mean)
	}
	return fmt.Sprintf("%.4f ±%.4f", e.mean, e.half)
}

// MarshalJSON writes null for what is no number.
func (e estimate) MarshalJSON() ([]byte, error) {
	finite := func(x float64) *float64 {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
		return &x
	}
	return json.Marshal(struct {
		Mean *float64 `json:"mean"`
		Half *float64 `json:"half_width"`
	}{finite(e.mean), finite(e.half)})
}

// mean is the mean of d, in milliseconds.
func mean(d []time.Duration) float64 {
	sum := 0.0
	for _, x := range d {
		sum += milliseconds(x)
	}
	return sum / float64(len(d))
}

// quantile sorts d and returns, in milliseconds, the q-quantile of it and of so
// many infinite delays.
func quantile(d []time.Duration, infinite int, q float64) float64 {
	slices.Sort(d)
	i := int(q * float64(len(d)+infinite))
	if i >= len(d) {
		return math.Inf(1)
	}
	return milliseconds(d[i])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
