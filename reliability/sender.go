package reliability

import (
	"time"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/reliability/rlc"
)

// SenderConfig configures a Sender.
type SenderConfig struct {
	// Rate is how the sending rate is found (G-4).
	Rate rate.Config
	// Deadline is the age at which a symbol of class Deadline or Interactive
	// is given up; 0 means DefaultDeadline. Twice the round-trip time counts
	// where that is more (C-7).
	Deadline time.Duration
	// Redundancy caps the datagrams sent in advance, before a receipt shows a
	// loss, per new symbol: 0 allows none, Auto leaves it to the need
	// rule. It must not be negative.
	Redundancy float64
	// ARQ resends uncoded what receipts show to be lost and does nothing
	// else. It is there to be compared with.
	ARQ bool
}

// Sender is the sending half of a path: it numbers datagrams (W-1), paces them
// (G-5), keeps every symbol until a receipt shows it, and says which to resend.
//
// To send a datagram the caller asks CanSend, takes NextPN and Epoch, and asks
// Next, which names a transmission or asks for a new symbol (Buffer and Commit);
// it appends the frame with AppendFrame, and calls OnSent. A datagram without a
// symbol is sent with a zero Transmission.
type Sender struct {
	cfg   SenderConfig
	start time.Time
	rate  *rate.Controller
	pacer pacer
	rtt   rttEstimator
	loss  lossMeter
	price price
	stall stallMeter
	pause pauseMeter
	store blockStore
	log   transmissionLog
	coder rlc.Repair

	// Receipts.
	receipts uint32        // that arrived
	number   uint32        // largest number that arrived
	largest  uint64        // largest packet number that a receipt showed
	overtake uint64        // packets by which datagrams were overtaken lately
	judged   time.Duration // datagrams sent until then have a known fate
	backoff  uint          // timeouts since the last receipt

	// Echoes.
	echoed    uint32 // receipts at the last echo
	echoEpoch uint8  // epoch of the last echo
	echoAgain int    // repeats of it that are left

	// What may be sent in advance.
	backlog bool    // new data waits
	demand  float64 // how much of it, see demandOf
	credit  float64 // datagrams in advance that the cap allows
	urgent  float64 // bytes that the interactive class may send in advance

	lastSymbol time.Duration // newest transmission of a symbol
	sent       uint64        // datagrams
	busy       uint64        // … while more data waited
	sentBytes  uint64
	resent     uint64
	proactive  uint64
	spares     uint64
	abandoned  uint64
	again      [NumClasses]uint64
}

// NewSender returns a Sender. It panics if the configuration is invalid.
func NewSender(now time.Time, cfg SenderConfig) *Sender {
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.Deadline < 0 || !(cfg.Redundancy >= 0) {
		panic("reliability: sender needs a positive deadline, and no negative redundancy")
	}
	control := rate.New(now, cfg.Rate)
	return &Sender{
		price:  price{theta: priceFirst, patience: patienceFirst, gain: priceGainFirst},
		credit: cfg.Redundancy * redundancyCredit, demand: 1,
		cfg: cfg, start: now, rate: control, pacer: pacer{rate: control.Rate(now)},
		store: newBlockStore(), log: newTransmissionLog(),
	}
}

// Transmission names the symbol or the repair that a datagram carries. The zero value names
// none.
type Transmission struct {
	block  uint64
	index  uint8 // of the source symbol
	repair bool
	valid  bool
}

// Some reports whether t names a symbol.
func (t Transmission) Some() bool { return t.valid }

// Block is the id of the block that t is for; ids grow by one per block.
func (t Transmission) Block() uint64 { return t.block }

// CanSend reports whether the pacing schedule allows a datagram now.
func (s *Sender) CanSend(now time.Time) bool {
	return s.pacer.ready(now.Sub(s.start)) && !now.Before(s.rate.Hold())
}

