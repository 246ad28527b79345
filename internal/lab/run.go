// Package lab runs programs on two hosts with an emulated link between them, and
// the tunnel over it.
//
// Host A and host B are network namespaces. Each has one end of the wire, a TUN
// device; a thread per direction of this process moves packets between the ends
// through the link model, in real time. In each host the tunnel runs as this same
// program does elsewhere (up -c FILE).
//
// Everything lives in mount, process and network namespaces of its own, entered
// by running this program again: when the lab ends, however it ends, the kernel
// ends all that it started. Root is not needed where user namespaces are allowed.
//
// Run and Demo are called once per process. They do not write to the host's
// network configuration.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options is what the user wants.
type Options struct {
	Link       Path
	Cable      bool // a plain veth pair instead of the link: as fast as the machine
	NoTunnel   bool
	Fixed      bool     // the tunnel is told its rate: Bandwidth or, where that is 0, the link's
	Scavenger  bool     // else it yields to what else fills the link
	Bandwidth  int64    // bit/s of IP bytes that the tunnel may send at most each way; 0 is no bound
	Redundancy *float64 // the tunnel's cap on datagrams in advance per datagram of new data; nil is none ("auto")
	ARQ        bool     // the tunnel without coding
	CommandA   string   // shell commands in the background of each host
	CommandB   string   //
	Command    []string // foreground, in host A; empty is a shell
	Congestion string   // TCP congestion control of both hosts, where the kernel allows it
	Seed       uint64   // of the link's randomness; 0 is a new one
	Compare    []string // names out of Comparable: run Command once through each of these too
	Port       int      // TCP port of host B for those that forward one
	Trace      string   // file for the traces of rate control, with -a and -b, "" for none
	Pcap       string   // file for a capture of both wires, "" for none
	Report     string   // file for the figures of every run, as JSON, "" for none
	Quiet      bool     // no banner, no summary
	Verbose    bool     // show what daemons and background commands print

	Stdin          io.Reader
	Stdout, Stderr io.Writer // the lab itself writes to Stderr only
}

// DefaultCongestion is the TCP congestion control of the hosts unless another one
// is wanted: what most senders in the world use.
const DefaultCongestion = "cubic"

// Run runs the lab and returns the foreground command's exit code. In the process
// that the user started it runs the program's command line again inside the
// lab's namespaces. Errors are one line but for the end of a daemon's log.
func Run(ctx context.Context, opt Options) (int, error) {
	dir, code, err := isolate(ctx, os.Args[1:])
	if dir == "" || err != nil {
		return max(code, boolCode(err)), err
	}
	if opt.Seed == 0 {
		opt.Seed = rand.Uint64()
	}
	return opt.run(ctx, dir)
}

