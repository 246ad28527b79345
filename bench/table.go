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
	short   string // in the list of rows that peers win; empty: not there
	of      func(r *Result) float64
	format  string
	less    bool // is better
	spreads bool // show the least and the greatest
	idle    bool // has a value even where nothing was delivered
}

func metrics() []metric {
	return []metric{
		{"Goodput of one TCP download, Mbit/s", "goodput, Mbit/s", func(r *Result) float64 { return r.Goodput / 1e6 }, "%.1f", false, true, true},
		{"Share of what the link carries after its loss, %", "", func(r *Result) float64 { return 100 * r.efficiency() }, "%.0f", false, false, true},
		{"IP bytes on the wire for each byte delivered", "wire bytes per byte", func(r *Result) float64 { return float64(r.Wire) / float64(r.Bytes) }, "%.2f", true, false, false},
		{"Processor seconds of the peer's programs for each GB delivered", "processor seconds per GB", func(r *Result) float64 { return r.CPU / float64(r.Bytes) * 1e9 }, "%.1f", true, false, false},
		{"Small messages beside the download, median, ms", "small messages, median, ms", func(r *Result) float64 { return milliseconds(r.echo(0.5)) }, "%.0f", true, false, false},
		{"Small messages beside the download, 99th percentile, ms", "small messages, 99th percentile, ms", func(r *Result) float64 { return milliseconds(r.echo(0.99)) }, "%.0f", true, false, false},
		{"First byte of a request on a new connection, ms", "first byte, ms", func(r *Result) float64 { return milliseconds(r.First) }, "%.0f", true, false, false},
		{"Until the peer carries packets, ms", "setup, ms", func(r *Result) float64 { return milliseconds(r.Setup) }, "%.0f", true, false, false},
	}
}

// milliseconds is no number where nothing was answered.
func milliseconds(seconds float64) float64 {
	if seconds == 0 {
		return math.NaN()
	}
	return 1000 * seconds
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
	all = all.counted()
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
	fmt.Fprintf(&b, "\n## Where totg is not the best\n\n%s\n%s", worseTable(g, all), legend)
	return b.String()
}

const legend = `The best of each row is **bold**, and whatever is within 2 % of it. Figures are medians of the repetitions, with the least and
the greatest in brackets where they differ. – means that the peer failed at this loss or at a lower one of the same link (it
brought less than a thousandth of what the link carries) and is not measured at higher ones; a blank, that there is no such figure;
†, that the machine was busy with other things in all repetitions.
`

// conditions are when, on what and how well it was measured.
func conditions(all Results) string {
	var first, last, machine string
	var versions []string
	late, missed := 0.0, uint64(0)
	repeats, worthless := 0, 0
	for p, r := range all {
		at := r.At.Format("2006-01-02")
		if first == "" || at < first {
			first = at
		}
		last, machine = max(last, at), r.Machine
		if !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
		missed += r.Missed
		if r.worthless() {
			worthless++
		}
		late = max(late, r.LateP99)
		repeats = max(repeats, p.Repeat+1)
	}
	slices.Sort(versions)
	when := first
	if last != first {
		when += " to " + last
	}
	text := fmt.Sprintf("Measured on %s on %s, %s; %d measurements, up to %d of each point. 99 %% of the packets were less than %.1f ms late in the worst of them.",
		when, machine, strings.Join(versions, ", "), len(all), repeats, 1000*late)
	if worthless > 0 {
		text += fmt.Sprintf("\n\n**The machine was busy with other things in %d of the measurements (†): these figures are worth little.**", worthless)
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
	ok    bool
	doubt bool // the machine was busy with other things
	text  string
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
	if !useful && !m.idle || !ok || math.IsInf(s.median, 0) {
		return cell{text: "–"}
	}
	return cell{spread: s, ok: true, doubt: results[0].worthless()}
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
		if c.doubt {
			text += "†"
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
			names, cells = append(names, peer), append(cells, cell{s, ok, results[0].worthless(), "–"})
		}
	}
	if len(names) == 0 {
		return ""
	}
	values = texts(cells, m)
	return fmt.Sprintf("| %s |\n|%s\n| %s |\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)), strings.Join(values, " | "))
}

// worseTable is where a peer is better than the tunnel by more than near.
func worseTable(g Grid, all Results) string {
	var b strings.Builder
	b.WriteString("| link | loss % | | totg | better |\n|---|---|---|---|---|\n")
	for _, link := range g.Links {
		for _, m := range metrics() {
			if m.short == "" {
				continue
			}
			for _, loss := range g.Losses {
				if mine, better := rowOf(g, all, Point{link, loss, "totg", 0}, m); better != "" {
					fmt.Fprintf(&b, "| %v | %g | %s | %s | %s |\n", link, loss, m.short, mine, better)
				}
			}
		}
	}
	return b.String()
}

// rowOf is what a peer has in a metric, and which others are better.
func rowOf(g Grid, all Results, p Point, m metric) (mine, better string) {
	own := cellOf(g, all, p, m)
	mine = own.text
	if own.ok {
		mine = fmt.Sprintf(m.format, own.median)
	}
	var list []string
	for _, peer := range g.Peers {
		p.Peer = peer
		c := cellOf(g, all, p, m)
		ahead := c.median - own.median
		if m.less {
			ahead = -ahead
		}
		if c.ok && !m.without(peer) && (!own.ok || ahead > near*own.median) {
			list = append(list, fmt.Sprintf("%s "+m.format, peer, c.median))
		}
	}
	return mine, strings.Join(list, ", ")
}

// paperTable is section 10.3 of the paper, which does not tell its link, beside the
// first link of the grid: shares of the link's rate, before its loss.
func paperTable(g Grid, all Results) string {
	link := fullGrid().Links[0]
	m := metric{of: func(r *Result) float64 { return 100 * r.Goodput / float64(link.Rate) }, idle: true}
	var b strings.Builder
	b.WriteString("| loss % | (1 − loss) | TGP, paper | totg | TCP, paper | TCP cubic | TCP bbr |\n|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		loss     float64
		tgp, tcp string
	}{{0, "98", "95"}, {10, "88", "60"}, {50, "48", "5"}, {90, "9", "0.1"}, {98, "1.8", "–"}} {
		share := func(peer string) string {
			c := cellOf(g, all, Point{link, row.loss, peer, 0}, m)
			if !c.ok {
				return c.text
			}
			return fmt.Sprintf("%.1f", c.median)
		}
		fmt.Fprintf(&b, "| %g | %g | %s | %s | %s | %s | %s |\n",
			row.loss, 100-row.loss, row.tgp, share("totg"), row.tcp, share("tcp-cubic"), share("tcp-bbr"))
	}
	return b.String()
}
