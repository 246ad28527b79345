package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/flow"
	"github.com/totg/totg/tunnel/gro"
	"github.com/totg/totg/tunnel/peer"
	"github.com/totg/totg/tunnel/route"
	"github.com/totg/totg/tunnel/tun"
	"github.com/totg/totg/tunnel/udp"
)

// loop is the running tunnel. Its fields belong to the goroutine of run, but for
// the pumps' channels.
type loop struct {
	opt     Options
	log     *slog.Logger
	started time.Time
	random  io.Reader
	stop    context.CancelFunc

	device  *tun.Device
	socket  *udp.Socket
	applied *route.Applied
	wait    watch
	pumps   sync.WaitGroup  // of the goroutine beside the loop
	calls   chan func()     // run in the loop, for control and resolution
	fault   chan error      // why the tunnel ends by itself
	ended   <-chan struct{} // closed when it does, or shall

	cookies *handshake.Cookies
	trace   *trace

	table  peerTable
	uplink uplink
	out    sendBuffer
	held   gro.Table // units that wait for others of their flow
	packet [flow.MaxUnit]byte
	unit   [tun.MaxUnit]byte
	drops  dropCounters
	agreed agreements
	movers []*mover

	shedding shedding
	leaving  bool // it says goodbye and reads no more units
}

// dropCounters count what reached no peer.
type dropCounters struct {
	malformed   uint64 // datagrams too short or of an unknown type
	unknown     uint64 // receiver index of no peer
	badInit     uint64 // INIT that does not open, or of a stranger
	cookie      uint64 // INIT that was answered with a COOKIE
	flooded     uint64 // INIT that was one too many to be answered so
	noPeer      uint64 // inner packets to an address of no peer
	badPacket   uint64 // units from the device that are no IP packets
	source      uint64 // inner packets from an address that the peer may not use
	deviceError uint64 // inner packets that the kernel refused
	sendError   uint64 // datagrams that the kernel refused
}

// run works until ctx ends or the device is gone.
func (l *loop) run(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the precision of its timers ends with the thread
	exactTimers()
	relaying, stop := context.WithCancel(context.WithoutCancel(ctx)) // needed to say goodbye
	defer stop()
	l.pumps.Add(1)
	go l.relay(relaying, ctx.Done())
	l.drainAll(time.Now())
	for !l.leaving || !l.closed() {
		now := time.Now()
		at, ok := l.uplink.due(now)
		more := ok && !at.After(now)
		if err := l.wait.until(now, sooner(sooner(l.table.nextDeadline(), at), l.held.Due()), more); err != nil {
			l.fail(fmt.Errorf("wait: %w", err))
			return
		}
		l.turn()
	}
	l.held.FlushAll(time.Now(), l.writeUnit)
}

// turn does what is to be done now: input first, then what it and the time let the
// peers say.
func (l *loop) turn() {
	w := &l.wait
	if w.set.Ready(onBell) {
		w.answer()
	}
	if w.look(time.Now()) {
		l.receive()
	}
	if w.set.Ready(onDevice) && !l.leaving {
		l.readUnits()
	}
	l.finish(time.Now()) // what leaves is stamped
}

// finish takes what input made the peers say, and what the time does.
func (l *loop) finish(now time.Time) {
	for _, p := range l.table.dirty {
		p.dirty = false
		l.take(now, p)
		l.uplink.add(&p.line)
	}
	l.table.dirty = l.table.dirty[:0]
	l.handleTimers(now)
	l.held.Flush(now, l.writeUnit)
}

// fail ends the tunnel; the first error is why.
func (l *loop) fail(err error) {
	select {
	case l.fault <- err:
	default:
	}
	l.stop()
}

// readUnits gives units from the interface to the peers.
func (l *loop) readUnits() {
	for range deviceBatch {
		unit, err := l.device.TryRead(l.unit[:])
		if err != nil {
			l.fail(fmt.Errorf("interface %q is gone: %w", l.device.Name(), err))
			l.wait.set.Listen(onDevice, false)
			return
		}
		if unit == nil {
			return
		}
		l.handleUnit(time.Now(), unit)
	}
}

// receive gives the datagrams that are at the socket to their peers. Errors of a UDP
// socket are news about datagrams sent earlier: to the protocol they are loss.
func (l *loop) receive() {
	w := &l.wait
	n, err := l.socket.ReceiveBatch(w.batch)
	if err != nil {
		l.log.Debug("receive failed", slog.Any("error", err))
	}
	if n == 0 {
		return
	}
	now := time.Now()
	w.onLook(now, n == socketBatch)
	l.shed(now)
	for i := range n {
		run, buf := w.batch.Run(i)
		l.handleRun(time.Now(), run, buf) // no datagram came before it was sent
	}
}

// handleUnit gives a unit from the interface to the peer that its destination
// belongs to.
func (l *loop) handleUnit(now time.Time, unit []byte) {
	pkt, ok := flow.Parse(unit)
	if !ok {
		l.drops.badPacket++
		return
	}
	p := l.table.route(pkt.Dst)
	if p == nil {
		l.drops.noPeer++
		return
	}
	p.core.WritePacket(now, unit) // a full queue counts the drop itself
	l.mark(p)
}

