package reliability

import (
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/internal/wire"
)

// TestEpochs: the receiver's record of send intervals (R-4, W-5).
func TestEpochs(t *testing.T) {
	var ring epochRing
	for pn := range uint64(40) { // ten epochs of four datagrams, 1 ms apart
		ring.add(uint8(pn/4), pn, time.Duration(pn)*time.Millisecond)
	}
	var out [MaxEpochs]Epoch
	if n := ring.report(out[:3], 39, 39*time.Millisecond); n != 3 {
		t.Fatalf("%d epochs reported, want 3", n)
	}
	want := Epoch{ID: 8, Count: 4, FirstPN: 7, LastPN: 4, FirstTime: 437, LastTime: 250}
	if out[1] != want {
		t.Errorf("epoch %+v, want %+v", out[1], want)
	}
}

// TestPacing: the rate is kept to the byte over time, a burst is at most half a
// millisecond's worth, and a late wake-up costs nothing (G-5).
func TestPacing(t *testing.T) {
	const rate, size = 8_000_000, 1000 // one datagram per millisecond
	p := pacer{rate: rate}
	sent := 0
	for at := time.Duration(0); at < time.Second; at += 100 * time.Microsecond {
		for p.ready(at) {
			p.onSent(at, size)
			sent++
		}
	}
	if sent < 999 || sent > 1001 {
		t.Errorf("%d datagrams in a second, want 1000", sent)
	}
	// A turn is due when half a millisecond's worth is, at least one datagram.
	for _, c := range []struct {
		rate int64
		want time.Duration
	}{{8_000_000, time.Millisecond}, {80_000_000, 500 * time.Microsecond}} {
		q := pacer{rate: c.rate}
		q.onSent(0, size)
		if q.wake() != c.want {
			t.Errorf("%d bit/s: next turn after %v, want %v", c.rate, q.wake(), c.want)
		}
	}
	at := 2 * time.Second // idle for a second
	p.onIdle()
	burst := 0
	for p.ready(at) {
		p.onSent(at, size)
		burst++
	}
	if burst != 1 {
		t.Errorf("burst of %d after idling, want 1", burst)
	}
	at += 4 * time.Millisecond // woken three milliseconds late
	late := 0
	for p.ready(at) {
		p.onSent(at, size)
		late++
	}
	if late < 3 || late > 4 {
		t.Errorf("%d datagrams after a late wake-up, want those that were due", late)
	}
}

// TestDeliveredAtOnce: a symbol is handed over when it arrives, whatever its
// block lacks.
func TestDeliveredAtOnce(t *testing.T) {
	rx := NewReceiver(time.Unix(0, 0), ReceiverConfig{Rate: 1e6})
	for _, index := range []uint8{63, 0, 17} {
		s := Source{Class: Bulk, Block: 5, Index: index, Last: index == 63, Symbol: []byte{index}}
		if fresh, err := rx.HandleSource(&s); !fresh || err != nil {
			t.Errorf("symbol %d: %v %v", index, fresh, err)
		}
		if fresh, err := rx.HandleSource(&s); fresh || err != nil {
			t.Errorf("symbol %d again: %v %v", index, fresh, err)
		}
	}
}

