package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func prefixes(s ...string) (list []netip.Prefix) {
	for _, p := range s {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// udp is a packet from 10.0.0.1:5000 to 10.0.0.2:3074.
func udp(edit func(p *Packet)) *Packet {
	p := &Packet{
		Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"),
		SrcPort: 5000, DstPort: 3074, Proto: protoUDP, Class: Message, Size: 900,
	}
	if edit != nil {
		edit(p)
	}
	return p
}

// TestRuleMatches: every condition by itself, and that an empty one holds. // C-7
func TestRuleMatches(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		p    *Packet
		want bool
	}{
		"nothing asked":           {Rule{}, udp(nil), true},
		"nothing asked, no IP":    {Rule{}, &Packet{}, true},
		"protocol":                {Rule{Protocols: []uint8{1, 17}}, udp(nil), true},
		"another protocol":        {Rule{Protocols: []uint8{6}}, udp(nil), false},
		"protocol 0, no IP":       {Rule{Protocols: []uint8{0}}, &Packet{}, false},
		"DSCP 0, no IP":           {Rule{DSCP: []uint8{0}}, &Packet{}, false},
		"DSCP":                    {Rule{DSCP: []uint8{46}}, udp(func(p *Packet) { p.DSCP = 46 }), true},
		"another DSCP":            {Rule{DSCP: []uint8{46}}, udp(nil), false},
		"from":                    {Rule{From: prefixes("fd00::/8", "10.0.0.0/31")}, udp(nil), true},
		"from elsewhere":          {Rule{From: prefixes("10.0.0.2/32")}, udp(nil), false},
		"to":                      {Rule{To: prefixes("10.0.0.2/32")}, udp(nil), true},
		"to elsewhere":            {Rule{To: prefixes("10.0.0.1/32")}, udp(nil), false},
		"to anywhere, no IP":      {Rule{To: prefixes("0.0.0.0/0", "::/0")}, &Packet{}, false},
		"source port":             {Rule{Ports: []PortRange{{4999, 5000}}}, udp(nil), true},
		"destination port":        {Rule{Ports: []PortRange{{1, 2}, {3074, 3080}}}, udp(nil), true},
		"another port":            {Rule{Ports: []PortRange{{5001, 5002}}}, udp(nil), false},
		"all ports, but has none": {Rule{Ports: []PortRange{{0, 65535}}}, udp(func(p *Packet) { p.SrcPort, p.DstPort = 0, 0 }), false},
		"one condition fails":     {Rule{Protocols: []uint8{17}, DSCP: []uint8{46}}, udp(nil), false},
	} {
		if got := c.rule.Matches(c.p); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestTreatments: what rules and defaults make of packets, and that the first
// match wins. // C-7
func TestTreatments(t *testing.T) {
	const sec = time.Second
	small := func(p *Packet) { p.Class, p.Size = Interactive, 100 }
	expedited := func(p *Packet) { p.DSCP = 46 }
	tcp := func(class Class) func(p *Packet) { return func(p *Packet) { p.Proto, p.Class = protoTCP, class } }
	rules := func(r ...Rule) []Rule { return r }
	for name, c := range map[string]struct {
		rules []Rule
		p     *Packet
		want  Treatment
		why   Reason
		rule  int
	}{
		"UDP":                  {nil, udp(nil), Treatment{Class: Message, Mode: ModeZ, Deadline: 0}, ByProtocol, -1},
		"small UDP":            {nil, udp(small), Treatment{Class: Interactive, Mode: ModeZ, Deadline: 0}, ByProtocol, -1},
		"TCP":                  {nil, udp(tcp(Stream)), Treatment{Class: Stream, Mode: ModeTCP, Deadline: 0}, ByProtocol, -1},
		"acknowledgement":      {nil, udp(tcp(Interactive)), Treatment{Class: Interactive, Mode: ModeZ, Deadline: 0}, ByProtocol, -1},
		"EF":                   {nil, udp(expedited), Treatment{Class: Interactive, Mode: ModeStreaming2, Deadline: 0}, ByDSCP, -1},
		"TCP with EF":          {nil, udp(func(p *Packet) { tcp(Stream)(p); expedited(p) }), Treatment{Class: Stream, Mode: ModeTCP, Deadline: 0}, ByProtocol, -1},
		"ping with EF":         {nil, udp(func(p *Packet) { p.Proto, p.Class = protoICMP, Interactive; expedited(p) }), Treatment{Class: Interactive, Mode: ModeZ, Deadline: 0}, ByProtocol, -1},
		"first match wins":     {rules(Rule{DSCP: []uint8{1}, Mode: 0}, Rule{Mode: ModeZ, Deadline: sec}, Rule{Mode: ModeTCP}), udp(nil), Treatment{Class: Message, Mode: ModeZ, Deadline: sec}, ByRule, 1},
		"before the default":   {rules(Rule{Mode: Ordered}), udp(expedited), Treatment{Class: Once, Mode: Ordered, Deadline: 0}, ByRule, 0},
		"sent once":            {rules(Rule{Mode: 0, Deadline: sec}), udp(small), Treatment{Class: Once, Mode: 0, Deadline: sec}, ByRule, 0},
		"X":                    {rules(Rule{Mode: CloseOnLoss}), udp(nil), Treatment{Class: Once, Mode: CloseOnLoss, Deadline: 0}, ByRule, 0},
		"SCTP":                 {rules(Rule{Mode: CloseOnLoss | Resend}), udp(small), Treatment{Class: Stream, Mode: CloseOnLoss | Resend, Deadline: 0}, ByRule, 0},
		"UDP in mode TCP":      {rules(Rule{Mode: ModeTCP}), udp(small), Treatment{Class: Stream, Mode: ModeTCP, Deadline: 0}, ByRule, 0},
		"ACK in mode TCP":      {rules(Rule{Mode: ModeTCP}), udp(tcp(Interactive)), Treatment{Class: Interactive, Mode: ModeZ, Deadline: 0}, ByRule, 0},
		"TCP in Streaming 2":   {rules(Rule{Mode: ModeStreaming2}), udp(tcp(Stream)), Treatment{Class: Message, Mode: ModeStreaming2, Deadline: 0}, ByRule, 0},
		"small in Streaming 2": {rules(Rule{Mode: ModeStreaming2}), udp(small), Treatment{Class: Interactive, Mode: ModeStreaming2, Deadline: 0}, ByRule, 0},
		"normal":               {rules(Rule{Mode: ModeStreaming2, Priority: PriorityNormal}), udp(small), Treatment{Class: Message, Mode: ModeStreaming2, Deadline: 0}, ByRule, 0},
		"interactive":          {rules(Rule{Mode: ModeZ, Priority: PriorityInteractive}), udp(nil), Treatment{Class: Interactive, Mode: ModeZ, Deadline: 0}, ByRule, 0},
		"a frame without IP":   {nil, &Packet{Class: Message}, Treatment{Class: Message, Mode: ModeZ, Deadline: 0}, ByProtocol, -1},
	} {
		got, why, rule := Explain(c.rules, c.p)
		if got != c.want || why != c.why || rule != c.rule {
			t.Errorf("%s: %+v by %v, rule %d", name, got, why, rule)
		}
		if got := NewClassifier(c.rules, 1).Classify(at(0), c.p); got != c.want {
			t.Errorf("%s: classified as %+v", name, got)
		}
	}
}

// TestRhythm: small packets at steady intervals are a stream, others are not, and
// a pause or a late packet is no end. // C-7
func TestRhythm(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	exp := func(mean time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
	}
	for name, c := range map[string]struct {
		gap    func(i int) time.Duration
		size   Class
		proto  uint8
		stream bool
	}{
		"voice":             {func(int) time.Duration { return 20 * ms }, Interactive, protoUDP, true},
		"with jitter":       {func(i int) time.Duration { return 20*ms + time.Duration(i%5-2)*2*ms }, Interactive, protoUDP, true},
		"a game":            {func(int) time.Duration { return 16 * ms }, Interactive, protoUDP, true},
		"one late packet":   {func(i int) time.Duration { return 20*ms + time.Duration(max(0, 2-i%40))*15*ms }, Interactive, protoUDP, true},
		"large packets":     {func(int) time.Duration { return 20 * ms }, Message, protoUDP, false},
		"requests":          {func(int) time.Duration { return 100 * ms }, Interactive, protoUDP, false},
		"a flood":           {func(int) time.Duration { return ms }, Interactive, protoUDP, false},
		"at random":         {exp(20 * ms), Interactive, protoUDP, false},
		"in pairs":          {func(i int) time.Duration { return time.Duration(i%2) * 40 * ms }, Interactive, protoUDP, false},
		"ping -i 0.02":      {func(int) time.Duration { return 20 * ms }, Interactive, protoICMP, false},
		"acknowledgements":  {func(int) time.Duration { return 20 * ms }, Interactive, protoTCP, false},
		"begins ever again": {func(i int) time.Duration { return 20*ms + time.Duration(1-min(i%10, 1))*2*time.Second }, Interactive, protoUDP, false},
	} {
		cl := NewClassifier(nil, 5)
		now, streams := at(0), 0
		for i := range 200 {
			now = now.Add(c.gap(i))
			got := cl.Classify(now, udp(func(p *Packet) { p.Class, p.Proto = c.size, c.proto }))
			if got.Mode == ModeStreaming2 {
				streams++
			}
			if i < steadyPackets && got.Mode == ModeStreaming2 {
				t.Errorf("%s: a stream after %d packets", name, i)
			}
		}
		if c.stream && streams < 150 || !c.stream && streams > 10 {
			t.Errorf("%s: %d of 200 packets in a stream", name, streams)
		}
	}
}

// TestLone: a small segment of TCP after a pause is lone, one in a transfer and a
// full one are not. // C-7
func TestLone(t *testing.T) {
	segment := func(size int) *Packet {
		return udp(func(p *Packet) { p.Proto, p.Class, p.Size = protoTCP, Stream, size })
	}
	cl, now := NewClassifier(nil, 5), at(0)
	for i, c := range []struct {
		pause time.Duration
		size  int
		want  bool
	}{
		{0, 60, true}, // the connection's first
		{100 * ms, 90, true},
		{ms, 90, false},
		{100 * ms, 1500, false},
		{lonePause, 300, false},
		{lonePause + ms, 300, true},
		{100 * ms, 301, false},
	} {
		now = now.Add(c.pause)
		if got := cl.Classify(now, segment(c.size)); got.Lone != c.want || got.Class != Stream {
			t.Errorf("segment %d of %d bytes after %v: %+v, want lone %v", i, c.size, c.pause, got, c.want)
		}
	}
	// Two connections in one place of the table take it from each other.
	other := segment(90)
	for other.SrcPort = 1; flowHash(5, other)%numFlows != flowHash(5, segment(90))%numFlows; other.SrcPort++ {
	}
	cl.Classify(now, other)
	for range 4 {
		now = now.Add(100 * ms)
		for _, p := range []*Packet{segment(90), other} {
			if got := cl.Classify(now, p); got.Lone {
				t.Error("one of two in one place is lone")
			}
		}
	}
}
