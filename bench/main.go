// Bench measures the tunnel and its peers over a grid of links, in "totg lab".
//
// Every point is a file of its own, so that a run that was interrupted goes on
// where it was; -out names the folder. At the end, and with -show at once, there
// are a table in Markdown and plots.
//
// "bench plot-trace FILE.csv -o FILE.png" draws what "totg up --trace" wrote.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var err error
	switch {
	case filepath.Base(os.Args[0]) == "wireguard-go":
		err = runWireguard(os.Args[1:])
	case len(os.Args) > 1 && os.Args[1] == "plot-trace":
		err = runPlotTrace(os.Args[2:])
	default:
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	out, totg, document string
	show                bool
	peers, losses       string
	links               string
	grid                Grid
	role, target        string
	server              string
}

func run() error {
	var o options
	quick := flag.Bool("quick", false, "three points of one link, once: under five minutes")
	flag.StringVar(&o.out, "out", "out", "`FOLDER` of results; what is in it is not measured again")
	flag.StringVar(&o.totg, "totg", "../bin/totg", "the `PROGRAM` under test")
	flag.StringVar(&o.document, "document", "", "Markdown `FILE` to bring up to date from the results")
	flag.BoolVar(&o.show, "show", false, "measure nothing, show what there is")
	flag.StringVar(&o.peers, "peers", "", "only these `NAMES`, with commas")
	flag.StringVar(&o.losses, "losses", "", "only these `PERCENTAGES`, with commas")
	flag.StringVar(&o.links, "links", "", "only these links, as `MBIT:MS`, with commas: 50:40,20:600")
	repeats := flag.Int("repeats", 0, "`NUMBER` of repetitions (default 3, quick 1)")
	patience := flag.Duration("patience", requestTime, "used by the benchmark itself")
	load := flag.Duration("load", 0, "`TIME` of each download (default 12s, quick 3s)")
	flag.StringVar(&o.role, "role", "", "used by the benchmark itself")
	flag.StringVar(&o.target, "target", "", "used by the benchmark itself")
	flag.StringVar(&o.server, "server", "", "used by the benchmark itself")
	flag.Parse()
	switch o.role {
	case "probe":
		return runProbe(o.target, *load, *patience)
	case "quic-client":
		return runQUICClient(o.server)
	case "quic-server":
		return runQUICServer()
	}
	o.grid = fullGrid()
	if *quick {
		o.grid = quickGrid()
	}
	if *repeats > 0 {
		o.grid.Repeats = min(*repeats, maxRepeats)
	}
	if *load > 0 {
		o.grid.Load = *load
	}
	if err := o.narrow(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return o.bench(ctx)
}

// narrow applies the choice of peers, losses and links.
func (o *options) narrow() error {
	if o.peers != "" {
		known := fullGrid().Peers
		o.grid.Peers = strings.Split(o.peers, ",")
		for _, p := range o.grid.Peers {
			if !slices.Contains(known, p) {
				return fmt.Errorf("-peers: there is no %q; there are %s", p, strings.Join(known, ", "))
			}
		}
	}
	if o.losses != "" {
		o.grid.Losses = nil
		for _, text := range strings.Split(o.losses, ",") {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || v < 0 || v >= 100 {
				return fmt.Errorf("-losses: %q is no percentage below 100", text)
			}
			o.grid.Losses = append(o.grid.Losses, v)
		}
		slices.Sort(o.grid.Losses)
	}
	if o.links != "" {
		o.grid.Links, o.grid.Raw = nil, false
		for _, text := range strings.Split(o.links, ",") {
			var rate, rtt int64
			if _, err := fmt.Sscanf(text, "%d:%d", &rate, &rtt); err != nil || rate < 1 || rate > 10_000 || rtt < 0 || rtt > 10_000 {
				return fmt.Errorf("-links: %q: write for example 50:40", text)
			}
			o.grid.Links = append(o.grid.Links, Link{rate * 1e6, time.Duration(rtt) * time.Millisecond})
		}
	}
	return nil
}

// bench measures what is missing and shows the whole.
func (o *options) bench(ctx context.Context) error {
	all, err := loadResults(o.out, o.grid.points())
	if err != nil {
		return err
	}
	if !o.show {
		if err := o.measure(ctx, all); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return errors.New("there are no results")
	}
	text := report(o.grid, all)
	if err := os.WriteFile(filepath.Join(o.out, "summary.md"), []byte(text), 0o644); err != nil {
		return err
	}
	if err := plots(o.out, o.grid, all); err != nil {
		return err
	}
	fmt.Print(text)
	fmt.Fprintf(os.Stderr, "bench: the summary and the plots are in %s\n", o.out)
	if o.document != "" {
		return publish(o.document, o.grid, all)
	}
	return nil
}

// measure goes through the points that have no result yet, or one of a busy machine.
func (o *options) measure(ctx context.Context, all Results) error {
	b, err := newBench(o.totg, o.grid)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.tmp) }()
	absent := missing(o.grid.Peers)
	for peer, why := range absent {
		fmt.Fprintf(os.Stderr, "bench: %s is left out: %s\n", peer, why)
	}
	var todo []Point
	for _, p := range o.grid.points() {
		if r, done := all[p]; (!done || r.worthless()) && absent[p.Peer] == "" {
			todo = append(todo, p)
		}
	}
	start, measured := time.Now(), 0
	for i, p := range todo {
		if all.hopeless(o.grid, p) {
			continue
		}
		left := "?"
		if measured > 0 {
			each := time.Since(start) / time.Duration(measured)
			left = (each * time.Duration(o.hopeful(all, todo[i:]))).Round(time.Second).String()
		}
		fmt.Fprintf(os.Stderr, "bench: %3d of %d, %s left   %v\n", i+1, len(todo), left, p)
		r, err := b.measureAlone(ctx, p)
		if err == nil {
			err = r.save(o.out)
		}
		if err != nil {
			return err
		}
		all[p] = r
		measured++
	}
	return nil
}

// hopeful counts the points that will be measured as far as one can tell.
func (o *options) hopeful(all Results, points []Point) (n int) {
	for _, p := range points {
		if !all.hopeless(o.grid, p) {
			n++
		}
	}
	return n
}
