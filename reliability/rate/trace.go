package rate

import (
	"strconv"
	"time"
)

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

// TraceHeader names the columns of AppendTrace: seconds, bit/s, milliseconds.
const TraceHeader = "time_s,phase,rate_bps,estimate_bps,queue_ms,ahead_ms,target_ms,jitter_ms,rtt_ms,base_ms,loss,shallow\n"

// AppendTrace appends the snapshot as a row of a trace in CSV (RFC 4180), taken
// so long after the start.
func (s *Snapshot) AppendTrace(dst []byte, after time.Duration) []byte {
	dst = strconv.AppendFloat(dst, after.Seconds(), 'f', 6, 64)
	dst = append(append(dst, ','), s.Phase.String()...)
	for _, v := range [...]int64{s.Rate, s.Estimate} {
		dst = strconv.AppendInt(append(dst, ','), v, 10)
	}
	for _, d := range [...]time.Duration{s.Queue, s.Ahead, s.Target, s.Jitter, s.RTT, s.Base} {
		dst = strconv.AppendFloat(append(dst, ','), d.Seconds()*1000, 'f', 3, 64)
	}
	dst = strconv.AppendFloat(append(dst, ','), s.Loss, 'f', 4, 64)
	dst = strconv.AppendBool(append(dst, ','), s.Shallow)
	return append(dst, '\n')
}
