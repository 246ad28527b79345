package tunnel

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/tunnel/control"
)

// commitment is the ladder message of an INIT (H-3).
func commitment(t *testing.T, caller, called byte) []byte {
	t.Helper()
	m, err := ladder.New(time.Now(), ladder.Config{
		Private: newKey(t, caller), Remote: newKey(t, called).Public(), Action: ladder.ActionUp,
		Nonce: [ladder.NonceLen]byte{caller, 1}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.OnStable(time.Now(), ladder.StageBegun)
	b := make([]byte, ladder.MaxMessage)
	n, _ := m.Poll(time.Now(), b)
	return b[:n]
}

// without a log that can be written nothing begins, the user is told why, and
// the tunnel goes on. A damaged log is not written over.
func TestAgreeWithoutLog(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	l.agreed.path = filepath.Join(t.TempDir(), "votes")
	if err := os.WriteFile(l.agreed.path, []byte("no log of votes"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &waiter{done: make(chan answered, 1)}
	l.propose(w, control.Proposal{Peer: l.table.peers[0].config.Name, Name: "switch", Deadline: time.Minute})
	select {
	case a := <-w.done:
		if a.err == nil || !strings.Contains(a.err.Error(), "log of votes") {
			t.Errorf("%+v", a)
		}
	default:
		t.Fatal("no answer")
	}
	if n := len(l.table.peers[0].book.List()); n != 0 || len(l.agreed.waiters) != 0 {
		t.Errorf("%d attempts, %d wait", n, len(l.agreed.waiters))
	}
	if b, err := os.ReadFile(l.agreed.path); err != nil || string(b) != "no log of votes" {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
	if err := l.agreed.close(); err != nil {
		t.Error(err)
	}
	w = &waiter{done: make(chan answered, 1)}
	l.propose(w, control.Proposal{Peer: "nobody", Name: "switch", Deadline: time.Minute})
	if a := <-w.done; !errors.Is(a.err, errNoPeer) {
		t.Errorf("a peer that is not there: %+v", a)
	}
}
