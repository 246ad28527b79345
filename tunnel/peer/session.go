package peer

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/tunnel/flow"
)

// session is everything that one set of keys protects.
type session struct {
	keys    *handshake.Session
	replay  handshake.ReplayWindow
	largest uint64 // packet number that arrived
	arrived bool
	created time.Time
	engines
	mux      *channel.Mux
	pools    pools
	under    [flow.NumClasses]carriage
	tickets  []int                    // of the units that end in the symbol being made
	touched  []*lane                  // by that symbol
	newest   reliability.Transmission // the newest symbol of inner packets
	headers  headers
	outcome  reliability.Outcome
	nextPath [maxResponses]uint64 // tokens to answer with PATH_RESPONSE
	paths    int

	lastRx  time.Time // newest datagram that opened
	waiting time.Time // oldest question since then, zero if none is open
	lost    bool      // it has been open for so long that the peer seems dead
	oldest  uint64    // block that the sender waited for longest
	since   time.Time // … and since when
	confirm *handshake.Flood

	up        *ladder.Machine // brings the tunnel up
	heard     []byte          // what RESP said to it, nil: it knows
	committed bool            // … and did
	rekey     *rekey          // the newest switch of the key epoch, nil before the first
	leave     *ladder.Machine // ends the session, nil: nobody wants to
	old       oldEpoch
	move      *move // the newest switch of the path, nil: none, or nothing came of it
	asides    asides
	keyed     time.Time // when the present keys came into use
	keyedPN   uint64    // … and from which packet number on
}

// class is the traffic class in which an inner class travels.
func class(c flow.Class) reliability.Class {
	switch c {
	case flow.Stream:
		return reliability.Bulk
	case flow.Interactive:
		return reliability.Interactive
	case flow.Message, flow.Once:
	}
	return reliability.Deadline
}

// newSession builds what a session needs for its handshake. furnish adds the rest,
// before the first datagram.
func (p *Peer) newSession(keys *handshake.Session, up *ladder.Machine) (*session, error) {
	segments, _ := p.cfg.buffers()
	mux, err := channel.NewMux(p.now, channel.Config{
		Local: p.local, Remote: p.cfg.Remote, Random: p.cfg.Random, Limits: channel.Limits{Channels: maxChannels, BufferBytes: segments},
	})
	if err != nil {
		return nil, err
	}
	return &session{keys: keys, up: up, created: p.now, lastRx: p.now, since: p.now, mux: mux}, nil
}

// engines are the large parts of a session. To make them takes a millisecond, which
// the first inner packet would wait for; so they are made while an INIT or a RESP is
// on its way (H-3).
type engines struct {
	sender   *reliability.Sender
	receiver *reliability.Receiver
}

// prepare makes the engines of the next session, unless they are there.
func (p *Peer) prepare() {
	if p.spare.sender != nil {
		return
	}
	_, window := p.cfg.buffers()
	p.spare = engines{
		sender:   reliability.NewSender(p.now, reliability.SenderConfig{Rate: p.cfg.Rate, Redundancy: p.cfg.Redundancy, ARQ: p.cfg.ARQ}),
		receiver: reliability.NewReceiver(p.now, reliability.ReceiverConfig{Rate: floodRate(p.cfg.Rate.Ceiling), Window: window}),
	}
}

// furnish completes a session, unless it is, and asks for the channels that inner
// packets need.
func (p *Peer) furnish(s *session) {
	if s.sender != nil {
		return
	}
	p.prepare()
	s.engines, p.spare = p.spare, engines{}
	p.useModes(s)
}

// handleData opens a datagram of a session and handles its frames.
func (p *Peer) handleData(in Inbound, b []byte) DropReason {
	r := wire.NewReader(b)
	_, index, low := r.U8(), r.U32(), r.U32()
	if r.Len() < tagLen+1 {
		return DropMalformed
	}
	s, promote := p.sessionOf(index)
	if s == nil {
		return DropIndex
	}
	pn := handshake.ReconstructPN(s.largest, low)
	if !s.replay.Check(pn) {
		return DropReplay
	}
	plain, err := s.keyOf(index).Open(b[headerLen:headerLen], b[:headerLen], b[headerLen:], 0, pn)
	if err != nil {
		return DropAuth
	}
	s.replay.Mark(pn)
	if promote {
		p.promote(in.From)
	}
	p.onOpened(s, index)
	newest := !s.arrived || pn > s.largest
	if newest {
		s.arrived, s.largest = true, pn
	}
	p.onAuthentic(s, in, len(b), newest)
	p.handlePlain(s, in, plain, reliability.Arrival{PN: pn, At: in.At, Size: len(b) + p.path.overhead(), CE: in.CE})
	return DropNone
}

// onAuthentic notes that the peer lives, and where.
func (p *Peer) onAuthentic(s *session, in Inbound, n int, newest bool) {
	if s.confirm != nil {
		s.confirm = nil
		p.emit(Event{Kind: SessionUp})
		p.searchSize()
	}
	s.lastRx, s.waiting, s.lost = p.now, time.Time{}, false
	p.timers[timerDead] = time.Time{}
	p.pingDue = false
	p.stopAttempt() // the peer still has our keys
	switch m := s.move; {
	case in.From == p.path.addr:
		p.path.received += n
		if m != nil && m.State == Moved {
			m.arrived = true
		}
	case m != nil && m.holds(in.From): // the ladder decides
	case newest:
		p.roam(in.From, n)
	}
}

