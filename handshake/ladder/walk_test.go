package ladder

import (
	"fmt"
	"testing"
	"time"
)

// walkParty is a party in a walk through every execution: a copy of a real
// Machine and what is outside of it.
type walkParty struct {
	m       Machine
	log     Stage // the record on stable storage
	records map[Stage][]byte
	told    Outcome // the first final outcome that it told, across restarts
	signed  [2]bool // sent V, sent ABORT
	late    bool    // its deadline is over
	crashes int
	sent    uint64 // of walk.messages
}

// walkKey is what tells states apart. The signatures follow from it: nonces are
// fixed and every signature is deterministic.
type walkKey [2]struct {
	own, peer            Level
	refused, peerRefused bool
	stage, stable, log   Stage
	knows, quiet, late   bool
	told                 Outcome
	signed               [2]bool
	crashes              int
	sent                 uint64
}

type walkState [2]walkParty

func (s *walkState) key() (k walkKey) {
	for i := range s {
		p, x := &s[i], &k[i]
		x.own, x.peer, x.refused, x.peerRefused = p.m.own.level, p.m.peer.level, p.m.own.aborted, p.m.peer.aborted
		x.stage, x.stable, x.log, x.knows, x.quiet = p.m.stage, p.m.stable, p.log, p.m.knows, p.m.quiet
		x.late, x.told, x.signed, x.crashes, x.sent = p.late, p.told, p.signed, p.crashes, p.sent
	}
	return k
}

// walk visits every state that two Machines can reach over a network that may
// deliver anything ever sent never, once, often, late and in any order, with
// deadlines that fire at any moment, records that become stable at any moment,
// and restarts.
type walk struct {
	t        *testing.T
	rule     Rule
	crashes  int
	messages [][]byte
	ids      map[string]int
	restored map[string]Machine
	seen     map[walkKey]int
	states   []walkState
	back     [][]int // predecessors
	splits   int
	trail    string
}

func newWalk(t *testing.T, rule Rule, crashes int) *walk {
	t.Helper()
	return &walk{t: t, rule: rule, crashes: crashes, ids: map[string]int{}, seen: map[walkKey]int{}, restored: map[string]Machine{}}
}

