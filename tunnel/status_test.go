package tunnel

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/peer"
)

// ipv4 is a unit with an IPv4 packet of UDP.
func ipv4(src, dst string, size int) []byte {
	u := make([]byte, 1+size)
	u[1], u[3], u[4], u[9], u[10] = 0x45, byte(size>>8), byte(size), 64, 17
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(u[13:], s[:])
	copy(u[17:], d[:])
	return u
}

// tcp is a unit with a TCP segment in the middle of a connection.
func tcp(src, dst string, payload int) []byte {
	u := ipv4(src, dst, 40+payload)
	t := u[21:]
	u[10], t[1], t[3], t[7], t[12], t[13] = 6, 80, 81, 1, 5<<4, 0x10 // ports, sequence number, length of the header, ACK
	return u
}

// duo is two cores on a path of a millisecond each way, in virtual time.
type duo struct {
	t    *testing.T
	now  time.Time
	p    [2]*tunnelPeer
	addr [2]netip.AddrPort
	to   [2][][]byte // datagrams on the way
}

func newDuo(t *testing.T) *duo {
	t.Helper()
	d := &duo{t: t, now: time.Unix(1e9, 0)}
	for i := range d.p {
		d.addr[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 4430)
	}
	for i := range d.p {
		cfg := peer.Config{
			Redundancy: peer.AutoRedundancy,
			Private:    newKey(t, byte(i)), Remote: newKey(t, byte(1-i)).Public(), Rate: rate.Config{Mode: rate.Fixed, Ceiling: 1e8}, AES: true,
			Random: rand.NewChaCha8([32]byte{7, byte(i)}),
		}
		if i == 0 {
			cfg.Endpoint = d.addr[1]
		}
		core, err := peer.New(d.now, cfg)
		if err != nil {
			t.Fatal(err)
		}
		d.p[i] = &tunnelPeer{config: config.Peer{Name: "p", PublicKey: cfg.Remote}, core: core}
	}
	return d
}

// run lets time pass and carries the datagrams over.
func (d *duo) run(span time.Duration) {
	buf, unit := make([]byte, 2048), make([]byte, 1<<17)
	for end := d.now.Add(span); d.now.Before(end); d.now = d.now.Add(time.Millisecond) {
		for i, p := range d.p {
			arrived := d.to[i]
			d.to[i] = nil
			p.core.HandleTimeout(d.now)
			for _, b := range arrived {
				p.core.HandleDatagram(d.now, peer.Inbound{From: d.addr[1-i]}, b)
			}
			for {
				n, _, ok := p.core.Poll(d.now, buf)
				if !ok {
					break
				}
				d.to[1-i] = append(d.to[1-i], bytes.Clone(buf[:n]))
			}
			for more := true; more; {
				_, more = p.core.ReadPacket(unit)
			}
			for more := true; more; {
				_, more = p.core.PollEvent()
			}
		}
	}
}

