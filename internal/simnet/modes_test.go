package simnet

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/flow"
)

// The path of these tests.
const (
	modesDelay = 20 * time.Millisecond
	modesRTT   = 2 * modesDelay
)

// modesConfig is a path with jitter that reorders, and a rule for each mode: port
// 1000 and its capability bits.
func modesConfig(seed uint64, loss float64) Config {
	cfg := Config{Seed: seed, Rate: rate.Config{Mode: rate.Fixed, Ceiling: 20e6}}
	for i := range cfg.Links {
		cfg.Links[i] = link.Config{
			Rate: 21e6, Delay: modesDelay, Loss: loss, Burst: 1, Jitter: 2 * time.Millisecond, JitterReorders: true, Queue: 1 << 20,
		}
	}
	for mode := range uint16(8) {
		cfg.Rules = append(cfg.Rules, flow.Rule{
			Protocols: []uint8{protoUDP}, Ports: []flow.PortRange{{First: 1000 + mode, Last: 1000 + mode}}, Mode: uint8(mode),
		})
	}
	return cfg
}

// udpUnit is a numbered datagram of a flow.
func udpUnit(src, dst uint16, number uint32, size int) []byte {
	u := make([]byte, 1+size)
	p := u[1:]
	p[0], p[9] = 0x45, protoUDP
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(p[20:], src)
	binary.BigEndian.PutUint16(p[22:], dst)
	binary.BigEndian.PutUint32(p[28:], number)
	return u
}

type arrival struct {
	number uint32
	sent   time.Duration
	after  time.Duration
}

// playMode sends a datagram every 5 ms in a mode and returns what arrived.
func playMode(t *testing.T, cfg Config, mode uint16, packets int) (n *Net, got []arrival) {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var sent []time.Duration
	n.Host(1).Received = func(unit []byte) {
		number := binary.BigEndian.Uint32(unit[29:])
		got = append(got, arrival{number: number, sent: sent[number], after: n.Elapsed() - sent[number]})
	}
	n.Run(2*time.Second, nil)
	for i := range packets {
		n.Run(2*time.Second+time.Duration(i)*5*time.Millisecond, nil)
		sent = append(sent, n.Elapsed())
		n.Write(0, udpUnit(7, 1000+mode, uint32(i), 900))
	}
	n.Run(n.Elapsed()+5*time.Second, nil)
	return n, got
}

// TestModesEndToEnd plays every mode through two peers (C-4): what arrives, in
// which order and how late, with loss and reordering, and that the modes that send
// nothing again do so.
func TestModesEndToEnd(t *testing.T) {
	for mode, c := range []struct {
		name      string
		ordered   bool
		resends   bool
		all       bool
		worst     time.Duration // delay of the slowest, at 30 % loss
		closes    bool
		leastLoss float64 // share that arrives at 30 % loss
	}{
		{name: "UDP", worst: modesDelay + 20*time.Millisecond, leastLoss: 0.6},
		{name: "Z", resends: true, worst: modesDelay + 250*time.Millisecond + modesRTT, leastLoss: 0.999},
		{name: "Streaming 1", ordered: true, worst: modesDelay + 40*time.Millisecond, leastLoss: 0.6},
		{name: "Streaming 2", ordered: true, resends: true, worst: modesDelay + 3*modesRTT, leastLoss: 0.98},
		{name: "X", closes: true, worst: modesDelay + 20*time.Millisecond, leastLoss: 0.2},
		{name: "SCTP", resends: true, all: true, worst: 2 * time.Second, leastLoss: 1},
		{name: "Y", ordered: true, closes: true, worst: modesDelay + 40*time.Millisecond, leastLoss: 0.1},
		{name: "TCP", ordered: true, resends: true, all: true, worst: 2 * time.Second, leastLoss: 1},
	} {
		for _, loss := range []float64{0, 0.05, 0.3} {
			t.Run(fmt.Sprintf("%s at %v", c.name, loss), func(t *testing.T) {
				const packets = 1500
				n, got := playMode(t, modesConfig(11, loss), uint16(mode), packets)
				seen, last, slowest := map[uint32]bool{}, -1, time.Duration(0)
				for _, a := range got {
					if seen[a.number] || c.ordered && !c.closes && int(a.number) < last {
						t.Fatalf("packet %d after %d", a.number, last)
					}
					seen[a.number], last = true, int(a.number)
					slowest = max(slowest, a.after)
				}
				share := float64(len(got)) / packets
				if loss == 0 && share < 1 || c.all && share < 1 || share < c.leastLoss {
					t.Errorf("%.4f of the packets arrived", share)
				}
				if !c.resends && share > 1-loss*0.7 && loss > 0 {
					t.Errorf("%.4f of the packets arrived: something was sent again", share)
				}
				if slowest > c.worst {
					t.Errorf("the slowest took %v, want %v", slowest, c.worst)
				}
				closed := n.Status(0).ChannelsClosed
				if c.closes && loss > 0 != (closed > 0) || !c.closes && closed > 0 {
					t.Errorf("%d channels closed", closed)
				}
				t.Logf("%.4f arrived, the slowest after %v, %d closed", share, slowest, closed)
			})
		}
	}
}

// TestStreaming2EndToEnd: at 10 % loss and one round trip of patience, 99.9 % of
// the packets arrive in order (C-5).
func TestStreaming2EndToEnd(t *testing.T) {
	const packets = 8000
	_, got := playMode(t, modesConfig(5, 0.1), 3, packets)
	if share := float64(len(got)) / packets; share < 0.999 {
		t.Errorf("%.5f of the packets arrived", share)
	} else {
		t.Logf("%.5f of the packets arrived", share)
	}
}

