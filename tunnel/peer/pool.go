package peer

import (
	"slices"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/tunnel/flow"
)

// numModes is the number of channel modes (C-4).
const numModes = int(channel.ModeTCP) + 1

// Channels (C-6).
const (
	// buckets is how many channels of their own the flows of a mode have at
	// most, which two classes share in the modes that both use.
	buckets = flow.FlowNumbers
	// warm is how many channels of each mode in use are ready for new flows.
	// A burst of more shares the mode's first channel.
	warm = 4
	// idleAfter is how long a flow's channel stays without a packet: as long as
	// many address translators remember UDP (RFC 4787, section 4.3).
	idleAfter = time.Minute
	// idleInterval is how often idle channels are looked for.
	idleInterval = 10 * time.Second
	// maxChannels bounds the channels of one side.
	maxChannels = 2048
)

// lane is the channel that a bucket of flows has.
type lane struct {
	h     channel.Handle
	own   bool      // no other bucket uses it
	used  time.Time // by the newest unit
	block uint64    // that the newest segment went into, plus one
}

// pool holds the channels of one mode that one class uses: a channel carries one
// unit at a time, and so does a class.
type pool struct {
	mode  channel.Capabilities
	base  channel.Handle   // shared by the flows that have none
	ready []channel.Handle // for new flows; some may still be in their handshake
	lanes []lane           // by flow; nil: the pool is not in use
}

// pools are the channels that this side opened for inner packets. A flow never
// waits for a handshake (C-6): it takes a ready channel, or shares the first one
// of its mode, or that of the mode nearest to it.
type pools struct {
	by     [flow.NumClasses][numModes]pool
	idleAt time.Time // of the next look for idle channels
	short  bool      // a pool may need more channels
}

// use makes a pool one that packets may ask for.
func (ps *pools) use(c flow.Class, mode channel.Capabilities) *pool {
	m := &ps.by[c][mode]
	if m.lanes == nil {
		n := buckets
		if c == flow.Interactive || c == flow.Message {
			n /= 2
		}
		*m = pool{mode: mode, lanes: make([]lane, n)}
		ps.short = true
	}
	return m
}

// fallback is the mode of a class that carries units whose own mode has no
// channel yet: what may lose nothing still does not.
func fallback(c flow.Class) channel.Capabilities {
	if c == flow.Stream {
		return channel.ModeTCP
	}
	return channel.ModeZ
}

// useModes prepares the modes of the defaults and of the rules (C-7).
func (p *Peer) useModes(s *session) {
	if p.cfg.Units {
		return
	}
	for _, c := range []flow.Class{flow.Stream, flow.Interactive, flow.Message} {
		s.pools.use(c, fallback(c))
	}
	s.pools.use(flow.Interactive, channel.ModeStreaming2)
	list := presets()
	modes := make([]channel.Capabilities, len(list))
	for i, x := range list {
		modes[i] = x.mode
	}
	for i, h := range s.mux.Preset(modes) {
		s.pools.by[list[i].class][list[i].mode].base = h
	}
	for i := range p.cfg.Rules {
		for _, c := range p.cfg.Rules[i].Classes() {
			s.pools.use(c, fallback(c))
			s.pools.use(c, channel.Capabilities(p.cfg.Rules[i].Mode))
		}
	}
	p.refill(s)
}

// preset is a channel that every session has from the beginning, for the packets
// that come before a handshake could end (C-6).
type preset struct {
	class flow.Class
	mode  channel.Capabilities
}

// presets are the channels of the defaults, in the order of their ids, the same at
// both ends (docs/protocol.md, section 6).
func presets() [4]preset {
	return [...]preset{
		{flow.Stream, fallback(flow.Stream)},
		{flow.Interactive, fallback(flow.Interactive)},
		{flow.Message, fallback(flow.Message)},
		{flow.Interactive, channel.ModeStreaming2},
	}
}

// each calls f for every pool in use.
func (ps *pools) each(f func(c flow.Class, m *pool)) {
	for c := range ps.by {
		for mode := range ps.by[c] {
			if m := &ps.by[c][mode]; m.lanes != nil {
				f(flow.Class(c), m)
			}
		}
	}
}

// refill opens the channels that are missing: the first of each mode at once, the
// ready ones when that is there.
func (p *Peer) refill(s *session) {
	if !s.pools.short {
		return
	}
	s.pools.short = false
	s.pools.each(func(_ flow.Class, m *pool) {
		if s.mux.State(m.base) == channel.Closed {
			m.base = p.open(s, m.mode)
		}
		if s.sender.Measuring() { // its few small datagrams are for packets (G-3)
			s.pools.short = true
			return
		}
		for s.mux.State(m.base) == channel.Established && len(m.ready) < warm {
			h := p.open(s, m.mode)
			if h == (channel.Handle{}) {
				return
			}
			m.ready = append(m.ready, h)
		}
	})
}

