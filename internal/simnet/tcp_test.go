package simnet

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
)

// stream is one inner TCP connection from host 0 to host 1: slow start, CUBIC's
// window after a loss. The ingress queue makes them: it is full, or CoDel drops.
type stream struct {
	net                  *Net
	unit                 [1501]byte
	window, last         float64 // segments
	threshold            float64
	lossAt               time.Duration
	sent, acked, arrived uint32
	told                 uint32 // acknowledged by host 1
	dropped              uint32 // from the ingress queue, after they were taken
	recovered            uint32 // what was sent until the newest loss
	bytes                uint64
}

const segment = 1448

func newStream(n *Net) *stream {
	s := &stream{net: n, window: 10, threshold: math.Inf(1)}
	n.hosts[1].Received = func(u []byte) {
		if len(u) > 1000 {
			s.arrived++
			s.bytes += segment
		}
	}
	n.hosts[0].Received = func(u []byte) { s.onAck(binary.BigEndian.Uint32(u[1+ipv4Len+8:])) }
	return s
}

func (s *stream) onAck(n uint32) {
	for ; s.acked < n; s.acked++ {
		if s.window < s.threshold {
			s.window++
			continue
		}
		t := (s.net.Elapsed() - s.lossAt).Seconds()
		k := math.Cbrt(s.last * 0.3 / 0.4)
		target := max(0.4*(t-k)*(t-k)*(t-k)+s.last, s.last*0.7)
		s.window += max(target-s.window, 0.05) / s.window
	}
}

// slower is the answer to a loss: once for all that was on its way then (RFC 6675).
func (s *stream) slower() {
	if s.acked+s.dropped >= s.recovered {
		s.recovered = s.sent
		s.last, s.lossAt = s.window, s.net.Elapsed()
		s.window *= 0.7
		s.threshold = s.window
	}
}

// turn sends what the window allows. A segment that was dropped is sent again, as
// one more at the end.
func (s *stream) turn() {
	if n := uint32(s.net.Status(0).QueueEvicted); n != s.dropped {
		s.dropped = n
		s.slower()
	}
	for float64(s.sent-s.acked-s.dropped) < s.window {
		u := s.unit[:]
		clear(u)
		p := u[1:]
		p[0], p[9] = 0x45, protoTCP
		binary.BigEndian.PutUint16(p[2:], 1500)
		p[ipv4Len+12], p[ipv4Len+13] = 8<<4, 0x18
		binary.BigEndian.PutUint32(p[ipv4Len+4:], s.sent*segment)
		if !s.net.Write(0, u) {
			s.slower()
			return
		}
		s.sent++
	}
	if s.arrived != s.told {
		s.told = s.arrived
		var u [1 + 60]byte
		p := u[1:]
		p[0], p[9] = 0x45, protoUDP
		binary.BigEndian.PutUint16(p[2:], 60)
		binary.BigEndian.PutUint32(p[ipv4Len+8:], s.told)
		s.net.Write(1, u[:])
	}
}

var (
	streamLog  = flag.Bool("stream-log", false, "print the progress of the streams")
	streamSeed = flag.Uint64("stream-seed", 5, "of the streams' links")
)

// TestStream (G-3): without being told the rate, an inner TCP finds most of the
// capacity, slow start included, after a trickle that shows nothing of the path.
// The bounds lie 0.03 to 0.09 below what seeds 2 and 5 show; with seed 1 the path of
// 600 ms gets 0.23, for an inner TCP in slow start overflows the buffer before
// STARTUP has seen two bursts.
func TestStream(t *testing.T) {
	type cell struct {
		mbits  int64
		rtt    time.Duration
		loss   float64
		jitter time.Duration
		least  float64 // share of (1-p)·C over the first 20 s
	}
	for _, c := range []cell{
		{50, 40 * time.Millisecond, 0, 0, 0.86},
		{50, 40 * time.Millisecond, 0.2, 0, 0.84},
		{50, 40 * time.Millisecond, 0.5, 0, 0.84},
		{50, 40 * time.Millisecond, 0.7, 0, 0.84},
		{10, 100 * time.Millisecond, 0.1, 0, 0.84},
		{200, 20 * time.Millisecond, 0.1, 0, 0.86},
		{20, 45 * time.Millisecond, 0.01, 8 * time.Millisecond, 0.73},
		{5, 600 * time.Millisecond, 0.01, 5 * time.Millisecond, 0.50},
	} {
		t.Run(fmt.Sprintf("%dM-%v-%v-j%v", c.mbits, c.rtt, c.loss, c.jitter), func(t *testing.T) {
			l := link.Config{Rate: c.mbits * 1e6, Delay: c.rtt / 2, Loss: c.loss, Jitter: c.jitter, Queue: link.DefaultQueue(c.mbits*1e6, c.rtt)}
			n, err := New(Config{Seed: *streamSeed, Links: [2]link.Config{l, l}, Rate: rate.Config{Mode: rate.Fair}})
			if err != nil {
				t.Fatal(err)
			}
			for at := 100 * time.Millisecond; at < time.Second; at += 50 * time.Millisecond { // a trickle before
				n.Run(at, nil)
				var u [1 + 100]byte
				u[1], u[1+9], u[1+3] = 0x45, protoUDP, 100
				n.Write(0, u[:])
			}
			s := newStream(n)
			last := uint64(0)
			for at := 1200 * time.Millisecond; at <= 21*time.Second; at += 200 * time.Millisecond {
				n.Run(at, func() bool { s.turn(); return false })
				st := n.Status(0)
				if *streamLog {
					t.Logf("%5d ms %.2f Mbit/s %s rate %.1f capacity %.1f q %v/%v loss %.2f window %.0f queue %d", at.Milliseconds(), float64(s.bytes-last)*8/0.2/1e6,
						st.Phase, float64(st.Rate)/1e6, float64(st.Capacity)/1e6, st.QueueDelay.Round(100*time.Microsecond), st.QueueTarget.Round(100*time.Microsecond), st.Loss, s.window, st.QueueBytes)
				}
				last = s.bytes
			}
			share := float64(s.bytes) * 8 / 20 / float64(c.mbits*1e6) / (1 - c.loss)
			st := n.Status(0)
			t.Logf("share of the capacity over 20 s: %.3f; %d refused, %d dropped", share, st.QueueDropped, st.QueueEvicted)
			if share < c.least {
				t.Errorf("%.3f is below %.2f\n  go test ./internal/simnet -run '%s' -stream-seed %d -stream-log -v", share, c.least, t.Name(), *streamSeed)
			}
		})
	}
}
