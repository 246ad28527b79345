package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/agreement"
	"github.com/totg/totg/tunnel/flow"
)

// AutoRedundancy is the redundancy without a cap.
const AutoRedundancy = reliability.Auto

// Config configures a Peer.
type Config struct {
	Private handshake.PrivateKey
	Remote  handshake.PublicKey
	PSK     handshake.PresharedKey // zero: none
	AES     bool                   // this host has AES instructions (W-2)

	// Endpoint is where to call the peer; invalid: wait for its call.
	Endpoint netip.AddrPort
	// Keepalive, if positive, is the longest silence of ours.
	Keepalive time.Duration
	// Rate is how the sending rate is found (G-4).
	Rate rate.Config
	// Redundancy caps the datagrams in advance per new symbol: 0 allows
	// none, AutoRedundancy leaves it to the need rule.
	Redundancy float64
	// ARQ switches coding off: what is lost is resent, and nothing else. It is
	// there to be compared with.
	ARQ bool
	// MaxDatagram is the largest UDP payload to try over IPv4, 1,200 to 1,472;
	// 0 means DefaultMaxDatagram.
	MaxDatagram int
	// Buffers is how many bytes what the peer sends may take here, for missing
	// symbols and segments; 0, or more than they take at most, is no limit.
	Buffers int
	// Rules say how inner packets travel (C-7); the first that a packet meets
	// decides.
	Rules []flow.Rule
	// Units: the peers carry a program's units, on channels that the program
	// opens (OpenChannel, WriteUnit, ReadUnit), and no inner packets.
	Units bool
	// Rekey is how long keys are used; 0 means DefaultRekey (H-7).
	Rekey time.Duration
	// Agreements are the named actions with the peer; nil: none. The caller
	// polls their events, and this Peer their messages.
	Agreements *agreement.Book
	// Random gives keys, indices and jitter; it must never fail.
	Random io.Reader
}

func (c *Config) validate() error {
	if c.MaxDatagram == 0 {
		c.MaxDatagram = DefaultMaxDatagram
	}
	if c.Rekey == 0 {
		c.Rekey = DefaultRekey
	}
	switch {
	case c.Random == nil:
		return errors.New("peer: no source of randomness")
	case !c.Rate.Valid():
		return errors.New("peer: invalid rate")
	case !(c.Redundancy >= 0):
		return errors.New("peer: negative redundancy")
	case c.MaxDatagram < baseDatagram || c.MaxDatagram > DefaultMaxDatagram:
		return fmt.Errorf("peer: datagram of %d bytes, want %d to %d", c.MaxDatagram, baseDatagram, DefaultMaxDatagram)
	case c.Rekey < MinRekey:
		return fmt.Errorf("peer: keys for %v, want at least %v", c.Rekey, MinRekey)
	case c.Buffers < 0 || c.Buffers > 0 && c.Buffers < minBuffers:
		return fmt.Errorf("peer: buffers of %d bytes, want %d", c.Buffers, minBuffers)
	case c.Keepalive < 0:
		return errors.New("peer: negative keepalive")
	case c.Private.Public() == c.Remote:
		return errors.New("peer: the peer has our own key")
	}
	return nil
}

// Inbound is where a datagram came from.
type Inbound struct {
	From netip.AddrPort
	To   netip.Addr // the address of this host that it came to; invalid: not known
	CE   bool       // its IP header carries a congestion mark
	// At is when the network delivered it, zero for now: what the host was late to
	// look at it is no delay of the path (G-1).
	At time.Time
}

// timer indexes the timers of a Peer.
type timer uint8

const (
	timerGiveUp    timer = iota // of the attempt
	timerPending                // end of the pending session
	timerDead                   // an answer is late
	timerKeepalive              // time for a sign of life
	timerPath                   // time to search a larger datagram
	timerQuiet                  // the peer stopped sending
	timerRekey                  // time for the next key epoch
	timerOld                    // end of the old receiving key
	timerLeave                  // end of the session that is to be closed
	timerUp                     // time for the ladder of RESP
	numTimers
)

// Peer is one peer's session and what leads to it. See the package
// documentation for the contract.
type Peer struct {
	cfg          Config
	local        handshake.PublicKey
	remoteStatic [32]byte
	identity     handshake.Identity
	jitter       *rand.Rand

	now     time.Time
	timers  [numTimers]time.Time
	queue   *flow.Queue
	inner   *flow.Held // what of inner TCP is in the queue or on its way
	policy  *flow.Classifier
	program program
	path    path
	attempt *attempt
	next    *pending
	cur     *session
	newest  handshake.Timestamp // timestamp of the peer's newest INIT (H-6)

	pingDue   bool
	held      bool      // something may wait for pacing or for the path
	heldUntil time.Time // zero: until an input changes it
	down      bool
	leaving   bool // Leave was called
	events    []Event
	spare     engines   // of the next session
	floodNext time.Time // INIT and RESP wait until then
	goodbye   goodbye
	ladders   ladders
	moved     Move       // the newest switch of the path
	source    netip.Addr // of the newest datagram
	stats     Counters
	drops     [NumDropReasons]uint64
}

