package tunnel

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/peer"
)

// a switch that cannot begin is refused at once, with what to do about it, and
// nobody waits; who waits is answered when his switch is decided, or his peer goes.
func TestMovers(t *testing.T) {
	l, log := newLoop(t, testConfig(t))
	to := netip.MustParseAddrPort("127.0.0.2:9")
	for name, want := range map[string]error{"nobody": errNoPeer, "one": errNoPath} {
		m := &mover{done: make(chan moveAnswer, 1)}
		l.startMove(m, control.PathProposal{Peer: name, To: to, Deadline: time.Second})
		if a := <-m.done; !errors.Is(a.err, want) || len(l.movers) != 0 {
			t.Errorf("%s: %v, %d wait", name, a.err, len(l.movers))
		}
	}
	one, two := l.table.peers[0], l.table.peers[1]
	add := func(p *tunnelPeer, id uint64) *mover {
		m := &mover{peer: p, id: id, done: make(chan moveAnswer, 1)}
		l.movers = append(l.movers, m)
		return m
	}
	first, second, gone := add(one, 7), add(one, 8), add(two, 7)
	l.onPathDecided(one, peer.Move{ID: 7, To: to, State: peer.Stayed, Own: true, Why: "nobody there"})
	want := control.PathSwitch{Peer: "one", To: to.String(), Outcome: control.OutcomeStayed, Why: "nobody there"}
	if a := <-first.done; a.err != nil || a.path != want || len(l.movers) != 2 {
		t.Errorf("%+v, %d wait", a, len(l.movers))
	}
	l.dropMovers(two)
	if a := <-gone.done; !errors.Is(a.err, errGone) || len(l.movers) != 1 || len(second.done) != 0 {
		t.Errorf("%+v, %d wait", a, len(l.movers))
	}
	if !strings.Contains(log.String(), "outcome=STAYED") {
		t.Errorf("log: %s", log)
	}
	for l.waiting() < maxWaiting {
		add(one, 9)
	}
	m := &mover{done: make(chan moveAnswer, 1)}
	l.startMove(m, control.PathProposal{Peer: "one", To: to, Deadline: time.Second})
	if a := <-m.done; !errors.Is(a.err, errWaiting) {
		t.Error(a.err)
	}
}
