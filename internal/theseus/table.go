package theseus

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/totg/totg/handshake/ladder"
)

// Options are those of "totg theseus".
type Options struct {
	Rule     ladder.Rule
	Runs     int // at each loss
	Deadline int // ticks; 0 is none
	Horizon  int // ticks; 0 is ten times the deadline for VoteOnce, else the deadline
	Planks   bool
	Reorder  bool
	Seed     uint64
}

// DefaultDeadline is the number of ticks at which the paper's six-phase rule
// completes the share of runs at 98 % loss that the paper reports (164 of 500,
// section 10.1). The paper does not say which deadline it used.
const DefaultDeadline = 213

// MaxRuns bounds the runs at each loss.
const MaxRuns = 1_000_000

// Losses are the 21 loss rates of the paper's table, of which it prints eight.
func Losses() []float64 {
	var all []float64
	for percent := 0; percent <= 95; percent += 5 {
		all = append(all, float64(percent)/100)
	}
	return append(all, 0.98)
}

// RuleName is the name of a rule on the command line.
func RuleName(r ladder.Rule) string {
	switch r {
	case ladder.VoteOnce:
		return "vote-once"
	case ladder.Paper4:
		return "paper4"
	case ladder.Paper6:
		return "paper6"
	}
	return "unknown"
}

