package lab

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// DemoOptions is what the demonstration shows.
type DemoOptions struct {
	Link       Path
	Size       int64         // bytes of the download
	Limit      time.Duration // a download is cut off after it
	Congestion string        // TCP congestion control of the web servers
	Seed       uint64        // 0 is a new one
	Verbose    bool          // show the daemons' logs
	Out        *os.File
}

const (
	demoPings    = 60
	demoInterval = 50 * time.Millisecond
	demoPatience = time.Second // for answers after the last request, beside the RTT
)

// Demo shows the same download over two equal links at once, one direct and one
// through the tunnel, and pings before. It returns 0 if the tunnelled download
// was complete.
func Demo(ctx context.Context, opt DemoOptions) (int, error) {
	dir, code, err := isolate(ctx, os.Args[1:])
	if dir == "" || err != nil {
		return max(code, boolCode(err)), err
	}
	if opt.Seed == 0 {
		opt.Seed = rand.Uint64()
	}
	d := &demo{opt: opt}
	code, err = d.run(ctx, dir)
	if ctx.Err() != nil {
		return interrupted, nil
	}
	return code, err
}

// lane is one of the two: a link of its own and the address of host B on it.
type lane struct {
	name    string
	address string
	w       *world
	echo    Echo
	load    download
	result  Download
}

type demo struct {
	opt   DemoOptions
	lanes [2]lane
}

func (d *demo) run(ctx context.Context, dir string) (int, error) {
	d.lanes[0].name, d.lanes[0].address = "direct", directB
	d.lanes[1].name, d.lanes[1].address = "through totg", innerB
	congestion := ""
	for i := range d.lanes {
		w, err := newWorld(worldConfig{path: d.opt.Link, congestion: d.opt.Congestion, seed: d.opt.Seed})
		if err != nil {
			return 1, err
		}
		defer w.close()
		d.lanes[i].w = w
		var stop func()
		if congestion, stop, err = serve(w.b, d.opt.Size, d.opt.Congestion); err != nil {
			return 1, err
		}
		defer stop()
	}
	d.say("Two equal links: %s, lost after the bottleneck. TCP congestion control: %s.\n", describe(d.opt.Link), congestion)
	cfg := tunnelConfig{dir: dir}
	if d.opt.Verbose {
		cfg.live = os.Stderr
	}
	t, err := newTunnel(ctx, d.lanes[1].w, cfg)
	if err != nil {
		return 1, err
	}
	defer t.stop()
	if err := d.pings(ctx); err != nil {
		return 1, err
	}
	if err := d.downloads(ctx); err != nil {
		return 1, err
	}
	d.report()
	if !d.lanes[1].result.Complete {
		return 1, nil
	}
	return 0, nil
}

