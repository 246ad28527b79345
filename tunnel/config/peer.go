package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/tunnel/agreement"
)

// peerName keeps names readable in tables, logs and shells.
var peerName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]*$`)

// hostLabel is one part of a host name. Underscores are no part of the standard but of many real names.
var hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$`)

// peerSection is a [[peer]] table and what the checks between peers need of it.
type peerSection struct {
	section
	allowedLines []int // of each element of the peer's AllowedIPs
}

func (d *decoder) decodePeers(cfg *Config) {
	v, ok := d.doc.values[tablePeer]
	if !ok {
		d.mistake(0, tablePeer, "the table is missing", "add one [[peer]] for each other end")
		return
	}
	tables, ok := v.([]any)
	if !ok {
		remedy := "start each peer with [[peer]]"
		if _, single := v.(map[string]any); single {
			remedy = "write it with two brackets: [[peer]]"
		}
		d.mistake(d.doc.line(tablePeer), tablePeer, "is "+describe(v), remedy)
		return
	}
	if len(tables) > MaxPeers {
		d.mistake(d.doc.line(tablePeer+"/"+strconv.Itoa(MaxPeers)), tablePeer,
			fmt.Sprintf("there are %d peers", len(tables)), fmt.Sprintf("at most %d are possible", MaxPeers))
		return
	}
	if len(tables) == 0 {
		d.mistake(d.doc.line(tablePeer), tablePeer, "the list is empty", "add one [[peer]] for each other end")
		return
	}
	sections := make([]peerSection, len(tables))
	cfg.Peers = make([]Peer, len(tables))
	for i, t := range tables {
		s, ok := d.section(tablePeer+"/"+strconv.Itoa(i), tablePeer, "[[peer]]", t)
		if !ok {
			return
		}
		d.unknown(s.path, s.shown, s.values, append(peerKeys(), keyRule))
		sections[i] = peerSection{section: s, allowedLines: s.decodePeer(&cfg.Peers[i], cfg.Interface.Mode)}
	}
	d.checkPeers(cfg, sections)
}

func (s section) decodePeer(p *Peer, mode Mode) (allowedLines []int) {
	s.publicKey(&p.PublicKey)
	s.presharedKey(&p.PresharedKey)
	p.Name = s.peerName(p.PublicKey)
	p.Endpoint = s.endpoint()
	p.Keepalive = s.keepalive()
	p.Agree = s.agree()
	p.AllowedIPs, allowedLines = s.allowedIPs(mode)
	p.Rules = s.rules()
	return allowedLines
}

func (s section) publicKey(key *handshake.PublicKey) {
	if !s.has("public_key") {
		s.wrong("public_key", "is missing", `write what "totg pubkey" prints on the other end`)
		return
	}
	text, ok := s.text("public_key", `"…"`)
	if !ok {
		return
	}
	k, err := handshake.ParsePublicKey(text)
	if err != nil {
		// The text is not repeated: it may be a private key in the wrong place.
		s.wrong("public_key", "is no public key", `write what "totg pubkey" prints on the other end: 44 characters of base64`)
		return
	}
	*key = k
}

func (s section) presharedKey(key *handshake.PresharedKey) {
	text, at, ok := s.secret("preshared_key")
	if !ok {
		return
	}
	k, err := handshake.ParsePresharedKey(text)
	if err != nil {
		s.wrong(at, "holds no preshared key", `make one with "totg keygen --psk": 32 bytes in base64, 44 characters`)
		return
	}
	*key = k
}

func (s section) peerName(key handshake.PublicKey) string {
	name, ok := s.text("name", `"office"`)
	if !ok {
		return key.String()
	}
	if len(name) > maxPeerNameLen || !peerName.MatchString(name) {
		s.wrong("name", quote(name)+" cannot be a peer's name",
			fmt.Sprintf("use 1 to %d letters, digits, '_', '-', '.' and '@'", maxPeerNameLen))
	}
	return name
}

