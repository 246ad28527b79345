package tunnel

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/peer"
	"github.com/totg/totg/tunnel/udp"
)

// testConfig is a configuration with two peers; key seeds 1 and up are the peers'.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	c := &config.Config{Interface: config.Interface{
		Name: "totg0", Mode: config.ModeTUN, PrivateKey: newKey(t, 0), Addresses: prefixes("10.77.0.1/24"),
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), MTU: 1500, Bandwidth: 1e7, Rate: config.RateFixed,
		Redundancy: config.AutoRedundancy,
	}}
	for i, name := range []string{"one", "two"} {
		c.Peers = append(c.Peers, config.Peer{
			Name: name, PublicKey: newKey(t, byte(1+i)).Public(),
			AllowedIPs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(2 + i)}), 32)},
		})
	}
	return c
}

// newLoop is a loop without interface: with peers and a socket, and a log to read.
func newLoop(t *testing.T, c *config.Config) (*loop, *bytes.Buffer) {
	t.Helper()
	socket, err := udp.Listen(c.Interface.Listen, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	l := &loop{
		opt: Options{Config: c, Log: log}, log: log, random: rand.NewChaCha8([32]byte{}), socket: socket, stop: stop,
		calls: make(chan func(), 1), fault: make(chan error, 1), ended: ctx.Done(),
	}
	if err := l.openWatch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.wait.bell.FD.Close() })
	if err := l.setPeers(c); err != nil {
		t.Fatal(err)
	}
	if l.cookies, err = handshake.NewCookies(time.Now(), l.table.identity, l.random); err != nil {
		t.Fatal(err)
	}
	return l, &text
}

// clone copies a configuration as far as the tests change it.
func clone(c *config.Config) *config.Config {
	d := *c
	d.Peers = append([]config.Peer(nil), c.Peers...)
	return &d
}

// A change that a running tunnel cannot follow is refused, and nothing else changes.
func TestReloadDecision(t *testing.T) {
	refused := map[string]func(c *config.Config){
		"name":      func(c *config.Config) { c.Interface.Name = "totg1" },
		"mode":      func(c *config.Config) { c.Interface.Mode = config.ModeTAP },
		"key":       func(c *config.Config) { c.Interface.PrivateKey = newKey(t, 9) },
		"listen":    func(c *config.Config) { c.Interface.Listen = netip.MustParseAddrPort("127.0.0.1:1") },
		"bandwidth": func(c *config.Config) { c.Interface.Bandwidth++ },
	}
	for name, change := range refused {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			l, log := newLoop(t, c)
			before := l.table
			changed := clone(c)
			change(changed)
			changed.Peers = changed.Peers[:1]
			l.reload(changed)
			if !strings.Contains(log.String(), "reload refused") {
				t.Errorf("log: %s", log)
			}
			if l.opt.Config != c || len(l.table.peers) != 2 || l.table.peers[0] != before.peers[0] {
				t.Error("a refused reload changed something")
			}
		})
	}
	was := testConfig(t).Interface
	is := was
	is.MTU, is.Addresses, is.PrivateKey = 1400, prefixes("10.77.0.9/24"), newKey(t, 0) // an equal key
	if needsRestart(&was, &is) {
		t.Error("MTU and addresses need no restart")
	}
}

// A peer keeps its session while its key, endpoint, preshared key and keepalive stay.
func TestSetPeersKeeps(t *testing.T) {
	psk, err := handshake.GeneratePresharedKey(rand.NewChaCha8([32]byte{3}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		keeps  bool
		change func(p *config.Peer)
	}{
		{"nothing", true, func(*config.Peer) {}},
		{"name", true, func(p *config.Peer) { p.Name = "three" }},
		{"allowed IPs", true, func(p *config.Peer) { p.AllowedIPs = prefixes("10.77.0.9/32") }},
		{"endpoint", false, func(p *config.Peer) { p.Endpoint = "127.0.0.1:9" }},
		{"keepalive", false, func(p *config.Peer) { p.Keepalive = time.Second }},
		{"preshared key", false, func(p *config.Peer) { p.PresharedKey = psk }},
		{"key", false, func(p *config.Peer) { p.PublicKey = newKey(t, 8).Public() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t)
			l, _ := newLoop(t, cfg)
			one, two := l.table.peers[0], l.table.peers[1]
			changed := clone(cfg)
			c.change(&changed.Peers[1])
			if err := l.setPeers(changed); err != nil {
				t.Fatal(err)
			}
			if l.table.peers[0] != one {
				t.Error("the other peer was replaced")
			}
			if kept := l.table.peers[1] == two; kept != c.keeps || two.gone == c.keeps {
				t.Errorf("kept: %v, gone: %v", kept, two.gone)
			}
			now := l.table.peers[1]
			if got := l.table.route(changed.Peers[1].AllowedIPs[0].Addr()); got != now || now.config.Name != changed.Peers[1].Name {
				t.Error("the table does not follow the configuration")
			}
		})
	}
}

