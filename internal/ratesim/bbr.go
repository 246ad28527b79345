package main

import (
	"slices"
	"time"
)

// bbrFlow is a model of BBR version 1: it paces at a gain times the greatest
// delivery rate of ten round trips, and bounds what is in flight to twice the
// product with the least round-trip time.
type bbrFlow struct {
	tcp
	sent      []bbrRecord // by packet number, from acked on
	delivered float64     // packets
	rates     []bbrRate
	least     time.Duration // round-trip time
	leastAt   time.Duration
	probe     time.Duration // end of the time with four packets in flight
	cycle     int
	cycleAt   time.Duration
	full      float64 // rate at the last rise of start-up
	flat      int
	filled    bool
	drained   bool
	due       time.Duration
	round     uint64
}

type bbrRecord struct {
	at        time.Duration
	delivered float64
}

type bbrRate struct {
	at   time.Duration
	rate float64 // packets/s
}

func newBBR(w *world, id uint8, start time.Duration) *bbrFlow {
	return &bbrFlow{tcp: tcp{w: w, id: id, start: start}, least: time.Second}
}

func (b *bbrFlow) next() time.Duration {
	at := b.wake()
	if b.begun && b.flying() < b.window() {
		at = min(at, b.due)
	}
	return at
}

func (b *bbrFlow) bandwidth() float64 {
	most := 10 / 0.1
	for _, r := range b.rates {
		most = max(most, r.rate)
	}
	return most
}

func (b *bbrFlow) gain() float64 {
	switch {
	case !b.filled:
		return 2.885
	case !b.drained:
		return 1 / 2.885
	case b.cycle == 0:
		return 1.25
	case b.cycle == 1:
		return 0.75
	}
	return 1
}

func (b *bbrFlow) window() float64 {
	if b.probe > b.w.now {
		return 4
	}
	gain := 2.0
	if !b.filled {
		gain = 2.885
	}
	return max(4, gain*b.bandwidth()*b.least.Seconds())
}

func (b *bbrFlow) turn(now time.Duration) {
	if !b.begun {
		b.begun, b.heard, b.due, b.cycleAt, b.leastAt = true, now, now, now, now
	}
	for {
		a, lost, ok := b.take(now)
		if !ok {
			break
		}
		rec := b.sent[lost]
		b.sent = b.sent[lost+1:]
		b.onAck(now, a, rec)
	}
	if now >= b.heard+time.Second {
		b.sent, b.acked, b.heard = b.sent[:0], b.pn, now
	}
	b.turnCycle(now)
	for b.flying() < b.window() && now >= b.due {
		b.sent = append(b.sent, bbrRecord{at: now, delivered: b.delivered})
		b.transmit(now)
		b.due = max(b.due, now-time.Millisecond) + time.Duration(float64(time.Second)/(b.gain()*b.bandwidth()))
	}
}

func (b *bbrFlow) onAck(now time.Duration, a ack, rec bbrRecord) {
	b.delivered++
	rtt := now - rec.at
	if rtt <= b.least || now-b.leastAt > 10*time.Second {
		if now-b.leastAt > 10*time.Second {
			b.probe = now + 200*time.Millisecond + rtt
		}
		b.least, b.leastAt = rtt, now
	}
	b.rates = append(b.rates, bbrRate{at: now, rate: (b.delivered - rec.delivered) / rtt.Seconds()})
	old := now - max(10*b.least, 500*time.Millisecond)
	b.rates = slices.DeleteFunc(b.rates, func(r bbrRate) bool { return r.at < old })
	if len(b.rates) > 64 { // the greatest of each stretch is enough
		b.rates = b.rates[:compact(b.rates)]
	}
	if a.pn < b.round {
		return
	}
	b.round = b.pn
	if b.filled {
		return
	}
	if bw := b.bandwidth(); bw > 1.25*b.full {
		b.full, b.flat = bw, 0
	} else if b.flat++; b.flat >= 3 {
		b.filled = true
	}
}

// compact halves a list of rates: of two neighbours the greater stays.
func compact(list []bbrRate) int {
	n := 0
	for i := 0; i+1 < len(list); i += 2 {
		list[n] = list[i+1]
		list[n].rate = max(list[i].rate, list[i+1].rate)
		n++
	}
	return n
}

func (b *bbrFlow) turnCycle(now time.Duration) {
	if b.filled && !b.drained && b.flying() <= b.bandwidth()*b.least.Seconds() {
		b.drained, b.cycleAt = true, now
	}
	if b.drained && now-b.cycleAt > b.least {
		b.cycle, b.cycleAt = (b.cycle+1)%8, now
	}
}
