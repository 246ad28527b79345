package agreement

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

// ID names one attempt on this host: ladder.Machine.ID.
type ID = [sha256.Size]byte

// Config is what a Book is for.
type Config struct {
	Private handshake.PrivateKey
	Remote  handshake.PublicKey // the pinned key of the peer
	Accept  []string            // patterns of names that the peer may propose
	Random  io.Reader           // cryptographic; it must never fail
}

// Entry is one attempt, for people.
type Entry struct {
	ID       ID
	Name     string
	Outcome  ladder.Outcome
	Resolved bool // the peer is known to have decided too, or it cannot have voted
	// Receipt is equal on both hosts, and zero unless the attempt is Committed
	//
	Receipt [ladder.ReceiptLen]byte
}

// entry is one attempt.
type entry struct {
	id       ID
	name     string
	m        *ladder.Machine
	restored bool // from a record: what was signed below the vote is not known
	storing  bool // a Store event is under way
	resolved bool

	store, doubt, decided, done bool // events that were not told yet
}

// open reports whether the outcome is not known yet.
func (e *entry) open() bool {
	o := e.m.Outcome()
	return o == ladder.Open || o == ladder.InDoubt
}

// Book is all attempts with one peer. See the package's contract.
type Book struct {
	cfg      Config
	rng      *rand.Rand
	now      time.Time
	entries  []*entry // the oldest first
	turn     int      // whose message is next
	accepted time.Time
	fresh    bool      // events may wait
	next     time.Time // NextDeadline, as of the last call that changed something
}

// New returns an empty Book. The errors are ErrRand and those of ladder.New.
func New(now time.Time, cfg Config) (*Book, error) {
	if cfg.Random == nil {
		return nil, ErrRand
	}
	var seed [32]byte
	if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
		return nil, fmt.Errorf("agreement: randomness: %w", err)
	}
	b := &Book{cfg: cfg, rng: rand.New(rand.NewChaCha8(seed)), now: now}
	_, err := ladder.New(now, b.action("x", time.Time{})) // what ladder checks of the keys
	return b, err
}

// SetAccept changes the patterns of names that the peer may propose. Attempts
// under way go on.
func (b *Book) SetAccept(patterns []string) { b.cfg.Accept = patterns }

// action is a new attempt. Its session is zero: an attempt outlives sessions,
// and the nonces of both tell one from another.
func (b *Book) action(name string, deadline time.Time) ladder.Config {
	cfg := ladder.Config{
		Private: b.cfg.Private, Remote: b.cfg.Remote, Action: ladder.ActionNamed, Params: []byte(name),
		Rand: b.rng, Deadline: deadline,
	}
	if _, err := io.ReadFull(b.cfg.Random, cfg.Nonce[:]); err != nil {
		panic("agreement: randomness: " + err.Error())
	}
	return cfg
}

// Propose begins an attempt at a name, which aborts at the deadline if this host
// has not voted by then. If one is under way already it is that, with the
// deadline that it has. The errors are ErrName and ErrFull.
func (b *Book) Propose(now time.Time, name string, deadline time.Time) (ID, error) {
	b.advance(now)
	if !ValidName(name) {
		return ID{}, ErrName
	}
	if e := b.openEntry(name); e != nil {
		return e.id, nil
	}
	e, err := b.begin(name, deadline)
	if err != nil {
		return ID{}, err
	}
	return e.id, nil
}

// openEntry is the attempt at a name that is under way, nil if none is.
func (b *Book) openEntry(name string) *entry {
	for _, e := range b.entries {
		if e.name == name && e.open() {
			return e
		}
	}
	return nil
}

func (b *Book) begin(name string, deadline time.Time) (*entry, error) {
	// An older attempt that the peer never signed over would be asked about
	// every message of the new one.
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		_, _, bound := e.m.Peer()
		return e.name == name && e.resolved && !bound
	})
	if !b.makeRoom() {
		return nil, ErrFull
	}
	m, err := ladder.New(b.now, b.action(name, deadline))
	if err != nil {
		return nil, err
	}
	e := &entry{id: m.ID(), name: name, m: m}
	b.entries = append(b.entries, e)
	b.touch()
	return e, nil
}

