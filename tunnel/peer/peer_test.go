package peer

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

// duo is two peers on a perfect path without delay but that of each step.
type duo struct {
	tb    testing.TB
	now   time.Time
	p     [2]*Peer
	addr  [2]netip.AddrPort
	buf   [2048]byte
	unit  [flow.MaxUnit]byte
	got   [2]int
	drops [2][]DropReason
	cut   func(from int, b []byte) bool // true: lost
}

func newDuo(tb testing.TB, change func(i int, c *Config)) *duo {
	tb.Helper()
	d := &duo{tb: tb, now: time.Unix(1e9, 0)}
	var keys [2]handshake.PrivateKey
	for i := range keys {
		rng := rand.NewChaCha8([32]byte{byte(i)})
		key, err := handshake.GenerateKey(rng)
		if err != nil {
			tb.Fatal(err)
		}
		keys[i] = key
		d.addr[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 4430)
	}
	for i := range d.p {
		cfg := Config{
			Private: keys[i], Remote: keys[1-i].Public(), AES: true, Rate: rate.Config{Mode: rate.Fixed, Ceiling: 1e8},
			Random: rand.NewChaCha8([32]byte{9, byte(i)}),
		}
		if i == 0 {
			cfg.Endpoint = d.addr[1]
		}
		if change != nil {
			change(i, &cfg)
		}
		p, err := New(d.now, cfg)
		if err != nil {
			tb.Fatal(err)
		}
		d.p[i] = p
	}
	return d
}

// exchange moves datagrams until both are silent.
func (d *duo) exchange() {
	for quiet := 0; quiet < 2; {
		quiet++
		for i, p := range d.p {
			for {
				n, to, ok := p.Poll(d.now, d.buf[:])
				if !ok {
					break
				}
				quiet = 0
				if to == d.addr[1-i] && (d.cut == nil || !d.cut(i, d.buf[:n])) {
					if r := d.p[1-i].HandleDatagram(d.now, Inbound{From: d.addr[i]}, d.buf[:n]); r != DropNone {
						d.drops[1-i] = append(d.drops[1-i], r)
					}
				}
			}
			for {
				if _, ok := p.ReadPacket(d.unit[:]); !ok {
					break
				}
				d.got[i]++
			}
			for {
				if _, ok := p.PollEvent(); !ok {
					break
				}
			}
		}
	}
}

// pass lets time pass in small steps.
func (d *duo) pass(t time.Duration) {
	for end := d.now.Add(t); d.now.Before(end); {
		d.now = d.now.Add(500 * time.Microsecond)
		d.exchange()
	}
}

func (d *duo) connect() {
	d.tb.Helper()
	d.exchange()
	d.pass(300 * time.Millisecond)
	if s := d.p[0].Status().State; s != "up" {
		d.tb.Fatalf("state %q after 300 ms", s)
	}
}

// forge seals what a hostile host i would put into its next datagram.
func (d *duo) forge(i int, plain []byte) []byte {
	s := d.p[i].cur
	pn := s.sender.NextPN()
	buf := appendHeader(make([]byte, 0, 2000), wire.TypeData, s.keys.RemoteIndex, pn)
	s.sender.OnSent(d.now, len(plain), reliability.Transmission{})
	return buf[:headerLen+len(s.keys.Send.Seal(buf[headerLen:], buf[:headerLen], plain, 0, pn))]
}

func packet(proto byte, n int) []byte {
	u := make([]byte, 1+20+n)
	u[1], u[10] = 0x45, proto
	binary.BigEndian.PutUint16(u[3:], uint16(20+n))
	return u
}

