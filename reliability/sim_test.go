package reliability

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rate"
)

// pair is a Sender and a Receiver joined by a lossy link in virtual time. The
// path is drawn as it is used: data one way, receipts the other.
type pair struct {
	t    testing.TB
	now  time.Time
	rng  *rand.Rand
	tx   *Sender
	rx   *Receiver
	opt  pairOptions
	wire []flight

	created   int // symbols
	delivered map[uint64]int
	out       Outcome
	acked     []uint64
	next      time.Time // when the next symbol is there
	born      []time.Time
	stands    []Transmission // where each symbol was put
	oldest    uint64         // of the newest Position
	delays    []time.Duration
}

type pairOptions struct {
	rate    int64
	delay   time.Duration
	loss    float64
	jitter  time.Duration // reorders
	symbols int
	class   Class
	size    int
	seed    uint64

	redundancy float64
	arq        bool
	every      time.Duration // between symbols; 0: as fast as it goes
}

type flight struct {
	at   time.Time
	back bool
	pn   uint64
	ep   uint8
	b    []byte
}

func newPair(tb testing.TB, opt pairOptions) *pair {
	tb.Helper()
	now := time.Unix(1000, 0)
	if opt.size == 0 {
		opt.size = 1200
	}
	return &pair{
		t: tb, now: now, opt: opt, rng: rand.New(rand.NewPCG(opt.seed, 1)),
		tx:        NewSender(now, SenderConfig{Rate: fixed(opt.rate), Redundancy: opt.redundancy, ARQ: opt.arq}),
		rx:        NewReceiver(now, ReceiverConfig{Rate: opt.rate}),
		delivered: map[uint64]int{},
	}
}

func (p *pair) launch(f flight) {
	if p.rng.Float64() < p.opt.loss {
		return
	}
	f.at = p.now.Add(p.opt.delay)
	if p.opt.jitter > 0 {
		f.at = f.at.Add(time.Duration(p.rng.Int64N(int64(p.opt.jitter))))
	}
	i, _ := slices.BinarySearchFunc(p.wire, f.at, func(g flight, at time.Time) int {
		if g.at.After(at) {
			return 1
		}
		return -1
	})
	p.wire = slices.Insert(p.wire, i, f)
}

// send lets the sender send all it may.
func (p *pair) send() {
	for p.tx.CanSend(p.now) {
		var waiting [NumClasses]bool
		waiting[p.opt.class] = p.created < p.opt.symbols && !p.now.Before(p.next)
		c := p.tx.Next(p.now, waiting, math.MaxInt)
		t := c.Transmission
		if c.Open {
			buf := p.tx.Buffer()
			binary.BigEndian.PutUint64(buf, uint64(p.created))
			p.created++
			p.born, p.next = append(p.born, p.now), p.now.Add(p.opt.every)
			t = p.commit(c.Class)
		}
		if !t.Some() {
			p.tx.OnIdle()
			return
		}
		var b []byte
		if p.tx.EchoDue(p.now) {
			b = p.tx.AppendEcho(p.now, b)
		}
		b = p.tx.AppendFrame(b, t)
		p.launch(flight{pn: p.tx.NextPN(), ep: p.tx.Epoch(p.now), b: b})
		p.tx.OnSent(p.now, len(b)+54, t)
	}
}

// commit makes a symbol of what Buffer holds, and checks what Extends said before.
func (p *pair) commit(class Class) Transmission {
	var newest Transmission
	if n := len(p.stands); n > 0 {
		newest = p.stands[n-1]
	}
	extends := class == Bulk && p.tx.Extends(p.now, newest)
	t := p.tx.Commit(p.now, class, p.opt.size, uint64(p.created))
	if behind := newest.valid && t.block == newest.block && t.index == newest.index+1; class == Bulk && extends != behind {
		p.t.Fatalf("symbol %+v behind %+v: Extends said %v", t, newest, extends)
	}
	p.stands = append(p.stands, t)
	return t
}