// open begins a channel; the zero Handle where that has to wait.
func (p *Peer) open(s *session, caps channel.Capabilities) channel.Handle {
	h, err := s.mux.Open(p.now, caps)
	if err != nil {
		s.pools.short = true // an event or a message that leaves makes room
	}
	return h
}

// ready reports whether units of a class can be sent.
func (s *session) ready(c flow.Class) bool {
	return s.mux.CanSend(s.pools.by[c][fallback(c)].base)
}

// laneFor is the channel for a unit of the class that begins now. ready has said
// that there is one.
func (p *Peer) laneFor(s *session, c flow.Class, u *flow.Unit) *lane {
	m := s.pools.use(c, channel.Capabilities(u.Treatment.Mode))
	l := p.assign(s, m, u.Flow)
	if !s.mux.CanSend(l.h) { // the mode has no channel yet
		l = p.assign(s, &s.pools.by[c][fallback(c)], u.Flow)
	}
	l.used = p.now
	return l
}

// assign gives a flow a channel: one of its own as soon as what it sent on another
// is known to have arrived, and nothing of it is in the symbol that is being made, so
// that no packet overtakes one before it.
func (p *Peer) assign(s *session, m *pool, number uint8) *lane {
	i := int(number) % len(m.lanes)
	l := &m.lanes[i]
	alive := s.mux.CanSend(l.h)
	if alive && (l.own || l.block > s.sender.OldestBlock() || slices.Contains(s.touched, l)) {
		return l
	}
	for k, h := range m.ready {
		if s.mux.CanSend(h) {
			m.ready = append(m.ready[:k], m.ready[k+1:]...)
			s.pools.short = true
			p.move(s, m, i, lane{h: h, own: true})
			return l
		}
	}
	if !alive {
		p.move(s, m, i, lane{h: m.base})
	}
	return l
}

// move puts a bucket on a channel, which knows no headers of it yet.
func (p *Peer) move(s *session, m *pool, i int, l lane) {
	m.lanes[i] = l
	if m.mode == channel.ModeTCP {
		s.headers.forget(uint8(i))
	}
}

// keepChannels follows what happened to channels: those that closed are replaced.
func (p *Peer) keepChannels(s *session) {
	for {
		e, ok := s.mux.PollEvent()
		if !ok {
			break
		}
		if p.cfg.Units {
			p.onChannelEvent(e)
			continue
		}
		s.pools.short = true
		if e.Kind != channel.EventClosed && e.Kind != channel.EventRefused {
			continue
		}
		if e.Kind == channel.EventClosed && e.Reason != channel.ReasonIdle {
			p.stats.ChannelsClosed++
		}
		s.pools.each(func(_ flow.Class, m *pool) {
			m.ready = slices.DeleteFunc(m.ready, func(h channel.Handle) bool { return h == e.Handle })
		})
	}
	p.closeIdle(s)
	p.refill(s)
}

// closeIdle closes the channels of flows that stopped, or gives them to new flows.
func (p *Peer) closeIdle(s *session) {
	if p.now.Before(s.pools.idleAt) {
		return
	}
	s.pools.idleAt = p.now.Add(idleInterval)
	s.pools.each(func(_ flow.Class, m *pool) {
		for i := range m.lanes {
			l := &m.lanes[i]
			if l.h == (channel.Handle{}) || p.now.Sub(l.used) < idleAfter || l.block > s.sender.OldestBlock() {
				continue
			}
			switch {
			case !l.own:
			case len(m.ready) < warm && s.mux.CanSend(l.h):
				m.ready = append(m.ready, l.h)
			default:
				s.mux.CloseChannel(p.now, l.h, channel.ReasonIdle)
			}
			p.move(s, m, i, lane{})
		}
	})
}

// carriage is the unit of a class that is being put into symbols.
type carriage struct {
	begun  bool
	offset int            // bytes of it that are in symbols
	on     *lane          // where it travels
	h      channel.Handle // … by then
	tcp    bool           // in mode TCP: its headers are shortened
}

// carry is the unit at the head of a class as it travels, and on which channel.
// One whose channel closed begins again.
func (p *Peer) carry(s *session, c flow.Class, u *flow.Unit) (k *carriage, out []byte) {
	k = &s.under[c]
	if k.begun && !s.mux.CanSend(k.h) {
		if k.tcp {
			s.headers.restore(u.B)
		}
		k.begun = false
	}
	if p.cfg.Units {
		ch := p.program.byTag[u.Treatment.Tag]
		k.begun, k.on, k.h = true, &ch.lane, ch.h
		return k, u.B
	}
	if !k.begun {
		l := p.laneFor(s, c, u)
		i, _ := s.mux.Info(l.h)
		*k = carriage{begun: true, on: l, h: l.h, tcp: i.Capabilities == channel.ModeTCP}
	}
	if k.tcp {
		return k, s.headers.shorten(u.Flow, u.B)
	}
	return k, u.B
}
