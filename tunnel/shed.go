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
	// shedRate is how many INITs without a cookie a second are let in under a
	// flood, a few more than are answered: what arrives is uneven.
	shedRate = handshake.CookieRate * 5 / 4
)

// shedding has the kernel drop most of a flood of INITs, for each that wakes the
// tunnel costs more than its answer (H-5).
type shedding struct {
	since time.Time
	seen  int     // INITs without a cookie since then, of those that were kept
	keep  float64 // share that the kernel keeps; 0 stands for all
}

// follow is the share to keep from now on, and whether it is another.
func (s *shedding) follow(now time.Time) (keep float64, changed bool) {
	was := s.keep
	if was == 0 {
		was = 1
	}
	offered := float64(s.seen) / was / now.Sub(s.since).Seconds()
	s.since, s.seen = now, 0
	keep = 1
	if offered > shedRate {
		keep = shedRate / offered
	}
	s.keep = keep
	return keep, keep != was
}

// shed lets the kernel follow a flood, once in a while.
func (l *loop) shed(now time.Time) {
	s := &l.shedding
	if s.since.IsZero() {
		s.since = now
	}
	if now.Sub(s.since) < shedInterval {
		return
	}
	keep, changed := s.follow(now)
	if !changed {
		return
	}
	if err := l.socket.Shed(udp.Blank{First: wire.TypeInit, Last: handshake.CookieEnd}, keep); err != nil {
		s.keep = 1 // the budget of COOKIEs holds without it
		l.log.Debug("the kernel does not drop for us", slog.Any("error", err))
	}
}
