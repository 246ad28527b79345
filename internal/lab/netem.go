package lab

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/totg/totg/internal/link"
)

const (
	// ethernetHeader is what tc counts of a packet beside its IP bytes.
	ethernetHeader = 14

	// keepOrder is a rate at which netem's serialisation takes no time worth
	// mentioning (12 ns for a full packet), in bit/s. A netem with a rate keeps the
	// order of packets, whatever their jitter.
	keepOrder = 1_000_000_000_000

	// timeline is how far WriteTC writes out a schedule, and maxSteps how many
	// changes of one direction at most.
	timeline = time.Hour
	maxSteps = 10_000
)

// stages are the arguments of the two netem queues that make one direction of a
// link, one after the other: a single netem with both rate and loss drops before
// the bottleneck, so that lost packets would cost no capacity.
type stages struct {
	first  string // queue and serialisation; empty where the rate is unlimited
	nested string // first, for the case that the second is its child
	second string // loss, delay, jitter, duplicates, damage
}

// toNetem translates one direction. netem's limit counts packets, so that the
// queue holds as many full packets as the model's holds bytes; the packet in
// service counts too. New kernels also count what is in a child.
func toNetem(c *link.Config, outage bool) stages {
	var s stages
	if c.Rate > 0 {
		queue := 1 + (c.Queue+c.MTU-1)/c.MTU
		flight := 1 + link.BDP(c.Rate, c.Delay+c.Jitter)/c.MTU
		rate := fmt.Sprintf("rate %dbit -%d", c.Rate, ethernetHeader)
		s.first = fmt.Sprintf("limit %d %s", queue, rate)
		s.nested = fmt.Sprintf("limit %d %s", queue+flight, rate)
	}
	b := fmt.Appendf(nil, "limit %d delay %s", link.MaxPackets, tcTime(c.Delay))
	if c.Jitter > 0 {
		b = fmt.Appendf(b, " %s", tcTime(c.Jitter))
	}
	switch {
	case outage:
		b = fmt.Appendf(b, " loss random 100%%")
	case c.Loss > 0 && c.Loss < 1 && c.Burst > 1:
		b = fmt.Appendf(b, " loss gemodel %s %s 100%% 0%%", tcShare(c.Loss/(c.Burst*(1-c.Loss))), tcShare(1/c.Burst))
	case c.Loss > 0:
		b = fmt.Appendf(b, " loss random %s", tcShare(c.Loss))
	}
	if c.Duplicate > 0 {
		b = fmt.Appendf(b, " duplicate %s", tcShare(c.Duplicate))
	}
	if c.Corrupt > 0 {
		b = fmt.Appendf(b, " corrupt %s", tcShare(c.Corrupt))
	}
	if c.Jitter > 0 && !c.JitterReorders {
		b = fmt.Appendf(b, " rate %dbit", int64(keepOrder))
	}
	s.second = string(b)
	return s
}

func tcTime(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) + "us" }

func tcShare(p float64) string { return strconv.FormatFloat(100*p, 'f', -1, 32) + "%" }

// WriteTC writes the link as shell variables for the scripts that build it from
// tc netem: up_first, up_second, up_nested, up_steps, up_mtu, the same for down,
// and rtt_us. Each of up_steps is a line "MILLISECONDS FIRST|SECOND" for a change of
// the schedule in the first hour; seed decides the length of random outages.
// missing names what netem cannot do; the link without it is written all the same.
func WriteTC(out io.Writer, p Path, seed uint64) (missing []string, err error) {
	lost := map[string]bool{}
	b := fmt.Appendf(nil, "rtt_us=%d\n", p.RTT().Microseconds())
	for i, side := range []struct {
		name string
		cfg  *link.Config
	}{{"up", &p.Up}, {"down", &p.Down}} {
		s := toNetem(side.cfg, false)
		steps, err := timelineOf(side.cfg, rand.New(rand.NewPCG(seed, uint64(i+1))))
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "%[1]s_rate=%[2]d\n%[1]s_mtu=%[3]d\n%[1]s_first='%[4]s'\n%[1]s_nested='%[5]s'\n%[1]s_second='%[6]s'\n%[1]s_steps='%[7]s'\n",
			side.name, side.cfg.Rate, side.cfg.MTU, s.first, s.nested, s.second, strings.Join(steps, "\n"))
		lost["reorder"] = lost["reorder"] || side.cfg.Reorder > 0
		lost["policer_rate"] = lost["policer_rate"] || side.cfg.Policer.Rate > 0
	}
	maps.DeleteFunc(lost, func(_ string, yes bool) bool { return !yes })
	_, err = out.Write(b)
	return slices.Sorted(maps.Keys(lost)), err
}

// timelineOf writes out the schedule of one direction, by letting the model itself
// go through it.
func timelineOf(cfg *link.Config, rng *rand.Rand) ([]string, error) {
	if len(cfg.Schedule) == 0 {
		return nil, nil
	}
	start := time.Unix(0, 0)
	l, err := link.New(start, *cfg, rng)
	if err != nil {
		return nil, err
	}
	type state struct {
		rate          int64
		delay, jitter time.Duration
		loss, burst   float64
		outage        bool
	}
	var steps []string
	last := state{cfg.Rate, cfg.Delay, cfg.Jitter, cfg.Loss, cfg.Burst, false}
	for at := time.Duration(0); at <= timeline && len(steps) < maxSteps; at += time.Millisecond {
		outage := l.Outage(start.Add(at)) // brings the model to at
		now := l.Config()
		if s := (state{now.Rate, now.Delay, now.Jitter, now.Loss, now.Burst, outage}); s != last {
			args := toNetem(&now, outage)
			steps = append(steps, fmt.Sprintf("%d %s|%s", at.Milliseconds(), args.first, args.second))
			last = s
		}
	}
	return steps, nil
}
