package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Outcomes of an attempt at acting together, and what they are worth: docs/tgp.md.
const (
	OutcomeOpen      = "OPEN"      // neither has decided
	OutcomeInDoubt   = "IN DOUBT"  // this host has voted and waits for the other; it will be resolved
	OutcomeCommitted = "COMMITTED" // final, on both hosts
	OutcomeAborted   = "ABORTED"   // final, on both hosts
)

// Proposal asks for a named action with a peer.
type Proposal struct {
	Peer     string        // its name in the configuration
	Name     string        // of the action
	Deadline time.Duration // from now; 0 < Deadline <= MaxDeadline
}

// Agreement is one attempt at a named action. Its JSON form is stable: members are added, never renamed or removed.
type Agreement struct {
	Peer     string `json:"peer"`
	Name     string `json:"name"`
	Outcome  string `json:"outcome"`           // one of the Outcome constants
	Resolved bool   `json:"resolved"`          // nothing is left to do: the peer is known to have decided, or cannot have voted
	Receipt  string `json:"receipt,omitempty"` // hexadecimal, equal on both hosts; only where COMMITTED
}

// Agree has the tunnel at a control socket take part in a named action, and returns when it is decided, or at the deadline
// with OutcomeInDoubt.
func Agree(path string, p Proposal) (Agreement, error) {
	req := request{Cmd: cmdAgree, Peer: p.Peer, Name: p.Name, Deadline: p.Deadline.Seconds()}
	reply, err := ask(path, req, p.Deadline+clientTime)
	if err != nil {
		return Agreement{}, err
	}
	if reply.Agreement == nil {
		return Agreement{}, fmt.Errorf("interface %s: %w", nameOf(path), ErrProtocol)
	}
	return *reply.Agreement, nil
}

// Agreements lists the attempts that the tunnel at a control socket remembers, the oldest first for each peer.
func Agreements(path string) ([]Agreement, error) {
	reply, err := ask(path, request{Cmd: cmdAgreements}, clientTime)
	if err != nil {
		return nil, err
	}
	return reply.Agreements, nil
}

// answerAgree has the tunnel agree.
func answerAgree(ctx context.Context, conn net.Conn, req request, h Handler) response {
	p := Proposal{Peer: req.Peer, Name: req.Name, Deadline: fromSeconds(req.Deadline)}
	var a Agreement
	wrong, ok := await(ctx, conn, patience{p.Deadline, MaxDeadline, "totg agree --list"}, func(ctx context.Context) (err error) {
		a, err = h.Agree(ctx, p)
		return err
	})
	if !ok {
		return response{Error: wrong}
	}
	return response{Agreement: &a}
}

// patience is how long a client waits for a decision.
type patience struct {
	deadline, most time.Duration
	see            string // the command that tells how it went on
}

// await gives the tunnel the time that a client asked for, and some to answer. If it is not ok it returns what went wrong,
// for people.
func await(ctx context.Context, conn net.Conn, p patience, decide func(context.Context) error) (wrong string, ok bool) {
	if p.deadline <= 0 || p.deadline > p.most {
		return fmt.Sprintf("the deadline must be above 0 and at most %v", p.most), false
	}
	ctx, cancel := context.WithTimeout(ctx, p.deadline+answerTime)
	defer cancel()
	_ = conn.SetReadDeadline(time.Time{}) // it has said all that it wants
	err := decide(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "the tunnel gave no answer in time; see: " + p.see, false
	case err != nil:
		return err.Error(), false
	}
	return "", true
}