func (p *pair) receive(f flight) {
	r := wire.NewReader(f.b)
	for r.Len() > 0 {
		first := r.U8()
		switch kind := TypeOf(first); kind {
		case FrameReceipt:
			c, err := ParseReceipt(&r)
			if err == nil {
				p.out.Reset()
				err = p.tx.HandleReceipt(p.now, &c, &p.out)
				p.acked = append(p.acked, p.out.Acked...)
			}
			if err != nil {
				p.t.Fatalf("receipt: %v", err)
			}
			p.rx.SetRTT(p.tx.RTT())
		case FrameEcho:
			e, err := ParseEcho(&r)
			if err == nil {
				err = p.rx.HandleEcho(e)
			}
			if err != nil {
				p.t.Fatalf("echo: %v", err)
			}
		case FrameSource:
			s, err := ParseSource(first, &r)
			if err != nil {
				p.t.Fatalf("source: %v", err)
			}
			fresh, err := p.rx.HandleSource(&s)
			if err != nil {
				p.t.Fatalf("source: %v", err)
			}
			if fresh {
				p.deliver(s.Symbol)
			}
			p.recover(f)
		case FrameRepair:
			s, err := ParseRepair(first, &r)
			if err == nil {
				err = p.rx.HandleRepair(&s, f.pn)
			}
			if err != nil {
				p.t.Fatalf("repair: %v", err)
			}
			p.recover(f)
		default:
			p.t.Fatalf("frame %d", kind)
		}
	}
}

// recover takes what a symbol made known, and notes its datagram.
func (p *pair) recover(f flight) {
	for {
		symbol, err := p.rx.NextRecovered()
		if err != nil {
			p.t.Fatalf("recovered: %v", err)
		}
		if symbol == nil {
			break
		}
		p.deliver(symbol)
	}
	p.rx.OnDatagram(p.now, Arrival{PN: f.pn, Epoch: f.ep, Size: len(f.b) + 54, Eliciting: true})
}

func (p *pair) deliver(symbol []byte) {
	id := binary.BigEndian.Uint64(symbol)
	if len(symbol) != p.opt.size {
		p.t.Fatalf("symbol %d has %d bytes, want %d", id, len(symbol), p.opt.size)
	}
	at, t := p.rx.Position(), p.stands[id]
	if at.Block != t.block || at.Index != int(t.index) || at.Class != p.opt.class || at.Oldest > at.Block || at.Oldest < p.oldest {
		p.t.Fatalf("symbol %d, %+v, came at %+v, after %d was the oldest block", id, t, at, p.oldest)
	}
	p.oldest = at.Oldest
	p.delivered[id]++
	p.delays = append(p.delays, p.now.Sub(p.born[id]))
}

// step handles the next event and reports whether there was one.
func (p *pair) step() bool {
	next := p.tx.Deadline()
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if len(p.wire) > 0 {
		sooner(p.wire[0].at)
	}
	sooner(p.rx.ReceiptDeadline(false))
	if p.created < p.opt.symbols || p.tx.InFlight() > 0 {
		if !p.tx.CanSend(p.now) {
			sooner(p.tx.NextSend())
		}
	}
	if p.created < p.opt.symbols && p.next.After(p.now) {
		sooner(p.next)
	}
	if next.IsZero() {
		return false
	}
	if next.After(p.now) {
		p.now = next
	}
	for len(p.wire) > 0 && !p.wire[0].at.After(p.now) {
		f := p.wire[0]
		p.wire = slices.Delete(p.wire, 0, 1)
		p.receive(f)
	}
	p.tx.HandleTimeout(p.now)
	if at := p.rx.ReceiptDeadline(false); !at.IsZero() && !at.After(p.now) {
		p.launch(flight{back: true, b: p.rx.AppendReceipt(p.now, nil, 1200)})
	}
	p.send()
	return true
}

// run runs until everything is delivered and receipted.
func (p *pair) run(limit time.Duration) {
	p.t.Helper()
	end := p.now.Add(limit)
	p.send()
	for p.tx.InFlight() > 0 || p.created < p.opt.symbols {
		if !p.step() || p.now.After(end) {
			p.t.Fatalf("%+v: stuck at %v: %d of %d delivered, %d in flight, stats %+v",
				p.opt, p.now.Sub(p.tx.start), len(p.delivered), p.opt.symbols, p.tx.InFlight(), p.tx.Stats())
		}
	}
}

