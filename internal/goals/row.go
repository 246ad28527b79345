package main

import (
	"fmt"
	"math"
	"time"

	"github.com/totg/totg/internal/link"
)

// row is a link, the same in both directions: a row of the table.
type row struct {
	rate  int64 // bit/s
	rtt   time.Duration
	loss  float64 // 0 to 1
	burst float64 // mean length of a loss burst in packets; 1: independent losses
}

// String names the row.
func (r row) String() string {
	return fmt.Sprintf("%g Mbit/s, loss %g, burst %g", r.mbits(), r.loss, r.burst)
}

func (r row) mbits() float64 { return float64(r.rate) / 1e6 }

// link is one direction. Its rate is the one that the sender paces to, so its
// queue stays empty: this is about loss.
func (r row) link() link.Config {
	return link.Config{Rate: r.rate, Delay: r.rtt / 2, Loss: r.loss, Burst: r.burst}
}

// Length of a run. What arrives of it has a noise of 0.6 % where lossDatagrams
// decides (drawNoise).
const (
	minDatagrams, lossDatagrams = 200_000, 30_000
	// minSeconds keeps the share of the start low, in virtual time.
	minSeconds = 30
	// loneMessages makes the ten slowest the 99th percentile.
	loneMessages = 1000
	// quickShare is by how much -quick shortens a run.
	quickShare = 4
)

// datagrams is how many of them the rate allows in a run at full load.
func (r row) datagrams() float64 {
	return max(minDatagrams, lossDatagrams*r.loss/(1-r.loss), minSeconds*float64(r.rate)/datagramBits)
}

const datagramBits = 8 * link.DefaultMTU

// duration is how long a run of the mode takes, in virtual time.
func (r row) duration(m mode, quick bool) time.Duration {
	d := loneMessages * lonePeriod
	if m != lone {
		d = time.Duration(r.datagrams() * datagramBits / float64(r.rate) * float64(time.Second))
	}
	if quick {
		d /= quickShare
	}
	return d
}

// drawNoise is the standard deviation of what arrives of n datagrams, as a share
// of its mean: sqrt(p/(1-p)/n), and in bursts as much more as the fates of
// neighbours correlate (Gilbert's chain: λ to the power of their distance).
func (r row) drawNoise(n float64) float64 {
	variance := r.loss / (1 - r.loss) / n
	if r.burst > 1 {
		l := 1 - 1/r.burst - r.loss/(1-r.loss)/r.burst
		variance *= (1 + l) / (1 - l)
	}
	return math.Sqrt(variance)
}

// rows lists the rows of the options in the order of the table. Combinations of
// loss and burst that no link can have are left out.
func (o *options) rows() []row {
	var rows []row
	for _, rate := range o.rates {
		for _, burst := range o.bursts {
			losses := o.losses
			if len(losses) == 0 {
				losses = defaultLosses(burst)
			}
			for _, loss := range losses {
				r := row{rate: int64(rate * 1e6), rtt: o.rtt, loss: loss, burst: burst}
				if c := r.link(); c.Validate() == nil {
					rows = append(rows, r)
				}
			}
		}
	}
	return rows
}

// defaultLosses are those of R-9, and fewer of them in bursts.
func defaultLosses(burst float64) []float64 {
	if burst > 1 {
		return []float64{0.1, 0.3, 0.5}
	}
	return []float64{0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98}
}
