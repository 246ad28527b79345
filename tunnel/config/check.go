package config

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/totg/totg/handshake"
)

// checkPeers looks for contradictions between the peers and between them and the interface. Values that were mistakes by
// themselves are zero here and take no part.
func (d *decoder) checkPeers(cfg *Config, sections []peerSection) {
	if cfg.Interface.Mode == ModeTAP && len(sections) > 1 {
		d.mistake(d.doc.line(sections[1].path), tablePeer, fmt.Sprintf("there are %d peers", len(sections)),
			`mode = "tap" connects exactly one`)
	}
	d.checkKeys(cfg, sections)
	d.checkNames(cfg, sections)
	d.checkAllowedIPs(cfg, sections)
	d.checkEndpoints(cfg, sections)
}

func (d *decoder) checkKeys(cfg *Config, sections []peerSection) {
	var own handshake.PublicKey
	if !cfg.Interface.PrivateKey.IsZero() {
		own = cfg.Interface.PrivateKey.Public()
	}
	lines := map[handshake.PublicKey]int{}
	for i, s := range sections {
		key := cfg.Peers[i].PublicKey
		if key.IsZero() {
			continue
		}
		if key == own {
			s.wrong("public_key", "is this host's own key", `write what "totg pubkey" prints on the other end`)
			continue
		}
		if line, twice := lines[key]; twice {
			s.wrong("public_key", "is the key of the peer at line "+strconv.Itoa(line)+" too", "each peer has a key of its own")
			continue
		}
		lines[key] = s.line("public_key")
	}
}

func (d *decoder) checkNames(cfg *Config, sections []peerSection) {
	lines := map[string]int{}
	for i, s := range sections {
		name := cfg.Peers[i].Name
		if !s.has("name") || name == "" {
			continue
		}
		if line, twice := lines[name]; twice {
			s.wrong("name", quote(name)+" is the name of the peer at line "+strconv.Itoa(line)+" too", "give each peer its own")
			continue
		}
		lines[name] = s.line("name")
	}
}

func (d *decoder) checkAllowedIPs(cfg *Config, sections []peerSection) {
	const key = "allowed_ips"
	own := map[netip.Addr]bool{}
	has6 := false
	for _, p := range cfg.Interface.Addresses {
		own[p.Addr()] = true
		has6 = has6 || p.Addr().Is6()
	}
	lines := map[netip.Prefix]int{}
	for i, s := range sections {
		for j, p := range cfg.Peers[i].AllowedIPs {
			line := s.allowedLines[j]
			if first, twice := lines[p]; twice {
				s.wrongAt(line, key, fmt.Sprintf("\"%v\" is given already, at line %d", p, first), "a prefix belongs to one peer")
				continue
			}
			lines[p] = line
			if p.IsSingleIP() && own[p.Addr()] {
				s.wrongAt(line, key, fmt.Sprintf("\"%v\" is this host's own address", p), "write the peer's")
			}
			if p.Addr().Is6() && !has6 && cfg.Interface.MTU < MinMTU6 {
				s.wrongAt(line, key, fmt.Sprintf("\"%v\" needs an mtu of at least %d", p, MinMTU6),
					fmt.Sprintf("interface.mtu is %d", cfg.Interface.MTU))
			}
		}
	}
}

// checkEndpoints refuses peers that can neither call nor be called, and addresses that the listening socket cannot reach.
func (d *decoder) checkEndpoints(cfg *Config, sections []peerSection) {
	listen := cfg.Interface.Listen
	if !listen.IsValid() {
		return
	}
	for i, s := range sections {
		endpoint := cfg.Peers[i].Endpoint
		if endpoint == "" {
			if listen.Port() == 0 && !s.has("endpoint") {
				s.wrong("endpoint", "is missing, and interface.listen has no fixed port that this peer could call",
					"give the peer an endpoint or interface.listen a port")
			}
			continue
		}
		to, err := netip.ParseAddrPort(endpoint)
		if err != nil {
			continue // a name
		}
		wide := listen.Addr() == netip.IPv6Unspecified() // the socket then takes both families
		if addr := to.Addr().Unmap(); !wide && addr.Is4() != listen.Addr().Is4() {
			s.wrong("endpoint", fmt.Sprintf("%s cannot be reached from interface.listen, \"%v\"", quote(endpoint), listen),
				`use addresses of one family, or listen = "[::]:`+strconv.Itoa(int(listen.Port()))+`"`)
		}
	}
}
