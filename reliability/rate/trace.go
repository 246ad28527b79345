package rate

import "time"

// Snapshot is what a controller knows and does (status, trace).
type Snapshot struct {
	Phase    Phase
	Rate     int64         // bit/s of IP bytes, that the pacer has
	Estimate int64         // bit/s, of the path's capacity
	Queue    time.Duration // measured above the base delay
	Ahead    time.Duration // predicted for a datagram sent now
	Target   time.Duration // q*
	Jitter   time.Duration
	RTT      time.Duration // least, lately
	Base     time.Duration // least one-way delay; the clocks differ, so only changes mean anything
	Loss     float64       // p̂, 0 to 1
	Shallow  bool          // delay is silent: a policer, or a small buffer
}

// Snapshot returns the state at now.
func (c *Controller) Snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Phase: c.phase, Rate: c.Rate(now), Estimate: int64(8 * c.estimate),
		Queue: duration(c.queue), Ahead: duration(c.ahead), Target: duration(c.target),
		Jitter: duration(c.jitter.value()), RTT: c.roundTrip(), Loss: c.loss.loss, Shallow: c.ladder.shallow,
	}
	if c.base.started {
		s.Base = c.base.value()
	}
	switch {
	case c.silence.steps > 0:
		s.Phase = Blackout
	case c.phase == Run && c.drain.active:
		s.Phase = Drain
	case c.phase == Run && c.rival.active:
		s.Phase = Compete
	case c.phase == Startup: // the burst's rate says little
		s.Estimate = int64(8 * c.startup.average)
	}
	return s
}
