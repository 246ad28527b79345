package main

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// cdfLoss is the loss at which the latencies are drawn, in percent.
const cdfLoss = 10

// plots draws everything as PNG and SVG.
func plots(dir string, g Grid, all Results) error {
	for _, link := range g.Links {
		for name, draw := range map[string]func(Grid, Results, Link) (*plot.Plot, error){
			"goodput": goodputPlot, "latency": latencyPlot, "cpu": cpuPlot,
		} {
			p, err := draw(g, all, link)
			if err != nil {
				return err
			}
			for _, ext := range []string{".png", ".svg"} {
				if err := p.Save(18*vg.Centimeter, 11*vg.Centimeter, filepath.Join(dir, name+"-"+link.name()+ext)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Millimeter
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	return p
}

// colorOf is the same for a peer in all plots; the tunnel's stands out.
func colorOf(peer string) color.Color {
	colors := map[string]color.RGBA{
		"totg": {0xd6, 0x27, 0x28, 0xff}, "tcp-cubic": {0x7f, 0x7f, 0x7f, 0xff}, "tcp-bbr": {0x1f, 0x77, 0xb4, 0xff},
		"wireguard": {0x8c, 0x56, 0x4b, 0xff}, "quic": {0x2c, 0xa0, 0x2c, 0xff}, "kcptun": {0xff, 0x7f, 0x0e, 0xff},
		"openvpn": {0x94, 0x67, 0xbd, 0xff},
	}
	return colors[peer]
}

// curve adds a line for a peer; without points there is none.
func curve(p *plot.Plot, peer string, points plotter.XYs, marks bool) error {
	if len(points) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, dots.Color, dots.Shape = colorOf(peer), colorOf(peer), draw.CircleGlyph{}
	dots.Radius, line.Width = vg.Points(2.2), vg.Points(1.3)
	if peer == "totg" {
		line.Width = vg.Points(2.6)
	}
	p.Add(line)
	if marks {
		p.Add(dots)
	}
	p.Legend.Add(peer, line)
	return nil
}

// overLoss is the median of something at every loss, for the link and the peer of p.
func overLoss(g Grid, all Results, p Point, of func(r *Result) float64, failedToo bool) (points plotter.XYs) {
	for _, loss := range g.Losses {
		p.Loss = loss
		results := all.repeats(p)
		if !failedToo {
			results = slices.DeleteFunc(results, func(r Result) bool { return r.failed() })
		}
		s, ok := spreadOf(results, of)
		switch {
		case ok:
			points = append(points, plotter.XY{X: loss, Y: s.median})
		case failedToo && len(results) > 0:
			points = append(points, plotter.XY{X: loss})
		}
	}
	return points
}

// goodputPlot is goodput against loss, under the line of what the link carries.
func goodputPlot(g Grid, all Results, link Link) (*plot.Plot, error) {
	p := newPlot("One TCP download, "+link.String(), "loss, %", "goodput, Mbit/s")
	limit := plotter.NewFunction(func(loss float64) float64 { return link.capacity(loss) / 1e6 })
	limit.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(limit)
	p.Legend.Add("(1 − loss) · rate", limit)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 100, 0, float64(link.Rate)/1e6
	for _, peer := range g.Peers {
		if err := curve(p, peer, overLoss(g, all, Point{Link: link, Peer: peer}, func(r *Result) float64 { return r.Goodput / 1e6 }, true), true); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// latencyPlot is the distribution of the latency beside a download.
func latencyPlot(g Grid, all Results, link Link) (*plot.Plot, error) {
	p := newPlot(fmt.Sprintf("Small messages beside a download, %v, loss %d %%", link, cdfLoss), "round trip, ms", "share of messages, %")
	p.Legend.Top = false
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
	for _, peer := range g.Peers {
		var points plotter.XYs
		results := all.repeats(Point{link, cdfLoss, peer, 0})
		for q := range 101 {
			s, ok := spreadOf(results, func(r *Result) float64 { return r.echo(float64(q) / 100) })
			if ok && s.median > 0 {
				points = append(points, plotter.XY{X: 1000 * s.median, Y: float64(q)})
			}
		}
		if err := curve(p, peer, points, false); err != nil {
			return nil, err
		}
	}
	if p.X.Max <= p.X.Min || p.X.Min <= 0 { // nothing was measured at that loss
		p.X.Min, p.X.Max = 1, 10
	}
	return p, nil
}

// decades are the marks of a logarithmic axis: 1, 2, 5, 10 and so on.
func decades(least, most float64) (ticks []plot.Tick) {
	for decade := 0.1; decade <= most; decade *= 10 {
		for _, v := range []float64{decade, 2 * decade, 5 * decade} {
			if v >= least*0.999 && v <= most*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", math.Round(10*v)/10)})
			}
		}
	}
	return ticks
}

// cpuPlot is what a gigabyte costs.
func cpuPlot(g Grid, all Results, link Link) (*plot.Plot, error) {
	p := newPlot("Processor time of both hosts' programs, "+link.String(), "loss, %", "seconds per GB delivered")
	p.Y.Min = 0
	for _, peer := range g.Peers {
		if strings.HasPrefix(peer, "tcp-") {
			continue
		}
		of := func(r *Result) float64 { return r.CPU / float64(r.Bytes) * 1e9 }
		if err := curve(p, peer, overLoss(g, all, Point{Link: link, Peer: peer}, of, false), true); err != nil {
			return nil, err
		}
	}
	return p, nil
}
