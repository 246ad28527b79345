package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/reliability/rate"
)

// Sizes, in bytes.
const (
	// overhead is what a datagram adds to its frames: IPv4, UDP, header, epoch, tag.
	overhead = 54
	// symbolLen fills a datagram of 1,500 bytes, with room for an ECHO.
	symbolLen = link.DefaultMTU - overhead - reliability.EchoLen - reliability.SymbolOverhead
	// messageLen is the size of a lone message.
	messageLen = 200
	// receiptLen bounds a receipt.
	receiptLen = 1200
	// headLen is what stands before the frames here: packet number, epoch, and
	// the length of the frames. It replaces overhead.
	headLen = 8 + 1 + 2
	// idLen is what a symbol holds here: its number. The engine decides by
	// counts, not by contents, so the rest of the bytes is added to the datagram,
	// and coding costs next to nothing.
	idLen = 8
)

// lonePeriod is the time between two lone messages: enough for the one before to
// be over, and no multiple of any timer of the engine.
const lonePeriod = 487 * time.Millisecond

// drainRTTs bounds how long a run goes on for what was sent before its end, in
// round trips.
const drainRTTs = 100

// mode is what a run does.
type mode uint8

const (
	flood    mode = iota // full load
	plainARQ             // full load; copies only of what receipts show to be lost
	lone                 // a message every lonePeriod, else nothing
)

// scenario is one run of the engine over one link.
type scenario struct {
	row
	mode     mode
	duration time.Duration
	seed     uint64
}

// outcome is what a run counted.
type outcome struct {
	sent, arrived, useless uint64          // datagrams of the data's direction
	receiptBytes           uint64          // in IP bytes
	delays                 []time.Duration // from the first transmission, by symbol
	lost                   int             // lone messages that never arrived
}

// sim joins a Sender and a Receiver by two links in virtual time.
type sim struct {
	scenario
	start, now, end time.Time
	tx              *reliability.Sender
	rx              *reliability.Receiver
	links           [2]*link.Link // data, receipts
	buf             [link.DefaultMTU]byte
	frame           []byte
	result          reliability.Outcome

	born      []time.Time // first transmission, by symbol
	have      []bool
	delivered int       // symbols below are delivered and their delays noted
	message   time.Time // when the next lone message is due
	ended     bool      // what is sent from now on does not count
	symbols   int       // that count
	datagrams uint64    // that count
	out       outcome
}

// run plays the scenario to its end, and on until everything that was sent
// before has arrived, under the same load: a run that ends earlier would count
// as wasted what is on its way, and leave out the longest delays. A symbol that
// takes too long counts with the time that it has waited.
func (sc scenario) run() (*outcome, error) {
	s, err := newSim(sc)
	if err != nil {
		return nil, err
	}
	if err := s.until(s.end, func() bool { return false }); err != nil {
		return nil, err
	}
	s.ended, s.symbols, s.datagrams = true, len(s.born), s.tx.NextPN()
	settled := s.end.Add(sc.rtt + time.Duration(datagramBits*float64(time.Second)/float64(sc.rate)))
	s.end = s.end.Add(drainRTTs * sc.rtt)
	if err := s.until(s.end, func() bool { return s.delivered >= s.symbols && s.now.After(settled) }); err != nil {
		return nil, err
	}
	for id := s.delivered; id < s.symbols; id++ {
		switch {
		case sc.mode != lone:
			s.note(id)
		case !s.have[id]:
			s.out.lost++
		}
	}
	s.out.sent = s.datagrams
	return &s.out, nil
}

