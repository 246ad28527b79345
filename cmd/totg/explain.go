package main

import (
	"fmt"
	"strings"

	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/flow"
)

// explain tells where a packet goes and how it travels (C-7), without a final line feed.
func explain(cfg *config.Config, p *flow.Packet) string {
	peer := cfg.PeerOf(p.Dst)
	if peer == nil {
		return fmt.Sprintf("%s: no peer has %v in its allowed_ips: the packet is dropped", cfg.Path, p.Dst)
	}
	t, why, rule := flow.Explain(peer.Rules, p)
	rows := [][]string{
		{"peer", peer.Name},
		{"rule", reason(cfg, peer, why, rule)},
		{"mode", config.ModeName(t.Mode)},
		{"class", className(t.Class)},
		{"deadline", deadline(t)},
	}
	if rule < 0 && p.MayBeSteady(t) {
		rows = append(rows, []string{"later", `mode streaming2, if such packets come at steady intervals`})
	}
	return strings.TrimRight(alignColumns(rows), "\n")
}

func reason(cfg *config.Config, peer *config.Peer, why flow.Reason, rule int) string {
	switch why {
	case flow.ByRule:
		return fmt.Sprintf("number %d of %d, %s:%d", rule+1, len(peer.Rules), cfg.Path, peer.Rules[rule].Line)
	case flow.ByDSCP:
		return "none; by default, for its DSCP is EF"
	case flow.ByProtocol:
	}
	return "none; by default, for its protocol and size"
}

func className(c flow.Class) string {
	switch c {
	case flow.Interactive:
		return "interactive: first, within its share"
	case flow.Stream:
		return "stream: sent until it arrives"
	case flow.Once:
		return "once: never sent again"
	case flow.Message:
	}
	return "message: sent until its deadline"
}

func deadline(t flow.Treatment) string {
	switch {
	case t.Deadline > 0:
		return t.Deadline.String()
	case t.Class == flow.Stream:
		return "none"
	}
	return "250ms or two round trips, whichever is more"
}
