package control

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// MovePath moves, or is in doubt where the port is 3.
func (f *fakeTunnel) MovePath(_ context.Context, p PathProposal) (PathSwitch, error) {
	if p.To.Port() == 3 {
		return PathSwitch{Peer: p.Peer, To: p.To.String(), Outcome: OutcomeInDoubt}, f.err
	}
	return PathSwitch{Peer: p.Peer, To: p.To.String(), Outcome: OutcomeMoved}, f.err
}

// the outcome of a path switch passes the socket as it is, a wait is bounded by
// what the client asked for, and a refusal is no outcome.
func TestMovePath(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{})
	to := netip.MustParseAddrPort("[2001:db8::7]:4430")
	s, err := MovePath(path, PathProposal{Peer: "office", To: to, Deadline: time.Minute})
	if want := (PathSwitch{Peer: "office", To: to.String(), Outcome: OutcomeMoved}); err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
	doubt := netip.MustParseAddrPort("192.0.2.1:3")
	if s, err = MovePath(path, PathProposal{Peer: "office", To: doubt, Deadline: time.Second}); err != nil || s.Outcome != OutcomeInDoubt {
		t.Errorf("%+v, %v", s, err)
	}
	for _, d := range []time.Duration{0, -time.Second, MaxPathDeadline + time.Second} {
		if _, err := MovePath(path, PathProposal{Peer: "office", To: to, Deadline: d}); err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("deadline %v: %v", d, err)
		}
	}
}

func TestMovePathRefused(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{err: errors.New("no such peer; see: totg status")})
	s, err := MovePath(path, PathProposal{Peer: "nobody", To: netip.MustParseAddrPort("192.0.2.1:4"), Deadline: time.Minute})
	if err == nil || s != (PathSwitch{}) || !strings.Contains(err.Error(), "no such peer; see: totg status") {
		t.Errorf("%+v, %v", s, err)
	}
}
