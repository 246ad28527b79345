package peer

import (
	"math"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/tunnel/flow"
)

// builder makes one datagram: frames are appended in the order of their
// priority until the path's datagram is full.
type builder struct {
	p     *Peer
	s     *session
	dst   []byte
	limit int // length at which the tag must follow
	ask   bool
	carry reliability.Transmission
}

// pollSession builds the next datagram of the session, if one is due and the
// pacing and the path allow it.
func (p *Peer) pollSession(buf []byte) int {
	s := p.cur
	p.held = false
	if s == nil {
		return 0
	}
	if s.lost && !p.pingDue {
		p.held, p.heldUntil = true, p.timers[timerDead]
		return 0
	}
	if !s.sender.CanSend(p.now) {
		p.held, p.heldUntil = true, s.sender.NextSend()
		return 0
	}
	size := p.path.credit(min(p.path.size, len(buf)))
	b := builder{p: p, s: s, limit: size - tagLen}
	b.dst = appendHeader(buf[:0], wire.TypeData, s.keys.RemoteIndex, s.sender.NextPN())
	b.dst = append(b.dst, s.sender.Epoch(p.now))
	if p.probeDue() && b.appendProbe(buf) {
		return b.finish(buf)
	}
	if size < minDatagram { // until the address is validated or sends more
		p.held, p.heldUntil = true, p.probeDeadline()
		return 0
	}
	empty := len(b.dst)
	b.appendReceipt()
	b.appendLadder()
	b.appendPathControl()
	if b.sharesDatagram(empty) {
		b.appendSymbol()
	} else {
		b.appendEcho(0)
	}
	if len(b.dst) == empty {
		s.sender.OnIdle()
		return 0
	}
	return b.finish(buf)
}

// appendProbe makes the whole datagram a probe of the path (W-4). It reports
// false if a datagram of that size may not be sent yet.
func (b *builder) appendProbe(buf []byte) bool {
	p, q := b.p, &b.p.path.probe
	if q.size > len(buf) || p.path.credit(max(q.size, minProbe)) < max(q.size, minProbe) {
		p.onProbeSent()
		return false
	}
	b.dst = appendPath(b.dst, framePathChallenge, q.token)
	b.ask = true
	for len(b.dst)+tagLen < q.size {
		b.dst = append(b.dst, framePadding)
	}
	p.onProbeSent()
	return true
}

// appendReceipt appends a receipt when one is due.
func (b *builder) appendReceipt() {
	due := b.s.receiver.ReceiptDeadline(b.p.loaded())
	if due.IsZero() || b.p.now.Before(due) {
		return
	}
	b.dst = b.s.receiver.AppendReceipt(b.p.now, b.dst, b.limit-len(b.dst))
}

// appendPathControl appends answers to challenges, and a PING when one is due.
func (b *builder) appendPathControl() {
	for b.s.paths > 0 && len(b.dst)+pathFrameLen <= b.limit {
		b.s.paths--
		b.dst = appendPath(b.dst, framePathResponse, b.s.nextPath[b.s.paths])
	}
	if (b.p.pingDue || b.s.sender.Measuring()) && len(b.dst) < b.limit {
		b.p.pingDue = false
		b.dst = append(b.dst, framePing)
		b.ask = true
	}
}

// sharesDatagram reports whether a symbol should follow the frames behind the first
// empty bytes.
func (b *builder) sharesDatagram(empty int) bool {
	sender := b.s.sender
	if !b.p.loaded() || sender.Measuring() {
		return true
	}
	return sharingPays(len(b.dst)-empty, b.p.path.overhead()+empty+tagLen, sender.Loss())
}

// sharingPays reports whether frames cost less before a symbol than in a datagram of
// their own, which costs its headers. A new symbol is shorter for them, but its
// block's repairs are not: 1/(1-p) times their size is lost to it.
func sharingPays(frames, headers int, p float64) bool {
	return float64(frames)*p <= float64(headers)*(1-p)
}