// makeRoom reports whether there is room for one more attempt. The oldest that
// is resolved gives way; the log still has it.
func (b *Book) makeRoom() bool {
	if len(b.entries) < MaxEntries {
		return true
	}
	i := slices.IndexFunc(b.entries, func(e *entry) bool { return e.resolved })
	if i < 0 {
		return false
	}
	b.entries = slices.Delete(b.entries, i, i+1)
	return true
}

// Withdraw aborts an attempt if this host has not voted yet, and reports whether
// it will be, or is, aborted by that.
func (b *Book) Withdraw(now time.Time, id ID) bool {
	b.advance(now)
	e := b.byID(id)
	if e == nil {
		return false
	}
	b.touch()
	return e.m.Abort(now)
}

// Outcome is what is known of an attempt, and whether there is one of that ID.
func (b *Book) Outcome(id ID) (ladder.Outcome, bool) {
	e := b.byID(id)
	if e == nil {
		return ladder.Open, false
	}
	return e.m.Outcome(), true
}

// List is all attempts that are in memory, the oldest first.
func (b *Book) List() []Entry {
	list := make([]Entry, 0, len(b.entries))
	for _, e := range b.entries {
		receipt, _ := e.m.Receipt()
		list = append(list, Entry{ID: e.id, Name: e.name, Outcome: e.m.Outcome(), Resolved: e.resolved, Receipt: receipt})
	}
	return list
}

// OnStable tells that the record of a Store event is on stable storage.
func (b *Book) OnStable(now time.Time, id ID, stage ladder.Stage) {
	b.advance(now)
	if e := b.byID(id); e != nil && e.storing {
		e.storing = false
		e.m.OnStable(b.now, stage)
		b.touch()
	}
}

// Forget drops an attempt whose first record could not be stored: nothing of it
// has left.
func (b *Book) Forget(now time.Time, id ID) {
	b.advance(now)
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool { return e.id == id })
	b.touch()
}

// Restore takes up an attempt after a restart, with the latest record of it;
// resolved says that it is a tombstone, which only answers. The errors are
// ErrPeer, ErrFull and those of ladder.Restore. A record that is there already
// changes nothing.
func (b *Book) Restore(now time.Time, record []byte, resolved bool) error {
	b.advance(now)
	m, err := ladder.Restore(b.now, ladder.RestoreConfig{Private: b.cfg.Private, Rand: b.rng}, record)
	if err != nil {
		return err
	}
	action, params := m.Action()
	if m.Remote() != b.cfg.Remote || action != ladder.ActionNamed {
		return ErrPeer
	}
	if b.byID(m.ID()) != nil {
		return nil
	}
	if !b.makeRoom() {
		return ErrFull
	}
	e := &entry{id: m.ID(), name: string(params), m: m, restored: true, resolved: resolved}
	if resolved {
		m.Rest()
		for _, ok := m.PollEvent(); ok; _, ok = m.PollEvent() { // it was told before
			continue
		}
	}
	b.entries = append(b.entries, e)
	b.touch()
	return nil
}

func (b *Book) byID(id ID) *entry {
	for _, e := range b.entries {
		if e.id == id {
			return e
		}
	}
	return nil
}

// HandleTimeout does what is due.
func (b *Book) HandleTimeout(now time.Time) {
	b.advance(now)
	if b.next.IsZero() || b.now.Before(b.next) {
		return
	}
	for _, e := range b.entries {
		e.m.HandleTimeout(b.now)
	}
	b.touch()
}

// Poll writes the next message to buf, of ladder.MaxMessage bytes at least.
func (b *Book) Poll(now time.Time, buf []byte) (n int, ok bool) {
	b.HandleTimeout(now)
	if b.next.IsZero() || b.now.Before(b.next) {
		return 0, false
	}
	defer b.touch()
	for range b.entries {
		e := b.entries[b.turn%len(b.entries)]
		b.turn = (b.turn + 1) % len(b.entries)
		if n, ok := e.m.Poll(b.now, buf); ok {
			return n, true
		}
	}
	return 0, false
}

// NextDeadline is when HandleTimeout and Poll are to be called, zero for never.
func (b *Book) NextDeadline() time.Time { return b.next }

func (b *Book) advance(now time.Time) {
	if now.After(b.now) {
		b.now = now
	}
}