// redundancy and coding are every core's. A reload with another value begins every
// session anew, one with the same value keeps them.
func TestSetPeersCoding(t *testing.T) {
	for _, c := range []struct {
		name       string
		redundancy config.Redundancy
		arq        bool
		want       float64
	}{
		{"the same", config.AutoRedundancy, false, peer.AutoRedundancy},
		{"none", 0, false, 0},
		{"some", 0.25, false, 0.25},
		{"no coding", config.AutoRedundancy, true, peer.AutoRedundancy},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Peers[1].Endpoint = "127.0.0.1:9" // it calls
			l, _ := newLoop(t, cfg)
			before := l.table.peers
			changed := clone(cfg)
			changed.Interface.Redundancy, changed.Interface.ARQ = c.redundancy, c.arq
			if err := l.setPeers(changed); err != nil {
				t.Fatal(err)
			}
			keeps := c.name == "the same"
			for i, p := range l.table.peers {
				if kept := p == before[i]; kept != keeps || before[i].gone == keeps {
					t.Errorf("peer %d: kept: %v, gone: %v", i, kept, before[i].gone)
				}
				if got := coreConfig(changed, p.config); got.Redundancy != c.want || got.ARQ != c.arq {
					t.Errorf("redundancy %v, ARQ %v, want %v, %v", got.Redundancy, got.ARQ, c.want, c.arq)
				}
			}
			if len(l.table.byIndex) != 1 {
				t.Errorf("%d indices, want that of the call", len(l.table.byIndex))
			}
			after := l.table.peers
			if err := l.setPeers(clone(changed)); err != nil {
				t.Fatal(err)
			}
			if l.table.peers[0] != after[0] || l.table.peers[1] != after[1] {
				t.Error("a reload without a change replaced a peer")
			}
		})
	}
	if needsRestart(&config.Interface{Redundancy: 1}, &config.Interface{ARQ: true}) {
		t.Error("redundancy and coding need no restart")
	}
}

// Peers come and go; what belonged to one that went belongs to nobody.
func TestSetPeersRemoves(t *testing.T) {
	cfg := testConfig(t)
	cfg.Peers[1].Endpoint = "127.0.0.1:9" // it calls, and so has an index
	l, _ := newLoop(t, cfg)
	two := l.table.peers[1]
	if len(l.table.byIndex) != 1 {
		t.Fatalf("%d indices, want that of the call", len(l.table.byIndex))
	}
	less := clone(cfg)
	less.Peers = less.Peers[:1]
	if err := l.setPeers(less); err != nil {
		t.Fatal(err)
	}
	addr := cfg.Peers[1].AllowedIPs[0].Addr()
	if len(l.table.peers) != 1 || l.table.route(addr) != nil || len(l.table.byIndex) != 0 || len(l.table.byStatic) != 1 {
		t.Errorf("left of the peer: %+v", l.table)
	}
	if err := l.setPeers(cfg); err != nil {
		t.Fatal(err)
	}
	if p := l.table.route(addr); p == nil || p == two || len(l.table.byStatic) != 2 {
		t.Error("the peer did not come back, or its old core did")
	}
}

