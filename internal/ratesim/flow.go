package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/reliability/rate"
)

// flowSpec is one connection under the controller.
type flowSpec struct {
	mode    rate.Mode
	ceiling int64
	start   time.Duration
	// Data: all that fits if on and burst are zero; else at the rate of app for
	// the first on of each period.
	app        int64 // bit/s, 0: all that fits
	on, period time.Duration
}

// A packet of a flow, before it is padded to its size.
const (
	flowHeader   = 1 + 8 + 1 + 4 + 4 // host, packet number, epoch, echo: largest receipt and receipts
	receiptExtra = 54                // IP, UDP, header and tag around a receipt
	receiptRoom  = 1200
)

// flow is a controller, a pacer, and the real receiver that makes the receipts.
type flow struct {
	w    *world
	id   uint8
	spec flowSpec
	tx   clock // of the sender's host
	rx   clock
	skew float64 // of the receiver's clock

	ctl      *rate.Controller
	pacer    pacer
	pn       uint64
	idle     bool
	started  bool
	budget   float64 // bytes that the application has written and nobody sent
	budgetAt time.Duration
	receipts uint32
	number   uint32
	frame    [link.DefaultMTU]byte

	recv  *reliability.Receiver
	inbox []arrival // waiting for the receiver's host to wake up
	back  *link.Link
	rbuf  [link.DefaultMTU]byte
	queue [][]byte // receipts that wait for the sender's host
	trace func(now time.Duration, s rate.Snapshot)
}

// arrival is a packet at the receiver.
type arrival struct {
	head [flowHeader]byte
	size int
}

// pacer is the schedule of G-5: package reliability has the same.
type pacer struct {
	next time.Duration
	each time.Duration
	idle bool
}

const (
	pacerBurst   = 500 * time.Microsecond
	pacerCatchUp = 5 * time.Millisecond
)

func (p *pacer) onSent(at time.Duration, size int, bits int64) {
	credit := pacerCatchUp
	if p.idle {
		credit, p.idle = pacerBurst, false
	}
	p.next = max(p.next, at-credit)
	p.each = time.Duration(float64(size*8) / float64(bits) * float64(time.Second))
	p.next += p.each
}

func newFlow(w *world, i int) (*flow, error) {
	spec := w.flows[i]
	f := &flow{w: w, id: uint8(i), spec: spec, skew: w.skew}
	f.tx = newClock(w.noise, w.random("sender"+string(rune('0'+i))))
	f.rx = newClock(w.noise, w.random("receiver"+string(rune('0'+i))))
	f.ctl = rate.New(absolute(spec.start), rate.Config{Mode: spec.mode, Ceiling: spec.ceiling})
	f.recv = reliability.NewReceiver(absolute(spec.start), reliability.ReceiverConfig{Rate: w.rate})
	f.budgetAt = spec.start
	l, err := link.New(origin(), w.returnLink(), w.random("return"+string(rune('0'+i))))
	f.back = l
	return f, err
}

// next is when the flow has something to do.
func (f *flow) next() time.Duration {
	if !f.started {
		return f.spec.start
	}
	f.tx.expect(f.senderEvent())
	f.rx.expect(f.receiverEvent())
	return min(f.tx.wake, f.rx.wake, relative(f.back.Next()))
}

// senderEvent is when the sender has something to do, if its host runs.
func (f *flow) senderEvent() time.Duration {
	at := relative(f.ctl.Deadline())
	if len(f.queue) > 0 {
		at = min(at, f.w.now)
	}
	due := f.pacer.next + max(0, pacerBurst-f.pacer.each)
	if hold := f.ctl.Hold(); !hold.IsZero() {
		due = max(due, relative(hold))
	}
	if data := f.dataAt(); data > f.w.now {
		due = max(due, data)
	}
	return min(at, due)
}

