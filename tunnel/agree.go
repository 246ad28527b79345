package tunnel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/tunnel/agreement"
	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/votes"
)

// StateVariable names the environment variable that overrides the folder of the
// logs of votes.
const StateVariable = "TOTG_STATE_DIR"

const (
	stateDir = "/var/lib/totg"
	// maxWaiting bounds the clients that wait for an outcome: half of those that
	// the control socket serves at a time, so that others are always served.
	maxWaiting = 8
	// storePause is the wait before a record is written again that could not be.
	storePause = time.Second
)

// agreements are the named actions of all peers: their log, and who waits for an
// outcome. They belong to the loop, but for the writers.
type agreements struct {
	path    string
	log     *votes.Log // nil: nothing was ever agreed on
	writers sync.WaitGroup
	waiters []*waiter
}

// waiter is a client that waits for the outcome of an attempt.
type waiter struct {
	peer *tunnelPeer
	id   agreement.ID
	done chan answered // one value
}

type answered struct {
	agreement control.Agreement
	err       error
}

// Errors of Agree: for the user.
var (
	errNoPeer  = errors.New("no such peer; see: totg status")
	errWaiting = errors.New("too many wait for an outcome; try again")
	errGone    = errors.New("the peer was removed from the configuration")
	errEnding  = errors.New("the tunnel goes down; see: totg agree --list, after it is up again")
)

// votesPath is where an interface's log of votes is.
func votesPath(name string) string {
	dir := os.Getenv(StateVariable)
	if dir == "" {
		dir = stateDir
	}
	return filepath.Join(dir, name+".votes")
}

// openVotes opens the log, if there is one or one is needed, and takes up what is
// in it: who never agreed on anything needs no folder for it.
func (l *loop) openVotes(needed bool) error {
	a := &l.agreed
	if a.log != nil {
		return nil
	}
	if _, err := os.Stat(a.path); errors.Is(err, fs.ErrNotExist) {
		if !needed {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
			return fmt.Errorf("log of votes: %w", err)
		}
	}
	log, err := votes.Open(a.path)
	if err != nil {
		return fmt.Errorf("log of votes: %w", err)
	}
	a.log = log
	for _, p := range l.table.peers {
		if err := l.restore(time.Now(), p); err != nil {
			return err
		}
	}
	return nil
}

// close waits for what is being written. What it tells comes too late for the
// loop: it counts after the next start.
func (a *agreements) close() error {
	a.writers.Wait()
	if a.log == nil {
		return nil
	}
	return a.log.Close()
}

// newBook makes the named actions of a peer.
func (l *loop) newBook(now time.Time, p *tunnelPeer, cfg agreement.Config) error {
	book, err := agreement.New(now, cfg)
	if err != nil {
		return err
	}
	p.book = book
	return l.restore(now, p)
}

// restore takes up what the log holds of a peer.
func (l *loop) restore(now time.Time, p *tunnelPeer) error {
	if l.agreed.log == nil {
		return nil
	}
	entries, err := l.agreed.log.List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := p.book.Restore(now, e.Record, e.Resolved)
		switch {
		case errors.Is(err, agreement.ErrPeer), errors.Is(err, ladder.ErrRecordKey):
		case err != nil:
			l.log.Warn("a vote in the log cannot be taken up", slog.String("peer", p.config.Name), slog.Any("error", err))
		}
	}
	return nil
}

// drainBook handles what the named actions of a peer tell.
func (l *loop) drainBook(p *tunnelPeer) {
	for {
		e, ok := p.book.PollEvent()
		if !ok {
			return
		}
		attrs := []any{slog.String("peer", p.config.Name), slog.String("name", e.Name)}
		switch e.Kind {
		case agreement.Store:
			l.store(p, e)
		case agreement.Doubt:
			l.log.Warn("agreement is in doubt until the peer is heard", attrs...)
		case agreement.Decided:
			l.log.Info("agreement is decided", append(attrs, slog.String("outcome", e.Outcome.String()))...)
			l.answerWaiters(p, e.ID, nil)
		case agreement.Resolved:
			l.resolved(e.ID)
		}
	}
}

// store writes a record and tells when it is on the disk. The loop goes on
// meanwhile.
func (l *loop) store(p *tunnelPeer, e agreement.Event) {
	if err := l.openVotes(true); err != nil {
		l.onNotStored(p, e, err)
		return
	}
	log := l.agreed.log
	l.agreed.writers.Go(func() {
		err := log.Put(e.ID, e.Record)
		l.inLoop(func() {
			now := time.Now()
			if err != nil {
				l.onNotStored(p, e, err)
				return
			}
			p.book.OnStable(now, e.ID, e.Stage)
			l.drain(now, p)
		})
	})
}

