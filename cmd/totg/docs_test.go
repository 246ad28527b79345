package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel"
	"github.com/totg/totg/tunnel/control"
)

var update = flag.Bool("update", false, "write docs/cli.md and the golden files")

// statusField documents a member of "totg status --json".
type statusField struct{ name, kind, text string }

var tunnelFields = []statusField{
	{"version", "string", "of the program that runs the tunnel"},
	{"pid", "number", "its process"},
	{"interface", "string", "name of the interface"},
	{"mode", "string", "`tun` or `tap`"},
	{"mtu", "number", "bytes of the largest inner packet"},
	{"public_key", "string", "of this host, base64"},
	{"listen", "string", "address and port of the UDP socket"},
	{"rate_mode", "string", "`fair`, `scavenger` or `fixed`"},
	{"rate_bits", "number", "configured bandwidth, bit/s of outer IP bytes; 0: no bound"},
	{"uptime_seconds", "number", "since the tunnel came up"},
	{"peers", "list", "one object for each peer, in the order of the configuration"},
	{"drops", "object", "what was dropped before a peer was known: reason to count"},
}

var peerFields = []statusField{
	{"name", "string", "from the configuration, else the beginning of its public key"},
	{"public_key", "string", "base64"},
	{"state", "string", "`idle` (no session, none is tried), `connecting`, `up` or `closed` (the tunnel goes down)"},
	{"endpoint", "string", "its outer address and port; empty: not known"},
	{"last_handshake", "string", "RFC 3339; absent: never"},
	{"last_received", "string", "RFC 3339, the latest authenticated datagram; absent: none"},
	{"rtt_seconds", "number", "round-trip time on the link; 0: not measured"},
	{"loss", "number", "share (0 to 1) of our datagrams that did not arrive"},
	{"return_loss", "number", "share (0 to 1) of the peer's receipts that did not arrive here"},
	{"rate_bits", "number", "current sending rate, bit/s of outer IP bytes"},
	{"capacity_bits", "number", "what the path is thought to carry, bit/s of outer IP bytes"},
	{"rate_phase", "string", "what rate control does: `hello`, `startup`, `run`, `drain`, `compete` or `blackout`; empty: no session"},
	{"queue_delay_seconds", "number", "delay of the path above its base, one way: the queue that the tunnel's own traffic and others' make"},
	{"queue_target_seconds", "number", "the queue delay that rate control steers to"},
	{"queue_bytes", "number", "inner bytes that wait to be sent"},
	{"datagram_size", "number", "bytes of UDP payload that the path takes; 0: not known"},
	{"tx_packets", "number", "inner packets sent"},
	{"rx_packets", "number", "inner packets received"},
	{"tx_bytes", "number", "bytes of them"},
	{"rx_bytes", "number", "bytes of them"},
	{"tx_datagrams", "number", "outer datagrams sent, receipts and repetitions included"},
	{"rx_datagrams", "number", "outer datagrams received"},
	{"key_epochs", "number", "changes to fresh keys within a session"},
	{"resent", "number", "datagrams that carried a copy or a repair instead of something new"},
	{"drops", "object", "what was dropped of this peer's: reason to count"},
	{"channels", "list", "with `--channels`: one object for each channel, the oldest first, at most 64; absent: none"},
}

var channelFields = []statusField{
	{"id", "string", "both halves in hexadecimal"},
	{"mode", "string", "`UDP`, `Z`, `Streaming 1`, `Streaming 2`, `X`, `SCTP`, `Y` or `TCP`"},
	{"state", "string", "`opening`, `finalizing` or `established`"},
	{"by_peer", "boolean", "the peer opened it, and sends on it"},
	{"flows", "number", "groups of flows that have it; 0: it is ready for a new one, or the peer's"},
	{"tx_units", "number", "inner packets sent on it"},
	{"rx_units", "number", "inner packets received on it"},
	{"skipped", "number", "pieces of packets that were given up"},
	{"late", "number", "pieces that came after that"},
	{"resent", "number", "datagrams sent again or in advance for its class of traffic, which repairs serve together"},
	{"queue_bytes", "number", "inner bytes that wait for it"},
	{"age_seconds", "number", "since it opened"},
}

