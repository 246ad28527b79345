package simnet

import (
	"fmt"
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
	"github.com/totg/totg/tunnel/peer"
)

// lossy is a pair of links of 10 Mbit/s and 40 ms round trip.
func lossy(loss float64) [2]link.Config {
	c := link.Config{Rate: 10e6, Delay: 20 * time.Millisecond, Loss: loss, Queue: 100_000}
	return [2]link.Config{c, c}
}

// H-7: keys change every 2 s for a minute under load at 30 % loss: no inner
// packet is lost or reordered, and no key seals a packet number twice (Net.transmit
// looks at every datagram). Both directions carry streams and messages.
func TestRekeyUnderLoad(t *testing.T) {
	const seconds = 60
	for seed := range uint64(1) {
		n, err := New(Config{Seed: seed, Links: lossy(0.3), Rate: rate.Config{Mode: rate.Fixed, Ceiling: 9e6}, Rekey: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		traffic := [2]*Traffic{NewTraffic(n, 0), NewTraffic(n, 1)}
		replay := fmt.Sprintf("seed %d: go test ./internal/simnet -run %s", seed, t.Name())
		at := time.Second
		for ; at < seconds*time.Second; at += 4 * time.Millisecond {
			n.Run(at, nil)
			for _, x := range traffic {
				x.Send(flow.Stream, 1400)
				if at%(16*time.Millisecond) == 0 {
					x.Send(flow.Message, 1000)
				}
			}
		}
		n.Run(at+5*time.Second, nil)
		for i, x := range traffic {
			for _, c := range []flow.Class{flow.Stream, flow.Message} {
				if x.Sent(c) < 3000 || x.Received(c) != x.Sent(c) || x.Gaps() != 0 {
					t.Errorf("%s: host %d, class %v: %d sent, %d delivered, %d skipped", replay, i, c, x.Sent(c), x.Received(c), x.Gaps())
				}
			}
			if k := n.Status(i).Rekeyed; k < seconds/2-4 || k > seconds/2+4 {
				t.Errorf("%s: host %d changed keys %d times in %d s", replay, i, k, seconds)
			}
			t.Logf("seed %d, host %d: %d key epochs, %d packets of a stream, %d messages", seed, i, n.Status(i).Rekeyed,
				x.Received(flow.Stream), x.Received(flow.Message))
			// Make before break: nothing arrives for a key that is gone already, or
			// not there yet.
			if d := n.Status(i).Drops; d[peer.DropIndex]+d[peer.DropAuth] > 0 {
				t.Errorf("%s: host %d dropped %d of an unknown index, %d that do not open", replay, i, d[peer.DropIndex], d[peer.DropAuth])
			}
			if e := n.Host(i).Events; e[peer.SessionUp] != 1 {
				t.Errorf("%s: host %d had %d sessions", replay, i, e[peer.SessionUp])
			}
		}
	}
}

// H-7, X-7: the link stops again and again, so that switches are caught in every
// state, one end in doubt among them; the session goes on, and when the link is
// back both ends change again.
func TestRekeyThroughOutages(t *testing.T) {
	for seed := range uint64(3) {
		links := lossy(0.5)
		n, err := New(Config{Seed: seed, Links: links, Rate: rate.Config{Mode: rate.Fixed, Ceiling: 9e6}, Rekey: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		x := NewTraffic(n, int(seed%2))
		at := time.Duration(0)
		for ; at < 40*time.Second; at += 10 * time.Millisecond {
			n.Run(at, nil)
			if at > time.Second {
				x.Send(flow.Stream, 1000)
			}
			if at%(1270*time.Millisecond) == 0 {
				n.Cut(int(at/(1270*time.Millisecond))%2, 400*time.Millisecond)
			}
		}
		n.Run(at+20*time.Second, nil)
		a, b := n.Status(0), n.Status(1)
		if x.Received(flow.Stream) != x.Sent(flow.Stream) || a.Rekeyed < 20 || max(a.Rekeyed, b.Rekeyed)-min(a.Rekeyed, b.Rekeyed) > 1 {
			t.Errorf("seed %d: %d of %d, %d and %d key epochs", seed, x.Received(flow.Stream), x.Sent(flow.Stream), a.Rekeyed, b.Rekeyed)
		}
	}
}
