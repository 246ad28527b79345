package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// metric is one table: a figure of every peer at every loss.
type metric struct {
	title   string
	of      func(r *Result) float64
	format  string
	less    bool // is better
	spreads bool // show the least and the greatest
	idle    bool // has a value even where nothing was delivered
}

func metrics() []metric {
	return []metric{
		{"Goodput of one TCP download, Mbit/s", func(r *Result) float64 { return r.Goodput / 1e6 }, "%.1f", false, true, true},
		{"Share of what the link carries after its loss, %", func(r *Result) float64 { return 100 * r.efficiency() }, "%.0f", false, false, true},
		{"IP bytes on the wire for each byte delivered", func(r *Result) float64 { return float64(r.Wire) / float64(r.Bytes) }, "%.2f", true, false, false},
		{"Processor seconds of the peer's programs for each GB delivered", func(r *Result) float64 { return r.CPU / float64(r.Bytes) * 1e9 }, "%.1f", true, false, false},
		{"Small messages beside the download, median, ms", func(r *Result) float64 { return 1000 * r.echo(0.5) }, "%.0f", true, false, false},
		{"Small messages beside the download, 99th percentile, ms", func(r *Result) float64 { return 1000 * r.echo(0.99) }, "%.0f", true, false, false},
		{"First byte of a request on a new connection, ms", func(r *Result) float64 { return 1000 * r.First }, "%.0f", true, false, false},
		{"Until the peer carries packets, ms", func(r *Result) float64 { return 1000 * r.Setup }, "%.0f", true, false, false},
	}
}

// without says which peers have nothing to compare in a metric: a kernel's TCP has no
// programs and needs no setup, and the forwarder for QUIC tells of none.
func (m metric) without(peer string) bool {
	switch {
	case strings.HasPrefix(peer, "tcp-"):
		return strings.HasPrefix(m.title, "Processor") || strings.HasPrefix(m.title, "Until")
	case peer == "quic":
		return strings.HasPrefix(m.title, "Until")
	}
	return false
}

// report is the whole summary in Markdown.
func report(g Grid, all Results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results\n\n%s\n", conditions(all))
	for _, link := range g.Links {
		fmt.Fprintf(&b, "\n## %v\n", link)
		for _, m := range metrics() {
			fmt.Fprintf(&b, "\n%s:\n\n%s", m.title, table(g, all, link, m))
		}
	}
	if raw := rawTable(g, all); raw != "" {
		fmt.Fprintf(&b, "\n## Without a link\n\nOne TCP download over a plain cable, Mbit/s:\n\n%s", raw)
	}
	b.WriteString("\n" + legend)
	return b.String()
}

const legend = `The best of each row is **bold**, and whatever is within 2 % of it. Figures are medians of the repetitions, with the least and
the greatest in brackets where they differ. – means that the peer failed at this loss or at a lower one of the same link (it
brought less than a thousandth of what the link carries) and is not measured at higher ones; a blank, that there is no such figure.
`

// conditions are when, on what and how well it was measured.
func conditions(all Results) string {
	var first, last, machine string
	late, missed := 0.0, uint64(0)
	repeats, worthless := 0, 0
	for p, r := range all {
		at := r.At.Format("2006-01-02")
		if first == "" || at < first {
			first = at
		}
		last, machine = max(last, at), r.Machine
		missed += r.Missed
		if r.worthless() {
			worthless++
		}
		late = max(late, r.LateP99)
		repeats = max(repeats, p.Repeat+1)
	}
	when := first
	if last != first {
		when += " to " + last
	}
	text := fmt.Sprintf("Measured on %s on %s; %d measurements, up to %d of each point. 99 %% of the packets were less than %.1f ms late in the worst of them.",
		when, machine, len(all), repeats, 1000*late)
	if worthless > 0 {
		text += fmt.Sprintf("\n\n**The machine was busy with other things in %d of the measurements: these figures are worth little.**", worthless)
	}
	if missed > 0 {
		text += fmt.Sprintf("\n\n**%d packets never reached the emulated link: the machine is too slow for some point.**", missed)
	}
	return text
}

// table is one metric of one link.
func table(g Grid, all Results, link Link, m metric) string {
	var b strings.Builder
	peers := slices.DeleteFunc(slices.Clone(g.Peers), m.without)
	fmt.Fprintf(&b, "| loss %% | %s |\n|---|%s\n", strings.Join(peers, " | "), strings.Repeat("---|", len(peers)))
	for _, loss := range g.Losses {
		cells := make([]cell, len(peers))
		for i, peer := range peers {
			cells[i] = cellOf(g, all, Point{link, loss, peer, 0}, m)
		}
		fmt.Fprintf(&b, "| %g | %s |\n", loss, strings.Join(texts(cells, m), " | "))
	}
	return b.String()
}

// cell is a figure, or the reason why there is none.
type cell struct {
	spread
	ok   bool
	text string
}

func cellOf(g Grid, all Results, p Point, m metric) cell {
	results := all.repeats(p)
	if len(results) == 0 {
		if all.hopeless(g, p) {
			return cell{text: "–"}
		}
		return cell{}
	}
	useful := slices.ContainsFunc(results, func(r Result) bool { return !r.failed() })
	s, ok := spreadOf(results, m.of)
	if !useful && !m.idle || !ok || math.IsNaN(s.median) || math.IsInf(s.median, 0) {
		return cell{text: "–"}
	}
	return cell{spread: s, ok: true}
}

// near is how much worse than the best still counts as the best.
const near = 0.02

func texts(cells []cell, m metric) []string {
	best, found := 0.0, false
	for _, c := range cells {
		if c.ok && (!found || m.less == (c.median < best) && c.median != best) {
			best, found = c.median, true
		}
	}
	out := make([]string, len(cells))
	for i, c := range cells {
		if !c.ok {
			out[i] = c.text
			continue
		}
		text := fmt.Sprintf(m.format, c.median)
		if best > 0 && math.Abs(c.median-best) <= near*best {
			text = "**" + text + "**"
		}
		least, most := fmt.Sprintf(m.format, c.min), fmt.Sprintf(m.format, c.max)
		if m.spreads && least != most {
			text += fmt.Sprintf(" (%s–%s)", least, most)
		}
		out[i] = text
	}
	return out
}

// rawTable is the throughput without a link.
func rawTable(g Grid, all Results) string {
	var names, values []string
	m := metrics()[0]
	m.format = "%.0f"
	var cells []cell
	for _, peer := range g.Peers {
		if results := all.repeats(Point{Peer: peer}); len(results) > 0 {
			s, ok := spreadOf(results, m.of)
			names, cells = append(names, peer), append(cells, cell{s, ok, "–"})
		}
	}
	if len(names) == 0 {
		return ""
	}
	values = texts(cells, m)
	return fmt.Sprintf("| %s |\n|%s\n| %s |\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)), strings.Join(values, " | "))
}
