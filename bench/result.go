package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Result is what one measurement gave. Figures that a peer has not are zero.
type Result struct {
	Point
	At       time.Time
	Machine  string  // kernel and processor
	Version  string  // of the program under test
	Busy     float64 // share of the processors that others took, just before
	LateP99  float64 // seconds by which the emulator was late, the worse direction
	Missed   uint64  // packets that the emulator did not get: this machine was too slow
	Error    string  // why there are no other figures
	Goodput  float64 // bit/s of one TCP download, from host B to host A
	Bytes    int64   // of it
	Wire     uint64  // IP bytes that both hosts put on the wire in the whole run
	CPU      float64 // seconds of the peer's programs on both hosts in the whole run
	Setup    float64 // seconds until the first packet had gone through and back
	First    float64 // seconds to the first byte of a request of 10 KB on a new connection, median
	Echo     []float64
	EchoLost int // answers that did not come in time
}

// Efficiency is the goodput's share of what the link carries.
func (r *Result) efficiency() float64 { return r.Goodput / r.Link.capacity(r.Loss) }

// failed says that the peer brought nothing worth mentioning, a thousandth of what
// the link carries.
func (r *Result) failed() bool { return r.Error != "" || r.Link.Rate > 0 && r.efficiency() < 0.001 }

// echo is a quantile of the latency under load; Echo has 101 of them, evenly spaced.
func (r *Result) echo(q float64) float64 {
	if len(r.Echo) == 0 {
		return 0
	}
	return r.Echo[int(q*float64(len(r.Echo)-1)+0.5)]
}

// What is above these is not worth publishing: the share of the processors that
// others took, and seconds that the emulator was late with one packet in a hundred.
const (
	mostBusy = 0.1
	mostLate = 0.002
)

// worthless says that the machine had other things to do.
func (r *Result) worthless() bool { return r.Busy > mostBusy || r.LateP99 > mostLate }

// Results are kept by point.
type Results map[Point]Result

// load reads what a folder has of the points.
func loadResults(dir string, points []Point) (Results, error) {
	all := Results{}
	for _, p := range points {
		b, err := os.ReadFile(filepath.Join(dir, p.file()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var r Result
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			return nil, err
		}
		all[p] = r
	}
	return all, nil
}

// save writes one result, whole or not at all.
func (r *Result) save(dir string) error {
	name := filepath.Join(dir, r.file())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".part", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}

// repeats are the results of a point's repetitions; those of a busy machine count
// where there are no others.
func (all Results) repeats(p Point) []Result {
	var good, bad []Result
	for p.Repeat = 0; p.Repeat < maxRepeats; p.Repeat++ {
		switch r, ok := all[p]; {
		case ok && r.worthless():
			bad = append(bad, r)
		case ok:
			good = append(good, r)
		}
	}
	if len(good) == 0 {
		return bad
	}
	return good
}

const maxRepeats = 100

// counted are the results that tables are made of.
func (all Results) counted() Results {
	list := Results{}
	for p := range all {
		for _, r := range all.repeats(Point{p.Link, p.Loss, p.Peer, 0}) {
			list[r.Point] = r
		}
	}
	return list
}

// hopeless says that the peer failed at a lower loss of this link, in every
// repetition so far.
func (all Results) hopeless(g Grid, p Point) bool {
	for _, loss := range g.Losses {
		if loss >= p.Loss || p.Link == (Link{}) {
			return false
		}
		tried := all.repeats(Point{p.Link, loss, p.Peer, 0})
		if len(tried) > 0 && !slices.ContainsFunc(tried, func(r Result) bool { return !r.failed() }) {
			return true
		}
	}
	return false
}

// spread is the median, the least and the greatest of something over repetitions.
type spread struct{ median, min, max float64 }

func spreadOf(results []Result, of func(r *Result) float64) (s spread, ok bool) {
	var v []float64
	for i := range results {
		if x := of(&results[i]); results[i].Error == "" && !math.IsNaN(x) {
			v = append(v, x)
		}
	}
	if len(v) == 0 {
		return s, false
	}
	slices.Sort(v)
	return spread{v[len(v)/2], v[0], v[len(v)-1]}, true
}