// TestDelivery: whatever the loss and the reordering, every symbol arrives once
// and few are sent in vain.
func TestDelivery(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9} {
		for _, jitter := range []time.Duration{0, 10 * time.Millisecond} {
			t.Run(fmt.Sprintf("loss=%v,jitter=%v", loss, jitter), func(t *testing.T) {
				p := newPair(t, pairOptions{
					rate: 10e6, delay: 20 * time.Millisecond, loss: loss, jitter: jitter,
					symbols: 3000, class: Bulk, seed: 7, redundancy: Auto,
				})
				p.run(10 * time.Minute)
				for id := range uint64(3000) {
					if p.delivered[id] != 1 {
						t.Fatalf("symbol %d delivered %d times", id, p.delivered[id])
					}
				}
				// Of what arrived, few told nothing new. (Against what was sent
				// the figure would carry the noise of the loss.) The tail of a
				// transfer, with spare capacity, is flooded by design.
				if waste := float64(p.rx.Useless()) / float64(p.rx.datagrams); waste > 0.06 {
					t.Errorf("%.3f of the datagrams that arrived were useless", waste)
				}
				if got := p.tx.Stats().Loss; got < loss-0.05 || got > loss+0.05 {
					t.Errorf("loss measured as %.3f, is %.3f", got, loss)
				}
				if len(p.acked) != 3000 {
					t.Errorf("%d tags reported, want 3000", len(p.acked))
				}
			})
		}
	}
}

// TestRTT: the receiver's hold time does not count.
func TestRTT(t *testing.T) {
	p := newPair(t, pairOptions{rate: 10e6, delay: 50 * time.Millisecond, symbols: 2000, class: Bulk})
	p.run(time.Minute)
	if st := p.tx.Stats(); st.LeastRTT < 100*time.Millisecond || st.LeastRTT > 101*time.Millisecond {
		t.Errorf("smallest round trip %v, want 100 ms", st.LeastRTT)
	}
}

// TestNoLossNoResend: without loss nothing is sent twice, and jitter is not
// read as loss for long.
func TestNoLossNoResend(t *testing.T) {
	p := newPair(t, pairOptions{rate: 10e6, delay: 20 * time.Millisecond, symbols: 5000, class: Bulk})
	p.run(time.Minute)
	if st := p.tx.Stats(); st.Resent != 0 {
		t.Errorf("%d symbols resent on a perfect link", st.Resent)
	}
	p = newPair(t, pairOptions{rate: 10e6, delay: 20 * time.Millisecond, jitter: 30 * time.Millisecond, symbols: 20000, class: Bulk})
	p.run(time.Minute)
	if st := p.tx.Stats(); st.Resent > 20000/50 {
		t.Errorf("%d of 20000 symbols resent because of jitter", st.Resent)
	}
}

// TestDeadline: symbols of class Deadline are given up when they are too old
// and the receiver lets them go.
func TestDeadline(t *testing.T) {
	p := newPair(t, pairOptions{rate: 5e6, delay: 20 * time.Millisecond, loss: 0.7, symbols: 3000, class: Deadline, seed: 3})
	p.run(time.Minute)
	st := p.tx.Stats()
	if st.Abandoned == 0 {
		t.Error("nothing was given up at 70 % loss and no redundancy")
	}
	if len(p.delivered) < 3000*3/10 {
		t.Errorf("only %d of 3000 delivered", len(p.delivered))
	}
	if p.rx.next-p.rx.base > 200 {
		t.Errorf("receiver still holds %d blocks", p.rx.next-p.rx.base)
	}
}

// TestReturnLoss: q̂ follows the loss of receipts.
func TestReturnLoss(t *testing.T) {
	p := newPair(t, pairOptions{rate: 10e6, delay: 20 * time.Millisecond, loss: 0.4, symbols: 10000, class: Bulk, seed: 5})
	p.run(time.Minute)
	if q := p.rx.ReturnLoss(); q < 0.25 || q > 0.55 {
		t.Errorf("return loss measured as %.2f, is 0.40", q)
	}
}

// TestSilentPeer: a peer that never sends a receipt cannot make the sender
// hold more than the initial window (clause 5).
func TestSilentPeer(t *testing.T) {
	p := newPair(t, pairOptions{rate: 1e9, delay: time.Millisecond, loss: 1, symbols: 1 << 30, class: Bulk, size: MaxSymbol})
	for range 200000 {
		p.now = p.now.Add(100 * time.Microsecond)
		p.tx.HandleTimeout(p.now)
		p.send()
	}
	if st := p.tx.Stats(); st.Window > initialWindow/MaxSymbol || st.InFlight > initialWindow/MaxSymbol {
		t.Errorf("holds %d symbols, %d in flight", st.Window, st.InFlight)
	}
}

