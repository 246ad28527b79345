package peer

import (
	"errors"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/tunnel/flow"
)

// Errors of the channels of a program (Config.Units).
var (
	ErrNoSession     = errors.New("peer: there is no session")
	ErrChannelClosed = errors.New("peer: the channel is closed")
	ErrNotReady      = errors.New("peer: the channel is not open yet")
	ErrQueueFull     = errors.New("peer: the queue is full")
	ErrUnit          = errors.New("peer: a unit has 1 to 65,546 bytes")
	ErrDeadline      = errors.New("peer: a channel that loses nothing knows no deadlines")
)

// ChannelID names a channel of a program. It is comparable, and never used again
// for another channel.
type ChannelID struct {
	session uint64
	h       channel.Handle
}

// ChannelOptions say what a channel of a program is to be.
type ChannelOptions struct {
	Capabilities channel.Capabilities // one of the eight modes (C-4)
	// Interactive units of modes Z and Streaming 2 go before all others, as long
	// as they keep to their share.
	Interactive bool
}

// ChannelEvent is what happened to a channel of a program.
type ChannelEvent struct {
	Channel ChannelID
	channel.Event
}

// maxChannelEvents bounds the events that wait for PollChannelEvent; the oldest
// go.
const maxChannelEvents = 1024

// program is what a Peer keeps for a program that uses its channels.
type program struct {
	session uint64 // number of the session
	tags    uint64
	byTag   map[uint64]*programChannel // of this session
	byID    map[channel.Handle]*programChannel
	events  []ChannelEvent
}

// programChannel is an open channel of a program.
type programChannel struct {
	lane

	tag   uint64
	caps  channel.Capabilities
	class flow.Class
}

// begin forgets the channels of the session before.
func (g *program) begin() {
	g.session++
	g.byTag, g.byID = map[uint64]*programChannel{}, map[channel.Handle]*programChannel{}
}

// end tells that the session took its channels with it.
func (g *program) end() {
	for h, c := range g.byID {
		g.event(ChannelEvent{ChannelID{g.session, h}, channel.Event{Kind: channel.EventClosed, Handle: h, Capabilities: c.caps}})
	}
	g.begin()
}

func (g *program) event(e ChannelEvent) {
	if len(g.events) == maxChannelEvents {
		g.events = append(g.events[:0], g.events[1:]...)
	}
	g.events = append(g.events, e)
}

// add notes a channel.
func (g *program) add(h channel.Handle, o ChannelOptions) {
	c := &programChannel{lane: lane{h: h, own: true}, tag: g.tags, caps: o.Capabilities, class: classFor(o)}
	g.tags++
	g.byTag[c.tag], g.byID[h] = c, c
}

func (g *program) remove(h channel.Handle) {
	if c := g.byID[h]; c != nil {
		delete(g.byTag, c.tag)
		delete(g.byID, h)
	}
}

// find is an open channel, nil if it is closed.
func (g *program) find(id ChannelID) *programChannel {
	if id.session != g.session {
		return nil
	}
	return g.byID[id.h]
}

// classFor is the class of a channel's units: a channel has one, for it carries
// one unit at a time.
func classFor(o ChannelOptions) flow.Class {
	switch {
	case o.Capabilities&channel.Resend == 0:
		return flow.Once
	case o.Capabilities&channel.CloseOnLoss != 0:
		return flow.Stream
	case o.Interactive:
		return flow.Interactive
	}
	return flow.Message
}

// OpenChannel begins a channel. An event tells when it is open, or that it was
// refused; with ErrNoSession and the errors of channel.Mux.Open there is none.
func (p *Peer) OpenChannel(now time.Time, o ChannelOptions) (ChannelID, error) {
	p.advance(now)
	s := p.cur
	if s == nil || p.down || !p.cfg.Units {
		return ChannelID{}, ErrNoSession
	}
	h, err := s.mux.Open(p.now, o.Capabilities)
	if err != nil {
		return ChannelID{}, err
	}
	p.program.add(h, o)
	return ChannelID{p.program.session, h}, nil
}