// TestSteadyStateAllocations: clause 3, over the whole way of a packet.
func TestSteadyStateAllocations(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	small, large := packet(17, 200), packet(6, 20000)
	one := func() {
		d.now = d.now.Add(2 * time.Millisecond)
		d.p[0].WritePacket(d.now, small)
		d.p[0].WritePacket(d.now, large)
		d.exchange()
		for range 4 {
			d.now = d.now.Add(200 * time.Microsecond)
			d.exchange()
		}
	}
	for range 5000 { // every table and pool at its working size
		one()
	}
	before := d.got[1]
	if n := testing.AllocsPerRun(500, one); n != 0 {
		t.Errorf("%v allocations for two packets", n)
	}
	if d.got[1]-before < 900 {
		t.Errorf("only %d packets arrived", d.got[1]-before)
	}
}

// TestDatagramSize: the search finds what the path carries, and a path that
// stops carrying it costs a session, not the tunnel (W-4).
func TestDatagramSize(t *testing.T) {
	limit := 1420
	d := newDuo(t, nil)
	d.cut = func(_ int, b []byte) bool { return len(b) > limit }
	d.connect()
	d.pass(3 * time.Second)
	for i, p := range d.p {
		if got := p.Status().Datagram; got != 1400 {
			t.Errorf("host %d settled on %d bytes, path carries %d", i, got, limit)
		}
	}
	limit = 1250
	big := packet(6, 30000)
	for range 200 {
		d.p[0].WritePacket(d.now, big)
		d.pass(100 * time.Millisecond)
	}
	if st := d.p[0].Status(); st.BlackHoles != 1 || st.Datagram != baseDatagram {
		t.Errorf("%d black holes, %d bytes in use", st.BlackHoles, st.Datagram)
	}
	before := d.got[1]
	d.p[0].WritePacket(d.now, big)
	d.pass(time.Second)
	if d.got[1] == before {
		t.Error("nothing arrives after the black hole")
	}
}

// TestRoamingAmplification: an address that is not validated gets at most three
// times what came from it (H-8).
func TestRoamingAmplification(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	var ping [DefaultMaxDatagram]byte
	d.p[0].pingDue = true
	n, _, ok := d.p[0].Poll(d.now, ping[:])
	if !ok {
		t.Fatal("no ping")
	}
	moved := netip.MustParseAddrPort("198.51.100.9:9")
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: moved}, ping[:n]); r != DropNone {
		t.Fatal(r)
	}
	sent := 0
	for range 1000 {
		d.p[1].WritePacket(d.now, packet(6, 1000))
		for {
			n, to, ok := d.p[1].Poll(d.now, d.buf[:])
			if !ok {
				break
			}
			if to == moved {
				sent += n
			} else if to != d.addr[0] || d.buf[0] != wire.TypeInit { // a new call goes where the peer was proven
				t.Fatalf("sent %x… to %v", d.buf[0], to)
			}
		}
		d.now = d.now.Add(10 * time.Millisecond)
	}
	if sent == 0 || sent > amplification*n {
		t.Errorf("%d bytes to an address that sent %d", sent, n)
	}
}

// TestSilentReceiverMoves: a host that only receives tells its new address soon
// after the peer's symbols stop arriving (H-8).
func TestSilentReceiverMoves(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	moved := netip.MustParseAddrPort("198.51.100.9:9")
	lost := func(from int, _ []byte) bool { return from == 1 }
	d.p[1].WritePacket(d.now, packet(6, 1000))
	d.pass(10 * time.Millisecond)
	d.cut, d.addr[0] = lost, moved // what host 1 sends to the old address is lost
	d.p[1].WritePacket(d.now, packet(6, 1000))
	start := d.now
	for d.p[1].Status().Endpoint != moved && d.now.Sub(start) < 5*time.Second {
		d.pass(10 * time.Millisecond)
	}
	if took := d.now.Sub(start); took > 1500*time.Millisecond {
		t.Errorf("the peer learned the address after %v", took)
	}
}