// mark notes that a peer may have something to say.
func (l *loop) mark(p *tunnelPeer) {
	if !p.dirty {
		p.dirty = true
		l.table.dirty = append(l.table.dirty, p)
	}
}

// handleRun gives the datagrams of a run to their peers and delivers what they
// carried. The rest of what the peers have to say waits for the end of the turn.
func (l *loop) handleRun(now time.Time, run udp.Run, buf []byte) {
	in := peer.Inbound{From: run.From, To: run.To, CE: run.CE, At: run.At}
	for len(buf) > 0 {
		n := min(run.Seg, len(buf))
		p := l.deliver(now, in, buf[:n])
		buf = buf[n:]
		if p == nil {
			continue
		}
		l.deliverUnits(now, p)
		l.mark(p)
	}
}

// deliver finds the peer of a datagram by its receiver index, or by the key
// inside an INIT, and hands it over.
func (l *loop) deliver(now time.Time, in peer.Inbound, b []byte) *tunnelPeer {
	if len(b) < 9 {
		l.drops.malformed++
		return nil
	}
	var p *tunnelPeer
	switch b[0] {
	case wire.TypeData, wire.TypeAside:
		p = l.table.byIndex[binary.BigEndian.Uint32(b[1:])]
	case wire.TypeResp:
		p = l.table.byIndex[binary.BigEndian.Uint32(b[5:])]
	case wire.TypeCookie:
		p = l.table.byIndex[binary.BigEndian.Uint32(b[1:])]
	case wire.TypeInit:
		return l.deliverInit(now, in, b)
	default:
		l.drops.malformed++
		return nil
	}
	if p == nil {
		l.drops.unknown++
		return nil
	}
	p.core.HandleDatagram(now, in, b)
	return p
}

func (l *loop) deliverInit(now time.Time, in peer.Inbound, b []byte) *tunnelPeer {
	loaded := l.cookies.Loaded(now)
	like := &l.shedding.blank
	if handshake.HasCookie(b) {
		like = &l.shedding.filled
	} else if loaded && !l.cookies.MayAnswer(now) {
		like.seen++
		l.drops.flooded++
		return nil
	}
	if err := l.cookies.Check(b); err != nil { // OpenInit would find that, too, but allocates
		like.seen++
		l.drops.badInit++
		return nil
	}
	if loaded && !l.cookies.Valid(now, in.From, b) {
		like.seen++
		l.sendCookie(now, in.From, b)
		return nil
	}
	init, err := l.table.identity.OpenInit(b)
	if err == nil || errors.Is(err, handshake.ErrNoise) {
		l.cookies.OnOpened(now) // it cost a Diffie-Hellman (H-5)
	}
	if err != nil {
		l.drops.badInit++
		return nil
	}
	p := l.table.byStatic[init.Remote]
	if p == nil {
		l.drops.badInit++
		return nil
	}
	p.core.HandleInit(now, in, init, b)
	return p
}

// sendCookie asks who sent an INIT to show that he hears what goes to his
// address. Nothing is kept of it (H-5).
func (l *loop) sendCookie(now time.Time, to netip.AddrPort, init []byte) {
	if !l.cookies.MayAnswer(now) {
		l.drops.flooded++
		return
	}
	l.drops.cookie++
	b := l.cookies.AppendCookie(l.out.next()[:0], now, to, init)
	l.drops.sendError += l.out.add(l.socket, len(b), netip.Addr{}, to)
	l.drops.sendError += l.out.flush(l.socket)
}

// handleTimers runs the peers whose deadline has come.
func (l *loop) handleTimers(now time.Time) {
	for _, p := range l.table.peers {
		if !p.deadline.IsZero() && !now.Before(p.deadline) {
			p.core.HandleTimeout(now)
			l.take(now, p)
			l.uplink.add(&p.line)
		}
	}
	l.transmit(now)
}

func (l *loop) drainAll(now time.Time) {
	for _, p := range l.table.peers {
		l.drain(now, p)
	}
}

// drain takes everything out of a core that an input may have put there, and lets
// it send in its turn.
func (l *loop) drain(now time.Time, p *tunnelPeer) {
	l.take(now, p)
	l.uplink.add(&p.line)
	l.transmit(now)
}

// transmit lets the peers send in turn, as far as the rate allows (T-3).
func (l *loop) transmit(now time.Time) {
	l.uplink.send(now, l.out.next, func(n int, from netip.Addr, to netip.AddrPort) {
		l.drops.sendError += l.out.add(l.socket, n, from, to)
	}, func(x *line) { l.take(now, x.peer) })
	l.drops.sendError += l.out.flush(l.socket)
	for _, x := range l.uplink.ring {
		l.take(now, x.peer)
		x.peer.deadline = time.Time{} // it has its turn before
	}
}

