package agreement

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// stored is what a log holds of an attempt.
type stored struct {
	record   []byte
	resolved bool
}

// writing is a record on its way to the disk.
type writing struct {
	event Event
	at    time.Time
}

// host is a Book with its disk.
type host struct {
	tb      testing.TB
	cfg     Config
	book    *Book
	log     map[ID]stored
	order   []ID
	writing []writing
	slow    time.Duration // that a write takes
	told    map[ID]ladder.Outcome
	doubts  int
}

func key(tb testing.TB, n byte) handshake.PrivateKey {
	tb.Helper()
	k, err := handshake.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n + 1}, handshake.KeyLen)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newHost(tb testing.TB, me byte, seed uint64, accept ...string) *host {
	tb.Helper()
	h := &host{tb: tb, log: map[ID]stored{}, told: map[ID]ladder.Outcome{}, slow: 3 * time.Millisecond}
	h.cfg = Config{
		Private: key(tb, me), Remote: key(tb, 1-me).Public(), Accept: accept,
		Random: rand.NewChaCha8([32]byte{me, byte(seed), byte(seed >> 8)}),
	}
	h.start(start)
	return h
}

func (h *host) start(now time.Time) {
	h.tb.Helper()
	b, err := New(now, h.cfg)
	if err != nil {
		h.tb.Fatal(err)
	}
	h.book, h.writing = b, nil
	for _, id := range h.order {
		s := h.log[id]
		if err := b.Restore(now, s.record, s.resolved); err != nil {
			h.tb.Fatal(err)
		}
	}
	h.work(now)
}

// work handles events, and writes that are done.
func (h *host) work(now time.Time) {
	for len(h.writing) > 0 && !now.Before(h.writing[0].at) {
		e := h.writing[0].event
		h.writing = h.writing[1:]
		if _, known := h.log[e.ID]; !known {
			h.order = append(h.order, e.ID)
		}
		h.log[e.ID] = stored{record: bytes.Clone(e.Record)}
		h.book.OnStable(now, e.ID, e.Stage)
	}
	for {
		e, ok := h.book.PollEvent()
		if !ok {
			break
		}
		switch e.Kind {
		case Store:
			h.writing = append(h.writing, writing{event: e, at: now.Add(h.slow)})
		case Doubt:
			h.doubts++
		case Decided:
			if was, again := h.told[e.ID]; again && was != e.Outcome {
				h.tb.Fatalf("told %v, then %v", was, e.Outcome)
			}
			h.told[e.ID] = e.Outcome
		case Resolved:
			s := h.log[e.ID]
			s.resolved = true
			h.log[e.ID] = s
		}
	}
}

// receipts are those of the committed attempts.
func (h *host) receipts() map[[ladder.ReceiptLen]byte]bool {
	all := map[[ladder.ReceiptLen]byte]bool{}
	for _, e := range h.book.List() {
		if e.Outcome == ladder.Committed {
			all[e.Receipt] = true
		}
	}
	return all
}

// outcomes counts the attempts by outcome.
func (h *host) outcomes() (n [ladder.Aborted + 1]int) {
	for _, e := range h.book.List() {
		n[e.Outcome]++
	}
	return n
}

// flight is a message under way.
type flight struct {
	to int
	at time.Time
	b  []byte
}

// duo is two hosts and a lossy path between them.
type duo struct {
	tb     testing.TB
	now    time.Time
	h      [2]*host
	rng    *rand.Rand
	loss   float64
	delay  time.Duration
	flight []flight
	sent   int
	seed   uint64
}

func newDuo(tb testing.TB, seed uint64, loss float64, accept ...string) *duo {
	tb.Helper()
	return &duo{
		tb: tb, now: start, rng: rand.New(rand.NewPCG(seed, 5)), loss: loss, delay: 10 * time.Millisecond, seed: seed,
		h: [2]*host{newHost(tb, 0, seed), newHost(tb, 1, seed, accept...)},
	}
}

// run passes time in steps of a millisecond, until done says so.
func (d *duo) run(t time.Duration, done func() bool) bool {
	for end := d.now.Add(t); d.now.Before(end); d.now = d.now.Add(time.Millisecond) {
		if done != nil && done() {
			return true
		}
		for i, h := range d.h {
			h.work(d.now)
			buf := make([]byte, ladder.MaxMessage)
			for {
				n, ok := h.book.Poll(d.now, buf)
				if !ok {
					break
				}
				d.sent++
				copies := 1
				if d.rng.IntN(20) == 0 {
					copies = 2
				}
				for range copies {
					if d.rng.Float64() >= d.loss {
						at := d.now.Add(d.delay + time.Duration(d.rng.IntN(10))*time.Millisecond)
						d.flight = append(d.flight, flight{to: 1 - i, at: at, b: bytes.Clone(buf[:n])})
					}
				}
			}
			h.work(d.now)
			if next := h.book.NextDeadline(); !next.IsZero() && !next.After(d.now) {
				d.tb.Fatalf("seed %d: drained, and the deadline is not after now", d.seed)
			}
		}
		rest := d.flight[:0]
		for _, f := range d.flight {
			if d.now.Before(f.at) {
				rest = append(rest, f)
				continue
			}
			d.h[f.to].book.Handle(d.now, f.b)
			d.h[f.to].work(d.now)
		}
		d.flight = rest
	}
	return done != nil && done()
}

// crash kills a host and starts it again from its disk.
func (d *duo) crash(i int) { d.h[i].start(d.now) }

func (d *duo) propose(i int, name string, patience time.Duration) ID {
	d.tb.Helper()
	id, err := d.h[i].book.Propose(d.now, name, d.now.Add(patience))
	if err != nil {
		d.tb.Fatal(err)
	}
	d.h[i].work(d.now)
	return id
}

func (d *duo) outcome(i int, id ID) ladder.Outcome {
	o, _ := d.h[i].book.Outcome(id)
	return o
}

// settled reports whether every attempt of both is decided.
func (d *duo) settled() bool {
	for _, h := range d.h {
		for _, e := range h.book.List() {
			if e.Outcome != ladder.Committed && e.Outcome != ladder.Aborted {
				return false
			}
		}
	}
	return true
}

// same checks X-6: whoever committed, the other did, too.
func (d *duo) same(what string) {
	d.tb.Helper()
	a, b := d.h[0].receipts(), d.h[1].receipts()
	if fmt.Sprint(a) != fmt.Sprint(b) {
		d.tb.Errorf("%s, seed %d: committed %d here and %d there: go test ./tunnel/agreement -run %s", what, d.seed, len(a), len(b), d.tb.Name())
	}
}
