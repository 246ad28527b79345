package main

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/totg/totg/internal/link"
)

// ack is the news of one packet, on its way to the sender.
type ack struct {
	at time.Duration
	pn uint64
}

// tcp is what the models of other flows share: full packets with numbers, an
// acknowledgement for each, a loss where a later one was acknowledged.
type tcp struct {
	w     *world
	id    uint8
	start time.Duration
	acks  []ack // in the order of time
	pn    uint64
	acked uint64 // packets below are acknowledged or lost
	frame [link.DefaultMTU]byte
	begun bool
	heard time.Duration
}

func (t *tcp) transmit(now time.Duration) {
	t.frame[0] = t.id
	binary.BigEndian.PutUint64(t.frame[1:], t.pn)
	t.pn++
	t.w.send(now, t.frame[:])
}

func (t *tcp) deliver(now time.Duration, p []byte) {
	t.acks = append(t.acks, ack{at: now + t.w.rtt/2, pn: binary.BigEndian.Uint64(p[1:])})
}

// flying is the number of packets in flight.
func (t *tcp) flying() float64 { return float64(t.pn - t.acked) }

// wake is when the next acknowledgement arrives, or the timeout.
func (t *tcp) wake() time.Duration {
	switch {
	case !t.begun:
		return t.start
	case len(t.acks) > 0:
		return t.acks[0].at
	}
	return t.heard + time.Second
}

// take returns the next acknowledgement that has arrived, and how many packets
// before it are lost.
func (t *tcp) take(now time.Duration) (a ack, lost int, ok bool) {
	for len(t.acks) > 0 && t.acks[0].at <= now {
		a, t.acks = t.acks[0], t.acks[1:]
		if a.pn < t.acked {
			continue
		}
		lost = int(a.pn - t.acked)
		t.acked, t.heard = a.pn+1, now
		return a, lost, true
	}
	return ack{}, 0, false
}

// cubicFlow is a model of TCP CUBIC (RFC 9438) without pacing: slow start, the
// cubic window with fast convergence, the Reno-friendly region.
type cubicFlow struct {
	tcp
	host         clock
	window, most float64 // packets
	from         float64 // window after the loss
	epoch        time.Duration
	reduced      uint64 // losses below this packet are of the same event
	slow         bool
}

func newCubic(w *world, id uint8, start time.Duration) *cubicFlow {
	return &cubicFlow{
		tcp: tcp{w: w, id: id, start: start}, window: 10, slow: true,
		host: newClock(w.noise, w.random("rival"+string(rune('0'+id)))),
	}
}

func (c *cubicFlow) next() time.Duration {
	c.host.expect(c.wake())
	return c.host.wake
}

func (c *cubicFlow) turn(now time.Duration) {
	c.host.awake(now)
	if !c.begun {
		c.begun, c.heard = true, now
	}
	for {
		_, lost, ok := c.take(now)
		if !ok {
			break
		}
		if lost > 0 && c.acked > c.reduced {
			if c.most > c.window { // leave room for others
				c.most = 0.85 * c.window
			} else {
				c.most = c.window
			}
			c.window = max(2, c.window*0.7)
			c.from = c.window
			c.epoch, c.slow, c.reduced = now, false, c.pn
		}
		c.grow(now)
	}
	if now >= c.heard+time.Second { // all is lost
		c.acked, c.heard, c.window, c.slow = c.pn, now, 2, true
	}
	for c.flying() < c.window {
		c.transmit(now)
	}
}

func (c *cubicFlow) grow(now time.Duration) {
	if c.slow {
		c.window++
		return
	}
	t := (now - c.epoch).Seconds()
	k := math.Cbrt(max(c.most-c.from, 0) / 0.4)
	want := 0.4*(t-k)*(t-k)*(t-k) + c.most
	want = max(want, c.from+0.53*t/c.w.rtt.Seconds())
	if want > c.window {
		c.window += min((want-c.window)/c.window, 0.5)
	}
}
