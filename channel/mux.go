package channel

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Handle names a channel at this end. It is comparable; the zero Handle and
// that of a closed channel name none, and are never reused for another.
type Handle struct {
	slot uint32
	gen  uint32
}

// Config of a Mux.
type Config struct {
	// Local and Remote are the public keys of the two ends. They must differ.
	Local, Remote [32]byte
	// Random gives the cookie secrets and the first halves of ids. It is read
	// by NewMux only.
	Random io.Reader
	Limits Limits
}

func (c *Config) validate() error {
	switch {
	case c.Local == c.Remote:
		return fmt.Errorf("%w: Local and Remote are the same", ErrConfig)
	case c.Random == nil:
		return fmt.Errorf("%w: Random is missing", ErrConfig)
	}
	return c.Limits.validate()
}

// Mux holds the channels of one session. See the package documentation.
type Mux struct {
	limits   Limits
	us, them peerID
	start    time.Time
	at       time.Duration // newest now seen, since start

	// Channels by slot, and by the opener's half: the two sides may pick the
	// same one ("crossed wires", C-1).
	slots     []*channel
	gens      []uint32
	freeSlots []uint32
	local     table // opened by us
	remote    table // opened by the peer
	last      *channel
	tail      *channel // whose segment was appended last
	tombs     tombs

	jar1, jar2  jar    // cookies of channels that we, that the peer opens
	half1       uint16 // last c1 chosen
	half2       uint16 // last c2 chosen
	handshaking int    // channels Opening or Finalizing
	handshakeAt time.Duration

	control     queue[outgoing]
	replies     int    // items of control sent on the peer's demand
	controlSeq  uint32 // of the next control segment
	controlSeen window

	in      intake
	trails  trails
	stalled queue[*channel] // ordered channels that wait for the ready queue
	gapAt   time.Duration   // when the patience with a gap ends, or earlier; 0: never
	rtt     time.Duration
	jitter  time.Duration
	events  queue[Event]
	trimAt  time.Duration // 0: nothing to trim
}

// NewMux returns a Mux without channels. It fails on an invalid configuration
// or where Random does.
func NewMux(now time.Time, cfg Config) (*Mux, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var seed [4*secretLen + 4]byte
	if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	var s [4]secret
	for i := range s {
		copy(s[i][:], seed[i*secretLen:])
	}
	m := &Mux{
		limits:      cfg.Limits,
		us:          cfg.Local,
		them:        cfg.Remote,
		start:       now,
		local:       newTable(),
		remote:      newTable(),
		jar1:        newJar(s[0], s[1]),
		jar2:        newJar(s[2], s[3]),
		half1:       binary.BigEndian.Uint16(seed[4*secretLen:]),
		half2:       binary.BigEndian.Uint16(seed[4*secretLen+2:]),
		controlSeen: newWindow(controlWindow),
		rtt:         initialRTT,
	}
	m.in.pool.limit = cfg.Limits.BufferBytes
	m.in.timeout = cfg.Limits.UnitTimeout
	return m, nil
}

// observe takes note of the time: an older now counts as the newest seen.
func (m *Mux) observe(now time.Time) time.Duration {
	m.at = max(m.at, now.Sub(m.start))
	return m.at
}

// Open begins the handshake of a channel with these capabilities; EventOpened
// or EventRefused follows. ErrMode: there is no such mode.
// ErrTooManyOpening, ErrTooManyChannels: try again after an event, or after
// AppendControl has sent what waits.
func (m *Mux) Open(now time.Time, caps Capabilities) (Handle, error) {
	switch {
	case !caps.Valid():
		return Handle{}, ErrMode
	case m.handshaking >= m.limits.Opening:
		return Handle{}, ErrTooManyOpening
	case m.local.slots >= m.limits.Channels:
		return Handle{}, ErrTooManyChannels
	}
	m.observe(now)
	m.half1 = m.local.freeHalf1(m.half1)
	c := m.newChannel(makeID(m.half1, 0), caps, false)
	c.state = Opening
	m.handshaking++
	m.try(c)
	return c.handle, nil
}

// Preset opens channels that both ends have from the beginning, without a
// handshake: number i of the list has the id i+1 in both halves, once opened by
// each side. Both ends call it with the same list, before anything else (C-6). It
// returns the handles of those that are this side's.
func (m *Mux) Preset(list []Capabilities) []Handle {
	if len(m.slots) > 0 {
		panic("channel: Preset of a Mux in use")
	}
	own := make([]Handle, 0, len(list))
	for i, caps := range list {
		half := uint16(i + 1)
		for _, remote := range [...]bool{false, true} {
			c := m.newChannel(makeID(half, half), caps, remote)
			c.listen()
			c.state, c.since = Established, m.at
			if !remote {
				own = append(own, c.handle)
			}
		}
	}
	return own
}