func (w *walk) begin() {
	var s walkState
	for i := range s {
		cfg := config(w.t, byte(i), uint64(i))
		cfg.Rule = w.rule
		m, err := New(start, cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		stage, record := m.Record()
		m.OnStable(start, stage)
		s[i] = walkParty{m: *m, log: stage, records: map[Stage][]byte{stage: record}}
	}
	w.visit(s, -1)
}

// settle makes of a state what follows by itself: messages are sent, outcomes
// told. A message that was sent may still be lost, so this leaves nothing out.
func (w *walk) settle(s *walkState) {
	for i := range s {
		p := &s[i]
		if p.m.speaks() {
			msg := p.m.message()
			b := string(msg.Append(nil))
			id, known := w.ids[b]
			if !known {
				id = len(w.messages)
				if id >= 64 {
					w.t.Fatal("more messages than bits")
				}
				w.ids[b] = id
				w.messages = append(w.messages, []byte(b))
			}
			p.sent |= 1 << id
			p.signed[0] = p.signed[0] || msg.Level == LevelV
			p.signed[1] = p.signed[1] || msg.Abort != nil
		}
		if o := p.m.Outcome(); o == Committed || o == Aborted {
			if p.told == Open {
				p.told = o
			} else if p.told != o {
				w.t.Fatalf("%v after %v", o, p.told)
			}
		}
		if p.signed[0] && p.signed[1] && w.rule == VoteOnce {
			w.t.Fatal("V and ABORT of one party")
		}
	}
}

func (w *walk) visit(s walkState, from int) {
	w.settle(&s)
	k := s.key()
	id, known := w.seen[k]
	if !known {
		id = len(w.states)
		w.seen[k] = id
		w.states = append(w.states, s)
		w.back = append(w.back, nil)
		if s[0].told != Open && s[1].told != Open && s[0].told != s[1].told {
			w.splits++
			if w.trail == "" {
				w.trail = fmt.Sprintf("%v at level %v, %v at level %v", s[0].told, s[0].m.own.level, s[1].told, s[1].m.own.level)
			}
		}
	}
	if from >= 0 {
		w.back[id] = append(w.back[id], from)
	}
}

func (w *walk) run() {
	w.begin()
	for at := 0; at < len(w.states); at++ {
		for i := range w.states[at] {
			w.step(at, i)
		}
	}
}

// step takes every step that party i can take in a state.
func (w *walk) step(at, i int) {
	try := func(f func(p *walkParty)) {
		s := w.states[at]
		f(&s[i])
		w.visit(s, at)
	}
	p, peer := &w.states[at][i], &w.states[at][1-i]
	for id := range w.messages {
		if peer.sent&(1<<id) != 0 {
			b := w.messages[id]
			try(func(p *walkParty) {
				if d := p.m.Handle(start, b); d != DropNone {
					w.t.Fatalf("a genuine message is dropped: %v at stage %d", d, p.m.stage)
				}
			})
		}
	}
	if !p.late {
		try(func(p *walkParty) {
			p.late = true
			p.m.deadline = start
			p.m.HandleTimeout(start)
		})
	}
	if p.m.stage != p.m.stable {
		try(func(p *walkParty) {
			stage, record := p.m.Record()
			records := map[Stage][]byte{stage: record}
			p.log, p.records = stage, records
			p.m.OnStable(start, stage)
		})
	}
	if p.crashes < w.crashes {
		try(func(p *walkParty) {
			p.m, p.crashes = w.restore(p), p.crashes+1
		})
	}
}

// restore is Restore, once for each record: equal records give equal machines.
func (w *walk) restore(p *walkParty) Machine {
	record := string(p.records[p.log])
	m, known := w.restored[record]
	if !known {
		r, err := Restore(start, RestoreConfig{Private: p.m.private, Rand: jitter()}, []byte(record))
		if err != nil {
			w.t.Fatal(err)
		}
		m = *r
		w.restored[record] = m
	}
	return m
}

// dead counts states from which no joint decision can be reached any more.
func (w *walk) dead() int {
	alive := make([]bool, len(w.states))
	var todo []int
	for id := range w.states {
		if s := &w.states[id]; s[0].told != Open && s[1].told != Open {
			alive[id] = true
			todo = append(todo, id)
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, before := range w.back[id] {
			if !alive[before] {
				alive[before] = true
				todo = append(todo, before)
			}
		}
	}
	n := 0
	for _, a := range alive {
		if !a {
			n++
		}
	}
	return n
}

// every execution of two real machines with real signatures, bounded by
// the number of restarts alone. No split, no V beside an ABORT, no outcome taken
// back; and no state from which the two cannot decide any more. The rules of the
// paper are walked too: there the walk must find the split.
func TestWalkEveryExecution(t *testing.T) {
	began := time.Now()
	for _, c := range []struct {
		name    string
		rule    Rule
		crashes int
		splits  bool
	}{
		{"vote once", VoteOnce, 0, false},
		{"vote once, a restart of each", VoteOnce, 1, false},
		{"paper, four phases", Paper4, 0, true},
		{"paper, six phases", Paper6, 0, true},
	} {
		if testing.Short() && c.crashes > 0 {
			continue
		}
		w := newWalk(t, c.rule, c.crashes)
		w.run()
		if (w.splits > 0) != c.splits {
			t.Errorf("%s: %d states with a split: %s", c.name, w.splits, w.trail)
		}
		if dead := w.dead(); dead > 0 && c.rule == VoteOnce {
			t.Errorf("%s: %d states without a way out", c.name, dead)
		}
		t.Logf("%s: %d states, %d messages, %d with a split (%s), %v", c.name, len(w.states), len(w.messages), w.splits, w.trail,
			time.Since(began).Round(time.Millisecond))
	}
}
