package e2e

import (
	"testing"
	"time"
)

// H-6, T-4: a side that is killed and started again is found again, whoever called.
func TestRestart(t *testing.T) {
	for _, which := range []string{"caller", "called"} {
		t.Run(which, func(t *testing.T) {
			p := newPair(t)
			server := p.b.echoServer()
			p.a.converse(server) // breaks, or survives: both are right
			victim, h, c := p.da, p.a, p.ca
			if which == "called" {
				victim, h, c = p.db, p.b, p.cb
			}
			victim.kill()
			start := time.Now()
			h.up(c)
			eventually(t, patience, func() error { return p.a.exchange(server, time.Second) })
			t.Logf("killed the %s: a new TCP connection %.2f s after the restart", which, time.Since(start).Seconds())
		})
	}
}
