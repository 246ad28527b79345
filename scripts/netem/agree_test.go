package netem_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/internal/lab"
	"github.com/totg/totg/internal/link"
)

// figures are what the link did to a measurement's traffic.
type figures struct {
	loss    float64       // share of the stream
	burst   float64       // mean length of a loss burst in the stream, packets
	delay   time.Duration // least one-way delay in the stream
	rate    float64       // bit/s of IP bytes within the trains, median
	flooded int           // packets of the floods that were delivered
}

func (f figures) String() string {
	return fmt.Sprintf("loss %.4f  burst %.3f  delay %v  rate %.4g  of the floods %d", f.loss, f.burst, f.delay, f.rate, f.flooded)
}

func evaluate(m measurement) figures {
	var f figures
	lost, bursts, least := 0, 0, int64(math.MaxInt64)
	for i := range streamPackets {
		switch {
		case m.Got[i] != 0:
			least = min(least, m.Got[i]-m.Sent[i])
		default:
			lost++
			if i == 0 || m.Got[i-1] != 0 {
				bursts++
			}
		}
	}
	f.loss, f.delay = float64(lost)/streamPackets, time.Duration(least)
	if bursts > 0 {
		f.burst = float64(lost) / float64(bursts)
	}
	f.rate = dispersion(m)
	for _, at := range m.Got[streamPackets+trains*trainLength:] {
		if at != 0 {
			f.flooded++
		}
	}
	return f
}