// handlePlain handles the opened part of a datagram: epoch and frames.
func (p *Peer) handlePlain(s *session, in Inbound, plain []byte, a reliability.Arrival) {
	a.Epoch = plain[0]
	r := wire.NewReader(plain[1:])
	for r.Len() > 0 {
		err := p.handleFrame(s, in, &r, &a)
		if err != nil {
			p.closeSession(s, CloseError{Code: CloseProtocol, Reason: err.Error()})
			return
		}
		if p.cur != s {
			return // it ended the session
		}
	}
	s.receiver.OnDatagram(p.now, a)
}

// Errors in an authenticated peer's frames: they end the session (W-3).
var (
	errFrame   = errors.New("malformed frame")
	errUnknown = errors.New("unknown frame type")
)

// handleFrame handles one frame.
func (p *Peer) handleFrame(s *session, in Inbound, r *wire.Reader, a *reliability.Arrival) error {
	first := r.U8()
	switch kind := reliability.TypeOf(first); kind {
	case framePadding:
		if !parsePadding(r) {
			return errFrame
		}
	case framePing:
		a.Eliciting, a.Urgent = true, true
	case reliability.FrameSource, reliability.FrameRepair:
		a.Eliciting = true
		p.timers[timerQuiet] = p.now.Add(quietAfter)
		if kind == reliability.FrameRepair {
			return p.handleRepair(s, first, r, a.PN)
		}
		return p.handleSource(s, first, r)
	case frameLadder:
		a.Eliciting = true
		return p.handleLadder(s, r)
	case reliability.FrameReceipt:
		return p.handleReceipt(s, r)
	case reliability.FrameEcho:
		e, err := reliability.ParseEcho(r)
		if err != nil {
			return err
		}
		return s.receiver.HandleEcho(e)
	case framePathChallenge:
		token := r.U64()
		if r.Err() != nil {
			return errFrame
		}
		if s.paths < maxResponses {
			s.nextPath[s.paths] = token
			s.paths++
		}
	case framePathResponse:
		token := r.U64()
		if r.Err() != nil {
			return errFrame
		}
		p.onPathResponse(token, in.From)
	case frameClose:
		e, ok := parseClose(r)
		if !ok {
			return errFrame
		}
		p.onRemoteClose(e)
	default:
		return errUnknown
	}
	return nil
}

func (p *Peer) handleSource(s *session, first uint8, r *wire.Reader) error {
	f, err := reliability.ParseSource(first, r)
	if err != nil {
		return err
	}
	fresh, err := s.receiver.HandleSource(&f)
	if err != nil {
		return err
	}
	if fresh {
		if err := p.handleSymbol(s, f.Symbol); err != nil {
			return err
		}
	}
	return p.deliverRecovered(s)
}

func (p *Peer) handleRepair(s *session, first uint8, r *wire.Reader, pn uint64) error {
	f, err := reliability.ParseRepair(first, r)
	if err != nil {
		return err
	}
	if err := s.receiver.HandleRepair(&f, pn); err != nil {
		return err
	}
	return p.deliverRecovered(s)
}

// deliverRecovered hands over the symbols that a block was solved for.
func (p *Peer) deliverRecovered(s *session) error {
	for {
		symbol, err := s.receiver.NextRecovered()
		if symbol == nil || err != nil {
			return err
		}
		if err := p.handleSymbol(s, symbol); err != nil {
			return err
		}
	}
}

// handleSymbol takes a symbol that is new. One of bulk may continue the symbol before
// it in its block.
func (p *Peer) handleSymbol(s *session, symbol []byte) error {
	at := s.receiver.Position()
	if at.Class != reliability.Bulk {
		return s.mux.HandleSegments(p.now, symbol)
	}
	return s.mux.HandleSymbol(p.now, channel.Position{Block: at.Block, Oldest: at.Oldest, Index: at.Index}, symbol)
}

func (p *Peer) handleReceipt(s *session, r *wire.Reader) error {
	c, err := reliability.ParseReceipt(r)
	if err != nil {
		return err
	}
	s.outcome.Reset()
	if err := s.sender.HandleReceipt(p.now, &c, &s.outcome); err != nil {
		return err
	}
	p.inner.Release(s.sender.OldestBlock())
	for _, tag := range s.outcome.Acked {
		s.mux.OnControlDelivered(p.now, uint32(tag))
	}
	rtt := s.sender.RTT()
	s.receiver.SetRTT(rtt)
	s.receiver.SetRate(s.sender.Rate(p.now))
	s.mux.SetPath(rtt, s.sender.Jitter())
	p.steerQueue(s)
	p.checkStall(s)
	return nil
}

// checkStall suspects the datagram size when receipts arrive and yet the oldest
// block does not end: its symbols may be too large for the path (W-4).
func (p *Peer) checkStall(s *session) {
	oldest := s.sender.OldestBlock()
	if s.sender.InFlight() == 0 || oldest != s.oldest {
		s.oldest, s.since = oldest, p.now
		return
	}
	if p.now.Sub(s.since) > stallAfter && !p.path.probe.active && p.path.size > baseDatagram {
		s.since = p.now
		p.startProbe(p.path.size, true)
	}
}

// controlTag marks the symbols whose delivery the channels hear of; the low 32
// bits are the sequence number of their segment.
const controlTag = 1 << 32

// appendHeader appends the clear part of a datagram (W-1).
func appendHeader(dst []byte, kind byte, index uint32, pn uint64) []byte {
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint32(dst, index)
	return binary.BigEndian.AppendUint32(dst, uint32(pn))
}