// State of a channel. A handle that names none is Closed.
func (m *Mux) State(h Handle) State {
	if c := m.lookup(h); c != nil {
		return c.state
	}
	return Closed
}

// CloseChannel closes a channel and tells the peer why. It does nothing where
// the channel is closed already.
func (m *Mux) CloseChannel(now time.Time, h Handle, reason Reason) {
	m.observe(now)
	if c := m.lookup(h); c != nil && c.state != Closed {
		m.shut(c, reason, false)
	}
}

// Place says where a segment lies in its unit and in its symbol.
type Place uint8

// The bits of a Place. Neither First nor Last is the middle of a unit.
const (
	First Place = flagFirst // the segment begins a unit
	Last  Place = flagLast  // it ends one
	Whole       = First | Last
	ToEnd Place = flagToEnd // nothing follows in its symbol: it needs no length
	Next  Place = flagNext  // it Follows the segment before it, or Continues its symbol: nor does it need an id or a number
)

// PlaceOf is where n bytes from offset on lie in a unit of so many.
func PlaceOf(offset, n, size int) (at Place) {
	if offset == 0 {
		at |= First
	}
	if offset+n == size {
		at |= Last
	}
	return at
}

// Follows reports whether the segment that was appended last was one of this channel,
// so that another in the same symbol may be appended as Next.
func (m *Mux) Follows(h Handle) bool {
	c := m.lookup(h)
	return c != nil && c == m.tail && c.state == Established
}

// Continues reports whether the segment that was appended last was one of this channel,
// and another that begins the next symbol of the same block may be appended as Next: its
// units wait for each other anyway, so it may wait for the symbol before it.
func (m *Mux) Continues(h Handle) bool { return m.Follows(h) && m.tail.caps == ModeTCP }

// AppendSegment appends the next segment of a channel that CanSend: b, 1 to
// MaxSegment bytes, is the next piece of the unit that began with First and
// ends with Last. A unit once begun must be finished. The segment costs Overhead,
// as Next NextSegmentHeaderLen, and LengthLen less of both with ToEnd.
// It panics in any other state, where First and Last do not make units, and on a Next
// that follows nothing.
func (m *Mux) AppendSegment(dst []byte, h Handle, at Place, b []byte) []byte {
	c := m.lookup(h)
	if c == nil || (c.state != Established && c.state != Finalizing) {
		panic("channel: AppendSegment on a channel that is not ready")
	}
	if len(b) == 0 || len(b) > MaxSegment {
		panic("channel: AppendSegment of no or too many bytes")
	}
	if first := at&First != 0; first == c.within {
		panic("channel: AppendSegment begins a unit inside another, or goes on with none")
	}
	if at&Next != 0 && !m.Follows(h) {
		panic("channel: AppendSegment of a next segment that follows none")
	}
	c.within = at&Last == 0
	if !c.within {
		c.unitsSent++
	}
	if c.state == Finalizing {
		dst = m.appendCookie(dst, c)
	}
	hdr := header{id: c.id, seq: uint32(c.sent), flags: uint8(at)}
	if !c.remote {
		hdr.flags |= flagOpener
	}
	c.sent++
	m.tail = c
	m.in.stats.SegmentsSent++
	m.in.stats.BytesSent += uint64(len(b))
	return append(appendHeader(dst, hdr, len(b)), b...)
}

// HandleSegments takes the payload of one symbol, segments back to back, that
// continues none before it. Take what became complete with ReadUnit afterwards. On
// an error, which is the peer's, nothing has changed.
func (m *Mux) HandleSegments(now time.Time, b []byte) error {
	if _, err := check(b, header{}); err != nil {
		return err
	}
	m.observe(now)
	m.take(b, header{})
	m.armTrim()
	return nil
}

// take takes segments that were checked. before is the header of the one before them.
func (m *Mux) take(b []byte, before header) {
	for len(b) > 0 {
		h, body, rest, err := parseSegment(b, before)
		if err != nil {
			panic("channel: segments were not checked")
		}
		b, before = rest, h
		switch {
		case h.id == 0:
			m.handleControl(h.seq, body)
		case h.flags&flagCookie != 0:
			if msg, err := parseCookie(h, body); err == nil {
				m.handleFinalize(&msg)
			}
		default:
			m.receive(h, body)
		}
	}
}