// TestReplayDoesNotMove: an old datagram from elsewhere does not move the peer
// (H-8), nor does a repeated one open (W-2).
func TestReplayDoesNotMove(t *testing.T) {
	d := newDuo(t, nil)
	var old []byte
	d.cut = func(from int, b []byte) bool {
		if from == 0 && b[0] == wire.TypeData && old == nil {
			old = append([]byte(nil), b...)
			return true // kept back: it stays fresh
		}
		return false
	}
	d.connect()
	elsewhere := netip.MustParseAddrPort("198.51.100.9:9")
	replay := append([]byte(nil), old...)
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: elsewhere}, old); r != DropNone {
		t.Fatalf("late datagram: %v", r)
	}
	if at := d.p[1].Status().Endpoint; at != d.addr[0] {
		t.Errorf("moved to %v", at)
	}
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: elsewhere}, replay); r != DropReplay {
		t.Errorf("replayed datagram: %v, want %v", r, DropReplay)
	}
}

// TestReplayedInit: an INIT recorded earlier does not disturb a session (H-6).
func TestReplayedInit(t *testing.T) {
	d := newDuo(t, nil)
	var init []byte
	d.cut = func(_ int, b []byte) bool {
		if b[0] == wire.TypeInit && init == nil {
			init = append([]byte(nil), b...)
		}
		return false
	}
	d.connect()
	before := d.p[1].Status().LastHandshake
	for range 10 {
		if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, append([]byte(nil), init...)); r != DropStale {
			t.Errorf("replayed INIT: %v, want %v", r, DropStale)
		}
		d.pass(10 * time.Millisecond)
	}
	if got := d.p[1].Status().LastHandshake; got != before {
		t.Error("the session was replaced")
	}
}

// TestStranger: INITs that do not open, or open and are another's, cost no
// state and get no answer.
func TestStranger(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	stranger, _ := handshake.GenerateKey(rand.NewChaCha8([32]byte{77}))
	in, err := handshake.NewInit(d.now, handshake.InitConfig{
		Private: stranger, Peer: d.p[1].local, Index: 7, Random: rand.NewChaCha8([32]byte{78}),
	})
	if err != nil {
		t.Fatal(err)
	}
	good := in.Datagram()
	bad := append([]byte(nil), good...)
	bad[20] ^= 1
	for _, b := range [][]byte{good, bad, good[:50], {wire.TypeInit}} {
		if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, b); r != DropInit {
			t.Errorf("INIT of a stranger: %v", r)
		}
	}
	if d.p[1].next != nil {
		t.Error("a stranger has a session")
	}
}

// TestPresharedKey: both sides must have the same (H-2).
func TestPresharedKey(t *testing.T) {
	d := newDuo(t, func(i int, c *Config) { c.PSK[0] = byte(1 + i) })
	d.exchange()
	d.pass(time.Second)
	if s := d.p[0].Status().State; s != "connecting" {
		t.Errorf("state %q with different preshared keys", s)
	}
}

// TestProtocolError: a frame of an unknown type ends the session, and the peer
// is told why (W-3).
func TestProtocolError(t *testing.T) {
	d := newDuo(t, nil)
	d.connect()
	sealed := d.forge(0, []byte{0, 0x3f})
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, sealed); r != DropNone {
		t.Fatal(r)
	}
	var down *CloseError
	for {
		e, ok := d.p[1].PollEvent()
		if !ok {
			break
		}
		if e.Kind == SessionDown {
			down = e.Err
		}
	}
	if down == nil || down.Code != CloseProtocol || !strings.Contains(down.Error(), "unknown frame") {
		t.Errorf("session ended with %v", down)
	}
	d.pass(time.Second)
	if s := d.p[0].Status(); s.State != "up" || !s.LastHandshake.After(time.Unix(1e9, 3e8)) {
		t.Errorf("no new session: %+v", s)
	}
}

