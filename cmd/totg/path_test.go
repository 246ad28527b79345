package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/tunnel/control"
)

// three outcomes, each with its word and its exit code; what is wrong with the
// arguments is said, with where to read on.
func TestPath(t *testing.T) {
	site(t)
	up(t, "-c", "totg.toml")
	for _, c := range []struct {
		args []string
		want result
	}{
		{[]string{"office", "192.0.2.1:1"}, result{0, "MOVED\n", ""}},
		{[]string{"office", "[2001:db8::1]:1", "--deadline", "1m"}, result{0, "MOVED\n", ""}},
		{[]string{"office", "192.0.2.1:2"}, result{1, "STAYED\n", "totg: nobody there\n"}},
		{[]string{"office", "192.0.2.1:3"}, result{3, "IN DOUBT\n", ""}},
		{[]string{"office", "192.0.2.1:1", "--interface", "t9"}, result{1, "", "totg: interface t9 is not up; start it: totg up -c FILE\n"}},
	} {
		if got := run(t, "", append([]string{"path"}, c.args...)...); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.args, got, c.want)
		}
	}
	address := func(s string) string {
		return `"` + s + `" is no address of a peer: use IP:PORT, such as 198.51.100.7:4430 or [2001:db8::7]:4430`
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "give a peer and an address"},
		{[]string{"office"}, "give a peer and an address"},
		{[]string{"office", "192.0.2.1"}, address("192.0.2.1")},
		{[]string{"office", "192.0.2.1:0"}, address("192.0.2.1:0")},
		{[]string{"office", "0.0.0.0:1"}, address("0.0.0.0:1")},
		{[]string{"office", "224.0.0.1:1"}, address("224.0.0.1:1")},
		{[]string{"office", "example.org:1"}, address("example.org:1")},
		{[]string{"office", "192.0.2.1:1", "--deadline", "0s"}, "--deadline must be above 0 and at most 1m0s"},
		{[]string{"office", "192.0.2.1:1", "--deadline", "2m"}, "--deadline must be above 0 and at most 1m0s"},
	} {
		want := result{2, "", "totg: " + c.want + "; see: totg path --help\n"}
		if got := run(t, "", append([]string{"path"}, c.args...)...); got != want {
			t.Errorf("%q: %+v, want %+v", c.args, got, want)
		}
	}
	help := ok(t, "", "path", "--help")
	for _, want := range []string{"exit code 0", "exit code 1", "exit code 3", "Examples:", "sudo totg path office", "--deadline"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, help)
		}
	}
}

// status tells a switch that is pending, and how the newest one ended.
func TestStatusPath(t *testing.T) {
	st := control.Status{Peers: []control.PeerStatus{
		{Name: "a", PathSwitch: control.PathStatus{To: "192.0.2.1:1", State: "probing", ByPeer: true}},
		{Name: "b"},
		{Name: "c", PathSwitch: control.PathStatus{To: "192.0.2.2:1", State: "stayed", Why: "nobody\x1b there"}},
	}}
	table := statusTable(st, time.Unix(1e9, 0))
	var got []string
	for line := range strings.Lines(table) {
		if strings.Contains(line, "path switch") {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
	}
	if len(got) != 2 || got[0] != "path switch, a probing, to 192.0.2.1:1, by the peer's wish" ||
		!strings.HasPrefix(got[1], "path switch, c stayed, to 192.0.2.2:1: nobody") || strings.Contains(table, "\x1b") {
		t.Errorf("%q", got)
	}
}

// MovePath ends as the port says.
func (h fakeHandler) MovePath(_ context.Context, p control.PathProposal) (control.PathSwitch, error) {
	s := control.PathSwitch{Peer: p.Peer, To: p.To.String(), Outcome: control.OutcomeMoved}
	switch p.To.Port() {
	case 2:
		s.Outcome, s.Why = control.OutcomeStayed, "nobody there"
	case 3:
		s.Outcome = control.OutcomeInDoubt
	}
	return s, nil
}