func (f *flow) receiverEvent() time.Duration {
	if len(f.inbox) > 0 {
		return f.w.now
	}
	return f.fromReceiver(relative(f.recv.ReceiptDeadline(false)))
}

// The receiver's clock runs faster by skew.
func (f *flow) toReceiver(at time.Duration) time.Time {
	return absolute(at + time.Duration(float64(at)*f.skew))
}

func (f *flow) fromReceiver(at time.Duration) time.Duration {
	if at == never {
		return never
	}
	return at - time.Duration(float64(at)*f.skew/(1+f.skew)) + 1
}

// turn does what is due.
func (f *flow) turn(now time.Duration) {
	f.started = true
	for {
		n, ok := f.back.Receive(absolute(now), f.rbuf[:])
		if !ok {
			break
		}
		f.queue = append(f.queue, append([]byte(nil), f.rbuf[:n]...))
	}
	f.next()
	if f.rx.awake(now) {
		f.receiverTurn(now)
	}
	if f.tx.awake(now) {
		f.senderTurn(now)
	}
}

func (f *flow) senderTurn(now time.Duration) {
	for _, b := range f.queue {
		f.receipt(now, b)
	}
	f.queue = f.queue[:0]
	f.ctl.HandleTimeout(absolute(now))
	for now >= f.pacer.next && now >= f.holdUntil() {
		size := f.take(now)
		if size == 0 {
			f.pacer.idle, f.idle = true, true
			return
		}
		f.sendData(now, size)
	}
}

func (f *flow) holdUntil() time.Duration {
	hold := f.ctl.Hold()
	if hold.IsZero() {
		return 0
	}
	return relative(hold)
}

// take is the size of the next datagram, 0 if there is no data.
func (f *flow) take(now time.Duration) int {
	size := f.ctl.MaxDatagram()
	if f.spec.period == 0 && f.spec.app == 0 {
		return size
	}
	on := f.spec.period == 0 || now%f.spec.period < f.spec.on
	if f.spec.app == 0 {
		if on {
			return size
		}
		return 0
	}
	if on {
		f.budget = min(f.budget+float64(f.spec.app)/8*(now-f.budgetAt).Seconds(), 1<<18)
	}
	f.budgetAt = now
	if f.budget < float64(size) {
		return 0
	}
	f.budget -= float64(size)
	return size
}

// dataAt is when there will be data, if there is none now.
func (f *flow) dataAt() time.Duration {
	switch {
	case !f.idle:
		return 0
	case f.spec.app > 0:
		return f.budgetAt + time.Duration(float64(f.ctl.MaxDatagram()*8)/float64(f.spec.app)*1e9)
	}
	if into := f.w.now % f.spec.period; into >= f.spec.on {
		return f.w.now - into + f.spec.period
	}
	return 0
}

func (f *flow) sendData(now time.Duration, size int) {
	p := f.frame[:size]
	p[0] = f.id
	binary.BigEndian.PutUint64(p[1:], f.pn)
	p[9] = f.ctl.Epoch(absolute(now))
	binary.BigEndian.PutUint32(p[10:], f.number)
	binary.BigEndian.PutUint32(p[14:], f.receipts)
	f.ctl.OnSent(absolute(now), f.pn, size, f.idle, true)
	f.idle = false
	f.pn++
	f.pacer.onSent(now, size, f.ctl.Rate(absolute(now)))
	f.w.send(now, p)
}

// receipt hands a receipt to the controller.
func (f *flow) receipt(now time.Duration, b []byte) {
	r := wire.NewReader(b[1:][:binary.BigEndian.Uint16(b[len(b)-2:])])
	c, err := reliability.ParseReceipt(&r)
	if err != nil {
		f.w.err = err
		return
	}
	f.receipts++
	f.number = max(f.number, c.Number)
	low := uint32(f.pn)
	rep := rate.Report{
		Largest: f.pn + uint64(int64(int32(c.Largest-low))), Arrival: c.Arrival, Hold: c.Hold,
		Datagrams: c.Datagrams, Gaps: c.Gaps, CE: c.CE,
	}
	rep.Epochs = c.Epochs[:c.NumEpochs]
	f.ctl.OnReceipt(absolute(now), &rep)
	s := f.ctl.Snapshot(absolute(now))
	f.recv.SetRTT(s.RTT)
	if f.trace != nil {
		f.trace(now, s)
	}
}

