package ladder

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
)

// start is when every test begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// key is one of a few private keys, by number.
func key(tb testing.TB, n byte) handshake.PrivateKey {
	tb.Helper()
	k, err := handshake.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n + 1}, handshake.KeyLen)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func nonce(n uint64) (b [NonceLen]byte) {
	binary.BigEndian.PutUint64(b[:], n+1)
	return b
}

func jitter() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// party is a Machine with the log that a caller keeps for it.
type party struct {
	*Machine

	tb       testing.TB
	log      []byte // the latest stable record
	logged   Stage
	seen     map[Event]int
	final    Outcome // the first final outcome, across restarts
	pending  []byte
	pendings Stage
	slow     bool // records become stable by flush alone
}

// config is the usual action between keys 0 and 1.
func config(tb testing.TB, me byte, n uint64) Config {
	tb.Helper()
	return Config{
		Private: key(tb, me), Remote: key(tb, 1-me).Public(), Session: [SessionLen]byte{7},
		Nonce: nonce(n), Action: 3, Params: []byte("deploy"), Rand: jitter(),
		Deadline: start.Add(time.Minute),
	}
}

func newParty(tb testing.TB, cfg Config) *party {
	tb.Helper()
	m, err := New(start, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	p := &party{Machine: m, tb: tb, seen: map[Event]int{}}
	p.drain(start)
	return p
}

// newPair is both parties of one action.
func newPair(tb testing.TB, n uint64) (a, b *party) {
	tb.Helper()
	return newParty(tb, config(tb, 0, n)), newParty(tb, config(tb, 1, n+1000))
}

// drain handles events as a caller does, and checks that outcomes stay.
func (p *party) drain(now time.Time) {
	p.tb.Helper()
	for {
		e, ok := p.PollEvent()
		if !ok {
			break
		}
		p.seen[e]++
		if e == EventPersist {
			p.pendings, p.pending = p.Record()
			if !p.slow {
				p.flush(now)
			}
		}
	}
	p.check()
}

// flush makes the pending record stable.
func (p *party) flush(now time.Time) {
	p.tb.Helper()
	if p.pending == nil {
		return
	}
	p.log, p.logged, p.pending = p.pending, p.pendings, nil
	p.OnStable(now, p.logged)
	p.drain(now)
}

// check holds X-5: a final outcome stays.
func (p *party) check() {
	p.tb.Helper()
	o := p.Outcome()
	if p.final == Open && (o == Committed || o == Aborted) {
		p.final = o
	}
	if p.final != Open && o != p.final {
		p.tb.Fatalf("%v after %v", o, p.final)
	}
}

// send is the message that the party sends now, nil if there is none.
func (p *party) send(now time.Time) []byte {
	buf := make([]byte, MaxMessage)
	n, ok := p.Poll(now, buf)
	if !ok {
		return nil
	}
	p.drain(now)
	return buf[:n]
}

// hear hands b to the party.
func (p *party) hear(now time.Time, b []byte) Drop {
	p.tb.Helper()
	if b == nil {
		return DropNone
	}
	d := p.Handle(now, bytes.Clone(b))
	p.drain(now)
	return d
}

// crash restarts the party from its log.
func (p *party) crash(now time.Time) {
	p.tb.Helper()
	m, err := Restore(now, RestoreConfig{Private: p.private, Rand: jitter()}, p.log)
	if err != nil {
		p.tb.Fatalf("restore: %v", err)
	}
	p.Machine, p.pending = m, nil
	p.drain(now)
}

// split fails the test if the parties decided differently.
func split(tb testing.TB, a, b *party) {
	tb.Helper()
	if a.final != Open && b.final != Open && a.final != b.final {
		tb.Fatalf("SPLIT: %v and %v", a.final, b.final)
	}
}

// exchange lets both talk without loss for so many rounds, 300 ms each, and
// returns the time after it.
func exchange(tb testing.TB, now time.Time, a, b *party, rounds int) time.Time {
	tb.Helper()
	for range rounds {
		x, y := a.send(now), b.send(now)
		b.hear(now, x)
		a.hear(now, y)
		split(tb, a, b)
		now = now.Add(300 * time.Millisecond)
		a.HandleTimeout(now)
		b.HandleTimeout(now)
		a.drain(now)
		b.drain(now)
	}
	return now
}
