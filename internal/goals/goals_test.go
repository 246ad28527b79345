package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse reads a command line that has no mistake.
func parse(tb testing.TB, line string) *options {
	tb.Helper()
	o, err := parseOptions(strings.Fields(line))
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return o
}

// measured makes the runs of a command line.
func measured(tb testing.TB, line string) (*options, []result) {
	tb.Helper()
	o := parse(tb, line)
	results, err := measure(o, 2, func(float64) {})
	if err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return o, results
}

// TestGoals holds the engine to R-9 on a part of the table. The runs are as many
// as it takes for the figures to hold whatever the seed.
func TestGoals(t *testing.T) {
	for _, line := range []string{
		"-rates 10 -losses 0,0.2 -burst 1 -quick",
		"-rates 10 -losses 0.3 -burst 5 -quick -seeds 2",
		"-rates 10 -losses 0.5 -burst 1 -seeds 10",
		"-rates 10 -losses 0.9 -burst 1 -seeds 2",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			o, results := measured(t, line+" -arq=false")
			rep := newReport(o, results)
			if rep.Goals == 0 {
				t.Fatal("no goal applies")
			}
			for _, row := range rep.Rows {
				for _, g := range row.Goals {
					if !g.Met {
						t.Errorf("%s: %s\n  %s", row.name, g.text, row.Replay)
					}
				}
			}
		})
	}
}

// TestDeterminism: equal flags give equal figures, another seed gives others.
func TestDeterminism(t *testing.T) {
	const line = "-rates 10 -losses 0.3 -burst 5 -quick"
	_, first := measured(t, line)
	_, second := measured(t, line)
	_, other := measured(t, line+" -seed 2")
	for i := range first {
		for m := range first[i].figures {
			if !slices.Equal(first[i].figures[m], second[i].figures[m]) {
				t.Errorf("%v, mode %d: %+v and %+v", first[i].row, m, first[i].figures[m], second[i].figures[m])
			}
			if slices.Equal(first[i].figures[m], other[i].figures[m]) {
				t.Errorf("%v, mode %d: seeds 1 and 2 give the same", first[i].row, m)
			}
		}
	}
}

// TestStreams: no two rows, seeds or directions share their losses, but plain
// ARQ has those of the run beside it.
func TestStreams(t *testing.T) {
	base := scenario{row: row{rate: 10e6, rtt: goalRTT, loss: 0.5, burst: 1}, seed: 1}
	variants := []scenario{base}
	for _, change := range []func(*scenario){
		func(s *scenario) { s.rate *= 10 },
		func(s *scenario) { s.rtt *= 2 },
		func(s *scenario) { s.loss = 0.3 },
		func(s *scenario) { s.burst = 5 },
		func(s *scenario) { s.seed++ },
		func(s *scenario) { s.mode = lone },
	} {
		s := base
		change(&s)
		variants = append(variants, s)
	}
	seen := map[uint64]bool{}
	for _, s := range variants {
		for direction := range 2 {
			seen[s.random(direction).Uint64()] = true
		}
	}
	if len(seen) != 2*len(variants) {
		t.Errorf("%d streams for %d directions", len(seen), 2*len(variants))
	}
	arq := base
	arq.mode = plainARQ
	if arq.random(0).Uint64() != base.random(0).Uint64() {
		t.Error("plain ARQ has other losses than the run beside it")
	}
}

// TestEstimate compares with worked examples and with tables of Student's t.
func TestEstimate(t *testing.T) {
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tolerance) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	e := newEstimate([]float64{1, 2, 3, 4, 5}) // standard error sqrt(2.5/5)
	near("mean", e.mean, 3, 1e-12)
	near("half width", e.half, 2.7764*math.Sqrt(0.5), 1e-9)
	if e := newEstimate([]float64{7}); e.mean != 7 || !math.IsNaN(e.half) {
		t.Errorf("a single sample gives %v", e)
	}
	for freedom, want := range map[int]float64{1: 12.7062, 4: 2.7764, 9: 2.2622, 10: 2.2281, 19: 2.0930, 99: 1.9842} {
		near("t", studentT(freedom), want, 2e-4)
	}
	d := make([]time.Duration, 200)
	for i := range d {
		d[len(d)-1-i] = time.Duration(i) * time.Millisecond
	}
	near("noise", row{loss: 0.5, burst: 1}.drawNoise(1e4), 0.01, 1e-12)
	near("noise in bursts", row{loss: 0.5, burst: 20}.drawNoise(1e4), 0.01*math.Sqrt(19), 1e-12) // λ = 0.9
	near("mean delay", mean(d), 99.5, 1e-9)
	near("p99", quantile(d, 0, 0.99), 198, 1e-9)
	if q := quantile(d, 3, 0.99); !math.IsInf(q, 1) {
		t.Errorf("with 3 of 203 lost p99 is %v", q)
	}
}

// runs is a row whose runs had these efficiencies and this share of useless
// arrivals.
func runs(r row, useless float64, efficiencies ...float64) *result {
	res := &result{row: r}
	for _, e := range efficiencies {
		res.figures[flood] = append(res.figures[flood], figures{sent: 1e5, efficiency: e, useless: useless, mean: 319, p99: 601})
		res.figures[lone] = append(res.figures[lone], figures{p99: 5})
	}
	return res
}