func boolCode(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// run is the lab inside its namespaces: one run, or several to compare.
func (opt *Options) run(ctx context.Context, dir string) (code int, err error) {
	kinds, err := opt.carriers()
	if err != nil {
		return 1, err
	}
	var all []Report
	for i := range kinds {
		k := &kinds[i]
		if why := k.missing(); why != "" {
			opt.say("totg lab: %s is left out: %s", k.name, why)
			continue
		}
		if len(kinds) > 1 {
			opt.say("== %s: %s", k.name, k.about)
		}
		one := *opt
		one.Pcap = opt.pcapName(k.name, len(kinds))
		if k.congestion != "" {
			one.Congestion = k.congestion
		}
		own := filepath.Join(dir, k.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return 1, err
		}
		r, err := one.once(ctx, own, k)
		if err != nil && len(kinds) > 1 && ctx.Err() == nil {
			opt.say("totg lab: %s: %v", k.name, err) // the others may do better
			r.ExitCode, r.Error, err = max(1, r.ExitCode), err.Error(), nil
		}
		all = append(all, r)
		if code = max(code, r.ExitCode); err != nil || ctx.Err() != nil {
			return code, err
		}
	}
	if len(all) == 0 {
		return 1, fmt.Errorf("%w: none of them can run here", ErrPeer)
	}
	return code, writeReport(opt.Report, all)
}

// carriers are what the command is run through, in order.
func (opt *Options) carriers() ([]carrierKind, error) {
	if opt.NoTunnel && len(opt.Compare) == 0 {
		return []carrierKind{{name: "direct", v4: directB, v6: directB6, start: direct}}, nil
	}
	names := opt.Compare
	if !opt.NoTunnel {
		names = append([]string{TunnelName}, names...)
	}
	var kinds []carrierKind
	for _, name := range names {
		k, err := findCarrier(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(kinds, func(other carrierKind) bool { return other.name == name }) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// pcapName is the file of one run's capture.
func (opt *Options) pcapName(carrier string, runs int) string {
	if opt.Pcap == "" || runs == 1 {
		return opt.Pcap
	}
	ext := filepath.Ext(opt.Pcap)
	return strings.TrimSuffix(opt.Pcap, ext) + "-" + carrier + ext
}

// once runs the command through one carrier.
func (opt *Options) once(ctx context.Context, dir string, kind *carrierKind) (r Report, err error) {
	r = Report{Peer: kind.name, ExitCode: 1}
	w, err := newWorld(worldConfig{opt.Link, opt.Congestion, opt.Seed, opt.Pcap, opt.Cable})
	if err != nil {
		return r, err
	}
	defer w.close()
	_ = w.congest(wireName, opt.Congestion) // the banner tells what is in effect
	vars := w.vars(kind)
	env := environment(vars)
	children, err := opt.backgrounds(w, env)
	defer func() {
		for _, c := range children {
			c.stop()
		}
	}()
	if err != nil {
		return r, err
	}
	start := wallClock()
	c, err := kind.start(ctx, w, carrierConfig{dir: dir, live: opt.live(), port: opt.Port, tunnel: opt.tunnel(dir)})
	if err != nil {
		return r, err
	}
	defer c.stop()
	r.SetupSeconds = wallClock().Sub(start).Seconds()
	opt.congestInner(w, kind)
	opt.banner(w, kind)
	if len(children) > 0 && !sleep(ctx, serverTime) {
		r.ExitCode = interrupted
		return r, nil
	}
	argv := expand(opt.Command, vars)
	if len(argv) == 0 {
		argv = shell()
	}
	start = wallClock()
	r.ExitCode, err = foreground(ctx, w.a, env, opt, argv)
	r.CommandSeconds = wallClock().Sub(start).Seconds()
	opt.complain(children)
	if !opt.Quiet || opt.Report != "" {
		r.Hosts = c.counters()
	}
	c.stop()
	for _, child := range children {
		child.stop()
	}
	w.close()
	r.fill(w, c.cpu(), children)
	if !opt.Quiet && !opt.Cable {
		summarise(opt.Stderr, w, r.Hosts)
	}
	return r, errors.Join(err, w.err)
}

// congestInner sets the congestion control of what goes through the carrier.
func (opt *Options) congestInner(w *world, kind *carrierKind) {
	if kind.device == "" {
		return
	}
	_ = w.a.congest(kind.device, opt.Congestion) // as in once
	_ = w.b.congest(strings.Replace(kind.device, "wg-a", "wg-b", 1), opt.Congestion)
}

func (opt *Options) tunnel(dir string) tunnelConfig {
	return tunnelConfig{
		dir: dir, fixed: opt.Fixed, scavenger: opt.Scavenger, bandwidth: opt.Bandwidth,
		coding: coding{opt.Redundancy, opt.ARQ}, live: opt.live(), trace: opt.Trace,
	}
}

// live is where background output goes while the lab runs.
func (opt *Options) live() io.Writer {
	if opt.Verbose {
		return opt.Stderr
	}
	return nil
}

// backgrounds starts the background commands.
func (opt *Options) backgrounds(w *world, env []string) ([]*child, error) {
	var all []*child
	for _, c := range []struct {
		h    *host
		line string
	}{{w.a, opt.CommandA}, {w.b, opt.CommandB}} {
		if c.line == "" {
			continue
		}
		child, err := background(c.h, strings.ToLower(c.h.name), env, opt.live(), "/bin/sh", "-c", c.line)
		if err != nil {
			return all, err
		}
		all = append(all, child)
	}
	return all, nil
}

// complain tells of background commands that failed before the end.
func (opt *Options) complain(children []*child) {
	for _, c := range children {
		if !c.ended() || c.err == nil {
			continue
		}
		opt.say("totg lab: the command in host %s ended early (%v)", strings.ToUpper(c.name), c.err)
		if last := c.log.last(5); last != "" && !opt.Verbose {
			opt.say("%s", last)
		}
	}
}

// banner says what the commands will find.
func (opt *Options) banner(w *world, kind *carrierKind) {
	if opt.Quiet {
		return
	}
	if opt.Cable {
		opt.say("link: a plain cable")
	} else {
		opt.say("link: %s", describe(w.path))
	}
	opt.say("TCP congestion control: %s", congestionNote(opt.Congestion, w.a.congestion))
	switch {
	case kind.v4 == directB:
		opt.say("host B is %s and %s ($TOTG_DIRECT, $TOTG_DIRECT6); no tunnel", directB, directB6)
	case kind.v6 == "":
		opt.say("host B is %s through %s ($TOTG_PEER), %s and %s beside it ($TOTG_DIRECT, $TOTG_DIRECT6)", kind.v4, kind.name, directB, directB6)
	default:
		through := "the tunnel"
		if kind.name != TunnelName {
			through = kind.name
		}
		opt.say("host B is %s and %s through %s ($TOTG_PEER, $TOTG_PEER6), %s and %s beside it ($TOTG_DIRECT, $TOTG_DIRECT6)",
			kind.v4, kind.v6, through, directB, directB6)
	}
	if len(opt.Command) == 0 {
		opt.say("this is a shell in host A; for one in B: nsenter --net=$TOTG_NETNS_B; leave with exit")
	}
}

func congestionNote(wanted, got string) string {
	if wanted == got {
		return got
	}
	return fmt.Sprintf("%s (this kernel does not allow %s as the default of a namespace)", got, wanted)
}

// say writes a line to the user.
func (opt *Options) say(format string, args ...any) { say(opt.Stderr, format+"\n", args...) }
