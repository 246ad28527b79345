package simnet

import (
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

// TestDeadPeer: a host whose peer died without a word stops flooding it, whether the
// path was being measured or in use, called or calling, and however much it has to
// say (H-4, G-3). From half a minute on it sends some PINGs and INITs a second.
func TestDeadPeer(t *testing.T) {
	for _, mode := range []rate.Mode{rate.Fair, rate.Fixed} {
		for _, called := range []bool{false, true} {
			for _, after := range []time.Duration{45 * time.Millisecond, 3 * time.Second} {
				cfg := Config{Seed: 3, Rate: rate.Config{Mode: mode, Ceiling: 50e6}, Called: called}
				for i := range cfg.Links {
					cfg.Links[i] = link.Config{Rate: 50e6, Delay: 20 * time.Millisecond}
				}
				n, err := New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				n.Run(after, nil)
				n.Kill(0)
				talk := NewTraffic(n, 1)
				sent := uint64(0)
				for second := range 90 {
					for range 50 {
						talk.Send(flow.Stream, 1400)
						n.Run(n.Elapsed()+20*time.Millisecond, nil)
					}
					st := n.Status(1)
					if now := st.TxDatagrams - sent; second >= 30 && now > 10 {
						t.Fatalf("%v, called %v, %v after the start: %d datagrams in second %d after the end", mode, called, after, now, second)
					}
					sent = st.TxDatagrams
				}
			}
		}
	}
}

// TestOutage: after a path was gone for longer than a peer seems to live, data goes on
// within a second of its return, at 30 % loss, in the old session or a new one (H-6).
func TestOutage(t *testing.T) {
	for seed := range uint64(10) {
		cfg := Config{Seed: seed, Rate: rate.Config{Mode: rate.Fair}}
		for i := range cfg.Links {
			cfg.Links[i] = link.Config{Rate: 50e6, Delay: 20 * time.Millisecond, Loss: 0.3}
		}
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		n.Run(3*time.Second, nil)
		talk := NewTraffic(n, 0)
		talk.Send(flow.Stream, 1400)
		n.Run(n.Elapsed()+10*time.Millisecond, nil)
		for i := range n.hosts {
			n.Cut(i, 30*time.Second)
		}
		n.Run(n.Elapsed()+30*time.Second, nil)
		before := talk.Received(flow.Stream)
		talk.Send(flow.Stream, 1400)
		if !n.Run(n.Elapsed()+time.Second, func() bool { return talk.Received(flow.Stream) > before }) {
			t.Errorf("seed %d: nothing arrives within 1 s of the path's return: %+v", seed, n.Status(0))
		}
		t.Logf("seed %d: %v, handshake %v", seed, n.Elapsed()-33*time.Second, n.Status(0).LastHandshake)
	}
}