// TestJudge: the luck of the drawn losses decides nothing, and only what
// R-9 speaks of is judged.
func TestJudge(t *testing.T) {
	iid := row{rate: 100e6, rtt: goalRTT, loss: 0.5, burst: 1}
	bursts := row{rate: 10e6, rtt: goalRTT, loss: 0.5, burst: 20}
	for name, c := range map[string]struct {
		result *result
		want   bool
	}{
		"good":                       {runs(iid, 0.02, 0.979, 0.980, 0.981), true},
		"good with bad luck":         {runs(iid, 0.02, 0.95, 0.97, 0.98), true},
		"bad":                        {runs(iid, 0.03, 0.969, 0.970, 0.971), false},
		"bad with good luck":         {runs(iid, 0.03, 0.98, 0.99, 1.00), false},
		"fewer arrivals than chance": {runs(iid, 0.02, 0.959, 0.960, 0.961), false},
		"an interval that is narrow": {runs(iid, 0.02, 0.970, 0.970, 0.970), true}, // within 3 * 0.18 %
		"one run with bad luck":      {runs(iid, 0.02, 0.97), true},
		"bursts":                     {runs(bursts, 0.028, 0.969, 0.970, 0.971), true},
	} {
		goals := judge(c.result)
		if len(goals) != 1 || goals[0].Name != nameEfficiency || goals[0].Met != c.want {
			t.Errorf("%s: %+v", name, goals)
		}
	}
	slow := judge(runs(row{rate: 10e6, rtt: goalRTT, loss: 0.5, burst: 1}, 0.02, 0.98))
	want := map[string]bool{nameEfficiency: true, nameMean: true, nameP99: false, nameLone: true}
	for _, g := range slow {
		if g.Met != want[g.Name] {
			t.Errorf("%s: %+v", g.Name, g)
		}
	}
	if len(slow) != len(want) {
		t.Errorf("%d goals, want %d", len(slow), len(want))
	}
	if goals := judge(runs(row{rate: 10e6, rtt: 40 * time.Millisecond, loss: 0.5, burst: 1}, 0.02, 0.98)); goals != nil {
		t.Errorf("goals for another round-trip time: %+v", goals)
	}
}

func TestOptions(t *testing.T) {
	if n := len(parse(t, "").rows()); n != 2*(10+3+3) {
		t.Errorf("%d rows, want 32", n)
	}
	if n := len(parse(t, "-losses 0.5,0.9 -burst 5").rows()); n != 2 { // 0.9 has bursts of 9 at least
		t.Errorf("%d rows, want 2", n)
	}
	for line, seeds := range map[string]int{"": defaultSeeds, "-quick": 1, "-quick -seeds 3": 3} {
		if o := parse(t, line); o.seeds != seeds {
			t.Errorf("%q: %d seeds, want %d", line, o.seeds, seeds)
		}
	}
	for _, line := range []string{
		"-rates 0", "-rates x", "-losses 1", "-losses NaN", "-burst 0.5", "-rtt 0s", "-seeds 0", "now", "-losses 0.9 -burst 2",
	} {
		if _, err := parseOptions(strings.Fields(line)); err == nil {
			t.Errorf("%q is accepted", line)
		}
	}
	if _, err := parseOptions([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h gives %v", err)
	}
	for _, line := range []string{
		"-losses 0.3 -burst 5 -rates 2.5", "-quick -losses 0.5 -rates 100 -burst 1", "-seeds 2 -seed 9 -losses 0 -rates 10 -burst 1",
	} {
		o := parse(t, line)
		again := parse(t, strings.TrimPrefix(o.replay(o.rows()[0]), "go run ./internal/goals"))
		if !slices.Equal(o.rows(), again.rows()) || o.seeds != again.seeds || o.seed != again.seed || o.quick != again.quick {
			t.Errorf("%q: the replay is %q", line, o.replay(o.rows()[0]))
		}
	}
}

// TestReport: a miss is in the row, in the list with the command that measures
// it again, and in the last line; JSON has no number for what never arrives.
func TestReport(t *testing.T) {
	o := parse(t, "-rates 10 -losses 0.5 -burst 1 -seeds 2 -arq=false")
	r := runs(o.rows()[0], 0.02, 0.98, 0.981)
	r.figures[lone][0].p99 = math.Inf(1)
	rep := newReport(o, []result{*r})
	var text, object bytes.Buffer
	if err := errors.Join(rep.writeText(&text), rep.writeJSON(&object)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0.9805 ±0.0064 ok", "319.0 ok", "601.0 MISSED", "never MISSED", "\n  " + o.replay(r.row) + "\n", "\n2 of 4 goals are MISSED.\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var back struct {
		Missed int
		Rows   []struct {
			Lone struct{ Mean *float64 } `json:"lone_p99_ms"`
		}
	}
	if err := json.Unmarshal(object.Bytes(), &back); err != nil || back.Missed != 2 || back.Rows[0].Lone.Mean != nil {
		t.Errorf("%v, %+v from\n%s", err, back, object.String())
	}
}

func TestExitCode(t *testing.T) {
	for line, want := range map[string]int{
		"-h":    0,
		"-what": 2,
		"-rates 10 -losses 0.3 -burst 1 -rtt 20ms -quick -arq=false -json": 0, // no goal applies
	} {
		var out bytes.Buffer
		if code := run(strings.Fields(line), &out, os.Stderr); code != want {
			t.Errorf("%q: exit code %d, want %d", line, code, want)
		}
	}
}

// TestProgress: to a file that is no terminal goes a line for every tenth.
func TestProgress(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	p := newProgress(file, true, func() time.Time { return now })
	for i := range 100 {
		now = now.Add(time.Second)
		p.add(float64(i+1) / 100)
	}
	p.clear()
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n != 10 || !strings.Contains(string(text), " 20 % done, about 1m20s left\n") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}