// New returns a Peer that calls its endpoint, if it has one.
func New(now time.Time, cfg Config) (*Peer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	static, err := cfg.Remote.X25519()
	if err != nil {
		return nil, fmt.Errorf("peer: public key: %w", err)
	}
	identity, err := handshake.NewIdentity(cfg.Private)
	if err != nil {
		return nil, fmt.Errorf("peer: private key: %w", err)
	}
	var seed [32]byte
	if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
		return nil, fmt.Errorf("peer: randomness: %w", err)
	}
	p := &Peer{
		cfg: cfg, local: cfg.Private.Public(), remoteStatic: static, identity: identity,
		jitter: rand.New(rand.NewChaCha8(seed)),
		now:    now,
		inner:  flow.NewHeld(maxHeld),
		path:   path{max: cfg.MaxDatagram, size: baseDatagram},
		events: make([]Event, 0, maxEvents),
	}
	perturbation := p.jitter.Uint64()
	p.queue = flow.NewQueue(flow.QueueConfig{
		Capacity: queueCapacity(cfg.Rate.Ceiling), Perturbation: perturbation, Held: p.inner, Keep: cfg.Units,
	})
	p.policy = flow.NewClassifier(cfg.Rules, perturbation)
	p.startAttempt()
	return p, nil
}

// HandleDatagram handles a datagram from the network. b is opened in place.
func (p *Peer) HandleDatagram(now time.Time, in Inbound, b []byte) DropReason {
	p.advance(now)
	return p.count(p.handleDatagram(in, b))
}

func (p *Peer) handleDatagram(in Inbound, b []byte) DropReason {
	if p.down {
		return DropClosed
	}
	switch typeOf(b) {
	case wire.TypeData:
		return p.handleData(in, b)
	case wire.TypeAside:
		return p.handleAside(in, b)
	case wire.TypeResp:
		return p.handleResp(in, b)
	case wire.TypeCookie:
		return p.handleCookie(b)
	case wire.TypeInit:
		init, err := p.identity.OpenInit(b)
		if err != nil {
			return DropInit
		}
		return p.handleInit(in, init, b)
	}
	return DropMalformed
}

// WritePacket queues a unit for the peer. It reports false if it is no unit or
// the queue is full: the caller keeps or drops it. What an inner TCP sends again
// although it is still on its way is dropped here: the path resends by itself,
// and copies would pile up.
func (p *Peer) WritePacket(now time.Time, unit []byte) bool {
	p.advance(now)
	pkt, ok := flow.Parse(unit)
	if !ok || p.down || p.cfg.Units {
		return false
	}
	if p.cur == nil {
		p.startAttempt()
	}
	if p.inner.Holds(unit) {
		p.stats.Suppressed++
		return true
	}
	return p.queue.Push(p.now, &pkt, p.policy.Classify(p.now, &pkt), unit)
}

// HandleTimeout does what is due. Early or spurious calls do nothing.
func (p *Peer) HandleTimeout(now time.Time) { p.advance(now) }

// SetEndpoint changes where to call the peer, and calls it if there is no
// session.
func (p *Peer) SetEndpoint(now time.Time, endpoint netip.AddrPort) {
	p.advance(now)
	p.cfg.Endpoint = endpoint
	if p.cur == nil {
		p.startAttempt()
	}
}

// Close ends the session: the peer is told, and the Peer does nothing more.
func (p *Peer) Close(now time.Time, code CloseCode) {
	p.advance(now)
	p.stopAttempt()
	p.dropPending()
	if p.cur != nil {
		p.closeSession(p.cur, CloseError{Code: code})
	}
	p.down = true
}

// Poll writes the next datagram to send into buf, which must hold MaxDatagram
// bytes, and says where it goes.
func (p *Peer) Poll(now time.Time, buf []byte) (n int, to netip.AddrPort, ok bool) {
	p.advance(now)
	p.source = netip.Addr{}
	if n, to = p.pollClose(buf); n > 0 {
		return n, to, true
	}
	if n, to = p.pollHandshake(buf); n > 0 {
		return n, to, true
	}
	if n, to = p.pollAside(buf); n > 0 {
		return n, to, true
	}
	p.callForLadders()
	if n = p.pollSession(buf); n > 0 {
		p.source = p.path.local
		return n, p.path.addr, true
	}
	return 0, netip.AddrPort{}, false
}

// Source is the address of this host that the datagram of the newest Poll is to leave
// from; invalid: the host's routes choose. Who was asked for another path at one of
// several addresses stays with that one.
func (p *Peer) Source() netip.Addr { return p.source }