// TestFirstPacket: the first packet of a new flow, of any mode, leaves at once: it
// arrives after the one-way delay, and no round trip was made for it (C-6). So
// does each of a burst of new flows that finds no channel ready.
func TestFirstPacket(t *testing.T) {
	cfg := modesConfig(3, 0)
	for i := range cfg.Links {
		cfg.Links[i].Jitter = 0
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var delays []time.Duration
	var sent time.Duration
	n.Host(1).Received = func([]byte) { delays = append(delays, n.Elapsed()-sent) }
	n.Run(2*time.Second, nil)
	flows := 0
	for round := range 40 {
		n.Run(n.Elapsed()+time.Duration(round%3)*300*time.Millisecond+50*time.Millisecond, nil)
		sent = n.Elapsed()
		for range 1 + 20*(round%2) {
			flows++
			n.Write(0, udpUnit(uint16(2000+flows), uint16(1000+round%8), 0, 200))
		}
	}
	n.Run(n.Elapsed()+time.Second, nil)
	if len(delays) != flows {
		t.Fatalf("%d packets of %d arrived", len(delays), flows)
	}
	for i, d := range delays {
		if d > modesDelay+10*time.Millisecond { // 21 packets take 5 ms to send
			t.Errorf("packet %d arrived after %v: %.1f round trips", i, d, float64(d-modesDelay)/float64(modesRTT))
		}
	}
}

// TestManyFlows: a thousand flows share at most 256 channels of a mode beside the
// ready ones, and those of flows that stopped close (C-6).
func TestManyFlows(t *testing.T) {
	cfg := modesConfig(4, 0.02)
	cfg.Rules = nil
	cfg.Keepalive = time.Second
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, sent := 0, 0
	n.Host(1).Received = func([]byte) { got++ }
	n.Run(2*time.Second, nil)
	most := 0
	for i := range 4000 {
		n.Run(2*time.Second+time.Duration(i)*5*time.Millisecond, nil)
		n.Write(0, udpUnit(uint16(3000+i%1000), 9, 0, 900))
		sent++
		most = max(most, n.Status(0).Channels)
	}
	n.Run(n.Elapsed()+time.Second, nil)
	if got < sent*999/1000 {
		t.Errorf("%d packets of %d arrived", got, sent)
	}
	if most < 100 || most > 256+64 {
		t.Errorf("%d channels at most", most)
	}
	n.Run(n.Elapsed()+3*time.Minute, nil)
	if left := n.Status(0).Channels; left > 64 {
		t.Errorf("%d channels are left of %d", left, most)
	}
	t.Logf("%d channels at most, %d left", most, n.Status(0).Channels)
}

// tcpUnit is a packet of a TCP flow as Linux sends it, with right lengths and
// header checksum, so that its headers are compressed.
func tcpUnit(port uint16, seq uint32, id uint16, size int) []byte {
	u := make([]byte, 1+size)
	p := u[1:]
	p[0], p[1], p[8], p[9] = 0x45, canMark, 64, protoTCP
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	binary.BigEndian.PutUint16(p[4:], id)
	copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	var sum uint32
	for i := 0; i < ipv4Len; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[ipv4Len:], port)
	binary.BigEndian.PutUint16(p[ipv4Len+2:], 443)
	binary.BigEndian.PutUint32(p[ipv4Len+4:], seq)
	p[ipv4Len+12], p[ipv4Len+13] = 5<<4, 0x10
	for i := headLen; i < size; i++ {
		p[i] = byte(seq) ^ byte(i) ^ byte(port)
	}
	return u
}

// TestFlowsInChannels: many TCP flows, each in a channel of its own or sharing,
// with compressed headers, arrive bit for bit and in order over a bad path, also
// where channels go idle and come back.
func TestFlowsInChannels(t *testing.T) {
	cfg := modesConfig(9, 0.2)
	cfg.Rules = nil
	cfg.Keepalive = time.Second
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const flows = 40
	var next, sent [flows]uint32
	n.Host(1).Received = func(unit []byte) {
		p := unit[1:]
		i := int(binary.BigEndian.Uint16(p[ipv4Len:])) - 5000
		seq := binary.BigEndian.Uint32(p[ipv4Len+4:])
		if seq != next[i] {
			t.Fatalf("flow %d: sequence %d, want %d", i, seq, next[i])
		}
		want := tcpUnit(uint16(5000+i), seq, uint16(seq/1000), len(p))
		if p[1] != canMark { // marked on its way
			want[2] = p[1]
			copy(want[11:13], p[10:12])
		}
		if string(want) != string(unit) {
			t.Fatalf("flow %d: packet at %d is damaged", i, seq)
		}
		next[i] += uint32(len(p) - headLen)
	}
	for phase := range 3 {
		n.Run(n.Elapsed()+2*time.Second, nil)
		for k := range 3000 {
			i := (k*k + k/7) % flows
			if n.Write(0, tcpUnit(uint16(5000+i), sent[i], uint16(sent[i]/1000), headLen+1000)) {
				sent[i] += 1000
			}
			n.Run(n.Elapsed()+time.Millisecond, nil)
		}
		if phase == 1 {
			n.Run(n.Elapsed()+2*time.Minute, nil) // all go idle
		}
	}
	n.Run(n.Elapsed()+10*time.Second, nil)
	if st := n.Status(0); next != sent && st.QueueEvicted == 0 {
		t.Errorf("arrived %v\nof      %v\n%+v", next, sent, st)
	}
}
