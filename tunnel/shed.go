package tunnel

import (
	"log/slog"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/udp"
)

const (
	// shedInterval is how often the share of INITs that the kernel keeps follows
	// what arrives: a flood has at most that long to fill the socket.
	shedInterval = 200 * time.Millisecond
	// shedRate is how many INITs a second are let in under a flood, of those without
	// a cookie and of those with one: a few more than are answered, for what arrives
	// is uneven.
	shedRate = handshake.CookieRate * 5 / 4
)

// shedding has the kernel drop most of a flood of INITs, for each that wakes the
// tunnel costs more than its answer (H-5).
type shedding struct {
	since  time.Time
	blank  offer // INITs without a cookie, of no use or under load
	filled offer // INITs with something in the cookie's place that were of no use
}

// offer is one kind of INITs.
type offer struct {
	seen int     // of those that were kept, in this interval
	keep float64 // share that the kernel keeps; 0 stands for all
}

// follow sets the share to keep from now on, after an interval of that length, and
// reports whether it is another.
func (o *offer) follow(interval time.Duration) (changed bool) {
	was := o.share()
	offered := float64(o.seen) / was / interval.Seconds()
	o.seen, o.keep = 0, 1
	if offered > shedRate {
		o.keep = shedRate / offered
	}
	return o.keep != was
}

// share is what the kernel keeps.
func (o *offer) share() float64 {
	if o.keep == 0 {
		return 1
	}
	return o.keep
}

// shed lets the kernel follow a flood, once in a while.
func (l *loop) shed(now time.Time) {
	s := &l.shedding
	if s.since.IsZero() {
		s.since = now
	}
	interval := now.Sub(s.since)
	if interval < shedInterval {
		return
	}
	s.since = now
	blank, filled := s.blank.follow(interval), s.filled.follow(interval)
	if !blank && !filled {
		return
	}
	init := udp.Kind{First: wire.TypeInit, Last: handshake.CookieEnd}
	if err := l.socket.Shed(init, s.blank.share(), s.filled.share()); err != nil {
		s.blank.keep, s.filled.keep = 1, 1 // the budget of COOKIEs holds without it
		l.log.Debug("the kernel does not drop for us", slog.Any("error", err))
	}
}
