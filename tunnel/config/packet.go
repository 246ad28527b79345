package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/totg/totg/tunnel/flow"
)

// packetForm is how a packet is written.
const packetForm = `write it as "udp 10.0.0.1:5000 > 10.0.0.2:3074 dscp 46": protocol, source, ">", destination, and "dscp" or "size" with a number`

// fullSize is the size in bytes of a packet that names none.
const fullSize = 1000

// ParsePacket reads a packet as people write it, for questions about rules: a protocol by its name or number, source and
// destination, each an address with a port where the protocol has ports, then "dscp" and "size" if need be.
func ParsePacket(s string) (p flow.Packet, err error) {
	bad := func(text, problem string) (flow.Packet, error) {
		return flow.Packet{}, fmt.Errorf("%s %s; %s", quote(text), problem, packetForm)
	}
	if len(s) > maxPacketLen {
		return bad(s, "is too long for a packet")
	}
	words := strings.Fields(s)
	if len(words) < 4 || words[2] != ">" || len(words)%2 != 0 {
		return bad(s, "is no packet")
	}
	proto, known := protocols()[strings.ToLower(words[0])]
	if n, err := strconv.ParseUint(words[0], 10, 8); err == nil {
		proto, known = uint8(n), true
	}
	if !known {
		return bad(words[0], "is no protocol that is known")
	}
	p = flow.Packet{Proto: proto, Size: fullSize}
	var ok bool
	if p.Src, p.SrcPort, ok = parseEnd(words[1], proto); !ok {
		return bad(words[1], "is no "+endForm(proto))
	}
	if p.Dst, p.DstPort, ok = parseEnd(words[3], proto); !ok {
		return bad(words[3], "is no "+endForm(proto))
	}
	if p.Src.Is4() != p.Dst.Is4() {
		return bad(s, "mixes IPv4 and IPv6")
	}
	for i := 4; i < len(words); i += 2 {
		n, err := strconv.ParseUint(words[i+1], 10, 16)
		switch {
		case words[i] == "dscp" && err == nil && n <= 63:
			p.DSCP = uint8(n)
		case words[i] == "size" && err == nil && n > 0:
			p.Size = int(n)
		default:
			return bad(words[i]+" "+words[i+1], "is no DSCP from 0 to 63 and no size in bytes")
		}
	}
	p.Class = p.ClassOfSize()
	return p, nil
}

func endForm(proto uint8) string {
	if flow.HasPorts(proto) {
		return "address with a port"
	}
	return "address"
}

func parseEnd(s string, proto uint8) (netip.Addr, uint16, bool) {
	if flow.HasPorts(proto) {
		a, err := netip.ParseAddrPort(s)
		return a.Addr().Unmap(), a.Port(), err == nil
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), 0, err == nil && a.Zone() == ""
}

// PeerOf is the peer that packets to an address go to: the longest prefix decides (T-1). In TAP mode there is one.
func (c *Config) PeerOf(a netip.Addr) *Peer {
	if c.Interface.Mode == ModeTAP {
		return &c.Peers[0]
	}
	var best *Peer
	bits := -1
	for i := range c.Peers {
		for _, p := range c.Peers[i].AllowedIPs {
			if p.Contains(a) && p.Bits() > bits {
				best, bits = &c.Peers[i], p.Bits()
			}
		}
	}
	return best
}

// ModeName is what rules call a channel mode.
func ModeName(mode uint8) string { return modeNames()[mode] }
