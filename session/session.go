package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/peer"
	"github.com/totg/totg/tunnel/udp"
)

// Session is one end of a session.
type Session struct {
	core   *peer.Peer // owned by the loop
	socket *udp.Socket
	calls  chan func(now time.Time)
	ended  chan struct{} // closed by Close
	done   chan struct{} // closed when the loop is gone
	reader sync.WaitGroup
	once   sync.Once

	events fifo[Event]
	accept fifo[*Channel]
	up     gate

	// Of the loop.
	channels map[peer.ChannelID]*Channel
	unit     [MaxUnit]byte
	out      [peer.DefaultMaxDatagram]byte
}

// inbound is what the socket received.
type inbound struct {
	buf []byte
	udp.Run
}

// readBuffers are for one run that the loop has, and one that is received meanwhile.
const readBuffers = 2

// Open opens the socket and calls the peer, or waits for its call. Nothing waits
// for the peer here: OpenChannel and Accept do.
func Open(cfg Config) (*Session, error) {
	socket, err := udp.Listen(cfg.Listen, 0)
	if err != nil {
		return nil, err
	}
	if cfg.Rate.Mode != rate.Fixed {
		if err := socket.SetECN(); err != nil {
			_ = socket.Close() // the other error says more
			return nil, fmt.Errorf("session: %w", err)
		}
	}
	core, err := peer.New(time.Now(), peer.Config{
		Private: cfg.Private, Remote: cfg.Peer, PSK: cfg.PresharedKey, AES: hasAES(),
		Endpoint: cfg.Endpoint, Rate: cfg.Rate, Redundancy: peer.AutoRedundancy, Units: true, Random: rand.Reader,
	})
	if err != nil {
		_ = socket.Close() // the other error says more
		return nil, fmt.Errorf("session: %w", err)
	}
	s := &Session{
		core: core, socket: socket, calls: make(chan func(time.Time)), ended: make(chan struct{}), done: make(chan struct{}),
		events: newFIFO[Event](), accept: newFIFO[*Channel](), up: newGate(), channels: map[peer.ChannelID]*Channel{},
	}
	arrived, free := make(chan inbound), make(chan []byte, readBuffers)
	for range readBuffers {
		free <- make([]byte, udp.MaxRun)
	}
	s.reader.Go(func() { s.read(arrived, free) })
	go s.loop(arrived, free)
	return s, nil
}

// hasAES reports whether AES-GCM is fast here (W-2).
func hasAES() bool {
	return (cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ) || (cpu.ARM64.HasAES && cpu.ARM64.HasPMULL)
}

// Addr is the address of the UDP socket.
func (s *Session) Addr() netip.AddrPort { return s.socket.LocalAddr() }

// Close tells the peer, ends all channels and returns when all of it is gone.
func (s *Session) Close() error {
	s.once.Do(func() { close(s.ended) })
	<-s.done
	err := s.socket.Close()
	s.reader.Wait()
	if errors.Is(err, net.ErrClosed) { // it was closed before
		return nil
	}
	return err
}

// OpenChannel opens a channel once the session is up. It does not wait for the
// peer's answer: the first Send does, for one round trip, and a channel that the
// peer refuses closes.
func (s *Session) OpenChannel(ctx context.Context, o Options) (*Channel, error) {
	for {
		if err := s.up.wait(ctx, s.ended); err != nil {
			return nil, err
		}
		var c *Channel
		var err error
		if !s.call(func(now time.Time) { c, err = s.open(now, o) }) {
			return nil, ErrClosed
		}
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, peer.ErrNoSession), errors.Is(err, channel.ErrTooManyOpening): // passes
		default:
			return nil, err
		}
		if err := pause(ctx, s.ended); err != nil {
			return nil, err
		}
	}
}

func (s *Session) open(now time.Time, o Options) (*Channel, error) {
	id, err := s.core.OpenChannel(now, peer.ChannelOptions{Capabilities: o.Mode, Interactive: o.Interactive})
	if err != nil {
		return nil, err
	}
	c := newChannel(s, id, o.Mode)
	s.channels[id] = c
	s.core.SetPatience(id, o.Patience)
	return c, nil
}

// Accept waits for a channel that the peer opens.
func (s *Session) Accept(ctx context.Context) (*Channel, error) {
	c, ok, err := s.accept.take(ctx, s.ended)
	if err == nil && !ok {
		err = ErrClosed
	}
	return c, err
}

