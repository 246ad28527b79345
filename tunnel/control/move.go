package control

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Outcomes of a switch of the path, beside OutcomeInDoubt.
const (
	OutcomeMoved  = "MOVED"  // both hosts send on the new path
	OutcomeStayed = "STAYED" // both hosts send on the old one
)

// PathProposal asks a peer to switch to another path.
type PathProposal struct {
	Peer     string         // its name in the configuration
	To       netip.AddrPort // where the peer is on that path
	Deadline time.Duration  // from now; 0 < Deadline <= MaxPathDeadline
}

// PathSwitch is a switch of the path. Its JSON form is stable: members are added, never renamed or removed.
type PathSwitch struct {
	Peer    string `json:"peer"`
	To      string `json:"to"`            // where the peer is on the new path
	Outcome string `json:"outcome"`       // MOVED, STAYED or IN DOUBT
	Why     string `json:"why,omitempty"` // of the latter two, for people
}

// MovePath has the tunnel at a control socket switch the path to a peer, and returns when that is decided, or at the
// deadline with OutcomeInDoubt.
func MovePath(path string, p PathProposal) (PathSwitch, error) {
	req := request{Cmd: cmdPath, Peer: p.Peer, To: p.To, Deadline: p.Deadline.Seconds()}
	reply, err := ask(path, req, p.Deadline+clientTime)
	if err != nil {
		return PathSwitch{}, err
	}
	if reply.Path == nil {
		return PathSwitch{}, fmt.Errorf("interface %s: %w", nameOf(path), ErrProtocol)
	}
	return *reply.Path, nil
}

// answerPath has the tunnel switch the path.
func answerPath(ctx context.Context, conn net.Conn, req request, h Handler) response {
	p := PathProposal{Peer: req.Peer, To: req.To, Deadline: fromSeconds(req.Deadline)}
	var s PathSwitch
	wrong, ok := await(ctx, conn, patience{p.Deadline, MaxPathDeadline, "totg status"}, func(ctx context.Context) (err error) {
		s, err = h.MovePath(ctx, p)
		return err
	})
	if !ok {
		return response{Error: wrong}
	}
	return response{Path: &s}
}
