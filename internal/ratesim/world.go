package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
)

// world is one bottleneck with those who send through it, in virtual time. Times
// count from its start.
type world struct {
	scenario
	rng    *rand.Rand // of the losses before the bottleneck
	link   *link.Link
	hosts  []endpoint
	now    time.Duration
	buf    [link.DefaultMTU]byte
	series series
	err    error
}

// endpoint is one connection: its sender and its receiver.
type endpoint interface {
	// next is when turn must be called; it may be past.
	next() time.Duration
	// turn does what is due.
	turn(now time.Duration)
	// deliver takes a packet that the bottleneck let through.
	deliver(now time.Duration, p []byte)
}

// never is later than everything.
const never = time.Duration(1<<63 - 1)

// origin is when a world starts.
func origin() time.Time { return time.Unix(0, 0) }

func absolute(d time.Duration) time.Time { return origin().Add(d) }

// relative is the time of an event: never if it is zero.
func relative(t time.Time) time.Duration {
	if t.IsZero() {
		return never
	}
	return t.Sub(origin())
}

// newWorld builds the world of a scenario.
func newWorld(sc scenario) (*world, error) {
	w := &world{scenario: sc, rng: sc.random("before")}
	l, err := link.New(origin(), sc.link(), sc.random("forward"))
	if err != nil {
		return nil, err
	}
	w.link = l
	w.stagger()
	for i := range sc.flows {
		f, err := newFlow(w, i)
		if err != nil {
			return nil, err
		}
		w.hosts = append(w.hosts, f)
	}
	for i, r := range sc.rivals {
		w.hosts = append(w.hosts, r.endpoint(w, uint8(len(sc.flows)+i)))
	}
	w.series = newSeries(sc.duration, len(w.hosts))
	return w, nil
}

// stagger has each sender start a little later, at random.
func (w *world) stagger() {
	if w.spread == 0 {
		return
	}
	rng := w.random("starts")
	w.flows, w.rivals = slices.Clone(w.flows), slices.Clone(w.rivals)
	for i := range w.flows {
		w.flows[i].start += time.Duration(rng.Int64N(int64(w.spread)))
	}
	for i := range w.rivals {
		w.rivals[i].start += time.Duration(rng.Int64N(int64(w.spread)))
	}
}

// random is a source of randomness of its own for each purpose, scenario and seed.
func (sc *scenario) random(purpose string) *rand.Rand {
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], sc.seed)
	sum := sha256.Sum256(append(seed[:], sc.name+"/"+purpose...))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// run plays the scenario to its end.
func (w *world) run() error {
	tick := sampleTime
	for w.now < w.duration && w.err == nil {
		next := tick
		if at := relative(w.link.Next()); at < next {
			next = at
		}
		for _, h := range w.hosts {
			next = min(next, h.next())
		}
		w.now = max(w.now, next)
		w.receive()
		for _, h := range w.hosts {
			if h.next() <= w.now {
				h.turn(w.now)
			}
		}
		if w.now >= tick {
			w.sample()
			tick += sampleTime
		}
	}
	return w.err
}

// runTraced is run with the trace of the first flow in a file, if one is named.
func (w *world) runTraced(name string) error {
	if name == "" {
		return w.run()
	}
	rows := []byte(rate.TraceHeader)
	if f, ok := w.hosts[0].(*flow); ok {
		f.trace = func(now time.Duration, s rate.Snapshot) { rows = s.AppendTrace(rows, now) }
	}
	if err := w.run(); err != nil {
		return err
	}
	if err := os.WriteFile(name, rows, 0o644); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

// receive hands out what the bottleneck has delivered by now.
func (w *world) receive() {
	at := absolute(w.now)
	for {
		n, ok := w.link.Receive(at, w.buf[:])
		if !ok {
			return
		}
		from := w.buf[0]
		w.series.delivered(w.now, int(from), n)
		w.hosts[from].deliver(w.now, w.buf[:n])
	}
}

// send puts a packet on its way to the bottleneck.
func (w *world) send(now time.Duration, p []byte) {
	w.series.sent(now, int(p[0]), len(p))
	if w.before > 0 && w.rng.Float64() < w.before {
		return
	}
	if w.link.Send(absolute(now), p) {
		w.series.accepted += len(p)
	}
}

// capacity is the rate of the bottleneck now, in bit/s.
func (w *world) capacity() float64 {
	c := w.link.Config()
	if c.Policer.Rate > 0 {
		return float64(min(c.Policer.Rate, c.Rate))
	}
	return float64(c.Rate)
}

// sample notes the state of the bottleneck.
func (w *world) sample() {
	w.link.Receive(absolute(w.now), nil) // nothing is due: only moves its clock
	queued := w.link.Stats().QueueBytes
	target := time.Duration(0)
	if f, ok := w.hosts[0].(*flow); ok {
		target = f.ctl.Snapshot(absolute(w.now)).Target
	}
	rate := float64(w.link.Config().Rate)
	w.series.sample(w.now, instant{
		served: w.series.accepted - queued, capacity: w.capacity(),
		queue: float64(queued) * 8 / rate, target: target.Seconds(),
	})
}