// ReadPacket writes the next unit from the peer into buf, which must hold
// flow.MaxUnit bytes.
func (p *Peer) ReadPacket(buf []byte) (n int, ok bool) {
	if p.cur == nil || p.cfg.Units {
		return 0, false
	}
	for {
		s := p.cur
		n, ok := s.mux.ReadUnit(buf)
		if !ok {
			return 0, false
		}
		n, err := s.headers.expand(buf, n)
		if err != nil {
			p.closeSession(s, CloseError{Code: CloseProtocol, Reason: err.Error()})
			return 0, false
		}
		if _, good := flow.Parse(buf[:n]); good {
			p.stats.RxPackets++
			p.stats.RxBytes += uint64(n - 1)
			return n, true
		}
		p.stats.RxMalformed++
	}
}

// PollEvent returns the next event.
func (p *Peer) PollEvent() (Event, bool) {
	if len(p.events) == 0 {
		return Event{}, false
	}
	e := p.events[0]
	p.events = append(p.events[:0], p.events[1:]...)
	return e, true
}

// NextDeadline is when HandleTimeout must be called: zero for never.
func (p *Peer) NextDeadline() time.Time {
	if p.down {
		return time.Time{}
	}
	d := earlier(p.handshakeDeadline(), p.idleDeadline())
	for _, t := range p.timers {
		d = earlier(d, t)
	}
	s := p.cur
	if s == nil {
		return d
	}
	d = earlier(earlier(d, s.sender.Deadline()), s.mux.Deadline())
	d = earlier(d, p.moveDeadline(s))
	if p.held {
		return earlier(d, p.heldUntil)
	}
	d = earlier(earlier(d, p.probeDeadline()), p.ladderDeadline())
	return earlier(d, s.receiver.ReceiptDeadline(p.loaded()))
}

// advance moves the clock, never back (clause 2), and does what is due.
func (p *Peer) advance(now time.Time) {
	if now.After(p.now) {
		p.now = now
	}
	if p.down {
		return
	}
	for t := range numTimers {
		if at := p.timers[t]; !at.IsZero() && !p.now.Before(at) {
			p.timers[t] = time.Time{}
			p.fire(t)
		}
	}
	p.tendLadders()
	s := p.cur
	if s == nil {
		return
	}
	s.sender.HandleTimeout(p.now)
	s.mux.HandleTimeout(p.now)
	p.keepChannels(s)
	if q := &p.path.probe; p.probeDue() && q.tries >= q.limit {
		p.failProbe()
	}
	if s.confirm != nil && s.confirm.Due(p.now) {
		s.confirm.OnSent(p.now)
		p.pingDue = true
	}
	if p.cur == s && s.sender.NextPN() >= maxPacketNumbers {
		p.dropSession(&CloseError{Code: CloseNormal, Reason: "keys used up"})
		p.startAttempt()
	}
}

func (p *Peer) fire(t timer) {
	switch t {
	case timerGiveUp:
		p.onGiveUp()
	case timerPending:
		p.dropPending()
		if p.cur == nil {
			p.startAttempt()
		}
	case timerDead:
		p.onDeadTimer()
	case timerKeepalive:
		p.onKeepalive()
	case timerPath:
		p.searchSize()
	case timerQuiet:
		p.pingDue = p.cur != nil
	case timerRekey:
		p.onRekeyTimer()
	case timerOld:
		p.dropOld(p.cur)
	case timerLeave:
		p.onLeaveTimer()
	case timerUp:
		p.hearUp(p.cur)
	case numTimers:
	}
}

// closeSession tells the peer why the session ends, and ends it.
func (p *Peer) closeSession(s *session, why CloseError) {
	p.stats.Closed++
	if p.cur == s {
		p.prepareClose(s, why)
		p.dropSession(&why)
	}
}

// onRemoteClose follows the peer's CLOSE and calls it again: it may be back
// soon, and nobody else will.
func (p *Peer) onRemoteClose(e CloseError) {
	p.dropSession(&e)
	if p.cfg.Endpoint.IsValid() {
		p.path.addr = p.cfg.Endpoint
		p.startAttempt()
	}
}

// loaded reports a backlog of our own: receipts then keep to a small share.
func (p *Peer) loaded() bool { return p.queue.Bytes() > 0 }

func (p *Peer) emit(e Event) {
	if len(p.events) == maxEvents {
		panic("peer: events are not polled")
	}
	p.events = append(p.events, e)
}

func (p *Peer) count(d DropReason) DropReason {
	p.drops[d]++
	return d
}

// token returns 64 random bits.
func (p *Peer) token() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(p.cfg.Random, b[:]); err != nil {
		panic("peer: randomness: " + err.Error())
	}
	return binary.BigEndian.Uint64(b[:])
}

// earlier returns the earlier of two deadlines; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
