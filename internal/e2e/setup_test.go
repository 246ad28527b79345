package e2e

import (
	"flag"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var setups = flag.Int("setups", 5, "sessions that TestSetup brings up at each loss")

// H-3, H-4: daemons bring a session up again and again over a path that loses much,
// and the first inner packet does not wait for more than keys. How long that takes,
// from the first INIT to the packet's delivery, is logged: TestSetup of
// internal/simnet holds the bounds, in virtual time.
func TestSetup(t *testing.T) {
	const rtt = 40 * time.Millisecond
	for _, loss := range []float64{0, 0.2, 0.9} {
		a, b := newHost(t, "a"), newHost(t, "b")
		connect(a, b, 1)
		ca, cb := pairConfigs(a, b, outside(1, 2))
		r := a.relay(outside(1, 2), loss, rtt/2)
		ca.peers[0].endpoint = r.address
		b.up(cb)
		arrived := b.deliveries()
		a.write(ca.toml())
		said := a.say(inside(2))
		var all []time.Duration
		for i := range *setups {
			said <- byte(i)
			r.reset()
			d := a.start(program(), "up", "-v", "-c", a.file()) // and nothing that takes time of it meanwhile
			for done := false; !done; {
				select {
				case x := <-arrived:
					if done = x.number == byte(i); done {
						all = append(all, x.at.Sub(r.called()))
					}
				case <-time.After(2 * patience):
					t.Fatalf("loss %v: no packet of setup %d within %v", loss, i, 2*patience)
				}
			}
			d.kill()
		}
		close(said)
		slices.Sort(all)
		t.Logf("loss %v, RTT %v, %d setups: median %v, 99 %% within %v, slowest %v", loss, rtt, len(all),
			all[len(all)/2].Round(100*time.Microsecond), all[(len(all)*99-1)/100].Round(100*time.Microsecond),
			all[len(all)-1].Round(100*time.Microsecond))
	}
}

const sayPort = "9009"

// say sends the newest number that it is given to an address every 5 ms, from before
// there is a way until the channel is closed.
func (h *host) say(to string) chan<- byte {
	h.t.Helper()
	c := h.listenUDP("0.0.0.0:0")
	target := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(net.JoinHostPort(to, sayPort)))
	numbers := make(chan byte)
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for b := make([]byte, 56); ; {
			select {
			case n, ok := <-numbers:
				if !ok {
					return
				}
				b[0] = n
			case <-ticker.C:
				_, _ = c.WriteTo(b, target) // there may be no route yet
			}
		}
	}()
	return numbers
}

// delivery is a packet of say that arrived.
type delivery struct {
	number byte
	at     time.Time
}

// deliveries are the first packets of each number.
func (h *host) deliveries() <-chan delivery {
	h.t.Helper()
	c := h.listenUDP("0.0.0.0:" + sayPort)
	out := make(chan delivery, 1)
	go func() {
		last := -1
		for b := make([]byte, 100); ; {
			if _, _, err := c.ReadFrom(b); err != nil {
				return
			}
			if int(b[0]) != last {
				last = int(b[0])
				out <- delivery{b[0], time.Now()}
			}
		}
	}()
	return out
}
