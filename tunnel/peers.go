package tunnel

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/agreement"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/peer"
)

// tunnelPeer is a configured peer and its core.
type tunnelPeer struct {
	config   config.Peer
	core     *peer.Peer
	book     *agreement.Book
	line     line
	deadline time.Time // of the core, as of its last drain
	shared   bool      // both ends are known to have the session
	dirty    bool      // has input that was not drained yet
	gone     bool      // removed by a reload
}

// peerTable finds peers: by receiver index, by the key inside an INIT, and by
// inner address.
type peerTable struct {
	identity handshake.Identity
	ethernet bool // TAP: one peer, no addresses
	coding   coding
	peers    []*tunnelPeer
	byIndex  map[uint32]*tunnelPeer
	byStatic map[[32]byte]*tunnelPeer
	allowed  allowedIPs
	dirty    []*tunnelPeer
}

// coding is what the configuration says of redundancy, for all peers.
type coding struct {
	redundancy config.Redundancy
	arq        bool
}

// route returns the peer that an inner address belongs to, nil if none.
func (t *peerTable) route(a netip.Addr) *tunnelPeer {
	if t.ethernet {
		return t.peers[0]
	}
	return t.allowed.lookup(a)
}

// nextDeadline is the earliest deadline of all peers, zero if there is none.
func (t *peerTable) nextDeadline() (d time.Time) {
	for _, p := range t.peers {
		if d.IsZero() || (!p.deadline.IsZero() && p.deadline.Before(d)) {
			d = p.deadline
		}
	}
	return d
}

// setPeers makes the peers those of c: unchanged ones keep their sessions.
func (l *loop) setPeers(c *config.Config) error {
	identity, err := handshake.NewIdentity(c.Interface.PrivateKey)
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	old := l.table
	t := peerTable{
		identity: identity, ethernet: c.Interface.Mode == config.ModeTAP,
		coding:  coding{redundancy: c.Interface.Redundancy, arq: c.Interface.ARQ},
		byIndex: old.byIndex, byStatic: map[[32]byte]*tunnelPeer{},
	}
	if t.byIndex == nil {
		t.byIndex = map[uint32]*tunnelPeer{}
	}
	for _, pc := range c.Peers {
		var p *tunnelPeer
		if old.coding == t.coding {
			p = old.keep(pc)
		}
		if p == nil {
			if p, err = l.newPeer(c, pc); err != nil {
				return fmt.Errorf("peer %q: %w", pc.Name, err)
			}
		}
		p.config = pc
		p.book.SetAccept(pc.Agree)
		static, err := pc.PublicKey.X25519()
		if err != nil {
			return fmt.Errorf("peer %q: %w", pc.Name, err)
		}
		t.byStatic[static] = p
		t.peers = append(t.peers, p)
		t.allowed.add(pc.AllowedIPs, p)
	}
	now := time.Now()
	l.uplink.shared = false // until those that go have said so
	for _, p := range old.peers {
		if !slices.Contains(t.peers, p) {
			p.gone = true
			l.dropWaiters(p)
			l.dropMovers(p)
			p.core.Close(now, peer.CloseNormal)
			l.drain(now, p)
			l.uplink.remove(&p.line)
		}
	}
	l.table = t
	l.uplink.rate, l.uplink.shared = int64(c.Interface.Bandwidth), len(t.peers) > 1 && c.Interface.Bandwidth > 0
	for _, p := range t.peers {
		l.drain(now, p)
	}
	return nil
}

// keep returns the running peer that a configured one continues: everything but
// its name and its addresses is the same.
func (t *peerTable) keep(c config.Peer) *tunnelPeer {
	for _, p := range t.peers {
		q := p.config
		if q.PublicKey == c.PublicKey && q.Endpoint == c.Endpoint && q.PresharedKey.Equal(c.PresharedKey) &&
			q.Keepalive == c.Keepalive && reflect.DeepEqual(q.Rules, c.Rules) {
			return p
		}
	}
	return nil
}

func (l *loop) newPeer(c *config.Config, pc config.Peer) (*tunnelPeer, error) {
	cfg := coreConfig(c, pc)
	cfg.Random = l.random
	p := &tunnelPeer{config: pc}
	now := time.Now()
	if err := l.newBook(now, p, agreement.Config{
		Private: cfg.Private, Remote: cfg.Remote, Accept: pc.Agree, Random: l.random,
	}); err != nil {
		return nil, err
	}
	cfg.Agreements = p.book
	var err error
	if p.core, err = peer.New(now, cfg); err != nil {
		return nil, err
	}
	p.line = line{from: p.core, peer: p}
	if pc.Endpoint != "" && !cfg.Endpoint.IsValid() {
		go l.resolve(p, pc.Endpoint)
	}
	return p, nil
}

