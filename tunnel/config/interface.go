package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/totg/totg/handshake"
)

// interfaceName is stricter than the kernel (which takes all but slash, colon, space and a few names): no surprises in
// shells, in sysctl paths and in the name of the control socket; no "%d", which the kernel would replace.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func (d *decoder) decodeInterface(cfg *Interface) {
	v, ok := d.doc.values[tableInterface]
	if !ok {
		d.mistake(0, tableInterface, "the table is missing", "start with [interface]")
		return
	}
	s, ok := d.section(tableInterface, tableInterface, "[interface]", v)
	if !ok {
		return
	}
	d.unknown(s.path, s.shown, s.values, interfaceKeys())
	cfg.Name = s.interfaceName()
	cfg.Mode = s.mode()
	s.privateKey(&cfg.PrivateKey)
	cfg.Addresses = s.addresses(cfg.Mode)
	cfg.Listen = s.listen()
	cfg.MTU = s.mtu(cfg)
	cfg.Rate = s.rateMode()
	cfg.Bandwidth = s.bandwidth(cfg.Rate)
	cfg.Redundancy = s.redundancy()
	cfg.ARQ = s.arq()
	cfg.Routes = s.routeMode(cfg.Mode)
	cfg.Rekey = s.rekey()
}

// ValidInterfaceName says whether a name can be an interface's, and so a control socket's.
func ValidInterfaceName(name string) bool {
	return len(name) <= maxNameLen && interfaceName.MatchString(name) && name != "all" && name != "default" && name != "lo"
}

func (s section) interfaceName() string {
	name, ok := s.text("name", `"totg0"`)
	if !ok {
		return DefaultName
	}
	switch {
	case name == "":
		s.wrong("name", "is empty", `write a name such as "totg0", or leave the key out`)
	case len(name) > maxNameLen:
		s.wrong("name", fmt.Sprintf("%s has %d characters", quote(name), len(name)),
			fmt.Sprintf("an interface's name has at most %d", maxNameLen))
	case !interfaceName.MatchString(name):
		s.wrong("name", quote(name)+" cannot be an interface's name",
			"use letters, digits, '_', '-' and '.', and start with a letter or a digit")
	case !ValidInterfaceName(name):
		s.wrong("name", quote(name)+" is reserved by the kernel", `choose another, such as "totg0"`)
	}
	return name
}

func (s section) mode() Mode {
	text, ok := s.text("mode", `"tun"`)
	if !ok {
		return ModeTUN
	}
	switch m := Mode(text); m {
	case ModeTUN, ModeTAP:
		return m
	}
	s.wrong("mode", quote(text)+" is no mode", `write "tun" (IP packets) or "tap" (Ethernet frames, one peer)`)
	return ModeTUN
}

func (s section) routeMode(mode Mode) RouteMode {
	const key = "routes"
	text, ok := s.text(key, `"always"`)
	if !ok {
		return RoutesAlways
	}
	switch m := RouteMode(text); {
	case mode == ModeTAP:
		s.wrong(key, "has no meaning in TAP mode, where there are no routes", "remove it")
	case m == RoutesAlways, m == RoutesCommitted:
		return m
	default:
		s.wrong(key, quote(text)+" is no such mode", `write "always" or "committed"`)
	}
	return RoutesAlways
}

// rekey is how long session keys are used (H-7).
func (s section) rekey() time.Duration {
	const key = "rekey"
	text, ok := s.text(key, `"2m"`)
	if !ok {
		return DefaultRekey
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		s.wrong(key, quote(text)+" is no duration", `write a number and a unit, such as "2m"`)
	case d < MinRekey || d > MaxRekey:
		s.wrong(key, quote(text)+" is out of range", fmt.Sprintf(`write a time from "%v" to "%v"`, MinRekey, shortDuration(MaxRekey)))
	default:
		return d
	}
	return DefaultRekey
}

func (s section) rateMode() RateMode {
	text, ok := s.text("rate", `"fair"`)
	if !ok {
		return RateFair
	}
	switch m := RateMode(text); m {
	case RateFair, RateScavenger, RateFixed:
		return m
	}
	s.wrong("rate", quote(text)+" is no rate mode", `write "fair", "scavenger" or "fixed" (the speed itself goes into bandwidth)`)
	return RateFair
}

func (s section) bandwidth(mode RateMode) Rate {
	const key = "bandwidth"
	if !s.has(key) {
		if mode == RateFixed {
			s.wrong(key, `is missing, and rate is "fixed"`, `write how fast this host can send, bandwidth = "50Mbit", or rate = "fair"`)
		}
		return 0
	}
	text, ok := s.text(key, `"50Mbit"`)
	if !ok {
		return 0
	}
	rate, err := ParseRate(text)
	if err != nil {
		problem, remedy, _ := strings.Cut(err.Error(), ": ")
		s.wrong(key, problem, remedy)
		return 0
	}
	if rate < MinBandwidth || rate > MaxBandwidth {
		s.wrong(key, quote(text)+" is out of range", fmt.Sprintf("write a rate from %v to %v", MinBandwidth, MaxBandwidth))
	}
	return rate
}

