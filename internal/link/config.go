package link

import (
	"fmt"
	"math"
	"time"
)

// Config describes one direction of a link. The zero value is a perfect link:
// no delay, no limit, no loss. Probabilities are fractions from 0 to 1.
type Config struct {
	Rate  int64         // bit/s of IP bytes; 0 is unlimited
	Queue int           // bytes that may wait behind the packet in service; 0 is DefaultQueue(Rate, 2*Delay)
	MTU   int           // largest packet in bytes; 0 is DefaultMTU
	Delay time.Duration // one-way propagation

	// Jitter is the largest deviation from Delay, to both sides. With
	// JitterReorders each packet draws its own; without, the delay wanders between
	// random turning points and the packets keep their order.
	Jitter         time.Duration
	JitterReorders bool

	Loss  float64 // mean share of the serialised packets that is lost
	Burst float64 // mean length of a loss burst in packets; 0 and 1 are independent losses

	Duplicate    float64       // share delivered twice
	Reorder      float64       // share held back by up to ReorderDelay
	ReorderDelay time.Duration // 0 is DefaultReorderDelay
	Corrupt      float64       // share with one bit flipped

	Policer  Policer
	Schedule []Change
}

// Policer drops what exceeds a token bucket, before the queue. The zero value
// polices nothing.
type Policer struct {
	Rate  int64 // bit/s of IP bytes; 0 is no policer
	Burst int   // bytes that may pass at once
}

// Change alters a link while it runs. Nil and zero fields alter nothing.
type Change struct {
	At    time.Duration // after the start
	Every time.Duration // period of the repetition; 0 is once

	// Outage is how long nothing gets through: a duration drawn evenly between
	// Outage and OutageMax (Outage itself when OutageMax is 0). What is serialised
	// during an outage is lost, as the sender of a radio link does not notice one.
	Outage, OutageMax time.Duration

	Rate   *int64 // as in Config; the packet in service continues at the new rate
	Delay  *time.Duration
	Jitter *time.Duration
	Loss   *float64
	Burst  *float64
}

// BDP is the bandwidth-delay product in bytes.
func BDP(rate int64, rtt time.Duration) int {
	if rate <= 0 || rtt <= 0 {
		return 0
	}
	b := float64(rate) / 8 * rtt.Seconds()
	return int(min(math.Round(b), MaxQueue))
}

// DefaultQueue is one bandwidth-delay product, at least MinQueue, in bytes.
func DefaultQueue(rate int64, rtt time.Duration) int {
	return max(BDP(rate, rtt), MinQueue)
}

// Validate reports the first mistake in c, naming the field, and nil if New
// accepts c.
func (c *Config) Validate() error {
	switch {
	case c.Rate < 0 || c.Rate > MaxRate:
		return fmt.Errorf("%w: rate %d bit/s is not between 0 (unlimited) and %d", ErrConfig, c.Rate, int64(MaxRate))
	case c.Queue < 0 || c.Queue > MaxQueue:
		return fmt.Errorf("%w: queue of %d bytes is not between 0 (one BDP) and %d", ErrConfig, c.Queue, MaxQueue)
	case c.MTU < 0 || c.MTU > MaxMTU:
		return fmt.Errorf("%w: mtu %d is not between 0 (%d) and %d", ErrConfig, c.MTU, DefaultMTU, MaxMTU)
	case c.ReorderDelay < 0 || c.ReorderDelay > MaxDelay:
		return fmt.Errorf("%w: reorder delay %v is not between 0 and %v", ErrConfig, c.ReorderDelay, MaxDelay)
	case len(c.Schedule) > MaxChanges:
		return fmt.Errorf("%w: schedule of %d changes, at most %d", ErrConfig, len(c.Schedule), MaxChanges)
	}
	if err := checkDelay(c.Delay, c.Jitter); err != nil {
		return err
	}
	if err := checkLoss(c.Loss, c.Burst); err != nil {
		return err
	}
	for _, p := range [...]struct {
		name  string
		value float64
	}{{"duplicate", c.Duplicate}, {"reorder", c.Reorder}, {"corrupt", c.Corrupt}} {
		if !(p.value >= 0 && p.value <= 1) { // NaN too
			return fmt.Errorf("%w: %s %v is not between 0 and 1", ErrConfig, p.name, p.value)
		}
	}
	if err := c.Policer.validate(); err != nil {
		return err
	}
	return c.validateSchedule()
}

