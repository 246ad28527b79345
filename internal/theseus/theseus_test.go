package theseus

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/handshake/ladder"
)

// play is n runs of a setting.
func play(t *testing.T, set Setting, n int) []Result {
	t.Helper()
	a, err := newArena(set)
	if err != nil {
		t.Fatal(err)
	}
	var all []Result
	for i := range n {
		r, err := a.run(i, everyPlank)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func rowOf(results []Result) (r Row) {
	for i := range results {
		r.count(&results[i])
	}
	return r
}

// chance is the exact distribution of both parties' levels, tick by tick: the
// ladder as a Markov chain, written from the paper and not from the machines.
// Its levels are C, D, T, Q with QC, and V; Q alone is the top of four phases.
type chance map[[4]int]float64 // own and heard of each

func (c chance) tick(loss float64, top int) chance {
	next := chance{}
	for s, w := range c {
		for coin := range 4 {
			n, p := s, w
			for i := range 2 { // party i hears the other's level
				if coin>>i&1 == 0 {
					p *= loss
					continue
				}
				p *= 1 - loss
				n[2*i+1] = max(n[2*i+1], s[2-2*i])
				n[2*i] = max(n[2*i], min(n[2*i+1]+1, top))
			}
			if p > 0 {
				next[n] += p
			}
		}
	}
	return next
}

// committed is the probability that both, and that exactly one, commit by now.
func (c chance) committed(rule ladder.Rule) (both, one float64) {
	for s, w := range c {
		x, y := s[1] >= 5, s[3] >= 5
		if rule == ladder.Paper4 {
			x, y = s[0] >= 4, s[2] >= 4
		}
		switch {
		case x && y:
			both += w
		case x || y:
			one += w
		}
	}
	return both, one
}

// expectedTicks is the exact mean of ticks until both have committed.
func expectedTicks(loss float64) float64 {
	c, mean := chance{{1, 0, 1, 0}: 1}, 0.0
	for range MaxTicks {
		both, _ := c.committed(ladder.VoteOnce)
		if 1-both < 1e-12 {
			break
		}
		mean += 1 - both
		c = c.tick(loss, 5)
	}
	return mean
}

// the real machines need as many ticks as the ladder must: 5, 11, 55 and
// 277 at 0, 50, 90 and 98 %, rounded, on the average.
func TestTicks(t *testing.T) {
	for _, c := range []struct{ loss, want float64 }{{0, 5}, {0.5, 11}, {0.9, 55}, {0.98, 277}} {
		exact := expectedTicks(c.loss)
		if math.Round(exact) > c.want {
			t.Errorf("loss %v: the ladder needs %.2f ticks, want %v", c.loss, exact, c.want)
		}
		const n = 300
		sum, squares := 0.0, 0.0
		for _, r := range play(t, Setting{Loss: c.loss, Horizon: MaxTicks, Seed: 1}, n) {
			if r.Outcomes != [2]ladder.Outcome{ladder.Committed, ladder.Committed} {
				t.Fatalf("loss %v: %v", c.loss, r.Outcomes)
			}
			sum += float64(r.Ticks)
			squares += float64(r.Ticks * r.Ticks)
		}
		mean := sum / n
		sigma := math.Sqrt((squares/n - mean*mean) / n)
		t.Logf("loss %v: %.2f ticks, exactly %.3f", c.loss, mean, exact)
		if math.Abs(mean-exact) > 4*sigma+1e-9 {
			t.Errorf("loss %v: %.2f ticks on the average, exactly %.2f, standard error %.2f", c.loss, mean, exact, sigma)
		}
	}
}

// vote-once never splits, at any deadline and horizon, also where
// datagrams are repeated and reordered.
func TestVoteOnceNeverSplits(t *testing.T) {
	for _, loss := range []float64{0, 0.3, 0.5, 0.9, 0.98} {
		for _, deadline := range []int{1, 4, 5, 16, 51, 125} {
			for _, reorder := range []bool{false, true} {
				set := Setting{Loss: loss, Deadline: deadline, Horizon: deadline, Reorder: reorder, Seed: 7}
				if r := rowOf(play(t, set, 20)); r.Asymmetric > 0 {
					t.Errorf("%+v: %+v", set, r)
				}
				set.Horizon = 20 * deadline
				if r := rowOf(play(t, set, 10)); r.Asymmetric > 0 {
					t.Errorf("%+v: %+v", set, r)
				}
			}
		}
	}
}

// where the deadline strikes in the middle of a vote, the runs are in doubt
// at that moment and decided later.
func TestDoubtIsResolved(t *testing.T) {
	set := Setting{Loss: 0.5, Deadline: 11, Horizon: 11, Seed: 3}
	early := rowOf(play(t, set, 100))
	set.Horizon = 400
	late := rowOf(play(t, set, 100))
	if early.InDoubt == 0 || late.InDoubt != 0 || late.Asymmetric != 0 || late.Attack == 0 || late.Abort == 0 {
		t.Errorf("at the deadline %+v, later %+v", early, late)
	}
}

// the paper's rules split as often as the exact chain says.
func TestPaperRulesSplit(t *testing.T) {
	for _, c := range []struct {
		rule          ladder.Rule
		loss          float64
		deadline, top int
	}{
		{ladder.Paper4, 0.5, 6, 4},
		{ladder.Paper4, 0.9, 51, 4},
		{ladder.Paper6, 0.5, 10, 5},
		{ladder.Paper6, 0.9, 50, 5},
	} {
		chain := chance{{1, 0, 1, 0}: 1}
		for range c.deadline {
			chain = chain.tick(c.loss, c.top)
		}
		both, one := chain.committed(c.rule)
		const n = 400
		got := rowOf(play(t, Setting{Rule: c.rule, Loss: c.loss, Deadline: c.deadline, Horizon: c.deadline, Seed: 5}, n))
		near := func(what string, count int, p float64) {
			if d := math.Abs(float64(count) - n*p); d > 4*math.Sqrt(n*p*(1-p)) {
				t.Errorf("%s at %v: %s %d of %d, exactly %.1f", RuleName(c.rule), c.loss, what, count, n, n*p)
			}
		}
		near("asymmetric", got.Asymmetric, one)
		near("attack", got.Attack, both)
		if got.Asymmetric == 0 || got.InDoubt != 0 {
			t.Errorf("%s at %v: %+v", RuleName(c.rule), c.loss, got)
		}
	}
}

// The plank test of the paper (its section 7), with X-6: no delivered datagram,
// taken away, makes a run asymmetric. It does under the paper's own rule.
func TestPlanks(t *testing.T) {
	for _, c := range []struct {
		rule   ladder.Rule
		splits bool
	}{{ladder.VoteOnce, false}, {ladder.Paper6, true}} {
		removed, split := 0, 0
		for _, loss := range []float64{0, 0.5, 0.9} {
			deadline := map[float64]int{0: 5, 0.5: 16, 0.9: 76}[loss]
			a, err := newArena(Setting{Rule: c.rule, Loss: loss, Deadline: deadline, Horizon: deadline, Seed: 2})
			if err != nil {
				t.Fatal(err)
			}
			for n := range 20 {
				r, err := a.run(n, everyPlank)
				if err != nil {
					t.Fatal(err)
				}
				if r.Asymmetric() { // the rule of the paper, without any help
					continue
				}
				var p Planks
				if err := a.removeEach(n, r.Delivered, &p); err != nil {
					t.Fatal(err)
				}
				removed, split = removed+p.Removed, split+p.Asymmetric
			}
		}
		if removed == 0 || (split > 0) != c.splits {
			t.Errorf("%s: %d of %d runs with one datagram removed are asymmetric", RuleName(c.rule), split, removed)
		}
	}
}

// Equal settings give equal results.
func TestDeterministic(t *testing.T) {
	set := Setting{Loss: 0.7, Deadline: 30, Horizon: 60, Reorder: true, Seed: 11}
	if diff := cmp.Diff(play(t, set, 10), play(t, set, 10)); diff != "" {
		t.Error(diff)
	}
	other := set
	other.Seed++
	if cmp.Equal(play(t, set, 10), play(t, other, 10)) {
		t.Error("another seed gives the same runs")
	}
}

// The table has the 21 rates, its JSON the members that are promised, and its
// text says what split.
func TestTable(t *testing.T) {
	opt := Options{Rule: ladder.Paper6, Runs: 4, Deadline: 8, Planks: true, Seed: 1}
	table, err := Measure(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 21 || table.Rows[0].Loss != 0 || table.Rows[20].Loss != 0.98 {
		t.Errorf("rows %+v", table.Rows)
	}
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rule paper6, deadline 8 ticks, horizon 8 ticks", "ASYMMETRIC: one side attacked", "98 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	text, err := json.Marshal(Table{Rule: "vote-once", Rows: []Row{{Loss: 0.5, Runs: 1}}})
	want := `{"rule":"vote-once","rows":[{"loss":0.5,"runs":1,"attack":0,"abort":0,"in_doubt":0,"asymmetric":0,"ticks_mean":0,"ticks_p99":0}]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, opt); err == nil {
		t.Error("a cancelled experiment goes on")
	}
}

func TestSummary(t *testing.T) {
	var ticks []int
	for i := 200; i > 0; i-- {
		ticks = append(ticks, i)
	}
	if mean, p99 := summary(ticks); mean != 100.5 || p99 != 198 {
		t.Errorf("mean %v, p99 %v", mean, p99)
	}
	if mean, p99 := summary(nil); mean != 0 || p99 != 0 {
		t.Errorf("of nothing: %v, %v", mean, p99)
	}
}

func TestRules(t *testing.T) {
	for _, r := range []ladder.Rule{ladder.VoteOnce, ladder.Paper4, ladder.Paper6} {
		if got, err := ParseRule(RuleName(r)); got != r || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := ParseRule("paper5"); err == nil {
		t.Error("paper5 is a rule")
	}
}