func newSim(sc scenario) (*sim, error) {
	start := time.Unix(0, 0)
	s := &sim{
		scenario: sc, start: start, now: start, end: start.Add(sc.duration), message: start.Add(lonePeriod),
		symbols: math.MaxInt, datagrams: math.MaxUint64,
		tx: reliability.NewSender(start, reliability.SenderConfig{
			Rate: rate.Config{Mode: rate.Fixed, Ceiling: sc.rate}, ARQ: sc.mode == plainARQ, Redundancy: reliability.Auto,
		}),
		rx: reliability.NewReceiver(start, reliability.ReceiverConfig{Rate: sc.rate}),
	}
	for i := range s.links {
		l, err := link.New(start, sc.link(), sc.random(i))
		if err != nil {
			return nil, err
		}
		s.links[i] = l
	}
	return s, nil
}

// random is the source of one direction's losses: independent of those of every
// other row and seed. Plain ARQ gets the losses of the run that it stands beside.
func (sc scenario) random(direction int) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %v %g %g %t %d",
		sc.seed, sc.rate, sc.rtt, sc.loss, sc.burst, sc.mode == lone, direction))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// until steps to a time, or until something is done.
func (s *sim) until(at time.Time, done func() bool) error {
	for s.now.Before(at) && !done() {
		if err := s.step(); err != nil {
			return fmt.Errorf("%v, seed %d, at %v: %w", s.row, s.seed, s.now.Sub(s.start), err)
		}
	}
	return nil
}

// step handles what is due and moves the clock to what is next.
func (s *sim) step() error {
	for i, handle := range [...]func([]byte) error{s.receive, s.receipt} {
		for {
			n, ok := s.links[i].Receive(s.now, s.buf[:])
			if !ok {
				break
			}
			if err := handle(s.buf[:n]); err != nil {
				return err
			}
		}
	}
	s.tx.HandleTimeout(s.now)
	if at := s.rx.ReceiptDeadline(false); !at.IsZero() && !at.After(s.now) {
		s.sendReceipt()
	}
	s.advance(s.send())
	return nil
}

// advance moves the clock to the next event.
func (s *sim) advance(idle bool) {
	next := s.end
	for _, at := range [...]time.Time{
		s.links[0].Next(), s.links[1].Next(), s.tx.Deadline(), s.rx.ReceiptDeadline(false),
	} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if s.mode == lone && s.message.Before(next) {
		next = s.message
	}
	if at := s.tx.NextSend(); !idle && at.Before(next) {
		next = at
	}
	if next.After(s.now) {
		s.now = next
	}
}

// send sends what the pacer allows and reports whether nothing is left to send.
func (s *sim) send() (idle bool) {
	for s.tx.CanSend(s.now) {
		due := s.mode == lone && !s.now.Before(s.message)
		c := s.tx.Next(s.now, [reliability.NumClasses]bool{
			reliability.Interactive: due, reliability.Bulk: s.mode != lone,
		}, math.MaxInt)
		t := c.Transmission
		if c.Open {
			if due {
				s.message = s.message.Add(lonePeriod)
			}
			binary.BigEndian.PutUint64(s.tx.Buffer(), uint64(len(s.born)))
			s.born, s.have = append(s.born, s.now), append(s.have, false)
			t = s.tx.Commit(s.now, c.Class, idLen, 0)
		}
		if !t.Some() {
			s.tx.OnIdle()
			return true
		}
		s.frame = binary.BigEndian.AppendUint64(s.frame[:0], s.tx.NextPN())
		s.frame = append(s.frame, s.tx.Epoch(s.now), 0, 0)
		if s.tx.EchoDue(s.now) {
			s.frame = s.tx.AppendEcho(s.now, s.frame)
		}
		s.frame = s.tx.AppendFrame(s.frame, t)
		s.pad(s.symbolLen() - idLen)
		s.transmit(0)
		s.tx.OnSent(s.now, len(s.frame), t)
	}
	return false
}

// symbolLen is the size of the symbols that this mode stands for.
func (s *sim) symbolLen() int {
	if s.mode == lone {
		return messageLen
	}
	return symbolLen
}