// deliver takes a packet of this flow from the bottleneck.
func (f *flow) deliver(now time.Duration, p []byte) {
	a := arrival{size: len(p)}
	copy(a.head[:], p)
	f.inbox = append(f.inbox, a)
	if f.w.noise == (noise{}) {
		f.read(now)
	}
}

// read takes what waits in the receiver's socket.
func (f *flow) read(now time.Duration) {
	at := f.toReceiver(now)
	for i := range f.inbox {
		a := &f.inbox[i]
		if n := binary.BigEndian.Uint32(a.head[14:]); n > 0 {
			// An echo that is older than one seen before is an error of nobody.
			_ = f.recv.HandleEcho(reliability.Echo{Largest: binary.BigEndian.Uint32(a.head[10:]), Receipts: n})
		}
		f.recv.OnDatagram(at, reliability.Arrival{
			PN: binary.BigEndian.Uint64(a.head[1:]), Epoch: a.head[9], Size: a.size, Eliciting: true,
		})
	}
	f.inbox = f.inbox[:0]
}

func (f *flow) receiverTurn(now time.Duration) {
	f.read(now)
	at := f.toReceiver(now)
	for d := f.recv.ReceiptDeadline(false); !d.IsZero() && !d.After(at); d = f.recv.ReceiptDeadline(false) {
		frame := f.recv.AppendReceipt(at, f.rbuf[:0], receiptRoom)
		size := len(frame) + receiptExtra
		p := f.rbuf[:size]
		clear(p[len(frame):])
		binary.BigEndian.PutUint16(p[size-2:], uint16(len(frame)-1))
		if f.w.deaf(now) {
			continue
		}
		f.back.Send(absolute(now), p)
	}
}

// clock says when a host gets to do its work.
type clock struct {
	noise
	rng      *rand.Rand
	armed    time.Duration // the event that it will wake up for
	wake     time.Duration
	stall    time.Duration // next time that the host stands still
	stallEnd time.Duration
}

// noise is how late a busy host does its work.
type noise struct {
	late       time.Duration // mean, exponential,
	latest     time.Duration // and at most
	stallEvery time.Duration // mean time between two standstills
	stallMin   time.Duration
	stallMax   time.Duration
}

func newClock(n noise, rng *rand.Rand) clock {
	c := clock{noise: n, rng: rng, armed: never, wake: never, stall: never}
	if n.stallEvery > 0 {
		c.stall = c.draw(n.stallEvery)
	}
	return c
}

func (c *clock) draw(mean time.Duration) time.Duration {
	return time.Duration(c.rng.ExpFloat64() * float64(mean))
}

// expect tells the host about its next event.
func (c *clock) expect(at time.Duration) {
	if c.noise == (noise{}) {
		c.wake = at
		return
	}
	if at >= c.armed { // it will look then
		return
	}
	c.armed, c.wake = at, at
	c.wake += min(c.draw(c.late), c.latest)
	for c.wake >= c.stall {
		c.stallEnd = c.stall + c.stallMin + time.Duration(c.rng.Int64N(int64(c.stallMax-c.stallMin)+1))
		c.stall = c.stallEnd + c.draw(c.stallEvery)
	}
	c.wake = max(c.wake, c.stallEnd)
}

// awake reports whether the host runs now, and has it sleep afterwards.
func (c *clock) awake(now time.Duration) bool {
	if c.wake > now {
		return false
	}
	c.armed, c.wake = never, never
	return true
}