func (s section) addresses(mode Mode) []netip.Prefix {
	const key = "addresses"
	if !s.has(key) {
		if mode == ModeTUN {
			s.wrong(key, "is missing", `write the tunnel addresses of this host: addresses = ["10.77.0.1/24"]`)
		}
		return nil
	}
	items, ok := s.texts(key, `"10.77.0.1/24"`)
	if given, isList := s.values[key].([]any); ok && isList && len(given) == 0 && mode == ModeTUN {
		s.wrong(key, "is empty", `write the tunnel addresses of this host: addresses = ["10.77.0.1/24"]`)
	}
	if len(items) > MaxAddresses {
		s.wrong(key, fmt.Sprintf("holds %d addresses", len(items)), fmt.Sprintf("at most %d are possible", MaxAddresses))
		return nil
	}
	list := make([]netip.Prefix, 0, len(items))
	first := map[netip.Addr]int{}
	for _, it := range items {
		p, ok := s.prefix(key, it)
		if !ok {
			continue
		}
		addr := p.Addr()
		if addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
			s.wrongAt(it.line, key, quote(it.text)+" cannot be a host's address", `write one such as "10.77.0.1/24"`)
			continue
		}
		if p.Bits() < addr.BitLen()-1 && p.Masked().Addr() == addr {
			s.wrongAt(it.line, key, quote(it.text)+" is the network's own address",
				fmt.Sprintf("write the host's, such as \"%v/%d\"", addr.Next(), p.Bits()))
			continue
		}
		if line, twice := first[addr]; twice {
			s.wrongAt(it.line, key, fmt.Sprintf("%s is in the list already, at line %d", quote(it.text), line), "remove one")
			continue
		}
		first[addr] = it.line
		list = append(list, p)
	}
	return list
}

// prefix reads an address with its prefix length.
func (s section) prefix(key string, it item) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(it.text)
	switch {
	case err == nil && p.Addr().Is4In6():
		s.wrongAt(it.line, key, quote(it.text)+" is an IPv4 address in IPv6 form", "write it in IPv4 form")
		return netip.Prefix{}, false
	case err == nil:
		return p, true
	}
	if addr, err := netip.ParseAddr(it.text); err == nil && addr.Zone() == "" {
		example := fmt.Sprintf("%v/%d", addr, addr.BitLen())
		if key == "addresses" && addr.Is4() {
			example = fmt.Sprintf("%v/24", addr)
		} else if key == "addresses" {
			example = fmt.Sprintf("%v/64", addr)
		}
		s.wrongAt(it.line, key, quote(it.text)+" has no prefix length", fmt.Sprintf("write %q", example))
		return netip.Prefix{}, false
	}
	s.wrongAt(it.line, key, quote(it.text)+" is no address with a prefix length",
		`write one such as "10.77.0.1/24" or "fd77::1/64"`)
	return netip.Prefix{}, false
}

func (s section) listen() netip.AddrPort {
	const key = "listen"
	standard := netip.AddrPortFrom(netip.IPv6Unspecified(), DefaultPort)
	text, ok := s.text(key, `"0.0.0.0:4430"`)
	if !ok {
		return standard
	}
	full := text
	if strings.HasPrefix(text, ":") { // ":4430": every address, as in Go and many other programs
		full = "[::]" + text
	}
	addr, err := netip.ParseAddrPort(full)
	if err != nil {
		remedy := `write an IP address and a port, such as "0.0.0.0:4430" or "[::]:4430"`
		if a, err := netip.ParseAddr(text); err == nil {
			remedy = fmt.Sprintf("add the port: %q", netip.AddrPortFrom(a, DefaultPort))
		}
		s.wrong(key, quote(text)+" is no address with a port", remedy)
		return standard
	}
	if addr.Addr().IsMulticast() {
		s.wrong(key, quote(text)+" is a multicast address", `write an address of this host, or "[::]:4430" for all`)
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

func (s section) mtu(cfg *Interface) int {
	const key = "mtu"
	v, ok := s.values[key]
	if !ok {
		return DefaultMTU
	}
	n, ok := v.(int64)
	if !ok {
		s.wrong(key, "is "+describe(v), "write a whole number of bytes: mtu = 1500")
		return DefaultMTU
	}
	low, high, why := MinMTU, MaxMTU, ""
	if cfg.Mode == ModeTAP {
		high, why = MaxMTUTAP, " in TAP mode"
	}
	for _, p := range cfg.Addresses {
		if p.Addr().Is6() {
			low, why = MinMTU6, why+" with IPv6 addresses"
			break
		}
	}
	if n < int64(low) || n > int64(high) {
		s.wrong(key, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write a number from %d to %d%s", low, high, why))
		return DefaultMTU
	}
	return int(n)
}

func (s section) privateKey(key *handshake.PrivateKey) {
	text, at, ok := s.secret("private_key")
	if !ok {
		if !s.has("private_key") && !s.has("private_key_file") {
			s.wrong("private_key_file", "is missing", `make a key with "totg keygen -o totg.key" and write private_key_file = "totg.key"`)
		}
		return
	}
	k, err := handshake.ParsePrivateKey(text)
	if err != nil {
		s.wrong(at, "holds no private key", `make one with "totg keygen": 32 bytes in base64, 44 characters`)
		return
	}
	*key = k
}
