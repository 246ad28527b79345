package main

import (
	"fmt"
	"time"
)

// Link is a row of the grid: everything of a link but its loss.
type Link struct {
	Rate int64         // bit/s of IP bytes, each way
	RTT  time.Duration // without queueing
}

func (l Link) String() string {
	return fmt.Sprintf("%d Mbit/s, %d ms", l.Rate/1e6, l.RTT.Milliseconds())
}

// name is for files.
func (l Link) name() string { return fmt.Sprintf("%dmbit-%dms", l.Rate/1e6, l.RTT.Milliseconds()) }

// capacity is what the link carries at that loss, in bit/s.
func (l Link) capacity(loss float64) float64 { return (1 - loss/100) * float64(l.Rate) }

// Grid is what is measured.
type Grid struct {
	Links   []Link
	Losses  []float64 // percent, ascending
	Peers   []string
	Repeats int
	Load    time.Duration // of each download
	Patient time.Duration // with a request
	Raw     bool          // throughput without a link as well
}

// Point is one measurement.
type Point struct {
	Link   Link
	Loss   float64 // percent
	Peer   string
	Repeat int
}

// file is where the result goes.
func (p Point) file() string {
	return fmt.Sprintf("%s/loss-%g/%s-%d.json", p.Link.name(), p.Loss, p.Peer, p.Repeat)
}

func (p Point) String() string {
	if p.Link == (Link{}) {
		return fmt.Sprintf("no link: %s", p.Peer)
	}
	return fmt.Sprintf("%v, loss %g %%: %s", p.Link, p.Loss, p.Peer)
}

// fullGrid is what docs/benchmarks.md is about.
func fullGrid() Grid {
	return Grid{
		Links: []Link{
			{50e6, 40 * time.Millisecond},
			{20e6, 600 * time.Millisecond},
			{200e6, 20 * time.Millisecond},
		},
		Losses:  []float64{0, 1, 5, 10, 20, 30, 50, 70, 90},
		Peers:   []string{"totg", "tcp-cubic", "tcp-bbr", "wireguard", "quic", "kcptun", "openvpn"},
		Repeats: 3, Load: 12 * time.Second, Patient: requestTime, Raw: true,
	}
}

// quickGrid takes under five minutes.
func quickGrid() Grid {
	g := fullGrid()
	g.Links, g.Losses, g.Repeats, g.Load = g.Links[:1], []float64{0, 10, 50}, 1, 3*time.Second
	g.Patient = quickTime
	return g
}

// points are in the order of measuring: repeats are interleaved, so that what the
// machine does meanwhile hits all peers alike, and losses ascend, so that a peer that
// fails is not tried at higher ones.
func (g Grid) points() []Point {
	var all []Point
	for repeat := range g.Repeats {
		for _, link := range g.Links {
			for _, loss := range g.Losses {
				for _, peer := range g.Peers {
					all = append(all, Point{link, loss, peer, repeat})
				}
			}
		}
		if g.Raw {
			for _, peer := range g.Peers {
				if peer == "totg" || peer == "wireguard" {
					all = append(all, Point{Peer: peer, Repeat: repeat})
				}
			}
		}
	}
	return all
}
