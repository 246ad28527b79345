package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/tunnel/peer"
)

// Channel is one end of a channel.
type Channel struct {
	session *Session
	id      peer.ChannelID
	mode    Mode
	inbox   fifo[[]byte]

	over   chan struct{} // closed when the channel is
	mu     sync.Mutex
	closed bool
	reason channel.Reason
	byPeer bool
	bytes  int // in inbox
}

func newChannel(s *Session, id peer.ChannelID, mode Mode) *Channel {
	return &Channel{
		session: s, id: id, mode: mode, inbox: newFIFO[[]byte](), over: make(chan struct{}),
	}
}

// Mode is the channel's mode.
func (c *Channel) Mode() Mode { return c.mode }

// Reason says why the channel closed, and whether the peer closed it; ok is false
// while it is open.
func (c *Channel) Reason() (why channel.Reason, byPeer, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason, c.byPeer, c.closed
}

// Send queues a unit for the peer, and waits for room. deadline is how long it is
// of use, 0 for the default of the mode: 250 ms or two round trips.
func (c *Channel) Send(ctx context.Context, unit []byte, deadline time.Duration) error {
	for {
		err := ErrClosed
		c.session.call(func(now time.Time) { err = c.session.core.WriteUnit(now, c.id, unit, deadline) })
		switch {
		case errors.Is(err, peer.ErrChannelClosed), errors.Is(err, ErrClosed):
			return c.closedError()
		case errors.Is(err, peer.ErrNotReady), errors.Is(err, peer.ErrQueueFull): // passes
		default:
			return err
		}
		if err := pause(ctx, c.over); err != nil {
			return c.orClosed(err)
		}
	}
}

// Receive waits for the next unit. What arrived before the channel closed is
// returned before ErrClosed.
func (c *Channel) Receive(ctx context.Context) ([]byte, error) {
	unit, ok, err := c.inbox.take(ctx, c.over)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, c.closedError()
	}
	c.mu.Lock()
	c.bytes -= len(unit)
	c.mu.Unlock()
	return unit, nil
}

// Flush waits until nothing that was sent waits or is on its way.
func (c *Channel) Flush(ctx context.Context) error {
	for {
		done := false
		if !c.session.call(func(time.Time) { done = c.session.core.Delivered(c.id) }) {
			return c.closedError()
		}
		if _, _, closed := c.Reason(); closed {
			return c.closedError()
		}
		if done {
			return nil
		}
		if err := pause(ctx, c.over); err != nil {
			return c.orClosed(err)
		}
	}
}

// Close closes the channel at once, at both ends.
func (c *Channel) Close() error {
	c.session.call(func(now time.Time) { c.session.core.CloseChannel(now, c.id, channel.ReasonNone) })
	return nil
}

// deliver keeps a unit for Receive. It reports false if the channel must close.
func (c *Channel) deliver(unit []byte) bool {
	c.mu.Lock()
	full := c.bytes+len(unit) > maxInbox
	c.bytes += len(unit)
	c.mu.Unlock()
	if full && c.mode&channel.CloseOnLoss != 0 {
		return false
	}
	for full {
		old, ok := c.inbox.drop()
		c.mu.Lock()
		c.bytes -= len(old)
		full = ok && c.bytes > maxInbox
		c.mu.Unlock()
	}
	c.inbox.put(append([]byte(nil), unit...), maxInbox)
	return true
}

// end notes that the channel closed.
func (c *Channel) end(why channel.Reason, byPeer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed, c.reason, c.byPeer = true, why, byPeer
		close(c.over)
	}
}

// orClosed says why the channel closed, if that is the error.
func (c *Channel) orClosed(err error) error {
	if errors.Is(err, ErrClosed) {
		return c.closedError()
	}
	return err
}

func (c *Channel) closedError() error {
	why, byPeer, closed := c.Reason()
	switch {
	case !closed || why == channel.ReasonNone:
		return ErrClosed
	case byPeer:
		return fmt.Errorf("%w by the peer: %v", ErrClosed, why)
	}
	return fmt.Errorf("%w: %v", ErrClosed, why)
}
