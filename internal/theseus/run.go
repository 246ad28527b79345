// Package theseus repeats the experiment that the Two Generals paper calls the
// Protocol of Theseus (its sections 7 and 10.1): two parties coordinate over a
// link that loses datagrams, many times over, and what matters is whether they
// ever decide differently. The parties are the machines of package ladder with
// real signatures, every one of them made and checked; the link is that of
// package link, in virtual time.
//
// Time is counted in ticks, as in the paper: in each tick each party sends one
// datagram, its highest message, each is lost or arrives, and both act on what
// arrived. A deadline of D ticks strikes at the end of tick D, for both at once:
// the best case for the paper's rules, which need equal clocks.
//
// Everything follows from the seed. Nothing here reads a clock.
package theseus

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/link"
)

// tick is the virtual time of one tick: above the longest wait of the flood of
// H-4, 250 ms and a tenth, so that one message is due in each.
const tick = 300 * time.Millisecond

// MaxTicks bounds a run that has no deadline.
const MaxTicks = 100_000

// Setting is one experiment: equal settings give equal results.
type Setting struct {
	Rule     ladder.Rule
	Loss     float64 // of each datagram on its own, 0 to below 1
	Deadline int     // ticks; 0 is none
	Horizon  int     // ticks after which a run ends, decided or not
	Reorder  bool    // also repeat and hold back datagrams
	Seed     uint64
}

// With Reorder, these shares of the datagrams arrive twice, and late.
const (
	duplicated = 0.2
	heldBack   = 0.3
	heldFor    = 5 * tick
)

// Result is how a run ended.
type Result struct {
	Outcomes  [2]ladder.Outcome
	Ticks     int // until both had decided, or the horizon
	Delivered int // datagrams
}

// Asymmetric reports whether one party attacked and the other aborted.
func (r *Result) Asymmetric() bool {
	return r.Outcomes == [2]ladder.Outcome{ladder.Committed, ladder.Aborted} ||
		r.Outcomes == [2]ladder.Outcome{ladder.Aborted, ladder.Committed}
}

// keys are those of the two parties, in every run.
func keys() (k [2]handshake.PrivateKey, err error) {
	for i := range k {
		k[i], err = handshake.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, handshake.KeyLen)))
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

// everyPlank is the plank argument that removes nothing.
const everyPlank = -1

// arena plays runs of one setting.
type arena struct {
	set  Setting
	keys [2]handshake.PrivateKey
	buf  [link.DefaultMTU]byte
}

func newArena(set Setting) (*arena, error) {
	k, err := keys()
	return &arena{set: set, keys: k}, err
}

// run plays run n. The datagram number plank of those that are delivered, from
// 0, is taken away, unless plank is everyPlank.
func (a *arena) run(n, plank int) (Result, error) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var party [2]*ladder.Machine
	var way [2]*link.Link // from party i
	for i := range party {
		var err error
		if party[i], err = a.party(start, n, i); err != nil {
			return Result{}, err
		}
		if way[i], err = link.New(start, a.link(), a.rng(n, 10+i)); err != nil {
			return Result{}, err
		}
	}
	r := Result{}
	for r.Ticks < a.set.Horizon {
		now := start.Add(time.Duration(r.Ticks) * tick)
		r.Ticks++
		for i, p := range party {
			if k, ok := p.Poll(now, a.buf[:]); ok {
				way[i].Send(now, a.buf[:k])
			}
			settle(now, p)
		}
		for i, p := range party {
			for k, ok := way[1-i].Receive(now, a.buf[:]); ok; k, ok = way[1-i].Receive(now, a.buf[:]) {
				if r.Delivered++; r.Delivered-1 == plank {
					continue
				}
				if d := p.Handle(now, a.buf[:k]); d != ladder.DropNone {
					return r, fmt.Errorf("theseus: run %d: a genuine message is dropped: %v", n, d)
				}
				settle(now, p)
			}
		}
		for i, p := range party {
			end := start.Add(time.Duration(r.Ticks) * tick)
			p.HandleTimeout(end)
			settle(end, p)
			r.Outcomes[i] = p.Outcome()
		}
		if r.Outcomes[0] > ladder.InDoubt && r.Outcomes[1] > ladder.InDoubt {
			break
		}
	}
	return r, nil
}

// party is party i of run n.
func (a *arena) party(start time.Time, n, i int) (*ladder.Machine, error) {
	rng := a.rng(n, i)
	cfg := ladder.Config{
		Private: a.keys[i], Remote: a.keys[1-i].Public(), Session: [ladder.SessionLen]byte{1},
		Params: []byte("attack at dawn"), Rand: rng, Rule: a.set.Rule,
	}
	for j := range cfg.Nonce {
		cfg.Nonce[j] = byte(rng.Uint32())
	}
	if a.set.Deadline > 0 {
		cfg.Deadline = start.Add(time.Duration(a.set.Deadline) * tick)
	}
	m, err := ladder.New(start, cfg)
	if err == nil {
		settle(start, m)
	}
	return m, err
}

// link is one direction: no delay and no limit, so that what arrives does so in
// its tick.
func (a *arena) link() link.Config {
	cfg := link.Config{Loss: a.set.Loss}
	if a.set.Reorder {
		cfg.Duplicate, cfg.Reorder, cfg.ReorderDelay = duplicated, heldBack, heldFor
	}
	return cfg
}

// rng is a generator of its own for each use in each run. The hash keeps them
// independent: seeds that differ in one bit would not do for every generator.
func (a *arena) rng(n, use int) *rand.Rand {
	t := binary.BigEndian.AppendUint64(nil, a.set.Seed)
	t = binary.BigEndian.AppendUint64(t, math.Float64bits(a.set.Loss))
	t = binary.BigEndian.AppendUint64(t, uint64(n))
	t = append(t, byte(use))
	h := sha256.Sum256(t)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])))
}

// settle is a stable storage that takes no time.
func settle(now time.Time, m *ladder.Machine) {
	for {
		e, ok := m.PollEvent()
		if !ok {
			return
		}
		if e == ladder.EventPersist {
			stage, _ := m.Record()
			m.OnStable(now, stage)
		}
	}
}
