package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/totg/totg/tunnel/flow"
)

// loadRules loads base with rules behind it; the first line of rules is 12.
func loadRules(t *testing.T, rules string) (*Config, error) {
	t.Helper()
	own, b := newPair(t), newPair(t)
	folder(t, strings.ReplaceAll(base, "B_KEY", b.public)+"\n"+rules, own)
	return Load("totg.toml")
}

func TestRules(t *testing.T) { // C-7
	cfg, err := loadRules(t, `[[peer.rule]]
protocol = ["udp", "6"]
from = ["10.77.0.9/24"]
to = ["fd77::/64", "0.0.0.0/0"]
ports = ["3074", "5000-5010"]
dscp = ["EF", "af11", "cs5", "3"]
mode = "Streaming2"
deadline = "80ms"
priority = "normal"

[[peer.rule]]
mode = "x"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []flow.Rule{
		{
			Protocols: []uint8{17, 6}, From: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")},
			To:    []netip.Prefix{netip.MustParsePrefix("fd77::/64"), netip.MustParsePrefix("0.0.0.0/0")},
			Ports: []flow.PortRange{{First: 3074, Last: 3074}, {First: 5000, Last: 5010}}, DSCP: []uint8{46, 10, 40, 3},
			Mode: flow.ModeStreaming2, Deadline: 80 * time.Millisecond, Priority: flow.PriorityNormal, Line: 12,
		},
		{Mode: flow.CloseOnLoss, Line: 22},
	}
	if diff := cmp.Diff(want, cfg.Peers[0].Rules, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	for i, name := range modeNames() {
		cfg, err := loadRules(t, "[[peer.rule]]\nmode = \""+name+"\"\n")
		if err != nil || cfg.Peers[0].Rules[0].Mode != uint8(i) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every mistake in a rule names file, line and key, and what would be right.
func TestRuleMistakes(t *testing.T) {
	const z = "\nmode = \"z\"\n"
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"1", `, n), ", ") }
	for name, c := range map[string]struct{ rule, want string }{
		"no mode":         {"[[peer.rule]]\nports = [\"1\"]", `:12: peer.rule.mode: is missing; write one of udp, z, streaming1, streaming2, x, sctp, y, tcp`},
		"unknown mode":    {"[[peer.rule]]\nmode = \"zz\"", `:13: peer.rule.mode: "zz" is no mode; write one of udp, z, streaming1, streaming2, x, sctp, y, tcp`},
		"mode, number":    {"[[peer.rule]]\nmode = 3", `:13: peer.rule.mode: is a number; write a string: mode = "z"`},
		"unknown key":     {"[[peer.rule]]\nport = [\"1\"]" + z, `:13: peer.rule.port: unknown key; did you mean "ports"?`},
		"protocol":        {"[[peer.rule]]\nprotocol = [\"udp\", \"256\"]" + z, `:13: peer.rule.protocol: "256" is no protocol that is known; write a number in quotes from 0 to 255, or dccp, esp, gre, icmp, icmpv6, sctp, tcp, udp, udplite`},
		"protocol, text":  {"[[peer.rule]]\nprotocol = \"udp\"" + z, `:13: peer.rule.protocol: is a string; write a list of strings: protocol = ["udp"]`},
		"empty list":      {"[[peer.rule]]\nports = []" + z, `:13: peer.rule.ports: is empty; leave it out where all are meant`},
		"port 0":          {"[[peer.rule]]\nports = [\"0\"]" + z, `:13: peer.rule.ports: "0" is no port or range of ports; write such as "443" or "5000-5010"`},
		"ports backwards": {"[[peer.rule]]\nports = [\n\"1\",\n\"9-8\"]" + z, `:15: peer.rule.ports: "9-8" is no port or range of ports; write such as "443" or "5000-5010"`},
		"ports of ICMP":   {"[[peer.rule]]\nprotocol = [\"icmp\", \"tcp\"]\nports = [\"1\"]" + z, `:14: peer.rule.ports: cannot be met by all of the rule's protocols; ports belong to tcp, udp, dccp, sctp and udplite`},
		"prefix":          {"[[peer.rule]]\nto = [\"10.0.0.1\"]" + z, `:13: peer.rule.to: "10.0.0.1" has no prefix length; write "10.0.0.1/32"`},
		"deadline":        {"[[peer.rule]]\ndeadline = \"2h\"" + z, `:13: peer.rule.deadline: "2h" is out of range; write a time from "1ms" to "1m"`},
		"deadline, words": {"[[peer.rule]]\ndeadline = \"soon\"" + z, `:13: peer.rule.deadline: "soon" is no duration; write a number and a unit, such as "100ms" or "2s"`},
		"deadline, TCP":   {"[[peer.rule]]\ndeadline = \"1s\"\nmode = \"tcp\"", `:13: peer.rule.deadline: has no meaning in mode "tcp", which loses nothing; remove it, or choose another mode`},
		"priority":        {"[[peer.rule]]\npriority = \"high\"" + z, `:13: peer.rule.priority: "high" is no priority; write "interactive" or "normal"`},
		"priority, SCTP":  {"[[peer.rule]]\npriority = \"normal\"\nmode = \"sctp\"", `:13: peer.rule.priority: has a meaning in modes z and streaming2 alone; remove it, or choose another mode`},
		"one bracket":     {"[peer.rule]" + z, `:12: peer.rule: is a table; write each rule as a table: [[peer.rule]]`},
		"no table":        {"rule = [1]", `:12: peer.rule: is a number; write it as a table: [[peer.rule]]`},
		"too many items":  {"[[peer.rule]]\nports = [" + many(65) + "]" + z, `:13: peer.rule.ports: holds 65 elements; at most 64 are possible`},
		"too many rules":  {strings.Repeat("[[peer.rule]]\nmode = \"z\"\n", 65), fmt.Sprintf(`:%d: peer.rule: there are 65 rules; at most 64 are possible for a peer`, 12+2*64)},
	} {
		_, err := loadRules(t, c.rule)
		if err == nil || err.Error() != "totg.toml"+c.want {
			t.Errorf("%s: got:\n%v\nwant:\ntotg.toml%s", name, err, c.want)
		}
	}
	if _, err := loadRules(t, "[[peer.rule]]\ndscp = [\"64\"]"+z); err == nil || !strings.HasPrefix(err.Error(), `totg.toml:13: peer.rule.dscp: "64" is no dscp that is known; write a number in quotes from 0 to 63, or af11, af12`) {
		t.Errorf("DSCP 64: %v", err)
	}
}
