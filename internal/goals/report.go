package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// report is the table and the verdict. It is what -json writes.
type report struct {
	RTT    float64     `json:"rtt_ms"`
	Seed   uint64      `json:"seed"` // the first
	Seeds  int         `json:"seeds"`
	Quick  bool        `json:"quick"`
	Rows   []reportRow `json:"rows"`
	Goals  int         `json:"goals"` // that apply
	Missed int         `json:"missed"`
}

// reportRow is a row: its link, what was measured, and the goals that apply.
// Shares are 0 to 1; delays are in milliseconds, those of lone messages less the
// one-way delay.
type reportRow struct {
	Rate       float64  `json:"rate_mbits"`
	Loss       float64  `json:"loss"`
	Burst      float64  `json:"burst"`
	Efficiency estimate `json:"efficiency"`
	Useless    estimate `json:"useless"`
	Mean       estimate `json:"in_order_mean_ms"`
	P99        estimate `json:"in_order_p99_ms"`
	Receipts   estimate `json:"receipts"`
	Lone       estimate `json:"lone_p99_ms"`
	Lost       estimate `json:"lone_lost"`
	ARQ        *arq     `json:"arq,omitempty"`
	Goals      []goal   `json:"goals"`
	Replay     string   `json:"replay"`
	name       string
}

// arq is what plain ARQ does on the same link.
type arq struct {
	Efficiency estimate `json:"efficiency"`
	Mean       estimate `json:"in_order_mean_ms"`
	P99        estimate `json:"in_order_p99_ms"`
}

func newReport(o *options, results []result) *report {
	rep := &report{RTT: milliseconds(o.rtt), Seed: o.seed, Seeds: o.seeds, Quick: o.quick}
	for i := range results {
		r := &results[i]
		load, alone := r.summary(flood), r.summary(lone)
		row := reportRow{
			Rate: r.mbits(), Loss: r.loss, Burst: r.burst,
			Efficiency: load.efficiency, Useless: load.useless, Mean: load.mean, P99: load.p99, Receipts: load.receipts,
			Lone: alone.p99, Lost: alone.lost,
			Goals: judge(r), Replay: o.replay(r.row), name: r.String(),
		}
		if o.arq {
			s := r.summary(plainARQ)
			row.ARQ = &arq{Efficiency: s.efficiency, Mean: s.mean, P99: s.p99}
		}
		for _, g := range row.Goals {
			rep.Goals++
			if !g.Met {
				rep.Missed++
			}
		}
		rep.Rows = append(rep.Rows, row)
	}
	return rep
}

// writeJSON writes the report as one object.
func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText writes the report for people.
func (r *report) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Goals of R-9. RTT %g ms, independent runs: %d, first seed: %d. Shares are 0 to 1, delays in ms.\n\n",
		r.RTT, r.Seeds, r.Seed)
	r.table(&b)
	b.WriteString(r.footer())
	r.verdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes the rows under their headings.
func (r *report) table(w io.Writer) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(tab, strings.Join(cells, "\t")) } // w is a strings.Builder
	arq := len(r.Rows) > 0 && r.Rows[0].ARQ != nil
	first := []string{"Mbit/s", "loss", "burst", "efficiency", "useless", "in order:", "", "receipts", "lone:", ""}
	second := []string{"", "", "", "", "", "mean", "p99", "", "p99", "lost"}
	if arq {
		first = append(first, "plain ARQ:", "in order:", "")
		second = append(second, "efficiency", "mean", "p99")
	}
	line(first...)
	line(second...)
	for i := range r.Rows {
		row := &r.Rows[i]
		cells := []string{
			number(row.Rate), number(row.Loss), number(row.Burst),
			fmt.Sprintf("%v%s", row.Efficiency, row.mark(nameEfficiency)),
			fmt.Sprintf("%.4f", row.Useless.mean),
			delay(row.Mean) + row.mark(nameMean), delay(row.P99) + row.mark(nameP99),
			fmt.Sprintf("%.4f", row.Receipts.mean),
			delay(row.Lone) + row.mark(nameLone), fmt.Sprintf("%.4f", row.Lost.mean),
		}
		if arq {
			cells = append(cells, row.ARQ.Efficiency.String(), delay(row.ARQ.Mean), delay(row.ARQ.P99))
		}
		line(cells...)
	}
	_ = tab.Flush()
}

// delay writes milliseconds so that the columns line up.
func delay(e estimate) string {
	if math.IsInf(e.mean, 1) {
		return "  never"
	}
	return fmt.Sprintf("%7.1f", e.mean)
}

// mark says how a cell compares with its goal, if it has one.
func (r *reportRow) mark(name string) string {
	for _, g := range r.Goals {
		switch {
		case g.Name != name:
		case g.Met:
			return " ok"
		default:
			return " MISSED"
		}
	}
	return ""
}

// footer tells how to read the table.
func (r *report) footer() string {
	text := `
efficiency  innovative symbols / datagrams sent / (1 - loss), with its 95 % confidence interval over the runs. ok if that, or three
            standard deviations of the drawn losses, reaches the goal, and the useless share of the arrivals is small enough for it:
            so neither good nor bad luck decides.
in order    delay from the first transmission to the delivery in order
receipts    share of the return path
lone        200-byte messages, one at a time: p99 less the one-way delay (never: a run lost more than 1 %), and the share lost
`
	if r.Seeds == 1 {
		text += "One run has no interval, and delays may miss by bad luck.\n"
	}
	return text
}

// verdict lists what was missed, each with the command that measures it again,
// and sums up.
func (r *report) verdict(w io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // w is a strings.Builder
	for i := range r.Rows {
		row := &r.Rows[i]
		failed := false
		for _, g := range row.Goals {
			if !g.Met {
				line("\nMISSED: %s: %s", row.name, g.text)
				failed = true
			}
		}
		if failed {
			line("  %s", row.Replay)
		}
	}
	switch {
	case r.Goals == 0:
		line("\nNo goal applies to these rows.")
	case r.Missed == 0:
		line("\nAll goals are met: %d of %d.", r.Goals, r.Goals)
	default:
		line("\n%d of %d goals are MISSED.", r.Missed, r.Goals)
	}
}
