package simnet

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
)

// TestVoiceBesideBulk sends a voice stream (EF, 20 ms) and small requests beside a
// TCP flow that always has more to send, over a path that loses a fifth of its
// packets: voice keeps its delay and loses nearly nothing (C-7, R-6).
func TestVoiceBesideBulk(t *testing.T) {
	cfg := Config{Seed: 7, Rate: rate.Config{Mode: rate.Fixed, Ceiling: 48e6}}
	for i := range cfg.Links {
		cfg.Links[i] = link.Config{Rate: 50e6, Delay: 20 * time.Millisecond, Loss: 0.2, Burst: 1, Queue: 1 << 20}
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var sent, delays []time.Duration
	bulk := 0
	n.Host(1).Received = func(unit []byte) {
		if unit[10] == protoTCP {
			bulk += len(unit)
			return
		}
		if i := binary.BigEndian.Uint32(unit[29:]); binary.BigEndian.Uint16(unit[23:]) == 7000 {
			delays = append(delays, n.Elapsed()-sent[i])
		}
	}
	n.Run(2*time.Second, nil)
	seq := uint32(0)
	const frames, every = 1500, 20 * time.Millisecond
	start := n.Elapsed()
	for i := range frames * 20 {
		n.Run(start+time.Duration(i)*every/20, nil)
		for n.Write(0, tcpUnit(5001, seq, uint16(seq/1000), headLen+1400)) {
			seq += 1400
		}
		if i%20 == 0 {
			u := udpUnit(7, 7000, uint32(len(sent)), 200)
			u[2] = 46 << 2
			sent = append(sent, n.Elapsed())
			n.Write(0, u)
		}
		if i%100 == 50 {
			n.Write(0, udpUnit(8, 53, 0, 80))
		}
	}
	rate := float64(8*bulk) / (n.Elapsed() - start).Seconds()
	n.Run(n.Elapsed()+2*time.Second, nil)
	slices.Sort(delays)
	p99 := delays[len(delays)*99/100]
	t.Logf("voice: %d of %d, median %v, p99 %v, slowest %v; bulk %.1f Mbit/s; %+v", len(delays), frames, delays[len(delays)/2], p99, delays[len(delays)-1], rate/1e6, n.Status(0).Counters)
	if len(delays) < frames*999/1000 || p99 > 45*time.Millisecond {
		t.Errorf("voice: %d of %d, p99 %v", len(delays), frames, p99)
	}
	if rate < 0.85*0.8*48e6 {
		t.Errorf("bulk %.1f Mbit/s", rate/1e6)
	}
}