// NextSend is when to ask CanSend again: when a burst that the schedule allows is
// due (G-5), at the latest pacerBurst after CanSend became true.
func (s *Sender) NextSend() time.Time {
	wake := s.start.Add(s.pacer.wake())
	if hold := s.rate.Hold(); hold.After(wake) {
		return hold
	}
	return wake
}

// Rate is the sending rate at now, in bit/s of IP bytes.
func (s *Sender) Rate(now time.Time) int64 { return s.rate.Rate(now) }

// Control is what rate control knows and does.
func (s *Sender) Control(now time.Time) rate.Snapshot { return s.rate.Snapshot(now) }

// Capacity is what the path is estimated to carry, in bit/s of IP bytes.
func (s *Sender) Capacity() int64 { return s.rate.Estimate() }

// Settled reports that rate control has found the capacity (G-3).
func (s *Sender) Settled() bool { return s.rate.Settled() }

// Measuring reports that small datagrams are wanted, with or without a symbol, until
// enough of them were answered (HELLO, G-3).
func (s *Sender) Measuring() bool { return s.rate.Phase() == rate.Hello }

// MaxDatagram is the size of the largest datagram with a new symbol to send now, in
// IP bytes: while nothing is known of the path, small ones measure it (G-3).
func (s *Sender) MaxDatagram() int { return s.rate.MaxDatagram() }

// OnIdle notes that the schedule allowed a datagram and there was none to send,
// so that the unused time does not add up to a burst.
func (s *Sender) OnIdle() { s.pacer.onIdle() }

// NextPN is the packet number of the next datagram (W-1).
func (s *Sender) NextPN() uint64 { return s.log.next }

// Epoch is the epoch of a datagram sent now (W-5).
func (s *Sender) Epoch(now time.Time) uint8 { return s.rate.Epoch(now) }

// CanOpen reports whether there is room for a new symbol: in the window, and
// before the first receipt, when nothing is known of the path, in the first flight.
func (s *Sender) CanOpen() bool {
	return s.store.canOpen() && (s.receipts > 0 || s.store.symbols < firstFlight)
}

// Buffer returns the buffer of the next new symbol: MaxSymbol bytes that the
// caller fills from the start and hands back with Commit.
func (s *Sender) Buffer() []byte {
	return s.store.buffer()[:MaxSymbol]
}

// Commit makes the first n bytes of Buffer a new symbol of the class, to be sent
// now: nothing waits for a block to fill. A tag other than 0 is reported in
// Outcome.Acked when a receipt shows the symbol. The caller must have asked
// CanOpen.
func (s *Sender) Commit(now time.Time, class Class, n int, tag uint64) Transmission {
	return s.commit(now, newSymbol{class: class, size: n, tag: tag})
}

// CommitUntil is Commit for a symbol of class Interactive or Deadline that is of
// use for that long; 0 is the deadline of the configuration.
func (s *Sender) CommitUntil(now time.Time, class Class, n int, deadline time.Duration) Transmission {
	return s.commit(now, newSymbol{class: class, size: n, deadline: deadline})
}

// CommitOnce is Commit for a symbol of class Deadline that is sent once: no copy,
// no repair, whatever becomes of it.
func (s *Sender) CommitOnce(now time.Time, n int) Transmission {
	return s.commit(now, newSymbol{class: Deadline, size: n, once: true})
}

// blockAge is the age up to which a block of the class takes more symbols.
func (s *Sender) blockAge(class Class) time.Duration {
	age := blockRTTs * s.rtt.value()
	if class == Deadline || class == Interactive {
		age = min(age, s.cfg.Deadline/blockDeadlineShare)
	}
	return age
}

// Extends reports whether a symbol of class Bulk that is committed at now stands right
// behind the symbol t, in the same block.
func (s *Sender) Extends(now time.Time, t Transmission) bool {
	slot := slotOf(Bulk, false)
	return t.valid && !s.pause.over && s.store.grows(now.Sub(s.start), slot, s.blockAge(Bulk)) &&
		s.store.open[slot] == t.block+1 && len(s.store.block(t.block).symbols) == int(t.index)+1
}