func (s section) keepalive() time.Duration {
	const key = "keepalive"
	text, ok := s.text(key, `"15s"`)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		s.wrong(key, quote(text)+" is no duration", `write a number and a unit, such as "15s" or "1m"`)
		return 0
	}
	if d != 0 && (d < MinKeepalive || d > MaxKeepalive) {
		s.wrong(key, quote(text)+" is out of range",
			fmt.Sprintf(`write a time from "%v" to "%v", or "0s" for none`, MinKeepalive, shortDuration(MaxKeepalive)))
	}
	return d
}

// agree is the patterns of names that the peer may propose to act on together.
func (s section) agree() (patterns []string) {
	const key, example = "agree", `"switch-*"`
	items, ok := s.texts(key, example)
	if !ok {
		return nil
	}
	if len(items) > agreement.MaxPatterns {
		s.wrong(key, fmt.Sprintf("holds %d patterns", len(items)), fmt.Sprintf("at most %d are possible", agreement.MaxPatterns))
		return nil
	}
	for _, it := range items {
		if !agreement.ValidPattern(it.text) {
			s.wrongAt(it.line, key, quote(it.text)+" is no pattern of names",
				fmt.Sprintf("use 1 to %d letters, digits, '_', '.', ':', '@', '+', '-', and '*' for any of them, such as %s", agreement.MaxName, example))
			continue
		}
		patterns = append(patterns, it.text)
	}
	return patterns
}

// shortDuration leaves out zero minutes and seconds: "1h".
func shortDuration(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

func (s section) allowedIPs(mode Mode) (list []netip.Prefix, lines []int) {
	const key, example = "allowed_ips", `"10.77.0.2/32"`
	if mode == ModeTAP {
		if s.has(key) {
			s.wrong(key, "has no meaning in TAP mode, where Ethernet frames are not filtered", "remove it")
		}
		return nil, nil
	}
	if !s.has(key) {
		s.wrong(key, "is missing", "write the addresses behind this peer: "+key+" = ["+example+"]")
		return nil, nil
	}
	items, ok := s.texts(key, example)
	if given, isList := s.values[key].([]any); ok && isList && len(given) == 0 {
		s.wrong(key, "is empty", "write the addresses behind this peer: "+key+" = ["+example+"]")
	}
	if len(items) > MaxAllowedIPs {
		s.wrong(key, fmt.Sprintf("holds %d prefixes", len(items)), fmt.Sprintf("at most %d are possible", MaxAllowedIPs))
		return nil, nil
	}
	for _, it := range items {
		p, ok := s.prefix(key, it)
		if !ok {
			continue
		}
		if p.Masked() != p {
			s.wrongAt(it.line, key, quote(it.text)+" has bits set after its prefix", fmt.Sprintf("write \"%v\" for the network or \"%v/%d\" for the one address",
				p.Masked(), p.Addr(), p.Addr().BitLen()))
			continue
		}
		list, lines = append(list, p), append(lines, it.line)
	}
	return list, lines
}

// endpoint checks the form "host:port". Names are resolved later, and again whenever the address is needed.
func (s section) endpoint() string {
	const key = "endpoint"
	text, ok := s.text(key, `"198.51.100.2:4430"`)
	if !ok {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		remedy := `write a host and a port, such as "198.51.100.2:4430"`
		if a, err := netip.ParseAddr(text); err == nil {
			remedy = fmt.Sprintf("add the port: %q", netip.AddrPortFrom(a, DefaultPort))
		} else if validHost(text) {
			remedy = fmt.Sprintf("add the port: %q", net.JoinHostPort(text, strconv.Itoa(DefaultPort)))
		}
		s.wrong(key, quote(text)+" is no host with a port", remedy)
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		s.wrong(key, quote(port)+" is no port", "write a number from 1 to 65535")
		return ""
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			s.wrong(key, quote(host)+" is not the address of a host", "write the peer's own address")
			return ""
		}
		return text
	}
	if !validHost(host) {
		s.wrong(key, quote(host)+" is neither an IP address nor a host name", `write one such as "198.51.100.2" or "vpn.example.org"`)
		return ""
	}
	return text
}

// validHost says whether a text has the form of a DNS name. What looks like a mistyped IPv4 address has not.
func validHost(host string) bool {
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > maxHostLen {
		return false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if len(label) > maxLabelLen || !hostLabel.MatchString(label) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" // no top-level domain is a number (RFC 3696, section 2)
}
