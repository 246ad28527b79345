// Package tunnel is the shell around the pure cores: it moves units between the
// tunnel's interface and the peers, and datagrams between the peers and the
// socket (requirement T-1).
//
// Run opens the interface, the socket and the control socket, then works until
// its context ends. Pumps read the interface and the socket into buffers of a
// bounded free list; one loop goroutine owns the peers, the timer and all
// writes. No lock is shared with a core.
//
// Logging is here and in the command alone, never per packet above debug.
package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/route"
	"github.com/totg/totg/tunnel/tun"
	"github.com/totg/totg/tunnel/udp"
)

// Options are the arguments of Run.
type Options struct {
	Config *config.Config
	Log    *slog.Logger
	// Reload brings configurations to change to while running; it may be nil.
	Reload <-chan *config.Config
	// Trace is a file for the trace of rate control (CSV); empty: none.
	Trace string
	// Version of the program, for status.
	Version string
}

// Run brings the tunnel up and returns when ctx ends, with everything it made
// removed again (T-4). An error is one line that says what to do.
func Run(ctx context.Context, opt Options) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &loop{
		opt: opt, log: opt.Log, started: time.Now(), random: rand.Reader, stop: stop,
		calls: make(chan func(), 1), fault: make(chan error, 1), ended: ctx.Done(),
	}
	// The control socket comes first and goes last: until then the interface's
	// name is taken, and "totg down" waits.
	server, err := control.Listen(control.Path(opt.Config.Interface.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release(), server.Close()) }()
	if err := l.open(); err != nil {
		return err
	}
	l.agreed.path = votesPath(opt.Config.Interface.Name)
	if err := l.openVotes(false); err != nil {
		l.log.Error("named actions are refused", slog.Any("error", err)) // nothing can be stored, so nothing begins
	}
	if err := l.setPeers(opt.Config); err != nil {
		return err
	}
	if l.cookies, err = handshake.NewCookies(l.started, l.table.identity, l.random); err != nil {
		return err
	}
	if l.trace, err = openTrace(opt.Trace); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	l.log.Info("tunnel is up", slog.String("interface", l.device.Name()),
		slog.String("listen", l.socket.LocalAddr().String()))
	l.run(ctx)
	l.log.Info("tunnel goes down", slog.String("interface", l.device.Name()))
	select {
	case err = <-l.fault:
	default:
	}
	return errors.Join(err, <-served)
}

// open makes the interface, its addresses and routes, and the socket.
func (l *loop) open() error {
	c := l.opt.Config.Interface
	device, err := tun.Open(tun.Config{Name: c.Name, MTU: c.MTU, TAP: c.Mode == config.ModeTAP})
	if err != nil {
		return err
	}
	l.device = device
	if l.socket, err = udp.Listen(c.Listen, 0); err != nil {
		return err
	}
	if c.Rate != config.RateFixed {
		if err := l.socket.SetECN(); err != nil {
			return err
		}
	}
	plan := l.plan(l.opt.Config)
	if err := route.CleanStale(plan.Mark, plan.Table); err != nil {
		return err
	}
	if err := l.applyPlan(plan); err != nil {
		return err
	}
	if err := l.openWatch(); err != nil {
		return err
	}
	return l.wait.set.Add(onDevice, l.device.FD())
}

// applyPlan makes addresses and routes those of a plan. The tunnel's own datagrams
// have their mark before a default route could send them into the tunnel, and keep it
// until the route is gone.
func (l *loop) applyPlan(plan route.Plan) (err error) {
	if hasDefault(plan.Routes) {
		if err := l.socket.SetMark(plan.Mark); err != nil {
			return err
		}
	}
	if l.applied == nil {
		l.applied, err = route.Apply(plan)
	} else {
		err = l.applied.Update(plan)
	}
	if err != nil {
		return err
	}
	if !hasDefault(plan.Routes) {
		return l.socket.SetMark(0)
	}
	return nil
}

// release undoes open, whatever it came to. The routes go first, for they name
// the interface.
func (l *loop) release() error {
	errs := []error{l.trace.close()}
	if l.applied != nil {
		errs = append(errs, l.applied.Remove())
	}
	if l.wait.bell != nil {
		_ = l.wait.bell.FD.Close() // nothing is in it
	}
	if l.socket != nil {
		_ = l.socket.Close() // nothing is in it
	}
	if l.device != nil {
		_ = l.device.Close() // the kernel removes it in any case
	}
	l.pumps.Wait()
	errs = append(errs, l.agreed.close())
	return errors.Join(errs...)
}

// markBase is the upper half of the firewall mark and the routing table of a
// tunnel with a default route; a hash of the interface's name below tells tunnels
// apart.
const markBase = 0x746f_0000

// mark is what rules and routes of an interface are known by. It is the same at
// every start, unlike the port, which the kernel may choose: else a start could not
// clean up after a killed run (T-4).
func mark(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return markBase | (h.Sum32()>>16 ^ h.Sum32()&0xffff)
}

// plan is the interface's share of a configuration.
func (l *loop) plan(c *config.Config) route.Plan {
	id := mark(l.device.Name())
	p := route.Plan{
		Interface: l.device.Name(), MTU: c.Interface.MTU, Addresses: c.Interface.Addresses,
		Mark: id, Table: int(id), Port: l.socket.LocalAddr().Port(),
	}
	if c.Interface.Mode == config.ModeTAP {
		return p // Ethernet has no routes to peers
	}
	for _, q := range c.Peers {
		if c.Interface.Routes != config.RoutesCommitted || l.table.shares(q.PublicKey) {
			p.Routes = append(p.Routes, q.AllowedIPs...)
		}
	}
	return p
}

// shares reports whether a peer's end is known to have the session.
func (t *peerTable) shares(key handshake.PublicKey) bool {
	return slices.ContainsFunc(t.peers, func(p *tunnelPeer) bool { return p.config.PublicKey == key && p.shared })
}

// setCommitted notes whether both ends have the session, and has the routes follow
// where they are to.
func (l *loop) setCommitted(p *tunnelPeer, shared bool) {
	if p.shared == shared || p.gone {
		return
	}
	p.shared = shared
	if l.opt.Config.Interface.Routes != config.RoutesCommitted || l.applied == nil {
		return
	}
	if err := l.applyPlan(l.plan(l.opt.Config)); err != nil {
		l.log.Error("routes do not follow the session", slog.String("peer", p.config.Name), slog.Any("error", err))
	}
}