func (s *Sender) commit(now time.Time, y newSymbol) Transmission {
	age := s.blockAge(y.class)
	at := now.Sub(s.start)
	if y.class == Bulk && s.pause.take() {
		age, y.head = 0, true
	}
	if s.store.opens(at, y.slot(), age) {
		y.limit = s.blockLimit()
		if y.head {
			y.limit = headSymbols
		}
	}
	return s.store.commit(at, y)
}

// FrameLen is the number of bytes that AppendFrame will append.
func (s *Sender) FrameLen(t Transmission) int {
	b := s.store.block(t.block)
	if t.repair {
		return RepairHeaderLen + b.longest
	}
	return SourceHeaderLen + len(b.symbols[t.index].bytes())
}

// AppendFrame appends the SOURCE or REPAIR frame of t to the datagram NextPN, and to
// no other: a repair belongs to its packet number.
func (s *Sender) AppendFrame(dst []byte, t Transmission) []byte {
	b := s.store.block(t.block)
	if t.repair {
		f := Repair{Class: b.class, Block: uint32(t.block), N: len(b.symbols), Closed: b.closed}
		dst = f.Append(dst)
		s.coder.Start(len(b.symbols), s.NextPN())
		for i := range b.symbols {
			s.coder.Add(i, b.symbols[i].coded)
		}
		return s.coder.Append(dst, b.longest)
	}
	f := Source{
		Class: b.class, Block: uint32(t.block), Index: t.index,
		Last: b.closed && int(t.index) == len(b.symbols)-1, Symbol: b.symbols[t.index].bytes(),
	}
	return f.Append(dst)
}

// OnSent records that the datagram NextPN left with t inside and a wire size of
// size IP bytes.
func (s *Sender) OnSent(now time.Time, size int, t Transmission) {
	at := now.Sub(s.start)
	s.rate.OnSent(now, s.log.next, size, s.pacer.idle, t.valid)
	s.pacer.rate = s.rate.Rate(now)
	s.pacer.onSent(at, size)
	s.sent++
	if s.backlog {
		s.busy++
	}
	s.sentBytes += uint64(size)
	if t.valid {
		s.lastSymbol = at
		how := s.store.onSent(t, s.log.next)
		if how != first {
			s.again[s.store.block(t.block).class]++
		}
		s.account(how, s.store.block(t.block).class, size)
		switch how {
		case needed:
			s.resent++
		case proactive:
			s.proactive++
		case first:
		}
	}
	if s.log.full() { // the oldest record goes: count its datagram as lost
		s.settle(s.log.head)
		s.log.head++
	}
	s.log.add(transmission{at: at, Transmission: t})
	s.trimLog()
}

// EchoDue reports whether an ECHO belongs into the next datagram: receipts came
// since the last one, and it was in an earlier epoch.
func (s *Sender) EchoDue(now time.Time) bool {
	return (s.receipts != s.echoed || s.echoAgain > 0) && s.Epoch(now) != s.echoEpoch
}

// AppendEcho appends the ECHO frame and counts it as sent.
func (s *Sender) AppendEcho(now time.Time, dst []byte) []byte {
	if s.receipts != s.echoed {
		s.echoAgain = repeats(s.loss.value())
	} else {
		s.echoAgain--
	}
	s.echoed, s.echoEpoch = s.receipts, s.Epoch(now)
	e := Echo{Largest: s.number, Receipts: s.receipts, Oldest: uint32(s.store.oldest)}
	return e.Append(dst)
}

// HandleTimeout counts as lost what is in flight when for the length of a
// timeout neither a symbol was sent nor its receipt came: the end of a flight
// has no later arrival that proves its loss. While sending goes on, later
// arrivals will, and a gap in the receipts proves nothing. The timeout doubles
// while no receipt arrives at all.
func (s *Sender) HandleTimeout(now time.Time) {
	s.rate.HandleTimeout(now)
	deadline := s.timeoutAt()
	if deadline.IsZero() || now.Before(deadline) {
		return
	}
	s.backoff = min(s.backoff+1, maxBackoff)
	for pn := s.log.head; pn < s.log.next; pn++ {
		s.settle(pn)
	}
	s.trimLog()
}