func (p Policer) validate() error {
	switch {
	case p.Rate < 0 || p.Rate > MaxRate:
		return fmt.Errorf("%w: policer rate %d bit/s is not between 0 (none) and %d", ErrConfig, p.Rate, int64(MaxRate))
	case p.Rate > 0 && (p.Burst <= 0 || p.Burst > MaxTokens):
		return fmt.Errorf("%w: policer burst of %d bytes is not between 1 and %d", ErrConfig, p.Burst, MaxTokens)
	case p.Rate == 0 && p.Burst != 0:
		return fmt.Errorf("%w: policer burst without a policer rate", ErrConfig)
	}
	return nil
}

func checkDelay(delay, jitter time.Duration) error {
	switch {
	case delay < 0 || delay > MaxDelay:
		return fmt.Errorf("%w: delay %v is not between 0 and %v", ErrConfig, delay, MaxDelay)
	case jitter < 0 || jitter > delay:
		return fmt.Errorf("%w: jitter %v is not between 0 and the one-way delay of %v", ErrConfig, jitter, delay)
	}
	return nil
}

func checkLoss(loss, burst float64) error {
	switch {
	case !(loss >= 0 && loss <= 1):
		return fmt.Errorf("%w: loss %v is not between 0 and 1", ErrConfig, loss)
	case burst != 0 && !(burst >= 1 && burst <= MaxBurst):
		return fmt.Errorf("%w: burst %v is not 0 or between 1 and %d packets", ErrConfig, burst, MaxBurst)
	case burst > 1 && loss < 1 && burst < loss/(1-loss):
		// A gap between two bursts has at least one packet.
		return fmt.Errorf("%w: burst %v is too short for a loss of %v: bursts have %.3g packets at least, or give 1 for independent losses",
			ErrConfig, burst, loss, loss/(1-loss))
	}
	return nil
}

// validateSchedule checks each change alone and, as changes may meet in any
// order, every loss with every burst and every delay with every jitter.
func (c *Config) validateSchedule() error {
	delays, jitters := []time.Duration{c.Delay}, []time.Duration{c.Jitter}
	losses, bursts := []float64{c.Loss}, []float64{c.Burst}
	for i := range c.Schedule {
		ch := &c.Schedule[i]
		if err := ch.validate(); err != nil {
			return fmt.Errorf("%w (change %d of the schedule)", err, i+1)
		}
		if ch.Delay != nil {
			delays = append(delays, *ch.Delay)
		}
		if ch.Jitter != nil {
			jitters = append(jitters, *ch.Jitter)
		}
		if ch.Loss != nil {
			losses = append(losses, *ch.Loss)
		}
		if ch.Burst != nil {
			bursts = append(bursts, *ch.Burst)
		}
	}
	for _, d := range delays {
		for _, j := range jitters {
			if err := checkDelay(d, j); err != nil {
				return err
			}
		}
	}
	for _, p := range losses {
		for _, b := range bursts {
			if err := checkLoss(p, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ch *Change) validate() error {
	switch {
	case ch.At < 0 || ch.At > MaxAt:
		return fmt.Errorf("%w: at %v is not between 0 and %v", ErrConfig, ch.At, MaxAt)
	case ch.Every != 0 && (ch.Every < MinEvery || ch.Every > MaxAt):
		return fmt.Errorf("%w: every %v is not 0 (once) or between %v and %v", ErrConfig, ch.Every, MinEvery, MaxAt)
	case ch.Outage < 0 || ch.Outage > MaxAt || ch.OutageMax < 0 || ch.OutageMax > MaxAt:
		return fmt.Errorf("%w: outage %v to %v is not between 0 and %v", ErrConfig, ch.Outage, ch.OutageMax, MaxAt)
	case ch.OutageMax != 0 && ch.OutageMax < ch.Outage:
		return fmt.Errorf("%w: outage %v to %v ends before it starts", ErrConfig, ch.Outage, ch.OutageMax)
	case ch.Rate != nil && (*ch.Rate < 0 || *ch.Rate > MaxRate):
		return fmt.Errorf("%w: rate %d bit/s is not between 0 (unlimited) and %d", ErrConfig, *ch.Rate, int64(MaxRate))
	}
	return nil
}

// withDefaults is c with its zero fields that mean a default filled in.
func (c Config) withDefaults() Config {
	if c.Queue == 0 {
		c.Queue = DefaultQueue(c.Rate, 2*c.Delay)
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.ReorderDelay == 0 {
		c.ReorderDelay = DefaultReorderDelay
	}
	return c
}

// shortest is the least delay that c can ever give a packet.
func (c *Config) shortest() time.Duration {
	delay, jitter := c.Delay, c.Jitter
	for i := range c.Schedule {
		if d := c.Schedule[i].Delay; d != nil {
			delay = min(delay, *d)
		}
		if j := c.Schedule[i].Jitter; j != nil {
			jitter = max(jitter, *j)
		}
	}
	return delay - jitter
}