// touch notes that something may have changed.
func (b *Book) touch() {
	b.fresh = true
	b.next = time.Time{}
	for _, e := range b.entries {
		if d := e.m.NextDeadline(); !d.IsZero() && (b.next.IsZero() || d.Before(b.next)) {
			b.next = d
		}
	}
}

// PollEvent tells what happened, one event at a time.
func (b *Book) PollEvent() (Event, bool) {
	if !b.fresh {
		return Event{}, false
	}
	for _, e := range b.entries {
		e.listen()
		if ev, ok := e.tell(); ok {
			return ev, true
		}
	}
	b.touch() // Rest may have moved a deadline
	b.fresh = false
	return Event{}, false
}

// listen takes what the machine tells.
func (e *entry) listen() {
	for {
		ev, ok := e.m.PollEvent()
		if !ok {
			return
		}
		switch ev {
		case ladder.EventPersist:
			e.store = true
		case ladder.EventInDoubt:
			e.doubt = true
		case ladder.EventCommitted, ladder.EventAborted:
			e.decided, e.doubt = true, false
			e.forgo()
		case ladder.EventDone:
			e.done = true
		case ladder.EventProgress:
		}
	}
}

// forgo notes that nobody needs the record of an attempt that was refused before
// this host signed QC, the least that a vote of the peer stands on. Where the
// peer was not even heard there is nobody to tell.
func (e *entry) forgo() {
	if e.restored || e.m.Outcome() != ladder.Aborted || e.m.Level() >= ladder.LevelQC {
		return
	}
	e.done = true
	if _, heard, _ := e.m.Peer(); !heard {
		e.m.Rest()
	}
}

// tell makes the entry's next event.
func (e *entry) tell() (Event, bool) {
	ev := Event{ID: e.id, Name: e.name}
	switch {
	case e.store && !e.storing:
		e.store, e.storing = false, true
		ev.Kind = Store
		ev.Stage, ev.Record = e.m.Record()
	case e.doubt:
		e.doubt = false
		ev.Kind, ev.Outcome = Doubt, ladder.InDoubt
	case e.decided:
		e.decided = false
		ev.Kind, ev.Outcome = Decided, e.m.Outcome()
	case e.done && !e.resolved:
		e.done, e.resolved = false, true
		ev.Kind = Resolved
	default:
		return Event{}, false
	}
	return ev, true
}

// Handle takes a ladder message of the peer about a named action.
func (b *Book) Handle(now time.Time, msg []byte) Drop {
	b.advance(now)
	m, err := ladder.Parse(msg)
	if err != nil || m.Action != ladder.ActionNamed || !ValidName(string(m.Params)) {
		return DropMalformed
	}
	defer b.touch()
	name := string(m.Params)
	var under, over *entry // attempts that the peer has not signed over: one that goes on, one that had this commitment
	for _, e := range b.entries {
		nonce, heard, bound := e.m.Peer()
		switch {
		case e.name != name:
		case bound && nonce == m.Nonce, !bound && e.m.Recognizes(msg):
			return b.give(e, msg)
		case !bound && e.open():
			under = e
		case heard && nonce == m.Nonce:
			over = e
		}
	}
	switch {
	case under != nil:
		return b.give(under, msg) // its commitment is what counts of it
	case over != nil:
		return b.give(over, msg)
	case m.Level > ladder.LevelC || m.Abort != nil:
		return DropName // of an attempt that nobody knows any more: not a new one
	}
	return b.accept(name, msg)
}

func (b *Book) give(e *entry, msg []byte) Drop {
	if e.m.Handle(b.now, msg) != ladder.DropNone {
		return DropLadder
	}
	return DropNone
}

func (b *Book) unresolved() (n int) {
	for _, e := range b.entries {
		if !e.resolved {
			n++
		}
	}
	return n
}

// accept takes part in what the peer proposes, if a pattern allows it.
func (b *Book) accept(name string, msg []byte) Drop {
	switch {
	case !matches(b.cfg.Accept, name):
		return DropName
	case !b.accepted.IsZero() && b.now.Sub(b.accepted) < acceptSpacing, b.unresolved() >= maxAccepted:
		return DropFull
	}
	e, err := b.begin(name, b.now.Add(acceptFor))
	if errors.Is(err, ErrFull) {
		return DropFull
	}
	if err != nil {
		return DropLadder
	}
	b.accepted = b.now
	return b.give(e, msg)
}
