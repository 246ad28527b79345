package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/totg/totg/tunnel/flow"
)

// keyRule is the key of a peer under which its [[peer.rule]] tables stand.
const keyRule = "rule"

// modeNames are the channel modes as rules name them (C-4).
func modeNames() []string {
	return []string{"udp", "z", "streaming1", "streaming2", "x", "sctp", "y", "tcp"} // by capability bits
}

// protocols are the IP protocols that have names in rules.
func protocols() map[string]uint8 {
	return map[string]uint8{
		"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132, "udplite": 136,
	}
}

// codePoints are the DSCP that have names in rules (RFC 2474, 2597, 3246, 5865, 8622).
func codePoints() map[string]uint8 {
	names := map[string]uint8{"default": 0, "le": 1, "va": 44, "ef": 46}
	for class := range uint8(8) {
		names[fmt.Sprintf("cs%d", class)] = 8 * class
		if class >= 1 && class <= 4 {
			for drop := range uint8(3) {
				names[fmt.Sprintf("af%d%d", class, drop+1)] = 8*class + 2*(drop+1)
			}
		}
	}
	return names
}

// rules reads a peer's [[peer.rule]] tables.
func (s section) rules() []flow.Rule {
	v, ok := s.values[keyRule]
	if !ok {
		return nil
	}
	path := join(s.path, keyRule)
	tables, ok := v.([]any)
	if !ok {
		s.d.mistake(s.d.doc.line(path), tableRule, "is "+describe(v), "write each rule as a table: [[peer.rule]]")
		return nil
	}
	if len(tables) > MaxRules {
		s.d.mistake(s.d.doc.line(join(path, strconv.Itoa(MaxRules))), tableRule, fmt.Sprintf("there are %d rules", len(tables)),
			fmt.Sprintf("at most %d are possible for a peer", MaxRules))
		return nil
	}
	list := make([]flow.Rule, 0, len(tables))
	for i, t := range tables {
		r, ok := s.d.section(join(path, strconv.Itoa(i)), tableRule, "[[peer.rule]]", t)
		if !ok {
			continue
		}
		s.d.unknown(r.path, r.shown, r.values, ruleKeys())
		list = append(list, r.rule())
	}
	return list
}

func (s section) rule() flow.Rule {
	r := flow.Rule{Line: s.d.doc.line(s.path)}
	r.Protocols = numbers(s, "protocol", "udp", protocols())
	r.DSCP = numbers(s, "dscp", "ef", codePoints())
	r.From, r.To = s.rulePrefixes("from"), s.rulePrefixes("to")
	r.Ports = s.ports()
	if len(r.Ports) > 0 && slices.ContainsFunc(r.Protocols, func(p uint8) bool { return !flow.HasPorts(p) }) {
		s.wrong("ports", "cannot be met by all of the rule's protocols", "ports belong to tcp, udp, dccp, sctp and udplite")
	}
	if !s.ruleMode(&r) {
		return r
	}
	s.ruleDeadline(&r)
	s.rulePriority(&r)
	return r
}

// numbers reads a list of names or decimal numbers of one field of the packet; one that is too large for the field is
// found by its name.
func numbers(s section, key, example string, names map[string]uint8) (list []uint8) {
	most := 255
	if key == "dscp" {
		most = 63
	}
	for _, it := range s.ruleItems(key, strconv.Quote(example)) {
		v, ok := names[strings.ToLower(it.text)]
		if n, err := strconv.Atoi(it.text); err == nil && n >= 0 && n <= most {
			v, ok = uint8(n), true
		}
		if !ok {
			s.wrongAt(it.line, key, quote(it.text)+" is no "+key+" that is known",
				fmt.Sprintf("write a number in quotes from 0 to %d, or %s", most, strings.Join(slices.Sorted(maps.Keys(names)), ", ")))
			continue
		}
		list = append(list, v)
	}
	return list
}

// ruleItems reads a list of strings of a rule. An empty one would be met by nothing.
func (s section) ruleItems(key, example string) []item {
	items, ok := s.texts(key, example)
	if given, isList := s.values[key].([]any); ok && isList && len(given) == 0 {
		s.wrong(key, "is empty", "leave it out where all are meant")
	}
	if len(items) > MaxRuleItems {
		s.wrong(key, fmt.Sprintf("holds %d elements", len(items)), fmt.Sprintf("at most %d are possible", MaxRuleItems))
		return nil
	}
	return items
}

func (s section) rulePrefixes(key string) (list []netip.Prefix) {
	for _, it := range s.ruleItems(key, `"10.77.0.0/24"`) {
		if p, ok := s.prefix(key, it); ok {
			list = append(list, p.Masked())
		}
	}
	return list
}

// ports reads "3074" and "5000-5010".
func (s section) ports() (list []flow.PortRange) {
	const key = "ports"
	for _, it := range s.ruleItems(key, `"5000-5010"`) {
		low, high, isRange := strings.Cut(it.text, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 16)
		last, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || first == 0 || first > last {
			s.wrongAt(it.line, key, quote(it.text)+" is no port or range of ports", `write such as "443" or "5000-5010"`)
			continue
		}
		list = append(list, flow.PortRange{First: uint16(first), Last: uint16(last)})
	}
	return list
}

func (s section) ruleMode(r *flow.Rule) bool {
	const key = "mode"
	remedy := "write one of " + strings.Join(modeNames(), ", ")
	if !s.has(key) {
		s.wrong(key, "is missing", remedy)
		return false
	}
	text, ok := s.text(key, `"z"`)
	if !ok {
		return false
	}
	i := slices.Index(modeNames(), strings.ToLower(text))
	if i < 0 {
		s.wrong(key, quote(text)+" is no mode", remedy)
		return false
	}
	r.Mode = uint8(i)
	return true
}

// reliable reports whether the rule's mode waits for everything.
func reliable(r *flow.Rule) bool { return r.Mode&flow.CloseOnLoss != 0 && r.Mode&flow.Resend != 0 }

func (s section) ruleDeadline(r *flow.Rule) {
	const key = "deadline"
	text, ok := s.text(key, `"100ms"`)
	if !ok {
		return
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		s.wrong(key, quote(text)+" is no duration", `write a number and a unit, such as "100ms" or "2s"`)
	case d < MinDeadline || d > MaxDeadline:
		s.wrong(key, quote(text)+" is out of range", fmt.Sprintf(`write a time from "%v" to "%v"`, MinDeadline, shortDuration(MaxDeadline)))
	case reliable(r):
		s.wrong(key, "has no meaning in mode "+quote(modeNames()[r.Mode])+", which loses nothing", "remove it, or choose another mode")
	default:
		r.Deadline = d
	}
}

func (s section) rulePriority(r *flow.Rule) {
	const key = "priority"
	text, ok := s.text(key, `"interactive"`)
	if !ok {
		return
	}
	switch {
	case text != "interactive" && text != "normal":
		s.wrong(key, quote(text)+" is no priority", `write "interactive" or "normal"`)
	case reliable(r) || r.Mode&flow.Resend == 0:
		s.wrong(key, "has a meaning in modes z and streaming2 alone", "remove it, or choose another mode")
	case text == "interactive":
		r.Priority = flow.PriorityInteractive
	default:
		r.Priority = flow.PriorityNormal
	}
}