// ParseRule is the rule of a name.
func ParseRule(name string) (ladder.Rule, error) {
	for _, r := range []ladder.Rule{ladder.VoteOnce, ladder.Paper4, ladder.Paper6} {
		if RuleName(r) == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown rule %q: vote-once, paper4 or paper6", name)
}

// Planks counts what became of runs from which one datagram was taken away.
type Planks struct {
	Removed    int `json:"removed"`
	Asymmetric int `json:"asymmetric"`
}

// Row is the runs at one loss.
type Row struct {
	Loss       float64 `json:"loss"`
	Runs       int     `json:"runs"`
	Attack     int     `json:"attack"`     // both attacked
	Abort      int     `json:"abort"`      // both aborted
	InDoubt    int     `json:"in_doubt"`   // at least one did not know yet at the horizon, none differ
	Asymmetric int     `json:"asymmetric"` // one attacked, one aborted
	TicksMean  float64 `json:"ticks_mean"` // of the runs that attacked, until both knew; 0 if there is none
	TicksP99   int     `json:"ticks_p99"`
	Planks     *Planks `json:"planks,omitempty"`
}

// Table is the whole experiment.
type Table struct {
	Rule string `json:"rule"`
	Rows []Row  `json:"rows"`

	deadline, horizon int
}

// Asymmetric is how many runs, and how many of those with a datagram removed,
// ended asymmetric.
func (t *Table) Asymmetric() (runs, planks int) {
	for i := range t.Rows {
		runs += t.Rows[i].Asymmetric
		if p := t.Rows[i].Planks; p != nil {
			planks += p.Asymmetric
		}
	}
	return runs, planks
}

func (o *Options) horizon() int {
	switch {
	case o.Horizon > 0:
		return o.Horizon
	case o.Deadline == 0:
		return MaxTicks
	case o.Rule == ladder.VoteOnce:
		return 10 * o.Deadline
	}
	return o.Deadline // nobody is undecided after it
}

// Measure plays the experiment.
func Measure(ctx context.Context, opt Options) (*Table, error) {
	t := &Table{Rule: RuleName(opt.Rule), deadline: opt.Deadline, horizon: opt.horizon()}
	for _, loss := range Losses() {
		row, err := measureRow(ctx, opt, loss)
		if err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

func measureRow(ctx context.Context, opt Options, loss float64) (Row, error) {
	row := Row{Loss: loss, Runs: opt.Runs}
	a, err := newArena(Setting{
		Rule: opt.Rule, Loss: loss, Deadline: opt.Deadline, Horizon: opt.horizon(), Reorder: opt.Reorder, Seed: opt.Seed,
	})
	if err != nil {
		return row, err
	}
	if opt.Planks {
		row.Planks = &Planks{}
	}
	var ticks []int
	for n := range opt.Runs {
		if err := ctx.Err(); err != nil {
			return row, err
		}
		r, err := a.run(n, everyPlank)
		if err != nil {
			return row, err
		}
		row.count(&r)
		if r.Outcomes[0] == ladder.Committed && r.Outcomes[1] == ladder.Committed {
			ticks = append(ticks, r.Ticks)
		}
		if opt.Planks {
			if err := a.removeEach(n, r.Delivered, row.Planks); err != nil {
				return row, err
			}
		}
	}
	row.TicksMean, row.TicksP99 = summary(ticks)
	return row, nil
}

// removeEach plays run n again without each of its delivered datagrams in turn.
// What is lost later is the same as before.
func (a *arena) removeEach(n, delivered int, p *Planks) error {
	for plank := range delivered {
		r, err := a.run(n, plank)
		if err != nil {
			return err
		}
		p.Removed++
		if r.Asymmetric() {
			p.Asymmetric++
		}
	}
	return nil
}

func (r *Row) count(res *Result) {
	x, y := res.Outcomes[0], res.Outcomes[1]
	switch {
	case res.Asymmetric():
		r.Asymmetric++
	case x == ladder.Committed && y == ladder.Committed:
		r.Attack++
	case x == ladder.Aborted && y == ladder.Aborted:
		r.Abort++
	default:
		r.InDoubt++
	}
}

// summary is the mean and the 99th percentile (nearest rank).
func summary(ticks []int) (mean float64, p99 int) {
	if len(ticks) == 0 {
		return 0, 0
	}
	slices.Sort(ticks)
	sum := 0
	for _, t := range ticks {
		sum += t
	}
	rank := int(math.Ceil(0.99 * float64(len(ticks))))
	return float64(sum) / float64(len(ticks)), ticks[rank-1]
}

// Write prints the table for people.
func (t *Table) Write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %s, %s, horizon %d ticks\n\n", t.Rule, deadlineText(t.deadline), t.horizon)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	planks := len(t.Rows) > 0 && t.Rows[0].Planks != nil
	head := "loss\truns\tattack\tabort\tin doubt\tASYMMETRIC\tticks mean\tticks p99\t"
	if planks {
		head += "planks removed\tASYMMETRIC\t"
	}
	lines := []string{head}
	for _, r := range t.Rows {
		line := fmt.Sprintf("%.0f %%\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d\t",
			100*r.Loss, r.Runs, r.Attack, r.Abort, r.InDoubt, r.Asymmetric, r.TicksMean, r.TicksP99)
		if r.Planks != nil {
			line += fmt.Sprintf("%d\t%d\t", r.Planks.Removed, r.Planks.Asymmetric)
		}
		lines = append(lines, line)
	}
	if _, err := io.WriteString(w, strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	b.WriteString("\n" + t.verdict())
	_, err := io.WriteString(out, b.String())
	return err
}

func deadlineText(ticks int) string {
	if ticks == 0 {
		return "no deadline"
	}
	return fmt.Sprintf("deadline %d ticks", ticks)
}

// verdict says in words what the column of asymmetric runs says.
func (t *Table) verdict() string {
	total, undecided := 0, 0
	for _, r := range t.Rows {
		total += r.Runs
		undecided += r.InDoubt
	}
	split, planks := t.Asymmetric()
	var b strings.Builder
	if split+planks == 0 {
		fmt.Fprintf(&b, "%d runs, none asymmetric", total)
	} else {
		fmt.Fprintf(&b, "%d runs, %d ASYMMETRIC: one side attacked and the other aborted", total, split)
	}
	if planks > 0 {
		fmt.Fprintf(&b, "; %d more with one datagram removed", planks)
	}
	if undecided > 0 {
		fmt.Fprintf(&b, "; %d still in doubt at the horizon", undecided)
	}
	return b.String() + ".\n"
}
