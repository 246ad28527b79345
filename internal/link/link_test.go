package link

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func mustNew(tb testing.TB, cfg Config, seed uint64) *Link {
	tb.Helper()
	l, err := New(epoch, cfg, seeded(seed))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// arrival is a delivered packet: its number and its time since epoch.
type arrival struct {
	n  uint32
	at time.Duration
}

// numbered is packet n of size bytes.
func numbered(n uint32, size int) []byte {
	p := make([]byte, size)
	binary.BigEndian.PutUint32(p, n)
	return p
}

// drain receives until the link is empty, following Next, and checks that it
// never spins.
func drain(tb testing.TB, l *Link, now time.Duration) []arrival {
	tb.Helper()
	var got []arrival
	buf := make([]byte, MaxMTU)
	for {
		for {
			n, ok := l.Receive(epoch.Add(now), buf)
			if !ok {
				break
			}
			got = append(got, arrival{binary.BigEndian.Uint32(buf[:n]), now})
		}
		next := l.Next()
		if next.IsZero() {
			return got
		}
		if !next.After(epoch.Add(now)) {
			tb.Fatalf("spin: drained at %v, next %v", now, next.Sub(epoch))
		}
		now = next.Sub(epoch)
	}
}

// flood sends count packets of size bytes, one every gap, and returns what
// arrives.
func flood(tb testing.TB, l *Link, count, size int, gap time.Duration) []arrival {
	tb.Helper()
	var got []arrival
	buf := make([]byte, MaxMTU)
	now := time.Duration(0)
	for i := range count {
		at := time.Duration(i) * gap
		for next := l.Next(); !next.IsZero() && next.Sub(epoch) <= at; next = l.Next() {
			now = next.Sub(epoch)
			for n, ok := l.Receive(next, buf); ok; n, ok = l.Receive(next, buf) {
				got = append(got, arrival{binary.BigEndian.Uint32(buf[:n]), now})
			}
		}
		now = at
		l.Send(epoch.Add(at), numbered(uint32(i), size))
	}
	return append(got, drain(tb, l, now)...)
}

func TestPerfectLinkDeliversAtOnce(t *testing.T) {
	l := mustNew(t, Config{}, 1)
	if !l.Send(epoch, numbered(7, 100)) {
		t.Fatal("refused")
	}
	if diff := cmp.Diff([]arrival{{7, 0}}, drain(t, l, 0), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Error(diff)
	}
}

func TestSerialisationThenDelay(t *testing.T) {
	// 1500 bytes at 50 Mbit/s take 240 µs.
	l := mustNew(t, Config{Rate: 50e6, Delay: 20 * time.Millisecond, Queue: 1e6}, 1)
	for i := range 100 {
		l.Send(epoch, numbered(uint32(i), 1500))
	}
	for i, a := range drain(t, l, 0) {
		want := 20*time.Millisecond + time.Duration(i+1)*240*time.Microsecond
		if a.n != uint32(i) || a.at != want {
			t.Fatalf("packet %d: number %d at %v, want %v", i, a.n, a.at, want)
		}
	}
}

func TestQueueDropsTheTailByBytes(t *testing.T) {
	l := mustNew(t, Config{Rate: 1e6, Queue: 2500}, 1)
	var took []bool
	for i, size := range []int{1000, 1000, 1000, 1000, 500, 1} { // the first one is in service
		took = append(took, l.Send(epoch, numbered(uint32(i), max(size, 4))))
	}
	if diff := cmp.Diff([]bool{true, true, true, false, true, false}, took); diff != "" {
		t.Error(diff)
	}
	if s := l.Stats(); s.QueueBytes != 2500 || s.QueueMax != 2500 || s.QueueDropped != 2 {
		t.Errorf("%+v", s)
	}
	// 8 ms later the first has left and the second is in service.
	if !l.Send(epoch.Add(8*time.Millisecond), numbered(9, 1000)) {
		t.Error("no room after a packet has left")
	}
}

// Lost packets consume capacity: at twice the rate and 20 % loss, (1-p)·Rate
// comes out, no more.
func TestLossComesAfterTheBottleneck(t *testing.T) {
	l := mustNew(t, Config{Rate: 50e6, Loss: 0.2, Queue: 250_000}, 3)
	const count = 100_000
	got := flood(t, l, count, 1500, 120*time.Microsecond)
	last := got[len(got)-1].at
	rate := float64(len(got)) * 1500 * 8 / last.Seconds()
	if math.Abs(rate/40e6-1) > 0.01 {
		t.Errorf("goodput %.0f bit/s, want 40e6", rate)
	}
}

func TestLossMeanAndBurst(t *testing.T) {
	for _, c := range []struct{ loss, burst, wantBurst float64 }{
		{0.001, 1, 1.001},
		{0.01, 8, 8},
		{0.2, 1, 1.25}, // independent losses: 1/(1-p)
		{0.2, 10, 10},
		{0.05, 4, 4},
		{0.9, 0, 10},
		{0.9, 40, 40},
		{0.5, 1.5, 1.5}, // shorter than independent
	} {
		var lost, bursts, sent float64
		p := make([]byte, 4)
		for seed := range uint64(10) {
			l := mustNew(t, Config{Loss: c.loss, Burst: c.burst}, seed)
			for range 50_000 {
				l.Send(epoch, p)
				l.Receive(epoch, p)
			}
			s := l.Stats()
			sent, lost, bursts = sent+float64(s.Sent), lost+float64(s.Lost), bursts+float64(s.LossBursts)
		}
		// Correlated samples count for 1/(2·burst) of independent ones; five sigma.
		tolerance := 5 * math.Sqrt(c.loss*(1-c.loss)*2*max(c.burst, 1)/sent)
		if got := lost / sent; math.Abs(got-c.loss) > tolerance {
			t.Errorf("loss %v burst %v: lost %v ± %v", c.loss, c.burst, got, tolerance)
		}
		if got := lost / bursts; math.Abs(got/c.wantBurst-1) > 0.05 {
			t.Errorf("loss %v burst %v: mean burst %v, want %v", c.loss, c.burst, got, c.wantBurst)
		}
	}
}

func TestLossOfEverything(t *testing.T) {
	for _, burst := range []float64{1, 20} {
		l := mustNew(t, Config{Loss: 1, Burst: burst}, 1)
		if got := flood(t, l, 1000, 100, time.Millisecond); len(got) != 0 {
			t.Errorf("burst %v: %d packets arrived", burst, len(got))
		}
	}
}

func TestJitterKeepsOrderMeanAndBounds(t *testing.T) {
	const delay, amplitude = 45 * time.Millisecond, 30 * time.Millisecond
	l := mustNew(t, Config{Delay: delay, Jitter: amplitude}, 5)
	gap := 700 * time.Microsecond
	got := flood(t, l, 200_000, 100, gap)
	var sum, lowest, highest time.Duration
	lowest = never
	for i, a := range got {
		if a.n != uint32(i) {
			t.Fatalf("packet %d arrived as number %d", a.n, i)
		}
		d := a.at - time.Duration(i)*gap
		sum, lowest, highest = sum+d, min(lowest, d), max(highest, d)
	}
	if mean := sum / time.Duration(len(got)); (mean - delay).Abs() > amplitude/20 {
		t.Errorf("mean delay %v, want %v", mean, delay)
	}
	if lowest < delay-amplitude || lowest > delay-amplitude*9/10 || highest > delay+amplitude || highest < delay+amplitude*9/10 {
		t.Errorf("delay from %v to %v", lowest, highest)
	}
	if l.Stats().Reordered != 0 {
		t.Error("reordered")
	}
}

func TestJitterMayReorder(t *testing.T) {
	l := mustNew(t, Config{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, JitterReorders: true}, 5)
	got := flood(t, l, 10_000, 100, time.Millisecond)
	inversions := 0
	newest := uint32(0)
	for _, a := range got {
		if a.n < newest {
			inversions++
		}
		newest = max(newest, a.n)
	}
	if uint64(inversions) != l.Stats().Reordered || inversions < 1000 {
		t.Errorf("%d packets late, counted %d", inversions, l.Stats().Reordered)
	}
}

func TestDuplicateReorderCorruptShares(t *testing.T) {
	const count = 50_000
	l := mustNew(t, Config{Delay: 10 * time.Millisecond, Duplicate: 0.05, Reorder: 0.1, Corrupt: 0.02}, 8)
	flood(t, l, count, 200, 100*time.Microsecond)
	s := l.Stats()
	for _, c := range []struct {
		name string
		got  uint64
		of   uint64
		want float64
	}{
		{"duplicated", s.Duplicated, count, 0.05},
		{"corrupted", s.Corrupted, s.Delivered, 0.02},
		{"reordered", s.Reordered, s.Delivered, 0.1 * 0.99}, // copies and held-back ones behind held-back ones
	} {
		if share := float64(c.got) / float64(c.of); math.Abs(share/c.want-1) > 0.1 {
			t.Errorf("%s: %.4f, want %.4f", c.name, share, c.want)
		}
	}
}

func TestCorruptFlipsOneBit(t *testing.T) {
	l := mustNew(t, Config{Corrupt: 1}, 2)
	buf := make([]byte, MaxMTU)
	for range 1000 {
		p := make([]byte, 50)
		l.Send(epoch, p)
		n, ok := l.Receive(epoch, buf)
		ones := 0
		for _, b := range buf[:n] {
			ones += bits.OnesCount8(b)
		}
		if !ok || n != 50 || ones != 1 {
			t.Fatalf("%d bytes, %d bits differ", n, ones)
		}
	}
}

func TestDuplicateCopiesAreEqual(t *testing.T) {
	l := mustNew(t, Config{Duplicate: 1, Delay: time.Millisecond}, 2)
	got := flood(t, l, 100, 30, 50*time.Microsecond)
	for i, a := range got {
		if a.n != uint32(i/2) {
			t.Fatalf("arrival %d is packet %d", i, a.n)
		}
	}
	if len(got) != 200 || l.Stats().Reordered != 0 {
		t.Errorf("%d arrivals, %+v", len(got), l.Stats())
	}
}

func TestPolicer(t *testing.T) {
	l := mustNew(t, Config{Policer: Policer{Rate: 8e6, Burst: 5000}}, 1)
	passed := 0
	for range 10 { // a burst of 10,000 bytes: 5000 pass
		if l.Send(epoch, numbered(0, 1000)) {
			passed++
		}
	}
	if passed != 5 || l.Stats().Policed != 5 {
		t.Errorf("%d of the burst passed", passed)
	}
	got := flood(t, l, 20_000, 1000, 500*time.Microsecond) // 16 Mbit/s for 10 s
	if want := 10_000; math.Abs(float64(len(got)-want)) > 10 {
		t.Errorf("%d packets passed in 10 s, want %d", len(got), want)
	}
	// A long idle time fills the bucket once and does not overflow it.
	if l.Send(epoch.Add(200*24*time.Hour), make([]byte, 1500)); l.tokens > 5000*8*nanobit {
		t.Error("bucket above its size")
	}
}

func TestPacketsOutsideTheMTU(t *testing.T) {
	l := mustNew(t, Config{MTU: 1280}, 1)
	for size, want := range map[int]bool{0: false, 1: true, 1280: true, 1281: false} {
		if got := l.Send(epoch, make([]byte, size)); got != want {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
	if s := l.Stats(); s.TooBig != 2 {
		t.Errorf("%+v", s)
	}
}

func TestScheduledOutages(t *testing.T) {
	ch := Change{At: 15 * time.Second, Every: 15 * time.Second, Outage: 100 * time.Millisecond, OutageMax: 300 * time.Millisecond}
	l := mustNew(t, Config{Schedule: []Change{ch}}, 4)
	got := flood(t, l, 160_000, 10, time.Millisecond) // ten outages in 160 s
	var gaps []time.Duration
	for i := 1; i < len(got); i++ {
		if d := got[i].at - got[i-1].at; d > time.Millisecond {
			gaps = append(gaps, d)
			if start := got[i-1].at % (15 * time.Second); start != 15*time.Second-time.Millisecond {
				t.Errorf("outage after %v", got[i-1].at)
			}
			if d < 100*time.Millisecond || d > 302*time.Millisecond {
				t.Errorf("outage of %v", d)
			}
		}
	}
	if s := l.Stats(); len(gaps) != 10 || s.Lost != 0 || s.OutageLost+s.Delivered != s.Sent {
		t.Errorf("%d outages, %+v", len(gaps), s)
	}
}

func TestScheduledRateStepReachesThePacketInService(t *testing.T) {
	slow := int64(1e6)
	l := mustNew(t, Config{Rate: 2e6, Schedule: []Change{{At: 2 * time.Millisecond, Rate: &slow}}}, 1)
	l.Send(epoch, numbered(0, 1000)) // 8000 bits: 4000 in the first 2 ms, 4000 in 4 ms
	l.Send(epoch, numbered(1, 1000)) // 8 ms
	want := []arrival{{0, 6 * time.Millisecond}, {1, 14 * time.Millisecond}}
	if diff := cmp.Diff(want, drain(t, l, 0), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Error(diff)
	}
}

func TestScheduledRateFasterAndUnlimited(t *testing.T) {
	fast, unlimited := int64(8e6), int64(0)
	l := mustNew(t, Config{Rate: 1e6, Schedule: []Change{
		{At: 4 * time.Millisecond, Rate: &fast},
		{At: 6 * time.Millisecond, Rate: &unlimited},
	}}, 1)
	for i := range 4 {
		l.Send(epoch, numbered(uint32(i), 1000))
	}
	want := []arrival{{0, 4500 * time.Microsecond}, {1, 5500 * time.Microsecond}, {2, 6 * time.Millisecond}, {3, 6 * time.Millisecond}}
	if diff := cmp.Diff(want, drain(t, l, 0), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Error(diff)
	}
}

func TestScheduledHandoverKeepsOrder(t *testing.T) {
	short, long, loss := 10*time.Millisecond, 40*time.Millisecond, 0.0
	l := mustNew(t, Config{Delay: long, Loss: 1, Schedule: []Change{
		{At: 0, Loss: &loss},
		{At: 100 * time.Millisecond, Every: 200 * time.Millisecond, Delay: &short},
		{At: 200 * time.Millisecond, Every: 200 * time.Millisecond, Delay: &long},
	}}, 1)
	got := flood(t, l, 1000, 10, time.Millisecond)
	for i, a := range got {
		if a.n != uint32(i) {
			t.Fatalf("arrival %d is packet %d", i, a.n)
		}
	}
	if len(got) != 1000 || got[50].at != 90*time.Millisecond || got[150].at != 160*time.Millisecond || got[250].at != 290*time.Millisecond {
		t.Errorf("%d arrivals, %v %v %v", len(got), got[50], got[150], got[250])
	}
}

func TestOlderNowCountsAsTheNewest(t *testing.T) {
	l := mustNew(t, Config{Delay: 10 * time.Millisecond}, 1)
	buf := make([]byte, 10)
	if _, ok := l.Receive(epoch.Add(time.Second), buf); ok {
		t.Fatal("packet from nowhere")
	}
	l.Send(epoch.Add(-time.Hour), numbered(0, 4))
	if got, want := l.Next(), epoch.Add(time.Second+10*time.Millisecond); !got.Equal(want) {
		t.Errorf("next %v, want %v", got, want)
	}
}

func TestReceiveIntoTooSmallABufferPanics(t *testing.T) {
	l := mustNew(t, Config{}, 1)
	l.Send(epoch, make([]byte, 5))
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	l.Receive(epoch, make([]byte, 4))
}

func TestHeldPacketsAreBounded(t *testing.T) {
	l := mustNew(t, Config{Delay: MaxDelay, Duplicate: 1}, 1)
	p := make([]byte, 1)
	for range MaxPackets + 1000 {
		l.Send(epoch, p)
	}
	if s := l.Stats(); s.Held > MaxPackets || s.QueueDropped == 0 {
		t.Errorf("%+v", s)
	}
}

// What is sent when decides the result; when the link is polled does not.
func TestPollingDoesNotMatter(t *testing.T) {
	cfg := everything()
	run := func(poll bool) (digest []arrival, s Stats) {
		l := mustNew(t, cfg, 11)
		buf := make([]byte, MaxMTU)
		for i := range 20_000 {
			at := epoch.Add(time.Duration(i) * 200 * time.Microsecond)
			if poll {
				for k := range 4 {
					l.advance(at.Add(time.Duration(k-4) * 41 * time.Microsecond))
					l.Next()
				}
			}
			l.Send(at, numbered(uint32(i), 1000))
		}
		for {
			n, ok := l.Receive(epoch.Add(time.Hour), buf)
			if !ok {
				return digest, l.Stats()
			}
			digest = append(digest, arrival{n: binary.BigEndian.Uint32(buf[:n])})
		}
	}
	quiet, s1 := run(false)
	busy, s2 := run(true)
	if diff := cmp.Diff(quiet, busy, cmp.AllowUnexported(arrival{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s1, s2); diff != "" {
		t.Error(diff)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := mustNew(t, everything(), 1)
	p, buf := make([]byte, 1400), make([]byte, MaxMTU)
	now := epoch
	step := func() {
		for i := range 100 {
			now = now.Add(200 * time.Microsecond)
			l.Send(now, p[:40+(i%2)*1300])
			for _, ok := l.Receive(now, buf); ok; _, ok = l.Receive(now, buf) {
			}
			l.Next()
		}
	}
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(50, step); n != 0 {
		t.Errorf("%v allocations per 100 packets", n)
	}
}

// everything is a link with every effect at once.
func everything() Config {
	slow, loss, delay := int64(20e6), 0.3, 15*time.Millisecond
	return Config{
		Rate: 50e6, Queue: 60_000, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond,
		Loss: 0.1, Burst: 3, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.01,
		Policer: Policer{Rate: 45e6, Burst: 30_000},
		Schedule: []Change{
			{At: time.Second, Every: time.Second, Outage: 10 * time.Millisecond, OutageMax: 50 * time.Millisecond},
			{At: 1500 * time.Millisecond, Rate: &slow, Loss: &loss, Delay: &delay},
		},
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(epoch, Config{}, nil); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	if _, err := New(epoch, Config{Loss: 2}, seeded(1)); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

func BenchmarkLink(b *testing.B) {
	l := mustNew(b, Config{Rate: 1e9, Delay: 20 * time.Millisecond, Loss: 0.2, Queue: 1 << 20}, 1)
	p, buf := make([]byte, 1400), make([]byte, MaxMTU)
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(12 * time.Microsecond)
		l.Send(now, p)
		for _, ok := l.Receive(now, buf); ok; _, ok = l.Receive(now, buf) {
		}
	}
}