// TestBothCall: two INITs that cross make one session (H-4).
func TestBothCall(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:4430")
	d := newDuo(t, func(i int, c *Config) {
		if i == 1 {
			c.Endpoint = addr
		}
	})
	d.connect()
	d.pass(3 * time.Second)
	a, b := d.p[0].cur, d.p[1].cur
	if a == nil || b == nil || a.keys.LocalIndex != b.keys.RemoteIndex || d.p[0].attempt != nil || d.p[1].attempt != nil {
		t.Errorf("no common session")
	}
}

// TestFloodBudget: INITs take at most a tenth of a thin link (H-4).
func TestFloodBudget(t *testing.T) {
	const bits = 200_000
	d := newDuo(t, func(_ int, c *Config) { c.Rate.Ceiling = bits })
	bytes := 0
	d.cut = func(from int, b []byte) bool {
		if from == 0 {
			bytes += len(b) + overheadIPv4
		}
		return true
	}
	d.pass(4 * time.Second)
	if share := float64(8*bytes) / (4 * bits); share < 0.05 || share > 0.11 {
		t.Errorf("INITs took %.3f of the rate", share)
	}
}

// TestKeepalive: an idle peer speaks as often as it was told.
func TestKeepalive(t *testing.T) {
	d := newDuo(t, func(i int, c *Config) {
		if i == 0 {
			c.Keepalive = time.Second
		}
	})
	d.connect()
	d.pass(2 * time.Second)
	before := d.p[0].Status().TxDatagrams
	d.pass(10 * time.Second)
	if n := d.p[0].Status().TxDatagrams - before; n < 9 || n > 40 {
		t.Errorf("%d datagrams in 10 s", n)
	}
}

// TestClasses: TCP travels as bulk, all else with a deadline (C-7), and what has
// a deadline is resent before bulk.
func TestClasses(t *testing.T) {
	if class(flow.Stream) != reliability.Bulk || class(flow.Message) != reliability.Deadline {
		t.Error("streams do not travel as bulk, or messages not with a deadline")
	}
	d := newDuo(t, nil)
	d.connect()
	d.pass(time.Second) // until the channels are there
	lost := 0
	d.cut = func(from int, _ []byte) bool { lost++; return from == 0 }
	d.p[0].WritePacket(d.now, packet(6, 1000))
	d.pass(2 * time.Millisecond)
	d.p[0].WritePacket(d.now, packet(17, 1000))
	d.pass(2 * time.Millisecond)
	d.now = d.now.Add(200 * time.Millisecond) // both time out
	d.p[0].HandleTimeout(d.now)
	var order []reliability.Class
	b := builder{p: d.p[0], s: d.p[0].cur}
	for len(order) < 2 {
		tr := b.chooseSymbol(1400)
		frame := b.s.sender.AppendFrame(nil, tr)
		if c := reliability.Class(frame[0] >> 4 & 3); c != reliability.Control { // channels for the next flows
			order = append(order, c)
		}
		b.s.sender.OnSent(d.now, 100, tr)
	}
	if order[0] != reliability.Deadline || order[1] != reliability.Bulk {
		t.Errorf("resent in the order %v", order)
	}
}

func TestCloseFrame(t *testing.T) { // W-3
	b := appendClose(nil, CloseProtocol, strings.Repeat("long ", 40))
	r := wire.NewReader(b[1:])
	e, ok := parseClose(&r)
	want := CloseError{Code: CloseProtocol, Reason: strings.Repeat("long ", 40)[:maxReason], Remote: true}
	if diff := cmp.Diff(want, e); !ok || r.Done() != nil || diff != "" {
		t.Errorf("round trip: %v %v %s", ok, r.Done(), diff)
	}
	for n := range len(b) - 1 {
		r := wire.NewReader(b[1 : 1+n])
		if _, ok := parseClose(&r); ok {
			t.Errorf("truncated to %d bytes, still parsed", n)
		}
	}
	r = wire.NewReader([]byte{0, 1, 2, 'a', 7})
	if _, ok := parseClose(&r); ok {
		t.Error("control characters in a reason")
	}
}
