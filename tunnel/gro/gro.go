// Package gro joins TCP segments of a flow that arrive within a short time into one
// super-packet, as a network card does (generic receive offload): the host takes them
// at once, and its TCP acknowledges them together (ADR 069).
//
// It is pure: time comes with each call, and what leaves goes to a function, which may
// modify a unit and does not retain it.
package gro

import (
	"net/netip"
	"time"
)

// Flow tells one direction of a TCP connection.
type Flow struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// Table holds the segments that wait for others of their flow. Its zero value is empty
// and ready.
type Table struct {
	held [maxFlows]packet
}

const (
	// maxFlows is how many flows may have something that waits. With one more, what
	// waited longest leaves.
	maxFlows = 8
	// holdShare and holdMax bound how long a segment waits: a round trip by holdShare.
	// With 16 acknowledgements in a round trip a sender in slow start has the nine that
	// HyStart takes to conclude anything (Linux, tcp_cubic.c) when half of the path is full.
	holdShare = 16
	holdMax   = 3 * time.Millisecond
	// maxJoined is the longest IP packet that is made. Nine of them are 99 segments of
	// 1,448 bytes: slow start that sees no acknowledgement for long goes on for too long.
	maxJoined = 16 << 10
)

// Add takes a TCP unit of a flow over a path with such a round trip. It goes to
// out now, or later with others of its flow. Units of a flow keep their order.
func (t *Table) Add(now time.Time, rtt time.Duration, f Flow, unit []byte, out func(unit []byte)) {
	s, ok := parse(unit)
	p := t.find(f)
	if p != nil && (!ok || !p.join(&s)) {
		out(p.finish())
		p = nil
	}
	if p == nil {
		if !ok || s.last || len(s.packet)+s.size > maxJoined {
			out(unit)
			return
		}
		p = t.room(out)
		p.begin(f, &s, now.Add(min(rtt/holdShare, holdMax)))
	}
	if p.complete() {
		out(p.finish())
	}
}

// Due is when the first of what waits has to leave; zero if nothing does.
func (t *Table) Due() (at time.Time) {
	for i := range t.held {
		if p := &t.held[i]; p.used() && (at.IsZero() || p.due.Before(at)) {
			at = p.due
		}
	}
	return at
}

// Flush gives what has waited long enough to out.
func (t *Table) Flush(now time.Time, out func(unit []byte)) {
	for i := range t.held {
		if p := &t.held[i]; p.used() && !p.due.After(now) {
			out(p.finish())
		}
	}
}

// FlushAll gives all that waits to out; nothing of it was added after now.
func (t *Table) FlushAll(now time.Time, out func(unit []byte)) { t.Flush(now.Add(holdMax), out) }

// find is what waits of a flow; nil if nothing does.
func (t *Table) find(f Flow) *packet {
	for i := range t.held {
		if p := &t.held[i]; p.used() && p.flow == f {
			return p
		}
	}
	return nil
}

// room is a free place. If there is none, what waited longest leaves.
func (t *Table) room(out func(unit []byte)) *packet {
	oldest := &t.held[0]
	for i := range t.held {
		p := &t.held[i]
		if !p.used() {
			return p
		}
		if p.due.Before(oldest.due) {
			oldest = p
		}
	}
	out(oldest.finish())
	return oldest
}