// reference makes docs/cli.md.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Command line\n\n<!-- Generated: go test ./cmd/totg -run TestReference -update -->\n\n")
	b.WriteString(root.Long + "\n\n| command | |\n|---|---|\n")
	var commands []*cobra.Command
	for _, c := range root.Commands() {
		if c.Name() != "help" && !c.Hidden {
			commands = append(commands, c)
			fmt.Fprintf(&b, "| [`totg %s`](#totg-%s) | %s |\n", c.Name(), c.Name(), strings.ReplaceAll(c.Short, "|", "\\|"))
		}
	}
	b.WriteString("\nEvery command has `--help` with examples.\n")
	for _, c := range commands {
		c.InitDefaultHelpFlag()
		fmt.Fprintf(&b, "\n## totg %s\n\n%s.\n\n```\n%s\n```\n", c.Name(), c.Short, c.UseLine())
		if c.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", c.Long)
		}
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindent(c.Example))
		fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.TrimRight(unindent(c.LocalFlags().FlagUsages()), "\n"))
		if c.Name() == "status" {
			b.WriteString("\n### JSON\n\nThis form is stable: members are added, never renamed or removed. Counters count from the tunnel's start,\n" +
				"those of a peer from when it came into the configuration.\n\nA tunnel:\n\n")
			fieldTable(&b, tunnelFields)
			b.WriteString("\nA peer:\n\n")
			fieldTable(&b, peerFields)
			b.WriteString("\nA channel:\n\n")
			fieldTable(&b, channelFields)
		}
	}
	return b.String()
}

func fieldTable(b *strings.Builder, fields []statusField) {
	b.WriteString("| member | type | meaning |\n|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.name, f.kind, f.text)
	}
}

// unindent takes two spaces off each line.
func unindent(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}

// docs/cli.md says what the commands say.
func TestReference(t *testing.T) {
	golden(t, filepath.Join("..", "..", "docs", "cli.md"), reference(newRootCmd(tunnel.Run)))
}

// Every command has a summary, and a help text with examples that call it.
func TestHelp(t *testing.T) {
	for _, c := range newRootCmd(tunnel.Run).Commands() {
		if c.Name() == "help" {
			continue
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("totg %s: summary %q", c.Name(), c.Short)
		}
		if !strings.Contains(c.Example, "totg "+c.Name()) {
			t.Errorf("totg %s has no example", c.Name())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(line) > 90 {
				t.Errorf("totg %s: this line is wider than a terminal: %s", c.Name(), line)
			}
		}
	}
}

// The documented members of the JSON form are those that there are.
func TestReferenceJSON(t *testing.T) {
	names := func(v any) []string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		members := map[string]any{}
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(members))
	}
	documented := func(fields []statusField) []string {
		var all []string
		for _, f := range fields {
			all = append(all, f.name)
		}
		slices.Sort(all)
		return all
	}
	if diff := cmp.Diff(names(control.Status{}), documented(tunnelFields)); diff != "" {
		t.Errorf("tunnel (-program +documentation):\n%s", diff)
	}
	now := time.Now()
	if diff := cmp.Diff(names(control.PeerStatus{LastHandshake: now, LastReceived: now, Channels: make([]control.ChannelStatus, 1)}), documented(peerFields)); diff != "" {
		t.Errorf("peer (-program +documentation):\n%s", diff)
	}
	if diff := cmp.Diff(names(control.ChannelStatus{}), documented(channelFields)); diff != "" {
		t.Errorf("channel (-program +documentation):\n%s", diff)
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is out of date, run: go test ./cmd/totg -update (-file +program)\n%s", path, diff)
	}
}