// rateModes are the modes of rate control by their names in the configuration (G-4).
var rateModes = map[config.RateMode]rate.Mode{
	config.RateFair: rate.Fair, config.RateScavenger: rate.Scavenger, config.RateFixed: rate.Fixed,
}

// Memory for what peers send (T-3).
const (
	// allBuffers is what the peers together may hold, bytes, as long as each of
	// them has minBuffers.
	allBuffers = 2 << 30
	minBuffers = 2 << 20
)

// bufferQuota is the memory that each of n peers may fill, bytes: none can take
// that of another.
func bufferQuota(n int) int { return max(allBuffers/n, minBuffers) }

// coreConfig is what the configuration says of a peer's core. Its endpoint is invalid if
// there is none, or a host name.
func coreConfig(c *config.Config, pc config.Peer) peer.Config {
	endpoint, _ := netip.ParseAddrPort(pc.Endpoint)
	redundancy := float64(c.Interface.Redundancy)
	if c.Interface.Redundancy == config.AutoRedundancy {
		redundancy = peer.AutoRedundancy
	}
	return peer.Config{
		Private: c.Interface.PrivateKey, Remote: pc.PublicKey, PSK: pc.PresharedKey, AES: hasAES(),
		Endpoint:  netip.AddrPortFrom(endpoint.Addr().Unmap(), endpoint.Port()),
		Keepalive: pc.Keepalive, Rate: rate.Config{Mode: rateModes[c.Interface.Rate], Ceiling: int64(c.Interface.Bandwidth)},
		Redundancy: redundancy, ARQ: c.Interface.ARQ,
		Rekey:   c.Interface.Rekey,
		Rules:   pc.Rules,                  // C-7
		Buffers: bufferQuota(len(c.Peers)), // T-3
	}
}

// resolve asks for the address of a peer's host name until there is one, or the
// tunnel ends.
func (l *loop) resolve(p *tunnelPeer, endpoint string) {
	const first, longest, patience = time.Second, time.Minute, 10 * time.Second
	for pause := first; ; pause = min(2*pause, longest) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		addr, err := resolveEndpoint(ctx, endpoint)
		cancel()
		if l.onResolved(p, addr, err) {
			return
		}
		l.log.Warn("cannot resolve the peer's endpoint, trying again", slog.String("endpoint", endpoint),
			slog.Any("error", err), slog.Duration("pause", pause))
		select {
		case <-time.After(pause):
		case <-l.ended:
			return
		}
	}
}

// onResolved hands an address to the loop. It reports whether there is nothing more
// to ask for.
func (l *loop) onResolved(p *tunnelPeer, addr netip.AddrPort, err error) bool {
	done := make(chan bool, 1)
	select {
	case l.calls <- func() {
		done <- err == nil || p.gone
		if err == nil && !p.gone {
			now := time.Now()
			p.core.SetEndpoint(now, addr)
			l.drain(now, p)
		}
	}:
	case <-l.ended:
		return true
	}
	select {
	case is := <-done:
		return is
	case <-l.ended:
		return true
	}
}

func resolveEndpoint(ctx context.Context, endpoint string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(endpoint)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)), nil
}

// sooner returns the earlier of two times; a zero time is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// hasAES reports whether AES-GCM is fast here (W-2).
func hasAES() bool {
	return (cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ) || (cpu.ARM64.HasAES && cpu.ARM64.HasPMULL)
}

// allowedIPs is a longest-prefix table of peers: one map per prefix length that
// occurs, longest first.
type allowedIPs struct {
	lengths []prefixLength
}

type prefixLength struct {
	bits int
	is6  bool
	to   map[netip.Addr]*tunnelPeer
}

func (t *allowedIPs) add(prefixes []netip.Prefix, p *tunnelPeer) {
	for _, x := range prefixes {
		x = x.Masked()
		i := slices.IndexFunc(t.lengths, func(l prefixLength) bool {
			return l.bits == x.Bits() && l.is6 == x.Addr().Is6()
		})
		if i < 0 {
			i, _ = slices.BinarySearchFunc(t.lengths, x.Bits(), func(l prefixLength, bits int) int { return bits - l.bits })
			t.lengths = slices.Insert(t.lengths, i, prefixLength{
				bits: x.Bits(), is6: x.Addr().Is6(), to: map[netip.Addr]*tunnelPeer{},
			})
		}
		t.lengths[i].to[x.Addr()] = p
	}
}

func (t *allowedIPs) lookup(a netip.Addr) *tunnelPeer {
	for _, l := range t.lengths {
		if l.is6 != a.Is6() || !a.IsValid() {
			continue
		}
		x, err := a.Prefix(l.bits)
		if err != nil {
			continue
		}
		if p := l.to[x.Addr()]; p != nil {
			return p
		}
	}
	return nil
}

// hasDefault reports whether a default route is among the prefixes.
func hasDefault(routes []netip.Prefix) bool {
	return slices.ContainsFunc(routes, func(p netip.Prefix) bool { return p.Bits() == 0 })
}
