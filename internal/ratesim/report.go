package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// report is what the command writes.
type report struct {
	Runs   []played `json:"runs"`
	Gates  int      `json:"gates"`
	Missed int      `json:"missed"`
}

// played is one run: its figures and its gates.
type played struct {
	Name    string    `json:"name"`
	Seed    uint64    `json:"seed"`
	Figures figures   `json:"figures"`
	Gates   []verdict `json:"gates"`
	Replay  string    `json:"replay"`
}

func newReport(results []result) *report {
	rep := &report{}
	for i := range results {
		r := &results[i]
		rep.Runs = append(rep.Runs, played{
			Name: r.scenario.name, Seed: r.scenario.seed, Figures: r.figures, Gates: r.verdicts, Replay: replay(&r.scenario),
		})
		for _, v := range r.verdicts {
			rep.Gates++
			if !v.Met {
				rep.Missed++
			}
		}
	}
	return rep
}

// write writes the report, as JSON or for people.
func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	r.table(&b)
	b.WriteString(`
busy     served by capacity after the warm-up      queue    mean wait in the bottleneck, and its 99th percentile, ms
q*       mean target of the first flow, ms         sent     datagrams by capacity after 10 s
start    time until 90 % of the capacity is used   recover  longest time to 85 % of a new capacity, s
shares   of what is delivered, by flow             worst of the seeds where a scenario has several
`)
	for _, x := range r.Runs {
		for _, v := range x.Gates {
			if !v.Met {
				fmt.Fprintf(&b, "\nMISSED: %s, seed %d: %s %.3f, the limit is %.3f\n  %s\n", x.Name, x.Seed, v.Gate, v.Measured, v.Limit, x.Replay)
			}
		}
	}
	if r.Missed == 0 {
		fmt.Fprintf(&b, "\nAll gates hold: %d of %d.\n", r.Gates, r.Gates)
	} else {
		fmt.Fprintf(&b, "\n%d of %d gates are MISSED.\n", r.Missed, r.Gates)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes a line for each scenario.
func (r *report) table(w io.Writer) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(tab, strings.Join(cells, "\t")) } // w is a strings.Builder
	line("scenario", "seeds", "busy", "queue", "p99", "q*", "sent", "start", "recover", "shares", "")
	for i := 0; i < len(r.Runs); {
		worst, seeds, mark := r.Runs[i].Figures, 0, "ok"
		name := r.Runs[i].Name
		for ; i < len(r.Runs) && r.Runs[i].Name == name; i++ {
			f := &r.Runs[i].Figures
			worst.Busy, worst.Queue, worst.P99 = min(worst.Busy, f.Busy), max(worst.Queue, f.Queue), max(worst.P99, f.P99)
			worst.Sent, worst.Start = max(worst.Sent, f.Sent), max(worst.Start, f.Start)
			worst.Recover = max(worst.Recover, f.Recover)
			for _, v := range r.Runs[i].Gates {
				if !v.Met {
					mark = "MISSED"
				}
			}
			seeds++
		}
		shares := ""
		if len(worst.Shares) > 1 {
			shares = fmt.Sprintf("%.2f", worst.Shares)
		}
		line(name, fmt.Sprint(seeds), fmt.Sprintf("%.3f", worst.Busy), fmt.Sprintf("%.1f", worst.Queue),
			fmt.Sprintf("%.1f", worst.P99), fmt.Sprintf("%.1f", worst.Target), fmt.Sprintf("%.2f", worst.Sent),
			blank(worst.Start), blank(worst.Recover), shares, mark)
	}
	_ = tab.Flush()
}

// blank writes a time that may not exist.
func blank(x float64) string {
	if x == 0 || x < 0 || math.IsInf(x, 1) {
		return "-"
	}
	return fmt.Sprintf("%.1f", x)
}