// Datagrams that belong to nobody are counted by reason and do nothing else. They are
// a stranger's.
func TestDeliverDrops(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	from := netip.MustParseAddrPort("127.0.0.1:9")
	initFor := func(caller, called byte) []byte {
		in, err := handshake.NewInit(time.Now(), handshake.InitConfig{
			Private: newKey(t, caller), Peer: newKey(t, called).Public(), Index: 1, Random: rand.NewChaCha8([32]byte{1}),
			Ladder: commitment(t, caller, called),
		})
		if err != nil {
			t.Fatal(err)
		}
		return in.Datagram()
	}
	damaged := bytes.Clone(initFor(1, 0))
	damaged[50] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want dropCounters
	}{
		{"empty", nil, dropCounters{}},
		{"short", make([]byte, 8), dropCounters{malformed: 1}},
		{"unknown type", bytes.Repeat([]byte{0xee}, 100), dropCounters{malformed: 1}},
		{"data of nobody", append([]byte{wire.TypeData}, make([]byte, 99)...), dropCounters{unknown: 1}},
		{"answer to nobody", append([]byte{wire.TypeResp}, make([]byte, 99)...), dropCounters{unknown: 1}},
		{"cookie to nobody", append([]byte{wire.TypeCookie}, make([]byte, 36)...), dropCounters{unknown: 1}},
		{"call of a stranger", initFor(7, 0), dropCounters{badInit: 1}},
		{"call for somebody else", initFor(1, 7), dropCounters{badInit: 1}},
		{"damaged call", damaged, dropCounters{badInit: 1}},
		{"call of a peer", initFor(1, 0), dropCounters{}},
	} {
		l.drops = dropCounters{}
		indices := len(l.table.byIndex)
		l.handleRun(time.Now(), udp.Run{N: len(c.b), Seg: max(len(c.b), 1), From: from}, c.b)
		l.finish(time.Now())
		if diff := cmp.Diff(c.want, l.drops, cmp.AllowUnexported(dropCounters{})); diff != "" {
			t.Errorf("%s: drops (-want +got):\n%s", c.name, diff)
		}
		if grew := len(l.table.byIndex) > indices; grew != (c.name == "call of a peer") {
			t.Errorf("%s: %d sessions, %d before", c.name, len(l.table.byIndex), indices)
		}
		if len(l.table.dirty) != 0 {
			t.Errorf("%s: peers left to drain", c.name)
		}
	}
}

// A run of datagrams is cut at its segment size, the last one shorter.
func TestHandleRunCuts(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	run := bytes.Repeat([]byte{0xee}, 3*100+20)
	l.handleRun(time.Now(), udp.Run{N: len(run), Seg: 100}, run)
	if l.drops.malformed != 4 {
		t.Errorf("%d datagrams, want 4", l.drops.malformed)
	}
	l.handleRun(time.Now(), udp.Run{N: 50, Seg: 50}, run[:50])
	if l.drops.malformed != 5 {
		t.Errorf("%d datagrams, want 5", l.drops.malformed)
	}
}