// appendEcho appends an echo where one is due and leaves room for so many bytes.
func (b *builder) appendEcho(rest int) {
	if b.s.sender.EchoDue(b.p.now) && len(b.dst)+reliability.EchoLen+rest <= b.limit {
		b.dst = b.s.sender.AppendEcho(b.p.now, b.dst)
	}
}

// appendSymbol appends the most urgent symbol, and an echo where one is due and
// there is room for both. A symbol that is resent and does not fit beside the
// frames before it goes alone, in the next datagram.
func (b *builder) appendSymbol() {
	sender := b.s.sender
	room := b.limit - len(b.dst)
	space := room
	if sender.EchoDue(b.p.now) {
		space -= reliability.EchoLen
	}
	if sender.Measuring() { // G-3: small datagrams, as far as what waits can be cut
		space = min(space, max(sender.MaxDatagram()-b.p.path.overhead()-tagLen-len(b.dst), minHelloSymbol))
	}
	t := b.chooseSymbol(space)
	if !t.Some() || sender.FrameLen(t) > room {
		return
	}
	b.appendEcho(sender.FrameLen(t))
	b.dst = sender.AppendFrame(b.dst, t)
	b.carry, b.ask = t, true
}

// chooseSymbol picks the most urgent symbol: the Sender says whether it is
// one that is in flight already or a new one, and of which class. A new
// symbol fits in room bytes.
func (b *builder) chooseSymbol(room int) reliability.Transmission {
	var waiting [reliability.NumClasses]bool
	waiting[reliability.Control] = room >= b.leastRoom() && b.s.mux.ControlPending()
	c, data := b.nextUnit(room)
	if data {
		waiting[b.classOfHead(c)] = true
	}
	choice := b.s.sender.Next(b.p.now, waiting, b.p.queue.Bytes())
	switch {
	case !choice.Open:
		return choice.Transmission
	case choice.Class == reliability.Control:
		return b.newControl(room)
	}
	return b.newData(c, room)
}

// nextUnit is the class of the queue whose turn it is.
func (b *builder) nextUnit(room int) (c flow.Class, ok bool) {
	if room < b.leastRoom() {
		return 0, false
	}
	var allowed [flow.NumClasses]bool
	if b.p.cfg.Units {
		b.p.skipClosed(b.s)
		return b.p.queue.Next(b.p.now, [flow.NumClasses]bool{true, true, true, true})
	}
	for c := range flow.Class(flow.NumClasses) {
		allowed[c] = b.s.ready(c)
	}
	return b.p.queue.Next(b.p.now, allowed)
}

// classOfHead is the class of the symbol that the next unit of a queue's class goes
// into: a lone segment of TCP goes with the interactive ones, in its place of the
// stream.
func (b *builder) classOfHead(c flow.Class) reliability.Class {
	if b.p.queue.Head(c).Treatment.Lone {
		return reliability.Interactive
	}
	return class(c)
}

// leastRoom is the least room worth opening a new symbol for.
func (b *builder) leastRoom() int {
	if b.s.sender.Measuring() {
		return minHelloSymbol
	}
	return minSymbol
}

// symbolRoom is the largest symbol whose frame fits in room bytes, as SOURCE and
// as part of a REPAIR.
func symbolRoom(room int) int {
	return min(room-reliability.SymbolOverhead, reliability.MaxSymbol)
}

// newControl makes a symbol of waiting channel messages.
func (b *builder) newControl(room int) reliability.Transmission {
	s := b.s
	room = symbolRoom(room)
	out, seq, ok := s.mux.AppendControl(s.sender.Buffer()[:0], room)
	if !ok {
		return reliability.Transmission{}
	}
	return s.sender.Commit(b.p.now, reliability.Control, len(out), controlTag|uint64(seq))
}