// What the core counts is what status tells, each figure in its place.
func TestPeerStatus(t *testing.T) {
	d := newDuo(t)
	if got := d.p[0].status(); got.State != control.StateConnecting || got.Endpoint != d.addr[1].String() || !got.LastHandshake.IsZero() {
		t.Errorf("before the handshake: %+v", got)
	}
	if got := d.p[1].status(); got.State != control.StateIdle || got.Endpoint != "" {
		t.Errorf("of a peer that waits: %+v", got)
	}
	d.run(time.Second)
	for range 20 {
		d.p[0].core.WritePacket(d.now, ipv4("10.0.0.1", "10.0.0.2", 500))
		d.p[1].core.WritePacket(d.now, ipv4("10.0.0.2", "10.0.0.1", 300))
		d.run(10 * time.Millisecond)
	}
	d.p[0].core.HandleDatagram(d.now, peer.Inbound{From: d.addr[1]}, []byte{0xff})
	d.p[0].core.WritePacket(d.now, ipv4("10.0.0.1", "10.0.0.2", 500)) // waits
	for range 3 {                                                     // one waits, the others are the same again
		d.p[0].core.WritePacket(d.now, tcp("10.0.0.1", "10.0.0.2", 400))
	}

	s, got := d.p[0].core.Status(), d.p[0].status()
	if s.TxPackets != 20 || s.RxPackets != 20 || s.RTT == 0 || s.LastReceived.IsZero() || s.QueueBytes == 0 {
		t.Fatalf("the cores did not do what this test looks at: %+v", s)
	}
	want := control.PeerStatus{
		Name: "p", PublicKey: d.p[0].config.PublicKey.Base64(), State: control.StateUp, Endpoint: d.addr[1].String(),
		LastHandshake: s.LastHandshake, LastReceived: s.LastReceived,
		TxBytes: 20 * 500, RxBytes: 20 * 300, TxPackets: 20, RxPackets: 20,
		TxDatagrams: s.TxDatagrams, RxDatagrams: s.RxDatagrams, Resent: s.Resent + s.Proactive,
		Loss: s.Loss, ReturnLoss: s.ReturnLoss, RTT: s.RTT, RateBits: 1e8, CapacityBits: 1e8, RatePhase: "run",
		QueueDelay: s.QueueDelay, QueueTarget: s.QueueTarget, QueueBytes: int64(s.QueueBytes), DatagramSize: s.Datagram,
		Drops: nonZero(map[string]uint64{"malformed": 1, "suppressed": 2}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	d.p[0].core.Close(d.now, peer.CloseNormal)
	if got := d.p[0].status(); got.State != control.StateClosed || got.TxPackets != 20 {
		t.Errorf("after the end: %+v", got)
	}
}

// Every counter has a name in status, and what never happened is left out.
func TestDropCounters(t *testing.T) {
	d := dropCounters{1, 2, 3, 9, 10, 4, 5, 6, 7, 8}
	want := map[string]uint64{
		"malformed": 1, "unknown_index": 2, "bad_init": 3, "cookie_sent": 9, "init_flood": 10, "no_peer": 4, "bad_packet": 5, "source": 6,
		"device_error": 7, "send_error": 8,
	}
	if diff := cmp.Diff(want, d.byReason()); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if n := reflect.TypeFor[dropCounters]().NumField(); n != len(want) {
		t.Errorf("%d counters, %d names", n, len(want))
	}
	if got := (&dropCounters{source: 3}).byReason(); !cmp.Equal(got, map[string]uint64{"source": 3}) {
		t.Errorf("got %v", got)
	}
	seen := map[string]bool{}
	for reason := peer.DropNone; reason < peer.NumDropReasons; reason++ {
		if name := reason.String(); seen[name] || name == "invalid" {
			t.Errorf("drop reason %d is called %q", reason, name)
		}
		seen[reason.String()] = true
	}
}

// The channels of both ends are listed with what they carried.
func TestChannelStatus(t *testing.T) {
	d := newDuo(t)
	if got := d.p[0].channels(); got != nil {
		t.Errorf("before the handshake: %+v", got)
	}
	d.run(time.Second)
	for range 20 {
		d.p[0].core.WritePacket(d.now, ipv4("10.0.0.1", "10.0.0.2", 500))
		d.run(10 * time.Millisecond)
	}
	find := func(list []control.ChannelStatus, byPeer bool, sent, received uint64) (found int) {
		for _, c := range list {
			if c.Mode == "Z" && c.State == "established" && c.ByPeer == byPeer && c.TxUnits == sent && c.RxUnits == received && c.Age > 0.1 {
				found++
				if flows := 1; !byPeer && c.Flows != flows {
					t.Errorf("%d flows in %+v", c.Flows, c)
				}
			}
		}
		return found
	}
	ours, theirs := d.p[0].channels(), d.p[1].channels()
	if find(ours, false, 20, 0) != 1 || find(theirs, true, 0, 20) != 1 || len(ours) > control.MaxChannels {
		t.Errorf("ours %+v\ntheirs %+v", ours, theirs)
	}
	for i := range len(ours) - 1 {
		if ours[i].Age < ours[i+1].Age {
			t.Error("not the oldest first")
		}
	}
}