// SetPatience sets how long a gap may last at this end of a channel before a
// Streaming mode skips it, or X and Y take it for loss; 0 is the default (C-5).
func (p *Peer) SetPatience(id ChannelID, d time.Duration) {
	if c := p.program.find(id); c != nil {
		p.cur.mux.SetPatience(c.h, d)
	}
}

// CloseChannel closes a channel at once, with whatever is on its way. Delivered
// says when nothing is.
func (p *Peer) CloseChannel(now time.Time, id ChannelID, why channel.Reason) {
	p.advance(now)
	if c := p.program.find(id); c != nil {
		p.cur.mux.CloseChannel(p.now, c.h, why)
		p.keepChannels(p.cur)
	}
}

// WriteUnit queues a unit, whole, for a channel. deadline is how long it is of
// use, 0 for the default of the mode; after that it is dropped, in the queue or on
// its way. Nothing changes on an error; ErrNotReady and ErrQueueFull pass.
func (p *Peer) WriteUnit(now time.Time, id ChannelID, unit []byte, deadline time.Duration) error {
	p.advance(now)
	c := p.program.find(id)
	switch {
	case c == nil:
		return ErrChannelClosed
	case len(unit) == 0 || len(unit) > channel.MaxUnit:
		return ErrUnit
	case deadline > 0 && c.class == flow.Stream:
		return ErrDeadline
	case !p.cur.mux.CanSend(c.h):
		return ErrNotReady
	}
	t := flow.Treatment{Class: c.class, Mode: uint8(c.caps), Deadline: max(deadline, 0), Tag: c.tag}
	// The number of the channel takes the place of a flow's ports.
	key := flow.Packet{SrcPort: uint16(c.tag), DstPort: uint16(c.tag >> 16)}
	if !p.queue.Push(p.now, &key, t, unit) {
		return ErrQueueFull
	}
	return nil
}

// Delivered reports that nothing of a channel waits or is on its way: in modes
// that lose nothing all units have arrived.
func (p *Peer) Delivered(id ChannelID) bool {
	c := p.program.find(id)
	return c == nil || !p.queue.Has(c.class, c.tag) && c.block <= p.cur.sender.OldestBlock()
}

// ReadUnit writes the next unit from the peer into buf, which must hold
// channel.MaxUnit bytes, and says on which channel it came.
func (p *Peer) ReadUnit(buf []byte) (id ChannelID, n int, ok bool) {
	if p.cur == nil || !p.cfg.Units {
		return ChannelID{}, 0, false
	}
	h, n, ok := p.cur.mux.ReadFrom(buf)
	if ok {
		p.stats.RxPackets++
		p.stats.RxBytes += uint64(n)
	}
	return ChannelID{p.program.session, h}, n, ok
}

// PollChannelEvent returns the next event of a channel. Those of channels that the
// peer opened begin with channel.EventOpened and ByPeer.
func (p *Peer) PollChannelEvent() (ChannelEvent, bool) {
	if p.cur != nil && p.cfg.Units {
		p.keepChannels(p.cur)
	}
	if len(p.program.events) == 0 {
		return ChannelEvent{}, false
	}
	e := p.program.events[0]
	p.program.events = append(p.program.events[:0], p.program.events[1:]...)
	return e, true
}

// onChannelEvent passes an event on to the program.
func (p *Peer) onChannelEvent(e channel.Event) {
	g := &p.program
	switch e.Kind {
	case channel.EventOpened:
		if e.ByPeer {
			g.add(e.Handle, ChannelOptions{Capabilities: e.Capabilities})
		}
	case channel.EventClosed, channel.EventRefused:
		g.remove(e.Handle)
	case channel.EventLost:
	}
	g.event(ChannelEvent{ChannelID{g.session, e.Handle}, e})
}

// skipClosed drops the units at the head of the classes whose channels closed.
func (p *Peer) skipClosed(s *session) {
	for c := range flow.Class(flow.NumClasses) {
		for p.queue.Stage(p.now, c) {
			u := p.queue.Head(c)
			if ch := p.program.byTag[u.Treatment.Tag]; ch != nil && s.mux.CanSend(ch.h) {
				break
			}
			p.queue.Pop(p.now, c)
			s.under[c] = carriage{}
		}
	}
}