// take takes units and events out of a core.
func (l *loop) take(now time.Time, p *tunnelPeer) {
	l.deliverUnits(now, p)
	for {
		e, ok := p.core.PollEvent()
		if !ok {
			break
		}
		l.onEvent(p, e)
	}
	l.drainBook(p)
	p.deadline = p.core.NextDeadline()
}

// deliverUnits gives all that a peer has delivered to the host.
func (l *loop) deliverUnits(now time.Time, p *tunnelPeer) {
	for {
		n, ok := p.core.ReadPacket(l.packet[:])
		if !ok {
			return
		}
		l.deliverUnit(now, p, l.packet[:n])
	}
}

// deliverUnit gives a unit from a peer to the host, if its source is one of the peer's
// addresses (T-1): at once, or TCP data with what follows it (ADR 069).
func (l *loop) deliverUnit(now time.Time, p *tunnelPeer, unit []byte) {
	pkt, _ := flow.Parse(unit) // the core has checked it
	if ethernet := unit[0]&flow.FlagEthernet != 0; ethernet != l.table.ethernet {
		l.drops.source++
		return
	}
	if !l.table.ethernet && l.table.route(pkt.Src) != p {
		l.drops.source++
		return
	}
	if pkt.Proto == unix.IPPROTO_TCP && l.device.Offload() {
		f := gro.Flow{Src: pkt.Src, Dst: pkt.Dst, SrcPort: pkt.SrcPort, DstPort: pkt.DstPort}
		l.held.Add(now, p.core.RTT(), f, unit, l.writeUnit)
		return
	}
	l.writeUnit(unit)
}

// writeUnit writes a unit to the interface.
func (l *loop) writeUnit(unit []byte) {
	if err := l.device.Write(unit); err != nil {
		l.drops.deviceError++
	}
}

func (l *loop) onEvent(p *tunnelPeer, e peer.Event) {
	name := slog.String("peer", p.config.Name)
	switch e.Kind {
	case peer.IndexAdded:
		// Indices are drawn at random, and those of a key epoch a peer could search
		// for: who has one keeps it.
		if l.table.byIndex[e.Index] == nil {
			l.table.byIndex[e.Index] = p
		}
	case peer.IndexRemoved:
		if l.table.byIndex[e.Index] == p {
			delete(l.table.byIndex, e.Index)
		}
	case peer.SessionUp:
		st := p.core.Status()
		l.log.Info("session is up", name, slog.String("endpoint", st.Endpoint.String()))
	case peer.TunnelCommitted:
		l.log.Debug("both ends have the session", name)
		l.setCommitted(p, true)
	case peer.SessionDown:
		l.log.Info("session is down", name, slog.String("reason", e.Err.Error()))
		l.setCommitted(p, false)
	case peer.PathChanged:
		st := p.core.Status()
		l.log.Info("peer moved", name, slog.String("endpoint", st.Endpoint.String()))
	case peer.PathDecided:
		l.onPathDecided(p, e.Move)
	}
}

// leave begins the end.
func (l *loop) leave() {
	l.leaving = true
	l.wait.set.Listen(onDevice, false)
	l.goodbye()
}

// goodbye begins to close the sessions in agreement with the peers, which
// takes a moment, and a bounded one where a peer is silent.
func (l *loop) goodbye() {
	now := time.Now()
	l.uplink.shared = false // nothing of the peers' is held back any more
	for _, p := range l.table.peers {
		p.core.Leave(now)
		l.drain(now, p)
	}
}

// closed reports whether all peers have said their last word.
func (l *loop) closed() bool {
	return !slices.ContainsFunc(l.table.peers, func(p *tunnelPeer) bool { return !p.core.Closed() })
}

// reload follows a changed configuration as far as a running tunnel can.
func (l *loop) reload(c *config.Config) {
	if needsRestart(&l.opt.Config.Interface, &c.Interface) {
		l.log.Warn("reload refused: name, mode, listen, bandwidth, rate, routes, rekey and private key take a restart")
		return
	}
	if err := l.applyPlan(l.plan(c)); err != nil {
		l.log.Error("reload refused", slog.Any("error", err))
		return
	}
	if err := l.setPeers(c); err != nil {
		l.log.Error("reload incomplete", slog.Any("error", err))
		return
	}
	l.opt.Config = c
	if c.Interface.Routes == config.RoutesCommitted { // a peer that is new has none yet
		if err := l.applyPlan(l.plan(c)); err != nil {
			l.log.Error("reload incomplete", slog.Any("error", err))
		}
	}
	l.log.Info("configuration reloaded", slog.Int("peers", len(c.Peers)))
}

// needsRestart reports a change that a running tunnel cannot follow.
func needsRestart(was, is *config.Interface) bool {
	return was.Name != is.Name || was.Mode != is.Mode || was.Listen != is.Listen || was.Bandwidth != is.Bandwidth || was.Rate != is.Rate ||
		was.Routes != is.Routes || was.Rekey != is.Rekey ||
		!was.PrivateKey.Equal(is.PrivateKey)
}