// What waits at the socket is handled together, and after looks that came soon one after
// the other the loop does not look for a while.
func TestReceiveGathers(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	from, err := net.Dial("udp", l.socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	send := func(n int) {
		for range n {
			if _, err := from.Write([]byte{0xee}); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(socketBatch + 3)
	for _, want := range []uint64{socketBatch, socketBatch + 3, socketBatch + 3} {
		l.receive()
		if l.drops.malformed != want {
			t.Errorf("%d datagrams, want %d", l.drops.malformed, want)
		}
	}
	w, now := &l.wait, time.Now()
	w.looked, w.pause = now.Add(-2*lookPause), time.Time{}
	w.onLook(now, false)
	w.onLook(now.Add(lookPause/2), true)
	if !w.pause.IsZero() {
		t.Error("a pause after a lone datagram, or while there is more")
	}
	w.onLook(now.Add(lookPause), false)
	end := now.Add(2 * lookPause)
	if !w.pause.Equal(end) || w.look(end.Add(-1)) || !w.look(end) || !w.pause.IsZero() {
		t.Errorf("a pause until %v, want %v", w.pause, end)
	}
	send(1) // and it is listened to again
	if err := w.until(now, time.Time{}, false); err != nil || !w.look(now) {
		t.Errorf("no look after the pause: %v", err)
	}
}

// What is posted wakes the loop, and is done in the order in which it came.
func TestRelay(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	ctx, stop := context.WithCancel(t.Context())
	l.pumps.Add(1)
	go l.relay(ctx, nil)
	defer l.pumps.Wait()
	defer stop()
	const calls = 100
	var got []int
	go func() {
		for i := range calls {
			l.calls <- func() { got = append(got, i) }
		}
	}()
	for len(got) < calls {
		if err := l.wait.until(time.Now(), time.Time{}, false); err != nil {
			t.Fatal(err)
		}
		l.turn()
	}
	if !slices.IsSorted(got) {
		t.Error("out of order")
	}
}

// Deadlines end a wait, never earlier than the slack, and input does before them.
func TestUntil(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	w, now := &l.wait, time.Now()
	for _, c := range []struct{ d, least time.Duration }{{0, timerSlack}, {-time.Hour, timerSlack}, {20 * time.Millisecond, 20 * time.Millisecond}} {
		start := time.Now()
		if err := w.until(start, start.Add(c.d), false); err != nil || time.Since(start) < c.least {
			t.Errorf("a deadline in %v: %v after %v", c.d, err, time.Since(start))
		}
	}
	if err := w.until(now, now.Add(time.Hour), true); err != nil { // there is more to do
		t.Error(err)
	}
	w.bell.Ring()
	if err := w.until(now, now.Add(time.Hour), false); err != nil || !w.set.Ready(onBell) {
		t.Errorf("the bell is not heard: %v", err)
	}
}

// T-1: inner packets go to the peer of their destination, and are taken from the peer
// of their source alone. The latter are an authenticated peer's.
func TestInnerAddresses(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	one, two := l.table.peers[0], l.table.peers[1]
	now := time.Now()
	l.handleUnit(now, ipv4("10.77.0.1", "10.77.0.3", 100))
	if one.core.Status().QueueBytes != 0 || two.core.Status().QueueBytes == 0 {
		t.Error("the packet did not go to the peer of its destination")
	}
	l.handleUnit(now, ipv4("10.77.0.1", "10.77.0.9", 100))
	l.handleUnit(now, []byte{0, 0x15, 0})
	l.deliverUnit(now, one, ipv4("10.77.0.3", "10.77.0.1", 100)) // the other one's
	l.deliverUnit(now, one, ipv4("192.0.2.1", "10.77.0.1", 100)) // nobody's
	frame := append([]byte{1 << 1}, make([]byte, 60)...)
	l.deliverUnit(now, one, frame) // Ethernet on a TUN interface
	want := dropCounters{noPeer: 1, badPacket: 1, source: 3}
	if diff := cmp.Diff(want, l.drops, cmp.AllowUnexported(dropCounters{})); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

// Events of a core keep the table of indices; one that another peer has stays there,
// whoever comes to the same number.
func TestIndexEvents(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	one, two := l.table.peers[0], l.table.peers[1]
	l.onEvent(one, peer.Event{Kind: peer.IndexAdded, Index: 5})
	l.onEvent(two, peer.Event{Kind: peer.IndexAdded, Index: 5})
	l.onEvent(two, peer.Event{Kind: peer.IndexRemoved, Index: 5})
	if l.table.byIndex[5] != one {
		t.Error("one peer took an index from another")
	}
	l.onEvent(one, peer.Event{Kind: peer.IndexRemoved, Index: 5})
	if len(l.table.byIndex) != 0 {
		t.Error("the index is still there")
	}
}

// A host name is asked for until it has an address; the question ends with the tunnel.
func TestResolve(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	p := l.table.peers[0]
	addr := netip.MustParseAddrPort("127.0.0.1:9")
	done := make(chan bool, 1)
	go func() { done <- l.onResolved(p, addr, nil) }()
	(<-l.calls)()
	if !<-done || p.core.Status().Endpoint != addr {
		t.Errorf("endpoint %v", p.core.Status().Endpoint)
	}
	go func() { done <- l.onResolved(p, netip.AddrPort{}, context.DeadlineExceeded) }()
	(<-l.calls)()
	if <-done {
		t.Error("it does not ask again after a failure")
	}
	p.gone = true
	go func() { done <- l.onResolved(p, netip.AddrPort{}, context.DeadlineExceeded) }()
	(<-l.calls)()
	if !<-done {
		t.Error("it asks on for a peer that is gone")
	}
	l.stop()
	if !l.onResolved(p, addr, nil) { // nobody runs the loop any more
		t.Error("it asks on after the tunnel's end")
	}
	for text, want := range map[string]bool{"localhost:4430": true, "localhost": false, "localhost:x": false} {
		got, err := resolveEndpoint(context.Background(), text)
		if (err == nil) != want || want && (got.Port() != 4430 || !got.Addr().IsLoopback()) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
