package reliability

import (
	"testing"
	"time"

	"github.com/totg/totg/internal/wire"
)

// FuzzSender: a hostile peer's receipts, however they are made up, neither
// panic the sender nor make it forget or invent symbols, nor hold more than the
// window.
func FuzzSender(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 200, 100, 50, 25, 12, 6, 3, 1, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		now := time.Unix(0, 0)
		s := NewSender(now, SenderConfig{Rate: fixed(1e8), Redundancy: Auto})
		var out Outcome
		for len(ops) >= 4 {
			op, a, b, c := ops[0], ops[1], ops[2], ops[3]
			ops = ops[4:]
			now = now.Add(time.Duration(a) * time.Millisecond)
			class := Class(b % NumClasses)
			switch op % 4 {
			case 0:
				if s.CanOpen() {
					tr := s.Commit(now, class, 1+int(c), uint64(c))
					s.OnSent(now, 100, tr)
				}
			case 1:
				if tr := s.Next(now, [NumClasses]bool{}, 0); tr.Some() {
					_ = s.AppendFrame(nil, tr.Transmission)
					s.OnSent(now, 100, tr.Transmission)
				}
			case 2:
				s.HandleTimeout(now)
			case 3:
				n := min(len(ops), int(c%16))
				r := Receipt{
					Number: uint32(a), Largest: uint32(b), Base: uint32(c >> 4), First: uint32(b >> 3),
					ToEnd: a%2 == 0, States: ops[:n], Window: DefaultWindow,
				}
				ops = ops[n:]
				rd := wire.NewReader(r.Append(nil)[1:])
				if parsed, err := ParseReceipt(&rd); err == nil {
					before := s.InFlight()
					out.Reset()
					if err := s.HandleReceipt(now, &parsed, &out); err != nil && s.InFlight() != before {
						t.Fatal("a refused receipt changed the state")
					}
				}
			}
			checkSender(t, s)
		}
	})
}

// checkSender checks the invariants between the counters, the symbols and the
// log.
func checkSender(t *testing.T, s *Sender) {
	t.Helper()
	left, symbols := 0, 0
	flying := map[uint64]int{}
	for pn := s.log.head; pn < s.log.next; pn++ {
		if s.flying(pn) {
			flying[s.log.at(pn).block]++
		}
	}
	for id := s.store.oldest; id < s.store.next; id++ {
		b := s.store.block(id)
		left, symbols = left+b.deficit, symbols+len(b.symbols)
		if b.deficit < 0 || b.deficit > len(b.symbols) || (b.done && b.deficit > 0) {
			t.Fatalf("block %d of %d lacks %d, done %v", id, len(b.symbols), b.deficit, b.done)
		}
		if !b.done && b.inFlight != flying[id] {
			t.Fatalf("block %d: %d in flight, the log has %d", id, b.inFlight, flying[id])
		}
	}
	if left != s.store.unreceipted || symbols != s.store.symbols {
		t.Fatalf("counts %d %d, kept %d %d", left, symbols, s.store.unreceipted, s.store.symbols)
	}
	if symbols > DefaultWindow/MaxSymbol {
		t.Fatalf("holds %d symbols", symbols)
	}
}

// FuzzReceiver: a hostile peer's symbols and echoes neither panic the receiver
// nor make it accept a symbol twice.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Fuzz(func(t *testing.T, ops []byte) {
		now := time.Unix(0, 0)
		rx := NewReceiver(now, ReceiverConfig{Rate: 1e6})
		type name struct {
			block uint32
			index uint8
		}
		seen := map[name]bool{}
		for pn := uint64(0); len(ops) >= 4; pn++ {
			op, a, b, c := ops[0], ops[1], ops[2], ops[3]
			ops = ops[4:]
			now = now.Add(time.Millisecond)
			switch op % 4 {
			case 3:
				f := Repair{Class: Class(op >> 6), Block: uint32(a) * uint32(1+op>>4), N: 1 + int(b)%20, Closed: c%2 == 0, Coded: []byte{0, 1, a, b, c}}
				_ = rx.HandleRepair(&f, pn)
				drainRecovered(rx)
			case 0:
				s := Source{Class: Class(op >> 6), Block: uint32(a) * uint32(1+op>>4), Index: b, Symbol: []byte{1}}
				s.Last = c%8 == 1
				fresh, err := rx.HandleSource(&s)
				if fresh && (err != nil || seen[name{s.Block, b}]) {
					t.Fatalf("symbol %d of block %d is new again (%v)", b, s.Block, err)
				}
				if fresh {
					seen[name{s.Block, b}] = true
				}
				drainRecovered(rx)
				rx.OnDatagram(now, Arrival{PN: pn, Epoch: c, Eliciting: true})
			case 1:
				_ = rx.HandleEcho(Echo{Largest: uint32(a), Receipts: uint32(b), Oldest: uint32(c)})
			case 2:
				frame := rx.AppendReceipt(now, nil, 300+int(a)*4)
				if len(frame) == 0 {
					t.Fatal("no receipt")
				}
				r := wire.NewReader(frame[1:])
				if _, err := ParseReceipt(&r); err != nil || r.Done() != nil || len(frame) > 300+int(a)*4 {
					t.Fatalf("receipt of %d bytes: %v, %v", len(frame), err, r.Done())
				}
			}
		}
	})
}

// drainRecovered takes what the last symbol made known, up to the first lie.
func drainRecovered(rx *Receiver) {
	for {
		if symbol, err := rx.NextRecovered(); symbol == nil || err != nil {
			return
		}
	}
}
