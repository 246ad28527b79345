package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/totg/totg/tunnel/flow"
)

func TestParsePacket(t *testing.T) { // C-7
	v4, v6 := netip.MustParseAddr, netip.MustParseAddr
	for text, want := range map[string]flow.Packet{
		"udp 10.0.0.1:5000 > 10.0.0.2:3074 dscp 46": {
			Proto: 17, Src: v4("10.0.0.1"), SrcPort: 5000, Dst: v4("10.0.0.2"), DstPort: 3074, DSCP: 46, Size: fullSize, Class: flow.Message,
		},
		"UDP [fd77::1]:1 > [fd77::2]:2 size 100": {
			Proto: 17, Src: v6("fd77::1"), SrcPort: 1, Dst: v6("fd77::2"), DstPort: 2, Size: 100, Class: flow.Interactive,
		},
		"6 10.0.0.1:1 > 10.0.0.2:2":              {Proto: 6, Src: v4("10.0.0.1"), SrcPort: 1, Dst: v4("10.0.0.2"), DstPort: 2, Size: fullSize, Class: flow.Stream},
		"icmp 10.0.0.1 > 10.0.0.2 size 1400":     {Proto: 1, Src: v4("10.0.0.1"), Dst: v4("10.0.0.2"), Size: 1400, Class: flow.Interactive},
		"47 10.0.0.1 > 10.0.0.2 dscp 0 size 100": {Proto: 47, Src: v4("10.0.0.1"), Dst: v4("10.0.0.2"), Size: 100, Class: flow.Message},
	} {
		if got, err := ParsePacket(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "udp", "udp 10.0.0.1:1 10.0.0.2:2", "tdp 10.0.0.1:1 > 10.0.0.2:2", "256 10.0.0.1 > 10.0.0.2", "udp 10.0.0.1 > 10.0.0.2:2",
		"udp 10.0.0.1:1 > 10.0.0.2", "icmp 10.0.0.1:1 > 10.0.0.2", "icmp fe80::1%eth0 > fe80::2", "icmp 10.0.0.1 > fd77::1", "icmp 10.0.0.1 > 10.0.0.2 dscp",
		"icmp 10.0.0.1 > 10.0.0.2 dscp 64", "icmp 10.0.0.1 > 10.0.0.2 size 0", "icmp 10.0.0.1 > 10.0.0.2 size 65536", "icmp 10.0.0.1 > 10.0.0.2 ttl 3",
		strings.Repeat("x ", 4000),
	} {
		if got, err := ParsePacket(text); err == nil || !strings.Contains(err.Error(), "write it as") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestPeerOf(t *testing.T) { // T-1
	peers := []Peer{
		{Name: "all", AllowedIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		{Name: "net", AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.1.0/24")}},
		{Name: "host", AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
	}
	c := Config{Interface: Interface{Mode: ModeTUN}, Peers: peers}
	for a, want := range map[string]string{"10.2.0.1": "net", "10.1.2.3": "host", "10.1.1.1": "net", "192.0.2.1": "all"} {
		if p := c.PeerOf(netip.MustParseAddr(a)); p == nil || p.Name != want {
			t.Errorf("%s goes to %+v, want %s", a, p, want)
		}
	}
	if p := c.PeerOf(netip.MustParseAddr("fd77::1")); p != nil {
		t.Errorf("fd77::1 goes to %s", p.Name)
	}
	c.Interface.Mode = ModeTAP
	if p := c.PeerOf(netip.Addr{}); p == nil || p.Name != "all" {
		t.Error("TAP has no peer")
	}
}

// FuzzPacket: a command line may hold anything. It is a packet or one clear line.
func FuzzPacket(f *testing.F) {
	f.Add("udp 10.0.0.1:5000 > 10.0.0.2:3074 dscp 46 size 100")
	f.Add("icmpv6 fd77::1 > fd77::2")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePacket(s)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1024 {
				t.Errorf("no short line: %q", err)
			}
			return
		}
		if !p.Src.IsValid() || !p.Dst.IsValid() || p.Size <= 0 || p.DSCP > 63 {
			t.Errorf("%q: %+v", s, p)
		}
	})
}
