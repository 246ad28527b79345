package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/peer"
)

// What the control socket lets a client ask for, the core takes.
const _ = uint64(peer.MaxMove - control.MaxPathDeadline)

// mover is a client that waits for the outcome of a switch of the path.
type mover struct {
	peer *tunnelPeer
	id   uint64
	done chan moveAnswer // one value
}

type moveAnswer struct {
	path control.PathSwitch
	err  error
}

// Errors of MovePath: for the user.
var (
	errNoPath   = errors.New("there is no session, so there is no path to switch; try again when \"totg status\" says up")
	errMoving   = errors.New("another switch of the path is under way; see: totg status")
	errSamePath = errors.New("the tunnel uses that path already")
	errNoHost   = errors.New("that is no address of a host and a port")
)

// MovePath answers the control socket: it asks the peer to switch the path, and waits
// for the outcome.
func (l *loop) MovePath(ctx context.Context, r control.PathProposal) (control.PathSwitch, error) {
	m := &mover{done: make(chan moveAnswer, 1)}
	if !l.inLoop(func() { l.startMove(m, r) }) {
		return control.PathSwitch{}, errPathEnding
	}
	select {
	case a := <-m.done:
		return a.path, a.err
	case <-l.ended:
		return control.PathSwitch{}, errPathEnding
	case <-ctx.Done():
		l.inLoop(func() { l.movers = slices.DeleteFunc(l.movers, func(x *mover) bool { return x == m }) })
		return control.PathSwitch{}, ctx.Err()
	}
}

var errPathEnding = errors.New("the tunnel goes down")

func (l *loop) startMove(m *mover, r control.PathProposal) {
	i := slices.IndexFunc(l.table.peers, func(p *tunnelPeer) bool { return p.config.Name == r.Peer })
	switch {
	case i < 0:
		m.done <- moveAnswer{err: fmt.Errorf("peer %q: %w", r.Peer, errNoPeer)}
		return
	case l.waiting() >= maxWaiting:
		m.done <- moveAnswer{err: errWaiting}
		return
	}
	now := time.Now()
	m.peer = l.table.peers[i]
	var err error
	m.id, err = m.peer.core.MovePath(now, netip.AddrPortFrom(r.To.Addr().Unmap(), r.To.Port()), now.Add(r.Deadline))
	if err != nil {
		m.done <- moveAnswer{err: fmt.Errorf("peer %q: %w", r.Peer, forUser(err))}
		return
	}
	l.movers = append(l.movers, m)
	l.drain(now, m.peer)
}

// forUser says what to do about a refusal of the core.
func forUser(err error) error {
	switch {
	case errors.Is(err, peer.ErrNoSession):
		return errNoPath
	case errors.Is(err, peer.ErrMoving):
		return errMoving
	case errors.Is(err, peer.ErrSamePath):
		return errSamePath
	case errors.Is(err, peer.ErrAddress):
		return errNoHost
	}
	return err
}

// waiting is how many clients wait for an outcome.
func (l *loop) waiting() int { return len(l.agreed.waiters) + len(l.movers) }

// onPathDecided tells the log, and who waits for it.
func (l *loop) onPathDecided(p *tunnelPeer, m peer.Move) {
	level := slog.LevelDebug // the peer's wish, which came to nothing
	if m.Own || m.State == peer.Moved {
		level = slog.LevelInfo
	}
	l.log.Log(context.Background(), level, "switch of the path", slog.String("peer", p.config.Name),
		slog.String("to", m.To.String()), slog.String("outcome", outcomeOf(m)), slog.String("why", m.Why))
	l.movers = slices.DeleteFunc(l.movers, func(x *mover) bool {
		if x.peer != p || x.id != m.ID {
			return false
		}
		x.done <- moveAnswer{path: control.PathSwitch{Peer: p.config.Name, To: m.To.String(), Outcome: outcomeOf(m), Why: m.Why}}
		return true
	})
}

// outcomeOf is the word for users; an undecided switch has none.
func outcomeOf(m peer.Move) string {
	switch m.State {
	case peer.Moved:
		return control.OutcomeMoved
	case peer.Stayed:
		return control.OutcomeStayed
	case peer.MoveInDoubt:
		return control.OutcomeInDoubt
	case peer.MoveNone, peer.MoveProbing, peer.MoveVoting:
	}
	return ""
}

// dropMovers answers those that wait for a peer that goes.
func (l *loop) dropMovers(p *tunnelPeer) {
	l.movers = slices.DeleteFunc(l.movers, func(x *mover) bool {
		if x.peer == p {
			x.done <- moveAnswer{err: errGone}
		}
		return x.peer == p
	})
}