// receive takes a segment of a negotiated channel.
func (m *Mux) receive(h header, body []byte) {
	c := m.find(h.id, h.flags&flagOpener != 0)
	if c == nil {
		m.stray(h)
		return
	}
	if c.state == Finalizing {
		m.establish(c) // the responder has FINALIZE: it sends data
	}
	m.in.stats.SegmentsReceived++
	m.in.stats.BytesReceived += uint64(len(body))
	var why Reason
	if c.ordered != nil {
		why = c.ordered.receive(&m.in, m.at, h, body)
		m.noteLoss(c)
		if c.ordered.stalled() {
			m.stall(c)
		}
	} else {
		why = c.unordered.receive(&m.in, m.at, h, body)
	}
	if why == ReasonNone {
		m.watch(c)
		return
	}
	if why != ReasonLoss { // which is nobody's fault
		m.in.stats.Violations++
	}
	m.shut(c, why, false)
}

// ReadUnit copies the next complete unit into buf, which must have MaxUnit
// bytes or more, and returns its length. ok is false where there is none. Units
// of an ordered channel come in order; there is no order between channels.
func (m *Mux) ReadUnit(buf []byte) (n int, ok bool) {
	_, n, ok = m.ReadFrom(buf)
	return n, ok
}

// ReadFrom is ReadUnit that also tells the channel, which may have closed since.
func (m *Mux) ReadFrom(buf []byte) (h Handle, n int, ok bool) {
	if len(buf) < MaxUnit {
		panic("channel: ReadUnit into a buffer below MaxUnit")
	}
	if m.in.ready.len() == 0 {
		return Handle{}, 0, false
	}
	u := m.in.ready.pop()
	h, n = u.from, copy(buf, u.b)
	if c := m.lookup(h); c != nil {
		c.unitsReceived++
	}
	m.in.pool.put(u)
	m.in.stats.UnitsDelivered++
	m.armTrim()
	if m.stalled.len() > 0 {
		m.resume()
	}
	return h, n, true
}

// stall remembers that c has units to deliver and no room for them.
func (m *Mux) stall(c *channel) {
	if !c.stalled {
		c.stalled = true
		m.stalled.push(c)
	}
}

// resume lets channels deliver that waited for room in the ready queue, in
// turn. Afterwards none waits, or the queue is full again.
func (m *Mux) resume() {
	for n := m.stalled.len(); n > 0 && !m.in.full(); n-- {
		c := m.stalled.pop()
		c.stalled = false
		if c.state == Closed {
			continue
		}
		if why := c.ordered.drain(&m.in); why != ReasonNone {
			m.violate(c, why)
		} else if c.ordered.stalled() {
			m.stall(c)
		} else {
			m.watch(c)
		}
	}
}

// Deadline is when HandleTimeout must be called next; zero: never.
func (m *Mux) Deadline() time.Time {
	at := m.handshakeAt
	if p := m.in.oldest; p != nil {
		at = sooner(at, p.at+m.in.timeout)
	}
	at = sooner(sooner(at, m.trimAt), m.gapAt)
	if at == 0 {
		return time.Time{}
	}
	return m.start.Add(at)
}

// sooner is the earlier of two times, where 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// HandleTimeout repeats or ends handshakes that are due, deals with gaps that have
// lasted too long, and drops incomplete units that are too old. Calls that are
// too early do nothing.
func (m *Mux) HandleTimeout(now time.Time) {
	at := m.observe(now)
	if m.handshakeAt != 0 && m.handshakeAt <= at {
		m.retry()
	}
	m.in.expire(at)
	if m.gapAt != 0 && m.gapAt <= at {
		m.checkGaps()
	}
	if m.trimAt != 0 && m.trimAt <= at {
		m.trimAt = 0
		m.in.pool.trim()
		m.armTrim()
	}
}

// armTrim plans to give free memory back, once there is much of it.
func (m *Mux) armTrim() {
	if m.trimAt == 0 && m.in.pool.idle > idleBytes {
		m.trimAt = m.at + trimInterval
	}
}

// PollEvent takes the oldest event.
func (m *Mux) PollEvent() (Event, bool) {
	if m.events.len() == 0 {
		return Event{}, false
	}
	e := m.events.pop()
	if e.Kind == EventLost {
		m.takeLoss(&e)
	}
	return e, true
}

// Stats returns the counters.
func (m *Mux) Stats() Stats {
	s := m.in.stats
	s.Channels = len(m.local.byHalf) + len(m.remote.byHalf)
	s.Buffered = m.in.pool.used
	return s
}