// TestGrowingBlock: a repair serves a block that still grows, and the block goes
// on growing.
func TestGrowingBlock(t *testing.T) {
	now := time.Unix(0, 0)
	tx := NewSender(now, SenderConfig{Rate: fixed(1e7)})
	rx := NewReceiver(now, ReceiverConfig{Rate: 1e7})
	send := func(i int) Source {
		copy(tx.Buffer(), []byte{byte(i), 1, 2})
		tr := tx.Commit(now, Bulk, 3, 0)
		b := tx.AppendFrame(nil, tr)
		tx.OnSent(now, 100, tr)
		r := wire.NewReader(b[1:])
		s, err := ParseSource(b[0], &r)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for i := range 5 {
		s := send(i)
		if i == 1 || i == 3 || i == 4 {
			continue // lost
		}
		if _, err := rx.HandleSource(&s); err != nil {
			t.Fatal(err)
		}
	}
	got := map[byte]bool{}
	for range 3 {
		tr, pn := Transmission{repair: true, valid: true}, tx.NextPN()
		b := tx.AppendFrame(nil, tr)
		tx.OnSent(now, 100, tr)
		r := wire.NewReader(b[1:])
		f, err := ParseRepair(b[0], &r)
		if err != nil || f.Closed || f.N != 5 {
			t.Fatalf("repair %+v, %v", f, err)
		}
		if err := rx.HandleRepair(&f, pn); err != nil {
			t.Fatal(err)
		}
		for {
			symbol, err := rx.NextRecovered()
			if err != nil {
				t.Fatal(err)
			}
			if symbol == nil {
				break
			}
			got[symbol[0]] = true
		}
	}
	if len(got) != 3 || !got[1] || !got[3] || !got[4] {
		t.Errorf("recovered %v, want 1, 3 and 4", got)
	}
	s := send(5)
	if fresh, err := rx.HandleSource(&s); !fresh || err != nil || s.Block != 0 || s.Index != 5 {
		t.Errorf("the block does not grow: %+v %v %v", s, fresh, err)
	}
}

// TestRedundancy: with redundancy 0 nothing is sent in advance, and a cap holds
// . Without one the rule sends in advance.
func TestRedundancy(t *testing.T) {
	for _, c := range []struct{ limit, most float64 }{{0, 0}, {0.1, 0.1}, {Auto, 10}} {
		p := newPair(t, pairOptions{
			rate: 10e6, delay: 20 * time.Millisecond, loss: 0.3, symbols: 3000, class: Bulk, seed: 9, redundancy: c.limit,
		})
		p.run(time.Minute)
		advance := p.tx.Stats().Proactive
		if limit := c.most*3000 + max(c.limit*redundancyCredit, 1); c.limit == 0 && advance > 0 || float64(advance) > limit {
			t.Errorf("redundancy %v: %d datagrams in advance of 3000", c.limit, advance)
		}
		if c.limit == Auto && advance == 0 {
			t.Error("nothing was sent in advance at 30 % loss")
		}
	}
}

// TestSparseFlow: a small message every 20 ms through an idle path arrives at
// once, although the blocks that it shares with others grow.
func TestSparseFlow(t *testing.T) {
	for _, loss := range []float64{0.2, 0.5} {
		p := newPair(t, pairOptions{
			rate: 10e6, delay: 20 * time.Millisecond, loss: loss, every: 20 * time.Millisecond,
			symbols: 5000, class: Interactive, size: 100, seed: 4, redundancy: Auto,
		})
		p.run(5 * time.Minute)
		slices.Sort(p.delays)
		if len(p.delays) < 4995 {
			t.Errorf("loss %v: %d of 5000 arrived", loss, len(p.delays))
		}
		if late := p.delays[len(p.delays)*998/1000]; late > 25*time.Millisecond {
			t.Errorf("loss %v: p99.8 is %v one way, of which the path has 20 ms", loss, late)
		}
	}
}

// TestLongestBlocks: a block that grew beyond the greatest rank that a
// receipt can tell, and that was closed without its last symbol saying so, is
// finished when receipts show all its symbols. Nothing would be left to send.
func TestLongestBlocks(t *testing.T) {
	for n := maxRank - 1; n <= MaxBlockSymbols; n++ {
		now := time.Unix(1000, 0)
		s := NewSender(now, SenderConfig{Rate: fixed(1e9), Redundancy: Auto})
		r := NewReceiver(now, ReceiverConfig{Rate: 1e9})
		s.receipts, s.number = 1, ^uint32(0) // the first flight is over
		for i := range n {
			tr := s.Commit(now, Bulk, 10, 0)
			s.store.block(0).limit = MaxBlockSymbols + 1
			f := Source{Class: Bulk, Index: uint8(i), Symbol: []byte{9: byte(i)}}
			if _, err := r.HandleSource(&f); err != nil {
				t.Fatal(err)
			}
			r.OnDatagram(now, Arrival{PN: s.NextPN(), Size: 100, Eliciting: true})
			s.OnSent(now, 100, tr)
		}
		s.store.close(0)
		rd := wire.NewReader(r.AppendReceipt(now.Add(time.Second), nil, 1200)[1:])
		c, err := ParseReceipt(&rd)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.HandleReceipt(now.Add(time.Second), &c, &Outcome{}); err != nil {
			t.Fatal(err)
		}
		if s.InFlight() != 0 || s.OldestBlock() != 1 {
			t.Errorf("%d symbols: %d in flight", n, s.InFlight())
		}
	}
}
