package flow

import (
	"net/netip"
	"time"
)

// PortRange is a run of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// Priority says who goes first among what has a deadline.
type Priority uint8

// The priorities.
const (
	PriorityDefault     Priority = iota // small packets are interactive
	PriorityNormal                      // after the interactive ones
	PriorityInteractive                 // before all others, within their share
)

// Rule says how packets travel that meet all of its conditions (C-7). A condition
// that is empty is met by every packet.
type Rule struct {
	Protocols []uint8
	From, To  []netip.Prefix // source and destination
	Ports     []PortRange    // source or destination
	DSCP      []uint8

	Mode     uint8         // capability bits (C-4)
	Deadline time.Duration // 0: the default of the mode
	Priority Priority
	Line     int // in the configuration
}

// Matches reports whether a packet meets the rule's conditions. A frame that is no
// IP packet meets only a rule without any.
func (r *Rule) Matches(p *Packet) bool {
	return within(r.Protocols, p.Proto, p) && within(r.DSCP, p.DSCP, p) &&
		inside(r.From, p.Src) && inside(r.To, p.Dst) && (len(r.Ports) == 0 || r.hasPort(p))
}

func within(list []uint8, v uint8, p *Packet) bool {
	for _, want := range list {
		if want == v && p.Src.IsValid() {
			return true
		}
	}
	return len(list) == 0
}

func inside(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return len(list) == 0
}

func (r *Rule) hasPort(p *Packet) bool {
	for _, x := range r.Ports {
		for _, port := range [...]uint16{p.SrcPort, p.DstPort} {
			if port != 0 && x.First <= port && port <= x.Last {
				return true
			}
		}
	}
	return false
}

// treatment is what the rule asks for. A TCP packet in mode TCP travels as it
// does by default: what only acknowledges need not wait for data.
func (r *Rule) treatment(p *Packet) Treatment {
	if r.Mode == ModeTCP && p.Proto == protoTCP {
		return p.Treatment()
	}
	t := Treatment{Class: Message, Mode: r.Mode, Deadline: r.Deadline}
	switch {
	case r.Mode&Resend == 0:
		t.Class = Once
	case r.Mode&CloseOnLoss != 0:
		t.Class = Stream
	case r.Priority == PriorityInteractive, r.Priority == PriorityDefault && p.Class == Interactive:
		t.Class = Interactive
	}
	return t
}

// Classes are the classes that packets which meet the rule can have.
func (r *Rule) Classes() []Class {
	switch {
	case r.Mode&Resend == 0:
		return []Class{Once}
	case r.Mode&CloseOnLoss != 0:
		return []Class{Stream}
	case r.Priority == PriorityInteractive:
		return []Class{Interactive}
	case r.Priority == PriorityNormal:
		return []Class{Message}
	}
	return []Class{Interactive, Message}
}

// Reason is why a packet travels as it does.
type Reason uint8

// The reasons.
const (
	ByRule     Reason = iota // a rule of the configuration
	ByProtocol               // TCP, or not
	ByDSCP                   // expedited forwarding
)

// dscpExpedited is the code point of expedited forwarding (RFC 3246).
const dscpExpedited = 46

// Classifier decides how packets travel (C-7): by the first rule that they meet,
// else TCP's data in mode TCP, what is marked for expedited forwarding and small
// packets at steady intervals in mode Streaming 2, and all else in mode Z.
type Classifier struct {
	rules        []Rule
	perturbation uint64
	rhythms      [numFlows]rhythm
}

// NewClassifier returns a Classifier for rules, in order. The perturbation is that
// of QueueConfig.
func NewClassifier(rules []Rule, perturbation uint64) *Classifier {
	return &Classifier{rules: rules, perturbation: perturbation}
}

// Classify decides about a packet, and takes note of when it came.
func (c *Classifier) Classify(now time.Time, p *Packet) Treatment {
	if i, ok := Match(c.rules, p); ok {
		return c.rules[i].treatment(p)
	}
	t, _ := p.byDefault()
	switch {
	case p.MayBeSteady(t) && c.steady(now, p):
		t.Mode = ModeStreaming2
	case p.Proto == protoTCP && t.Class == Stream && c.lone(now, p):
		t.Lone = true
	}
	return t
}

// MayBeSteady reports whether a packet that is treated so by default could be one
// of a stream: small, and UDP.
func (p *Packet) MayBeSteady(t Treatment) bool {
	return t.Class == Interactive && t.Mode == ModeZ && p.Proto == protoUDP
}

// ClassOfSize is the class of a packet of which only the fields of Packet are
// known: one that is whole and, if TCP, has data.
func (p *Packet) ClassOfSize() Class {
	switch {
	case p.Proto == protoTCP:
		return Stream
	case p.Proto == protoICMP && p.Src.Is4(), p.Proto == protoICMPv6 && p.Src.Is6(),
		p.Proto == protoUDP && p.Size <= interactiveSize:
		return Interactive
	}
	return Message
}

// Match is the number of the first rule that a packet meets.
func Match(rules []Rule, p *Packet) (i int, ok bool) {
	for i := range rules {
		if rules[i].Matches(p) {
			return i, true
		}
	}
	return 0, false
}

// Explain is what a Classifier decides about the first packet of a flow, why, and
// by which rule, -1 for none.
func Explain(rules []Rule, p *Packet) (t Treatment, why Reason, rule int) {
	if i, ok := Match(rules, p); ok {
		return rules[i].treatment(p), ByRule, i
	}
	t, why = p.byDefault()
	return t, why, -1
}

// byDefault is how a packet travels that meets no rule.
func (p *Packet) byDefault() (Treatment, Reason) {
	if p.DSCP == dscpExpedited && p.Src.IsValid() && p.Proto != protoTCP && p.Proto != protoICMP && p.Proto != protoICMPv6 {
		return Treatment{Class: Interactive, Mode: ModeStreaming2}, ByDSCP
	}
	return p.Treatment(), ByProtocol
}
