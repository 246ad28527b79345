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
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
)

// Options is what the user wants.
type Options struct {
	Link       Path
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

// run is the lab inside its namespaces.
func (opt *Options) run(ctx context.Context, dir string) (code int, err error) {
	w, err := newWorld(opt.Link, opt.Congestion, opt.Seed)
	if err != nil {
		return 1, err
	}
	defer w.close()
	vars := w.vars(!opt.NoTunnel)
	env := environment(vars)
	children, err := opt.backgrounds(w, env)
	defer func() {
		for _, c := range children {
			c.stop()
		}
	}()
	if err != nil {
		return 1, err
	}
	var t *tunnel
	if !opt.NoTunnel {
		if t, err = newTunnel(ctx, w, opt.tunnel(dir)); err != nil {
			return 1, err
		}
		defer t.stop()
	}
	opt.banner(w)
	if len(children) > 0 && !sleep(ctx, serverTime) {
		return interrupted, nil
	}
	argv := expand(opt.Command, vars)
	if len(argv) == 0 {
		argv = shell()
	}
	code, err = foreground(ctx, w.a, env, opt, argv)
	opt.complain(children)
	var states []hostStatus
	if t != nil && !opt.Quiet {
		states = t.status()
		t.stop()
	}
	w.close()
	if !opt.Quiet {
		summarise(opt.Stderr, w, states)
	}
	return code, err
}

func (opt *Options) tunnel(dir string) tunnelConfig {
	return tunnelConfig{
		dir: dir, fixed: opt.Fixed, scavenger: opt.Scavenger, bandwidth: opt.Bandwidth,
		coding: coding{opt.Redundancy, opt.ARQ}, live: opt.live(),
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
func (opt *Options) banner(w *world) {
	if opt.Quiet {
		return
	}
	opt.say("link: %s", describe(w.path))
	opt.say("TCP congestion control: %s", congestionNote(opt.Congestion, w.a.congestion))
	if opt.NoTunnel {
		opt.say("host B is %s and %s ($TOTG_DIRECT, $TOTG_DIRECT6); no tunnel", directB, directB6)
	} else {
		opt.say("host B is %s and %s through the tunnel ($TOTG_PEER, $TOTG_PEER6), %s and %s beside it ($TOTG_DIRECT, $TOTG_DIRECT6)",
			innerB, innerB6, directB, directB6)
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
