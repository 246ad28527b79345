package simnet

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

var (
	seeds     = flag.Int("seeds", 100, "number of random scenarios")
	firstSeed = flag.Uint64("seed", 1, "first seed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

// scenario is what a seed draws: links, faults, load.
type scenario struct {
	cfg      Config
	loss     float64
	faults   []fault
	packets  int
	interval time.Duration
	limit    int
}

type fault struct {
	at   time.Duration
	name string
	do   func(n *Net)
}

// healed is when the last fault is over, and the liveness clock starts.
const healed = 10 * time.Second

func draw(seed uint64) scenario {
	r := rand.New(rand.NewPCG(seed, 99))
	pick := func(v ...float64) float64 { return v[r.IntN(len(v))] }
	s := scenario{loss: pick(0, 0, 0.01, 0.05, 0.2, 0.3, 0.5, 0.7)}
	bits := int64(pick(1e6, 5e6, 10e6, 50e6))
	rtt := time.Duration(pick(1, 20, 40, 100, 600)) * time.Millisecond
	for i := range s.cfg.Links {
		s.cfg.Links[i] = link.Config{
			Rate: bits, Delay: rtt / 2, Loss: s.loss, Burst: pick(1, 1, 4, 10),
			Jitter: time.Duration(pick(0, 0, 0.1, 0.5) * float64(rtt) / 2), JitterReorders: r.IntN(2) == 0,
			Duplicate: pick(0, 0, 0.05), Reorder: pick(0, 0, 0.05), Corrupt: pick(0, 0, 0.01),
			Queue: link.BDP(bits, max(rtt, 20*time.Millisecond)) + 20*1500,
		}
	}
	s.cfg.Seed, s.cfg.Called = seed, r.IntN(2) == 0
	s.cfg.Rate = rate.Config{Mode: rate.Fixed, Ceiling: bits * 95 / 100}
	if r.IntN(2) == 0 {
		s.cfg.Keepalive = time.Second
	}
	s.packets = 200 + r.IntN(400)
	s.interval = 8 * time.Second / time.Duration(s.packets)
	s.limit = int(pick(100, 1500, 1500, 9000))
	if bits > 5e6 {
		s.limit = int(pick(100, 1500, 9000, 60000))
	}
	for range r.IntN(3) {
		s.faults = append(s.faults, drawFault(r))
	}
	if r.IntN(3) == 0 { // find the rate
		s.cfg.Rate = rate.Config{Mode: rate.Mode(r.IntN(2)), Ceiling: int64(pick(0, 1)) * bits}
	}
	if r.IntN(2) == 0 {
		s.cfg.Rekey = time.Second
	}
	return s
}

func drawFault(r *rand.Rand) fault {
	at := 500*time.Millisecond + time.Duration(r.Int64N(int64(6*time.Second)))
	i := r.IntN(2)
	switch r.IntN(4) {
	case 0:
		return fault{at: at, name: fmt.Sprintf("restart %d", i), do: func(n *Net) { n.Kill(i); n.Start(i) }}
	case 1:
		return fault{at: at, name: fmt.Sprintf("close and start %d", i), do: func(n *Net) { n.Close(i); n.Start(i) }}
	case 2:
		// Only A may move for good: nobody tells A where B went.
		return fault{at: at, name: "move 0", do: func(n *Net) { n.Move(0) }}
	}
	return fault{at: at, name: "noise", do: func(n *Net) {
		var b [600]byte
		for range 200 {
			for k := range b {
				b[k] = byte(n.rng.Uint32())
			}
			b[0] = 0x10 | byte(n.rng.IntN(4))
			n.Inject(i, address(1-i, 0), b[:n.rng.IntN(len(b))])
		}
	}}
}

// run plays a scenario and returns its trace.
func run(seed uint64) (trace uint64, err error) {
	defer func() {
		if v := recover(); v != nil {
			violation, ok := v.(*Violation)
			if !ok {
				panic(v)
			}
			err = violation
		}
	}()
	s := draw(seed)
	n, err := New(s.cfg)
	if err != nil {
		return 0, err
	}
	traffic := [2]*Traffic{NewTraffic(n, 0), NewTraffic(n, 1)}
	broken := false
	at := time.Duration(0)
	for k := range s.packets {
		at = time.Second/2 + time.Duration(k)*s.interval
		for _, f := range s.faults {
			if f.at > n.Elapsed() && f.at <= at {
				n.Run(f.at, nil)
				f.do(n)
				broken = true
			}
		}
		n.Run(at, nil)
		traffic[k%2].Send(flow.Class(k/2%2), s.limit)
	}
	n.Run(healed, nil)
	return n.Trace(), checkEnd(n, s, traffic, broken)
}

// checkEnd: everything that was accepted arrives within a bound, and what is
// sent after the last fault arrives in any case (liveness).
func checkEnd(n *Net, s scenario, traffic [2]*Traffic, broken bool) error {
	// Generous, for it covers 70 % loss in bursts both ways, 600 ms and a
	// backlog of the whole run.
	const bound = 120 * time.Second
	for i, t := range traffic {
		first := t.Received(flow.Stream)
		// A session that ended takes what was in flight with it, so one packet
		// follows another, as from an inner TCP.
		done := func() bool { return t.newest == t.Sent(flow.Stream) }
		for end := n.Elapsed() + bound; n.Elapsed() < end; {
			t.Send(flow.Stream, 200)
			if n.Run(n.Elapsed()+time.Second, done) {
				break
			}
		}
		if !n.Run(n.Elapsed()+time.Second, done) {
			return fmt.Errorf("seed %d: host %d: of %d stream packets %d arrived, %d before the end; loss %v, faults %v, %+v",
				s.cfg.Seed, i, t.Sent(flow.Stream), t.Received(flow.Stream), first, s.loss, names(s.faults), n.Status(i))
		}
		// A session that looks dead is replaced, and what was in flight is
		// gone. Only long bursts of heavy loss may look like that.
		extreme := s.loss >= 0.7 && max(s.cfg.Links[0].Burst, s.cfg.Links[1].Burst) > 4
		evicted := n.Status(i).QueueEvicted // taken, and dropped to make room
		if uint64(t.Gaps()) > evicted && !broken && !extreme {
			return fmt.Errorf("seed %d: host %d: %d stream packets skipped without a fault", s.cfg.Seed, i, t.Gaps())
		}
		sent, got := t.Sent(flow.Message), t.Received(flow.Message)
		if !broken && s.loss <= 0.01 && s.cfg.Links[0].Burst <= 1 && s.cfg.Links[1].Burst <= 1 && got < sent {
			// 250 ms are several attempts on all but the longest path.
			if s.cfg.Links[0].Delay <= 50*time.Millisecond && float64(got) < 0.98*float64(sent)-float64(evicted) {
				return fmt.Errorf("seed %d: host %d: of %d messages %d arrived", s.cfg.Seed, i, sent, got)
			}
		}
	}
	return nil
}

func names(faults []fault) (out []string) {
	for _, f := range faults {
		out = append(out, fmt.Sprintf("%s@%v", f.name, f.at))
	}
	return out
}

// TestSwarm plays random scenarios: loss, bursts, jitter, reordering,
// duplication, corruption, restarts, moves and noise. A seed that fails is
// replayed by the command that the failure prints.
func TestSwarm(t *testing.T) {
	var wg sync.WaitGroup
	next := make(chan uint64)
	for range runtime.NumCPU() {
		wg.Go(func() {
			for seed := range next {
				if _, err := run(seed); err != nil {
					t.Errorf("%v\nreplay: go test ./internal/simnet -run TestSwarm -seeds 1 -seed %d", err, seed)
				}
			}
		})
	}
	for i := range uint64(*seeds) {
		next <- *firstSeed + i
	}
	close(next)
	wg.Wait()
}

// TestDeterminism: clause 7.
func TestDeterminism(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+5; seed++ {
		a, errA := run(seed)
		b, errB := run(seed)
		if a != b || (errA == nil) != (errB == nil) {
			t.Errorf("seed %d: traces %x and %x, %v and %v", seed, a, b, errA, errB)
		}
	}
}

// TestOracle: the checks themselves find what they look for.
func TestOracle(t *testing.T) {
	expect := func(name string, f func(n *Net, tr *Traffic)) {
		t.Helper()
		n, err := New(Config{Seed: 1, Rate: rate.Config{Mode: rate.Fixed, Ceiling: 1e6}})
		if err != nil {
			t.Fatal(err)
		}
		tr := NewTraffic(n, 0)
		defer func() {
			t.Helper()
			v, ok := recover().(*Violation)
			var asError error = v
			if !ok || !errors.As(asError, &v) {
				t.Errorf("%s was not noticed", name)
			}
		}()
		f(n, tr)
	}
	var last []byte
	capture := func(n *Net, tr *Traffic, class flow.Class, count int) {
		n.hosts[1].Received = func(u []byte) { last = append([]byte(nil), u...); tr.receive(u) }
		for range count {
			tr.Send(class, 100)
		}
		n.Run(5*time.Second, func() bool { return tr.Received(class) == uint32(count) })
	}
	expect("a message twice", func(n *Net, tr *Traffic) { capture(n, tr, flow.Message, 1); tr.receive(last) })
	expect("a stream packet twice", func(n *Net, tr *Traffic) { capture(n, tr, flow.Stream, 2); tr.receive(last) })
	expect("a damaged packet", func(n *Net, tr *Traffic) {
		capture(n, tr, flow.Stream, 1)
		tr.newest = 0
		last[len(last)-1] ^= 1
		tr.receive(last)
	})
}