// newData packs waiting inner packets of a class into a new symbol: small ones
// share it, large ones go on in the next.
func (b *builder) newData(c flow.Class, room int) reliability.Transmission {
	p, s := b.p, b.s
	room = symbolRoom(room)
	dst := s.sender.Buffer()[:0]
	s.tickets, s.touched = s.tickets[:0], s.touched[:0]
	var wait patience
	kind := b.classOfHead(c)
	for len(s.touched) < maxSegments {
		unit := p.queue.Head(c)
		if unit.B == nil || b.classOfHead(c) != kind {
			break
		}
		k, out := p.carry(s, c, &unit)
		at, overhead := channel.Place(0), s.mux.Overhead(k.h)
		if b.follows(len(dst) == 0, kind, k.h) {
			at, overhead = channel.Next, channel.NextSegmentHeaderLen
		}
		space := room - len(dst) - overhead
		rest := len(out) - k.offset
		if space < min(rest, minPiece) {
			break
		}
		n := rest
		if rest >= space { // it fills the symbol
			at |= channel.ToEnd
			n = min(rest, space+channel.LengthLen)
		}
		dst = s.mux.AppendSegment(dst, k.h, at|channel.PlaceOf(k.offset, n, len(out)), out[k.offset:k.offset+n])
		k.offset += n
		wait.add(p.now, &unit)
		s.touched = append(s.touched, k.on)
		if n == rest {
			if unit.Ticket > 0 {
				s.tickets = append(s.tickets, unit.Ticket)
			}
			p.onUnitSent(c, unit.B)
			if p.cfg.Units {
				p.skipClosed(s)
			}
		}
	}
	p.queue.Charge(c, len(dst))
	t := b.commit(c, kind, len(dst), wait)
	s.newest = t
	for _, ticket := range s.tickets {
		p.inner.Sent(ticket, t.Block())
	}
	for _, l := range s.touched {
		l.block = max(l.block, t.Block()+1)
	}
	return t
}

// follows reports whether the next segment of a new symbol of a class continues the
// segment before it: of the same symbol, or, where it begins one, of the symbol before
// it in the block.
func (b *builder) follows(begins bool, class reliability.Class, h channel.Handle) bool {
	s := b.s
	if !begins {
		return s.mux.Follows(h)
	}
	return class == reliability.Bulk && s.mux.Continues(h) && s.sender.Extends(b.p.now, s.newest)
}

// commit makes a symbol of n bytes of a queue's class as one of kind. What a
// stream needs is never given up.
func (b *builder) commit(c flow.Class, kind reliability.Class, n int, wait patience) reliability.Transmission {
	switch {
	case c == flow.Once:
		return b.s.sender.CommitOnce(b.p.now, n)
	case c != flow.Stream:
		return b.s.sender.CommitUntil(b.p.now, kind, n, wait.longest())
	case kind == reliability.Interactive:
		return b.s.sender.CommitUntil(b.p.now, kind, n, math.MaxInt64)
	}
	return b.s.sender.Commit(b.p.now, kind, n, 0)
}

// patience is how long the units of a symbol are of use.
type patience struct {
	most  time.Duration
	plain bool // one has the default
}

func (w *patience) add(now time.Time, u *flow.Unit) {
	if u.Treatment.Deadline == 0 {
		w.plain = true
	}
	w.most = max(w.most, u.Treatment.Deadline-now.Sub(u.At))
}

// longest is the time for which one of them is, 0 for the default.
func (w *patience) longest() time.Duration {
	if w.plain {
		return 0
	}
	return max(w.most, 1)
}

// onUnitSent drops a unit that is wholly in symbols from the queue.
func (p *Peer) onUnitSent(c flow.Class, unit []byte) {
	p.stats.TxPackets++
	p.stats.TxBytes += uint64(len(unit) - 1)
	p.queue.Pop(p.now, c)
	if k := &p.cur.under[c]; k.tcp {
		p.cur.headers.done()
	}
	p.cur.under[c] = carriage{}
}

// finish seals the datagram and records it as sent.
func (b *builder) finish(buf []byte) int {
	p, s := b.p, b.s
	sealed := s.keys.Send.Seal(buf[headerLen:headerLen], buf[:headerLen], b.dst[headerLen:], 0, s.sender.NextPN())
	n := headerLen + len(sealed)
	s.sender.OnSent(p.now, n+p.path.overhead(), b.carry)
	p.path.sent += n
	if s.heard != nil && p.timers[timerUp].IsZero() {
		p.timers[timerUp] = p.now.Add(ladderAfter)
	}
	p.onSent(s, b.ask)
	return n
}