// TestReceiptRotation: a receipt too small for all blocks reports them in turn.
func TestReceiptRotation(t *testing.T) {
	now := time.Unix(0, 0)
	rx := NewReceiver(now, ReceiverConfig{Rate: 1e9})
	const blocks = 400
	for id := range uint32(blocks) {
		s := Source{Class: Bulk, Block: id, Index: 63, Last: true, Symbol: []byte{1}}
		if _, err := rx.HandleSource(&s); err != nil {
			t.Fatal(err)
		}
		rx.OnDatagram(now, Arrival{PN: uint64(id), Eliciting: true})
	}
	seen := map[uint32]bool{}
	for range 10 {
		r := wire.NewReader(rx.AppendReceipt(now, nil, 700)[1:])
		c, err := ParseReceipt(&r)
		if err != nil {
			t.Fatal(err)
		}
		for it := c.iterate(); ; {
			e, ok := it.next()
			if !ok {
				break
			}
			if e.rank != 1 || len(e.received) != 8 || e.received[7] != 0x80 {
				t.Fatalf("block %d: rank %d, received %x", c.First+e.offset, e.rank, e.received)
			}
			seen[c.First+e.offset] = true
		}
	}
	if len(seen) != blocks {
		t.Errorf("%d of %d blocks reported in 10 receipts", len(seen), blocks)
	}
}

// TestSteadyStateAllocations: clause 3.
func TestSteadyStateAllocations(t *testing.T) {
	now := time.Unix(0, 0)
	tx := NewSender(now, SenderConfig{Rate: fixed(1e9)})
	rx := NewReceiver(now, ReceiverConfig{Rate: 1e9})
	frame, receipt := make([]byte, 0, 2000), make([]byte, 0, 2000)
	var out Outcome
	pn := uint64(0)
	one := func() {
		now = now.Add(50 * time.Microsecond)
		tr := tx.Commit(now, Bulk, 1200, 0)
		frame = tx.AppendFrame(frame[:0], tr)
		tx.OnSent(now, 1254, tr)
		r := wire.NewReader(frame[1:])
		s, _ := ParseSource(frame[0], &r)
		if fresh, err := rx.HandleSource(&s); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
		rx.OnDatagram(now, Arrival{PN: pn, Eliciting: true, Size: 1254})
		pn++
		if pn%16 == 0 {
			receipt = rx.AppendReceipt(now, receipt[:0], 1200)
			r := wire.NewReader(receipt[1:])
			c, _ := ParseReceipt(&r)
			out.Reset()
			if err := tx.HandleReceipt(now, &c, &out); err != nil {
				t.Fatal(err)
			}
			frame = tx.AppendEcho(now, frame[:0])
			r = wire.NewReader(frame[1:])
			e, _ := ParseEcho(&r)
			if err := rx.HandleEcho(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 * MaxLiveBlocks * MaxBlockSymbols { // every slot used once
		one()
	}
	if n := testing.AllocsPerRun(10000, one); n != 0 {
		t.Errorf("%v allocations per datagram", n)
	}
}

// TestTooFew compares with the sum by big steps of its definition.
func TestTooFew(t *testing.T) {
	for _, n := range []int{1, 2, 10, 64, 65, 200} {
		for _, q := range []float64{0.02, 0.1, 0.5, 0.8, 0.99} {
			for _, d := range []int{0, 1, 2, n / 2, n, n + 1} {
				want := 0.0
				for i := range min(d, n+1) {
					lg, _ := math.Lgamma(float64(n + 1))
					li, _ := math.Lgamma(float64(i + 1))
					lni, _ := math.Lgamma(float64(n - i + 1))
					want += math.Exp(lg - li - lni + float64(i)*math.Log(q) + float64(n-i)*math.Log(1-q))
				}
				if got := tooFew(n, q, d); math.Abs(got-min(want, 1)) > 0.02 {
					t.Errorf("P(Bin(%d, %v) < %d) = %.4f, want %.4f", n, q, d, got, want)
				}
			}
		}
	}
}

// fixed is a rate that the sender is told, in bit/s.
func fixed(bits int64) rate.Config { return rate.Config{Mode: rate.Fixed, Ceiling: bits} }