// onNotStored gives an attempt up of which nothing has left, and writes a later
// record again: until it is stable, this host says nothing new.
func (l *loop) onNotStored(p *tunnelPeer, e agreement.Event, err error) {
	l.log.Error("a vote cannot be stored", slog.String("peer", p.config.Name), slog.String("name", e.Name), slog.Any("error", err))
	if e.Stage == ladder.StageBegun {
		p.book.Forget(time.Now(), e.ID)
		l.answerWaiters(p, e.ID, err)
		return
	}
	l.agreed.writers.Go(func() {
		select {
		case <-time.After(storePause):
			l.inLoop(func() { l.store(p, e) })
		case <-l.ended:
		}
	})
}

// resolved makes a tombstone of an entry in the log. If it fails the entry stays
// open: its host asks once more after the next start.
func (l *loop) resolved(id agreement.ID) {
	log := l.agreed.log
	if log == nil {
		return
	}
	l.agreed.writers.Go(func() {
		if err := log.Resolve(id); err != nil && !errors.Is(err, votes.ErrUnknown) {
			l.log.Warn("a resolved vote stays in the log", slog.Any("error", err))
		}
	})
}

// inLoop has the loop call f, unless it ends.
func (l *loop) inLoop(f func()) bool {
	select {
	case l.calls <- f:
		return true
	case <-l.ended:
		return false
	}
}

// Agree answers the control socket: it begins an attempt, or joins the one under
// way, and waits for its outcome until the deadline.
func (l *loop) Agree(ctx context.Context, r control.Proposal) (control.Agreement, error) {
	w := &waiter{done: make(chan answered, 1)}
	if !l.inLoop(func() { l.propose(w, r) }) {
		return control.Agreement{}, errEnding
	}
	deadline := time.After(r.Deadline)
	for {
		select {
		case a := <-w.done:
			return a.agreement, a.err
		case <-deadline:
			l.inLoop(func() { l.expire(w) })
		case <-l.ended:
			return control.Agreement{}, errEnding
		case <-ctx.Done():
			l.inLoop(func() { l.forgetWaiter(w) })
			return control.Agreement{}, ctx.Err()
		}
	}
}

func (l *loop) propose(w *waiter, r control.Proposal) {
	i := slices.IndexFunc(l.table.peers, func(p *tunnelPeer) bool { return p.config.Name == r.Peer })
	switch {
	case i < 0:
		w.done <- answered{err: fmt.Errorf("peer %q: %w", r.Peer, errNoPeer)}
		return
	case l.waiting() >= maxWaiting:
		w.done <- answered{err: errWaiting}
		return
	}
	now := time.Now()
	w.peer = l.table.peers[i]
	var err error
	if w.id, err = w.peer.book.Propose(now, r.Name, now.Add(r.Deadline)); err != nil {
		w.done <- answered{err: err}
		return
	}
	l.agreed.waiters = append(l.agreed.waiters, w)
	l.drain(now, w.peer)
}

// expire ends a wait: an attempt without this host's vote is aborted, one with it
// is in doubt, and nothing else.
func (l *loop) expire(w *waiter) {
	now := time.Now()
	if !slices.Contains(l.agreed.waiters, w) {
		return
	}
	if !w.peer.book.Withdraw(now, w.id) {
		l.answerWaiters(w.peer, w.id, nil)
	}
	l.drain(now, w.peer)
}

// answerWaiters tells all that wait for an attempt what is known of it.
func (l *loop) answerWaiters(p *tunnelPeer, id agreement.ID, err error) {
	l.agreed.waiters = slices.DeleteFunc(l.agreed.waiters, func(w *waiter) bool {
		if w.peer != p || w.id != id {
			return false
		}
		a := answered{err: err}
		for _, e := range p.book.List() {
			if e.ID == id {
				a.agreement = p.agreement(e)
			}
		}
		w.done <- a
		return true
	})
}

func (l *loop) forgetWaiter(w *waiter) {
	l.agreed.waiters = slices.DeleteFunc(l.agreed.waiters, func(x *waiter) bool { return x == w })
}

// dropWaiters answers those that wait for a peer that goes.
func (l *loop) dropWaiters(p *tunnelPeer) {
	l.agreed.waiters = slices.DeleteFunc(l.agreed.waiters, func(w *waiter) bool {
		if w.peer == p {
			w.done <- answered{err: errGone}
		}
		return w.peer == p
	})
}

// Agreements answers the control socket.
func (l *loop) Agreements(ctx context.Context) ([]control.Agreement, error) {
	answer := make(chan []control.Agreement, 1)
	if !l.inLoop(func() {
		all := []control.Agreement{}
		for _, p := range l.table.peers {
			for _, e := range p.book.List() {
				all = append(all, p.agreement(e))
			}
		}
		answer <- all
	}) {
		return nil, errEnding
	}
	select {
	case all := <-answer:
		return all, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// agreement is an attempt as the control socket tells it.
func (p *tunnelPeer) agreement(e agreement.Entry) control.Agreement {
	a := control.Agreement{Peer: p.config.Name, Name: e.Name, Outcome: e.Outcome.String(), Resolved: e.Resolved}
	if e.Outcome == ladder.Committed {
		a.Receipt = hex.EncodeToString(e.Receipt[:])
	}
	return a
}