// dispersion is the rate at which the trains came out of the bottleneck: the median
// over every two packets of a train that are not too close to each other. A
// machine that is busy delays some packets, but not most. The first fifth of a
// train does not count: the sender may have been slower than the link there.
func dispersion(m measurement) float64 {
	var rates []float64
	for train := range trains {
		from := streamPackets + train*trainLength
		for i := from + trainLength/5; i < from+trainLength; i++ {
			for k := i + trainLength/5; k < from+trainLength; k++ {
				if m.Got[i] != 0 && m.Got[k] > m.Got[i] {
					rates = append(rates, float64(k-i)*fullSize*8e9/float64(m.Got[k]-m.Got[i]))
				}
			}
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// replay gives the traffic of a measurement, at the times at which it was sent, to
// the model.
func replay(t *testing.T, cfg link.Config, m measurement) measurement {
	t.Helper()
	start := time.Unix(0, 0)
	l, err := link.New(start, cfg, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	out := measurement{m.Sent, make([]int64, len(m.Sent))}
	buf := make([]byte, fullSize)
	drain := func(until time.Time) {
		for {
			next := l.Next()
			if next.IsZero() || next.After(until) {
				return
			}
			if _, ok := l.Receive(next, buf); ok {
				out.Got[int(buf[0])<<16|int(buf[1])<<8|int(buf[2])] = int64(next.Sub(start))
			}
		}
	}
	for i, at := range m.Sent {
		drain(start.Add(time.Duration(at)))
		p := make([]byte, packetSize(i))
		p[0], p[1], p[2] = byte(i>>16), byte(i>>8), byte(i)
		l.Send(start.Add(time.Duration(at)), p)
	}
	drain(start.Add(time.Hour))
	return out
}

// The emulator and real tc netem are the same link: from the same profile and with
// the same traffic come the same loss, the same loss bursts, the same delay, the
// same rate and the same queue. Tolerances:
//
//   - loss and burst: four standard deviations, which differ by chance once in
//     16,000 runs
//   - least delay: never below the profile's; above by serialisation and 2 ms
//   - rate: 3 %
//   - queue: 4 packets of those that the model lets through of the bursts that
//     overflow it
//
// A machine that is too busy to keep the time of packets gets three attempts; two
// links that differ do so each time.
func TestEmulatorAndNetemAgree(t *testing.T) {
	needUML(t)
	totg := program(t)
	profiles := []agreed{
		{"no loss", "clean", "--rate=10mbit --rtt=40ms"},
		{"independent losses", "lossy-50", "--rate=10mbit"},
		{"losses in bursts", "lte-edge", "--rate=8mbit --loss=10 --jitter=0s"},
	}
	t.Run("tc netem", func(t *testing.T) { // one kernel for all: it takes its time to boot
		agree(t, totg, profiles, func(p []agreed) []string {
			script := "set -e\n"
			for _, a := range p {
				script += fmt.Sprintf("./two-hosts.sh exec %s %s -- %q\n", a.profile, a.flags, self(t))
			}
			return []string{"./uml.sh", "bash", "-c", script}
		})
	})
	for _, p := range profiles {
		t.Run("emulator/"+p.name, func(t *testing.T) {
			agree(t, totg, []agreed{p}, func([]agreed) []string {
				argv := append([]string{totg, "lab", "--quiet", "--no-tunnel", "--profile", p.profile}, strings.Fields(p.flags)...)
				return append(argv, "--", self(t))
			})
		})
	}
}

// agreed is a link that is measured.
type agreed struct{ name, profile, flags string }

// agree measures links with one command, which prints a measurement of each, and
// compares them with the model. What differs is measured again, twice at most.
func agree(t *testing.T, totg string, links []agreed, command func([]agreed) []string) {
	t.Helper()
	var wrong []string
	for range 3 {
		decoder := json.NewDecoder(strings.NewReader(run(t, totg, "measure", 4*time.Minute, command(links)...)))
		var again []agreed
		wrong = nil
		for _, l := range links {
			var m measurement
			if err := decoder.Decode(&m); err != nil {
				t.Fatalf("%s: %v", l.name, err)
			}
			path := describe(t, l.profile, l.flags)
			got, want := evaluate(m), evaluate(replay(t, path.Up, m))
			t.Logf("%s: %v", l.name, got)
			t.Logf("%s: %v in the model", l.name, want)
			if all := differences(path.Up, got, want); len(all) > 0 {
				again, wrong = append(again, l), append(wrong, l.name+": "+strings.Join(all, ", "))
			}
		}
		if links = again; len(links) == 0 {
			return
		}
		t.Log(wrong)
	}
	t.Error(wrong)
}

// describe is the link that a profile and flags mean.
func describe(t *testing.T, profile, flags string) lab.Path {
	t.Helper()
	all, err := lab.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	p, err := lab.FindProfile(all, profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(flags) {
		key, value, _ := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		if err := p.Spec.Set(lab.Both, key, value); err != nil {
			t.Fatal(err)
		}
	}
	path, err := p.Spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// differences says what of the figures is not the link's.
func differences(cfg link.Config, got, want figures) (all []string) {
	differs := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	p, b := cfg.Loss, max(cfg.Burst, 1/(1-cfg.Loss))
	// A two-state chain forgets by this factor each packet, which widens the spread
	// of the mean; independent losses are the case of factor 0.
	memory := 1 - 1/b - p/(b*(1-p))
	spread := math.Sqrt(p * (1 - p) * (1 + memory) / (1 - memory) / streamPackets)
	if math.Abs(got.loss-p) > 4*spread {
		differs("loss %.4f, want %.4f ± %.4f", got.loss, p, 4*spread)
	}
	if p > 0 {
		// The length of a burst is geometric.
		spread := math.Sqrt(b*(b-1)) / math.Sqrt(streamPackets*p/b)
		if math.Abs(got.burst-b) > 4*spread {
			differs("bursts of %.3f packets, want %.3f ± %.3f", got.burst, b, 4*spread)
		}
	}
	if got.delay < cfg.Delay || got.delay > want.delay+2*time.Millisecond {
		differs("least delay %v, want %v", got.delay, want.delay)
	}
	if math.Abs(got.rate/float64(cfg.Rate)-1) > 0.03 {
		differs("rate %.4g bit/s, want %d", got.rate, cfg.Rate)
	}
	if p == 0 && math.Abs(float64(got.flooded-want.flooded)) > 4 {
		differs("the queue let %d of %d packets through, want %d", got.flooded, floods*floodLength, want.flooded)
	}
	return all
}
