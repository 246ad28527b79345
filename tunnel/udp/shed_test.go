package udp

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

// H-5: of the datagrams that are described the kernel keeps a share, and of all
// others every one.
func TestShed(t *testing.T) {
	from, to := local(t), local(t)
	const kind, last, many = 0x11, 32, 1000
	arrived := make(chan byte, 3*many)
	go func() {
		buf := make([]byte, MaxRun)
		for {
			run, err := to.Receive(buf)
			if err != nil {
				return
			}
			for at := 0; at < run.N; at += run.Seg {
				arrived <- buf[at+1]
			}
		}
	}()
	const plain, marked, other = 'p', 'm', 'o'
	round := func() map[byte]int {
		t.Helper()
		counts := map[byte]int{}
		for i := range many {
			for _, d := range []struct{ first, name, end byte }{{kind, plain, 0}, {kind, marked, 1}, {kind + 1, other, 0}} {
				b := make([]byte, 100)
				b[0], b[1], b[len(b)-last] = d.first, d.name, d.end
				if err := from.Send(b, 0, to.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			for counts[other] <= i { // it came last
				select {
				case c := <-arrived:
					counts[c]++
				case <-time.After(10 * time.Second):
					t.Fatalf("lost: %v", counts)
				}
			}
		}
		return counts
	}
	for _, c := range []struct {
		blank, filled float64
	}{{0.1, 1}, {1, 0.1}, {0.5, 0.1}, {0.1, 0.5}, {0, 0}, {1, 1}, {1, 1}} {
		if err := to.Shed(Kind{kind, last}, c.blank, c.filled); err != nil {
			t.Fatal(err)
		}
		got := round()
		if !kept(got[plain], many, c.blank) || !kept(got[marked], many, c.filled) || got[other] != many {
			t.Errorf("keep %v: of %d each %d blank ones arrived, %d filled in, %d others", c, many, got[plain], got[marked], got[other])
		}
	}
}

// kept reports whether so many of n are a share that was drawn: within seven standard
// deviations, all or (but for one draw of the greatest number) none exactly.
func kept(got, n int, share float64) bool {
	expected := share * float64(n)
	return math.Abs(float64(got)-expected) <= 7*math.Sqrt(expected*(1-share))+1
}

// local is a socket on the loopback interface.
func local(t *testing.T) *Socket {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