// NextEvent waits for the next event. Those that nobody takes are dropped, the
// oldest first.
func (s *Session) NextEvent(ctx context.Context) (Event, error) {
	e, ok, err := s.events.take(ctx, s.ended)
	if err == nil && !ok {
		err = ErrClosed
	}
	return e, err
}

// call runs f in the loop and reports whether it did.
func (s *Session) call(f func(now time.Time)) bool {
	did := make(chan struct{})
	select {
	case s.calls <- func(now time.Time) { f(now); close(did) }:
	case <-s.done:
		return false
	}
	<-did
	return true
}

// read takes datagrams off the socket. Its errors are news about datagrams sent
// earlier: to the protocol they are loss.
func (s *Session) read(to chan<- inbound, free <-chan []byte) {
	for {
		var buf []byte
		select {
		case buf = <-free:
		case <-s.done:
			return
		}
		run, err := s.socket.Receive(buf)
		for err != nil {
			select {
			case <-s.done:
				return
			default:
			}
			run, err = s.socket.Receive(buf)
		}
		select {
		case to <- inbound{buf: buf, Run: run}:
		case <-s.done:
			return
		}
	}
}

// loop owns the core.
func (s *Session) loop(arrived <-chan inbound, free chan<- []byte) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case d := <-arrived:
			for rest := d.buf[:d.N]; len(rest) > 0; {
				n := min(d.Seg, len(rest))
				s.core.HandleDatagram(time.Now(), peer.Inbound{From: d.From, To: d.To, CE: d.CE, At: d.At}, rest[:n])
				s.take()
				rest = rest[n:]
			}
			free <- d.buf
		case f := <-s.calls:
			f(time.Now())
		case <-timer.C:
			s.core.HandleTimeout(time.Now())
		case <-s.ended:
			s.core.Close(time.Now(), peer.CloseNormal)
			s.drain(time.Now())
			for _, c := range s.channels {
				c.end(channel.ReasonNone, false)
			}
			return
		}
		s.drain(time.Now())
		if d := s.core.NextDeadline(); !d.IsZero() {
			timer.Reset(time.Until(d))
		} else {
			timer.Stop()
		}
	}
}

// drain takes everything out of the core.
func (s *Session) drain(now time.Time) {
	s.take()
	for {
		n, to, ok := s.core.Poll(now, s.out[:])
		if !ok {
			break
		}
		_ = s.socket.SendFrom(s.out[:n], n, s.core.Source(), to) // an error is loss
	}
	s.take()
}

// take hands units and events to those who wait for them. The events of channels
// come first: a channel is known before its units.
func (s *Session) take() {
	for {
		e, ok := s.core.PollChannelEvent()
		if !ok {
			break
		}
		s.onChannelEvent(e)
	}
	for {
		id, n, ok := s.core.ReadUnit(s.unit[:])
		if !ok {
			break
		}
		if c := s.channels[id]; c != nil && !c.deliver(s.unit[:n]) {
			s.core.CloseChannel(time.Now(), id, channel.ReasonOverflow)
		}
	}
	for {
		e, ok := s.core.PollEvent()
		if !ok {
			break
		}
		switch e.Kind {
		case peer.SessionUp:
			s.up.set(true)
			s.events.put(Event{Kind: EventUp}, maxEvents)
		case peer.SessionDown:
			s.up.set(false)
			s.events.put(Event{Kind: EventDown}, maxEvents)
		case peer.IndexAdded, peer.IndexRemoved, peer.PathChanged, peer.TunnelCommitted, peer.PathDecided:
		}
	}
}

func (s *Session) onChannelEvent(e peer.ChannelEvent) {
	c := s.channels[e.Channel]
	switch e.Kind {
	case channel.EventOpened:
		if e.ByPeer && c == nil {
			c = newChannel(s, e.Channel, e.Capabilities)
			if s.accept.len() >= maxAccept {
				s.core.CloseChannel(time.Now(), e.Channel, channel.ReasonLimit)
				return
			}
			s.channels[e.Channel] = c
			s.accept.put(c, maxAccept)
		}
	case channel.EventClosed, channel.EventRefused:
		if c != nil {
			delete(s.channels, e.Channel)
			c.end(e.Reason, e.ByPeer)
			s.events.put(Event{Kind: EventClosed, Channel: c, Reason: e.Reason, ByPeer: e.ByPeer}, maxEvents)
		}
	case channel.EventLost:
		if c != nil {
			s.events.put(Event{Kind: EventLost, Channel: c, Segments: e.Segments}, maxEvents)
		}
	}
}