// pad notes the length of the frames and brings the datagram to the size that it
// has in IP bytes, with so many bytes of a symbol.
func (s *sim) pad(symbol int) {
	frames := len(s.frame) - headLen
	binary.BigEndian.PutUint16(s.frame[headLen-2:], uint16(frames))
	s.frame = append(s.frame, make([]byte, overhead-headLen+symbol)...)
}

// transmit gives the datagram to a link, which has room for it: what paces to the
// rate of the link needs no queue.
func (s *sim) transmit(direction int) {
	if !s.links[direction].Send(s.now, s.frame) {
		panic("goals: a link refuses a datagram")
	}
}

// frames returns the frames of a datagram.
func frames(b []byte) wire.Reader {
	return wire.NewReader(b[headLen:][:binary.BigEndian.Uint16(b[headLen-2:])])
}

// receive handles a datagram of the data's direction.
func (s *sim) receive(b []byte) error {
	a := reliability.Arrival{PN: binary.BigEndian.Uint64(b), Epoch: b[8], Size: len(b), Eliciting: true}
	before := s.rx.Useless()
	r := frames(b)
	for r.Len() > 0 {
		if err := s.handleFrame(&r, a.PN); err != nil {
			return err
		}
	}
	for {
		symbol, err := s.rx.NextRecovered()
		if err != nil {
			return err
		}
		if symbol == nil {
			break
		}
		s.deliver(symbol)
	}
	s.rx.OnDatagram(s.now, a)
	if a.PN < s.datagrams {
		s.out.arrived++
		s.out.useless += s.rx.Useless() - before
	}
	return nil
}

func (s *sim) handleFrame(r *wire.Reader, pn uint64) error {
	first := r.U8()
	switch kind := reliability.TypeOf(first); kind {
	case reliability.FrameEcho:
		e, err := reliability.ParseEcho(r)
		if err != nil {
			return err
		}
		return s.rx.HandleEcho(e)
	case reliability.FrameSource:
		f, err := reliability.ParseSource(first, r)
		if err != nil {
			return err
		}
		fresh, err := s.rx.HandleSource(&f)
		if fresh {
			s.deliver(f.Symbol)
		}
		return err
	case reliability.FrameRepair:
		f, err := reliability.ParseRepair(first, r)
		if err != nil {
			return err
		}
		return s.rx.HandleRepair(&f, pn)
	default:
		return fmt.Errorf("frame type %d", kind)
	}
}

// deliver notes a symbol, and the delays that end with it: lone messages do not
// wait for each other, everything else is delivered in order.
func (s *sim) deliver(symbol []byte) {
	id := int(binary.BigEndian.Uint64(symbol))
	s.have[id] = true
	if s.mode == lone {
		s.note(id)
	}
	for s.delivered < len(s.have) && s.have[s.delivered] {
		if s.mode != lone {
			s.note(s.delivered)
		}
		s.delivered++
	}
}

// note notes the delay of a symbol, if it counts.
func (s *sim) note(id int) {
	if id < s.symbols {
		s.out.delays = append(s.out.delays, s.now.Sub(s.born[id]))
	}
}

// sendReceipt sends a receipt.
func (s *sim) sendReceipt() {
	s.frame = append(s.frame[:0], make([]byte, headLen)...)
	s.frame = s.rx.AppendReceipt(s.now, s.frame, receiptLen)
	s.pad(0)
	if !s.ended {
		s.out.receiptBytes += uint64(len(s.frame))
	}
	s.transmit(1)
}

// receipt handles a datagram of the receipts' direction.
func (s *sim) receipt(b []byte) error {
	r := frames(b)
	if kind := r.U8(); kind != reliability.FrameReceipt {
		return fmt.Errorf("frame type %d", kind)
	}
	c, err := reliability.ParseReceipt(&r)
	if err != nil {
		return err
	}
	s.result.Reset()
	if err := s.tx.HandleReceipt(s.now, &c, &s.result); err != nil {
		return err
	}
	s.rx.SetRTT(s.tx.RTT())
	return nil
}