// each runs f for both lanes at once and returns the first error.
func (d *demo) each(f func(l *lane) error) error {
	var wg sync.WaitGroup
	var errs [len(d.lanes)]error
	for i := range d.lanes {
		wg.Go(func() { errs[i] = f(&d.lanes[i]) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", d.lanes[i].name, err)
		}
	}
	return nil
}

func (d *demo) pings(ctx context.Context) error {
	d.say("%d pings to host B on each ...\n", demoPings)
	err := d.each(func(l *lane) (err error) {
		l.echo, err = ping(ctx, l.w.a, l.address, series{demoPings, demoInterval, demoPatience + 2*d.opt.Link.RTT()})
		return err
	})
	if err != nil {
		return err
	}
	for i := range d.lanes {
		d.say("  %-13s %s\n", d.lanes[i].name, pingText(d.lanes[i].echo))
	}
	return nil
}

func (d *demo) downloads(ctx context.Context) error {
	d.say("A download of %s from host B to host A on each, at once, for up to %v ...\n", megabytes(d.opt.Size), d.opt.Limit)
	limited, cancel := context.WithTimeout(ctx, d.opt.Limit)
	defer cancel()
	watching, done := context.WithCancel(limited)
	var watcher sync.WaitGroup
	watcher.Go(func() { d.watch(watching) })
	err := d.each(func(l *lane) (err error) {
		l.result, err = l.load.run(limited, l.w.a, l.address, d.opt.Size)
		return err
	})
	done()
	watcher.Wait()
	return err
}

// watch shows the progress until ctx ends: one line that changes on a terminal,
// a line every other second elsewhere.
func (d *demo) watch(ctx context.Context) {
	start := wallClock()
	period, head, tail := 2*time.Second, "", "\n"
	_, err := unix.IoctlGetTermios(int(d.opt.Out.Fd()), unix.TCGETS)
	if err == nil {
		period, head, tail = 200*time.Millisecond, "\r", ""
		defer d.say("\n")
	}
	for sleep(ctx, period) {
		d.say("%s  %4.1f s", head, wallClock().Sub(start).Seconds())
		for i := range d.lanes {
			l := &d.lanes[i]
			state := ""
			if l.load.done.Load() {
				state = " done"
			}
			d.say("   %s %8s%-5s", l.name, megabytes(l.load.got.Load()), state)
		}
		d.say("%s", tail)
	}
}

// report is the closing table and what it means in one line.
func (d *demo) report() {
	direct, through := &d.lanes[0], &d.lanes[1]
	d.say("\n")
	t := tabwriter.NewWriter(d.opt.Out, 0, 0, 3, ' ', 0)
	row := func(cells ...any) { _, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", cells...) }
	row("", direct.name, through.name)
	row("pings lost", lossText(direct.echo), lossText(through.echo))
	row("ping, median", rttText(direct.echo, 0.5), rttText(through.echo, 0.5))
	row("ping, slowest", rttText(direct.echo, 1), rttText(through.echo, 1))
	row("download", d.loadText(direct.result), d.loadText(through.result))
	row("goodput", rateText(direct.result), rateText(through.result))
	row("of what the loss leaves", d.shareText(direct.result), d.shareText(through.result))
	_ = t.Flush() // as in say
	d.say("\n%s\n", d.verdict(direct.result, through.result))
}

// capacity is what the link carries from B to A after its loss, in bit/s.
func (d *demo) capacity() float64 { return (1 - d.opt.Link.Down.Loss) * float64(d.opt.Link.Down.Rate) }

func (d *demo) verdict(direct, through Download) string {
	loss := percent(d.opt.Link.Down.Loss)
	switch {
	case !through.Complete:
		return fmt.Sprintf("The download through totg did not end within %v on a link that loses %s of its packets.", d.opt.Limit, loss)
	case direct.Complete:
		return fmt.Sprintf("On a link that loses %s of its packets, %s took %s directly and %s through totg.",
			loss, megabytes(d.opt.Size), seconds(direct.Took), seconds(through.Took))
	case direct.Rate() == 0:
		return fmt.Sprintf("On a link that loses %s of its packets, totg brought %s in %s; nothing arrived directly in %s.",
			loss, megabytes(d.opt.Size), seconds(through.Took), seconds(direct.Took))
	}
	return fmt.Sprintf("On a link that loses %s of its packets, totg brought %s in %s; the direct download had %s after %s: %.0f times slower.",
		loss, megabytes(d.opt.Size), seconds(through.Took), megabytes(direct.Bytes), seconds(direct.Took), through.Rate()/direct.Rate())
}

func (d *demo) loadText(r Download) string {
	if r.Complete {
		return fmt.Sprintf("%s in %s", megabytes(r.Bytes), seconds(r.Took))
	}
	return fmt.Sprintf("%s in %s, cut off", megabytes(r.Bytes), seconds(r.Took))
}

func (d *demo) shareText(r Download) string {
	if d.capacity() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*r.Rate()/d.capacity())
}

func (d *demo) say(format string, args ...any) { say(d.opt.Out, format, args...) }

// say writes to the user; a terminal that is gone is no reason to fail.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

func pingText(e Echo) string {
	return fmt.Sprintf("%s lost, %s median, %s slowest", lossText(e), rttText(e, 0.5), rttText(e, 1))
}

func lossText(e Echo) string { return fmt.Sprintf("%.1f %%", 100*e.Loss()) }

func rttText(e Echo, q float64) string {
	if len(e.RTT) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", 1000*e.Quantile(q).Seconds())
}

func rateText(r Download) string { return fmt.Sprintf("%.2f Mbit/s", r.Rate()/1e6) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
