package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// maxTraceRows bounds what is read of a trace: three hours at 50 rows a second.
const maxTraceRows = 600_000

// trace is what rate control wrote with "totg up --trace", of one peer.
type trace struct {
	columns map[string]plotter.XYs // over the time in seconds
}

// traceColumns are plotted: rates in Mbit/s, delays in ms, shares in percent.
var traceColumns = map[string]float64{
	"rate_bps": 1e-6, "estimate_bps": 1e-6, "queue_ms": 1, "target_ms": 1, "jitter_ms": 1, "loss": 100, "return_loss": 100,
}

// readTrace reads the rows of the first peer. A file without one of the columns but
// return_loss, which the simulator does not know, is an error.
func readTrace(r io.Reader) (*trace, error) {
	rows := csv.NewReader(bufio.NewReader(r))
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("no header: %w", err)
	}
	place := map[string]int{}
	for i, name := range head {
		place[strings.Clone(name)] = i
	}
	for name := range traceColumns {
		if _, ok := place[name]; !ok && name != "return_loss" {
			return nil, fmt.Errorf("no column %q: is it a trace of totg?", name)
		}
	}
	at, ok := place["time_s"]
	if !ok {
		return nil, errors.New(`no column "time_s": is it a trace of totg?`)
	}
	t := &trace{columns: map[string]plotter.XYs{}}
	who, several := place["peer"]
	first := ""
	for n := 0; ; n++ {
		row, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return t, nil
		case err != nil:
			return nil, fmt.Errorf("row %d: %w", n+2, err)
		case n >= maxTraceRows:
			return nil, fmt.Errorf("more than %d rows", maxTraceRows)
		}
		if several && n == 0 {
			first = strings.Clone(row[who])
		}
		if several && row[who] != first {
			continue
		}
		if err := t.add(place, row, row[at]); err != nil {
			return nil, fmt.Errorf("row %d: %w", n+2, err)
		}
	}
}

// add takes one row.
func (t *trace) add(place map[string]int, row []string, at string) error {
	seconds, err := strconv.ParseFloat(at, 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return fmt.Errorf("time %q is no number", at)
	}
	for name, unit := range traceColumns {
		i, ok := place[name]
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(row[i], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s %q is no number", name, row[i])
		}
		t.columns[name] = append(t.columns[name], plotter.XY{X: seconds, Y: v * unit})
	}
	return nil
}

// traceLine is one curve of a panel.
type traceLine struct {
	column, legend string
	color          color.RGBA
	dashed         bool
}

// panels draws rate, queue and loss over time.
func (t *trace) panels() ([]*plot.Plot, error) {
	red, grey, blue := color.RGBA{0xd6, 0x27, 0x28, 0xff}, color.RGBA{0x7f, 0x7f, 0x7f, 0xff}, color.RGBA{0x1f, 0x77, 0xb4, 0xff}
	var list []*plot.Plot
	for _, panel := range []struct {
		title, unit string
		lines       []traceLine
	}{
		{"Rate", "Mbit/s", []traceLine{{"rate_bps", "rate", grey, false}, {"estimate_bps", "estimate", red, false}}},
		{"Queue", "ms", []traceLine{{"queue_ms", "q", blue, false}, {"target_ms", "q*", red, true}, {"jitter_ms", "jitter", grey, false}}},
		{"Loss", "%", []traceLine{{"loss", "p", red, false}, {"return_loss", "of receipts", grey, false}}},
	} {
		p := newPlot(panel.title, "time, s", panel.unit)
		p.Y.Min = 0
		for _, l := range panel.lines {
			points := t.columns[l.column]
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = l.color, vg.Points(1)
			if l.dashed {
				line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
			}
			p.Add(line)
			p.Legend.Add(l.legend, line)
		}
		list = append(list, p)
	}
	return list, nil
}

// plotTrace draws a trace into a PNG file.
func plotTrace(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	t, err := readTrace(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	panels, err := t.panels()
	if err != nil {
		return err
	}
	const width, height = 24 * vg.Centimeter, 24 * font.Centimeter
	img := vgimg.New(width, height)
	column := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		column[i] = []*plot.Plot{p}
	}
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadX: vg.Millimeter, PadY: 3 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, row := range plot.Align(column, tiles, draw.New(img)) {
		panels[i].Draw(row[0])
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = vgimg.PngCanvas{Canvas: img}.WriteTo(out)
	return err
}

// runPlotTrace is "bench plot-trace FILE.csv -o FILE.png".
func runPlotTrace(args []string) error {
	const usage = "usage: bench plot-trace FILE.csv [-o FILE.png]"
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return errors.New(usage)
	}
	from, to := args[0], strings.TrimSuffix(args[0], ".csv")+".png"
	switch rest := args[1:]; {
	case len(rest) == 2 && rest[0] == "-o":
		to = rest[1]
	case len(rest) != 0:
		return errors.New(usage)
	}
	if to == from {
		return errors.New("the picture would take the place of the trace: " + usage)
	}
	return plotTrace(from, to)
}