// Deadline is when HandleTimeout must be called: zero if nothing is in flight.
func (s *Sender) Deadline() time.Time {
	at, control := s.timeoutAt(), s.rate.Deadline()
	if at.IsZero() || (!control.IsZero() && control.Before(at)) {
		return control
	}
	return at
}

// timeoutAt is when what is in flight counts as lost: zero if nothing is.
func (s *Sender) timeoutAt() time.Time {
	if s.log.head == s.log.next {
		return time.Time{}
	}
	return s.start.Add(s.lastSymbol + s.timeout())
}

// timeout is the time after which a datagram in no receipt is resent.
func (s *Sender) timeout() time.Duration {
	rto := s.rtt.timeout()
	return max(rto, min(rto<<s.backoff, rtoMax))
}

// flying reports whether the fate of a datagram is open and matters.
func (s *Sender) flying(pn uint64) bool {
	t := s.log.at(pn)
	return t.valid && s.store.live(t.block) && !s.store.block(t.block).done
}

// settle notes that the fate of a datagram is known: receipts tell what of its
// block arrived, so it is no longer in flight.
func (s *Sender) settle(pn uint64) {
	if s.flying(pn) {
		t := s.log.at(pn)
		s.store.block(t.block).inFlight--
		t.valid = false
	}
}

// trimLog moves the log's head to the oldest record that still flies.
func (s *Sender) trimLog() {
	for s.log.head < s.log.next && !s.flying(s.log.head) {
		s.log.head++
	}
}

// SenderStats are running totals and estimates of a Sender.
type SenderStats struct {
	Datagrams, Bytes uint64             // sent, in IP bytes
	Resent           uint64             // copies and repairs for what is known to be missing
	Proactive        uint64             // copies and repairs in case what is in flight is lost
	Abandoned        uint64             // symbols given up at their deadline
	Again            [NumClasses]uint64 // of Resent and Proactive, by class
	Receipts         uint64             // receipts that arrived
	Loss             float64            // p̂, 0 to 1
	RTT, LeastRTT    time.Duration      // smoothed and smallest; 0 before a sample
	InFlight         int                // symbols without a receipt
	Window           int                // symbols held between oldest and newest block
}

// Stats returns a snapshot.
func (s *Sender) Stats() SenderStats {
	st := SenderStats{
		Datagrams: s.sent, Bytes: s.sentBytes, Resent: s.resent, Proactive: s.proactive, Abandoned: s.abandoned,
		Again:    s.again,
		Receipts: uint64(s.receipts), Loss: s.loss.loss, LeastRTT: s.rtt.least,
		InFlight: s.store.unreceipted, Window: s.store.symbols,
	}
	if s.rtt.sampled {
		st.RTT = s.rtt.smoothed
	}
	return st
}

// Jitter is the mean deviation of the round-trip time (RFC 6298), 0 before there
// are samples.
func (s *Sender) Jitter() time.Duration { return s.rtt.variance }

// RTT is the smoothed round-trip time, a default before the first sample.
func (s *Sender) RTT() time.Duration { return s.rtt.value() }

// RTO is how long a datagram may stay without a receipt before it counts as lost
// where no later arrival shows it.
func (s *Sender) RTO() time.Duration { return s.rtt.timeout() }

// Loss is p̂, the measured loss of datagrams, 0 to 1.
func (s *Sender) Loss() float64 { return s.loss.value() }

// Stall is about the longest time that a bulk block took lately, from its first
// symbol to the receipt that shows it complete: so long in-order data may wait.
func (s *Sender) Stall() time.Duration { return s.stall.longest }

// InFlight is the number of symbols that no receipt has shown yet.
func (s *Sender) InFlight() int { return s.store.unreceipted }

// OldestBlock is the id of the oldest block that is not finished; it grows as
// receipts arrive.
func (s *Sender) OldestBlock() uint64 { return s.store.oldest }
