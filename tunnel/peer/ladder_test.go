package peer

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/tunnel/agreement"
)

// newAgreeing is two peers with named actions, all of which each accepts.
func newAgreeing(t *testing.T) (*duo, [2]*agreement.Book) {
	t.Helper()
	var books [2]*agreement.Book
	d := newDuo(t, func(i int, c *Config) {
		var err error
		books[i], err = agreement.New(time.Unix(1e9, 0), agreement.Config{
			Private: c.Private, Remote: c.Remote, Accept: []string{"*"}, Random: rand.NewChaCha8([32]byte{5, byte(i)}),
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Agreements, c.Rekey = books[i], time.Second
	})
	return d, books
}

// store answers what the Books ask to be stored, at once.
func (d *duo) store(books [2]*agreement.Book) {
	for _, b := range books {
		for {
			e, ok := b.PollEvent()
			if !ok {
				break
			}
			if e.Kind == agreement.Store {
				b.OnStable(d.now, e.ID, e.Stage)
			}
		}
	}
}

// agreeing passes time and answers the Books meanwhile.
func (d *duo) agreeing(t time.Duration, books [2]*agreement.Book) {
	for end := d.now.Add(t); d.now.Before(end); {
		d.pass(time.Millisecond)
		d.store(books)
		d.exchange()
	}
}

// a named action calls the peer where there is no session, and both
// commit; both ends learn that the tunnel is up, and change keys.
func TestLadders(t *testing.T) {
	d, books := newAgreeing(t)
	id, err := books[0].Propose(d.now, "switch", d.now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	d.store(books)
	d.agreeing(3*time.Second, books)
	if o, _ := books[0].Outcome(id); o != ladder.Committed || len(books[1].List()) != 1 || books[1].List()[0].Outcome != o {
		t.Errorf("%v, %+v", o, books[1].List())
	}
	for i, p := range d.p {
		if p.cur == nil || !p.cur.committed || p.Status().Rekeyed < 2 {
			t.Errorf("peer %d: %+v", i, p.Status())
		}
	}
	if len(d.drops[0])+len(d.drops[1]) > 0 {
		t.Errorf("drops: %v", d.drops)
	}
}

// X-7, H-3: the first datagrams of the initiator leave before it looks at the ladder
// of RESP, however long the host took for the keys; a moment later it does, and a
// LADDER frame goes on from there.
func TestDataBeforeLadder(t *testing.T) {
	d := newDuo(t, nil)
	a, b := d.p[0], d.p[1]
	d.p[0].WritePacket(d.now, packet(17, 64))
	for _, step := range []struct{ from, to int }{{0, 1}, {1, 0}} { // INIT, RESP
		n, _, ok := d.p[step.from].Poll(d.now, d.buf[:])
		if !ok || d.p[step.to].HandleDatagram(d.now, Inbound{From: d.addr[step.from]}, d.buf[:n]) != DropNone {
			t.Fatalf("no datagram, or a wrong one, from %d", step.from)
		}
	}
	d.now = d.now.Add(10 * time.Millisecond) // of computing
	for {
		n, _, ok := a.Poll(d.now, d.buf[:])
		if !ok {
			break
		}
		if r := b.HandleDatagram(d.now, Inbound{From: d.addr[0]}, d.buf[:n]); r != DropNone {
			t.Error(r)
		}
	}
	if _, ok := b.ReadPacket(d.unit[:]); !ok || a.cur.up.Level() != ladder.LevelC {
		t.Errorf("packet: %v, with the ladder at %v", ok, a.cur.up.Level())
	}
	if at := a.NextDeadline(); at.After(d.now.Add(ladderAfter)) {
		t.Errorf("the ladder waits for %v", at.Sub(d.now))
	}
	d.pass(2 * ladderAfter)
	if a.cur.up.Level() < ladder.LevelT || b.cur.up.Level() < ladder.LevelT {
		t.Errorf("the ladder is at %v and %v", a.cur.up.Level(), b.cur.up.Level())
	}
}

// A known attack: all datagrams of a whole session, with its votes, key changes and
// named actions, are played again, in the same session and in one after a restart of
// either end. None has an effect (X-2, H-6).
func TestReplayedSession(t *testing.T) {
	d, books := newAgreeing(t)
	var recorded [2][][]byte
	d.cut = func(from int, b []byte) bool {
		recorded[1-from] = append(recorded[1-from], bytes.Clone(b))
		return false
	}
	if _, err := books[0].Propose(d.now, "switch", d.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	d.store(books)
	d.agreeing(2500*time.Millisecond, books)
	d.cut = nil
	if len(recorded[0]) < 20 || len(recorded[1]) < 20 || books[1].List()[0].Outcome != ladder.Committed {
		t.Fatalf("%d and %d datagrams, %+v", len(recorded[0]), len(recorded[1]), books[1].List())
	}
	replay := func(when string) {
		t.Helper()
		before := [2]time.Time{d.p[0].Status().LastHandshake, d.p[1].Status().LastHandshake}
		for i, p := range d.p {
			for _, b := range recorded[i] {
				if r := p.HandleDatagram(d.now, Inbound{From: d.addr[1-i]}, bytes.Clone(b)); r == DropNone {
					t.Errorf("%s: a datagram of type %#x was taken again", when, b[0])
				}
			}
		}
		d.agreeing(500*time.Millisecond, books)
		for i, p := range d.p {
			if n := len(books[i].List()); n != 1 || p.Status().LastHandshake != before[i] {
				t.Errorf("%s: %d attempts, handshake %v", when, n, p.Status().LastHandshake)
			}
		}
	}
	replay("in the session")
	cfg := d.p[0].cfg
	cfg.Random = rand.NewChaCha8([32]byte{99}) // a process has no memory of numbers
	p, err := New(d.now, cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.p[0] = p
	d.agreeing(time.Second, books)
	if p.Status().State != "up" {
		t.Fatalf("state %q after the restart", p.Status().State)
	}
	replay("after a restart")
}

// H-7: a peer that gives a point of low order for its half of the exchange, so that
// anyone could compute the keys, ends the session.
func TestLowOrderExchange(t *testing.T) {
	d, _ := newAgreeing(t)
	d.connect()
	d.pass(600 * time.Millisecond) // before the first change of keys
	s := d.p[0].cur
	d.p[0].startRekey(s)
	s.rekey.machine = d.p[0].newLadder(ladder.Config{
		Session: s.keys.Hash, Action: ladder.ActionRekey, Params: []byte{0, 0, 0, 1}, Nonce: [ladder.NonceLen]byte{1},
	})
	closed := d.p[1].Status().Closed
	d.pass(200 * time.Millisecond)
	if got := d.p[1].Status().Closed; got != closed+1 {
		t.Errorf("%d sessions closed, %d before", got, closed)
	}
}

// H-7: where the two ends have different times the shorter one counts.
func TestRekeyTimes(t *testing.T) {
	d := newDuo(t, func(i int, c *Config) { c.Rekey = []time.Duration{time.Hour, time.Second}[i] })
	d.connect()
	d.pass(3500 * time.Millisecond)
	for i, p := range d.p {
		if n := p.Status().Rekeyed; n != 3 {
			t.Errorf("peer %d changed keys %d times in 3.5 s", i, n)
		}
	}
}

// A hostile peer's ladder messages cost a bounded number of signatures: more than
// the budget count as lost. Frames that hold none end the session (W-3).
func TestHostileLadder(t *testing.T) {
	d, _ := newAgreeing(t)
	d.connect()
	m, err := ladder.New(d.now, ladder.Config{
		Private: d.p[0].cfg.Private, Remote: d.p[0].cfg.Remote, Action: ladder.ActionNamed, Params: []byte("x"),
		Nonce: [ladder.NonceLen]byte{3}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.OnStable(d.now, ladder.StageBegun)
	buf := make([]byte, ladder.MaxMessage)
	n, _ := m.Poll(d.now, buf)
	frame := append([]byte{0, frameLadder, 0, 0}, buf[:n]...)
	binary.BigEndian.PutUint16(frame[2:], uint16(n))
	credit := func() float64 { return d.p[1].ladders.credit }
	for range 3 * ladderBurst {
		d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, d.forge(0, frame))
		if credit() < 0 {
			t.Fatalf("credit %v", credit())
		}
	}
	if credit() >= 1 {
		t.Errorf("credit %v after %d messages at once", credit(), 3*ladderBurst)
	}
	d.pass(time.Second)
	d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, d.forge(0, []byte{0, frameLadder, 0, 3, 1, 5, 0}))
	if d.p[1].cur != nil {
		t.Error("a malformed ladder message did not end the session")
	}
}

// H-7: an exchange is wiped with its session; nothing of it is left to open with.
func TestEndWipesEpochs(t *testing.T) {
	d, _ := newAgreeing(t)
	d.connect()
	d.pass(1100 * time.Millisecond)
	s := d.p[0].cur
	if s.old.key == nil {
		t.Fatal("no old key to look at")
	}
	old, now := s.old.key, s.keys.Recv
	d.p[0].Close(d.now, CloseNormal)
	for _, k := range []*handshake.Key{old, now} {
		if _, err := k.Open(nil, nil, make([]byte, 40), 0, 0); err == nil {
			t.Error("a key of an ended session opens")
		}
		if !wiped(k) {
			t.Error("a key of an ended session seals")
		}
	}
}

func wiped(k *handshake.Key) (is bool) {
	defer func() { is = recover() != nil }()
	k.Seal(nil, nil, nil, 0, 1<<50)
	return false
}
