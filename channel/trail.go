package channel

import (
	"slices"
	"time"
)

// Position says where a symbol stands: at Index, from 0, of Block. Oldest is the
// oldest block of which symbols may still come, Block or an older one; it never
// falls.
type Position struct {
	Block, Oldest uint64
	Index         int
}

// trails knows how the symbols of each block end, and keeps what continues a symbol
// that is not there yet: the front of the symbol behind it.
type trails struct {
	blocks  map[uint64]*trail
	oldest  uint64 // no older block has a trail
	symbols int    // in all of them
	free    []*trail
}

// trail is what is known of the symbols of a block, by index.
type trail struct {
	symbols []trailing
}

// trailing is what is known of a symbol. Its front is what continues the symbol
// before it: all segments with flagNext at its beginning.
type trailing struct {
	came   bool
	waits  bool    // the front does, for the symbol before this one
	all    bool    // … and the symbol has no other segments
	opener uint8   // flagOpener of the front, or 0
	last   header  // the symbol's last segment; with all, its number is counted from the symbol before
	held   *buffer // the front, as it came; nil while it waits: there was no room for it
}

// of returns the trail of a position, with room for its index, and releases those
// that are no longer needed. The error is ErrSymbols.
func (t *trails) of(at Position, in *intake) (*trail, error) {
	for ; t.oldest < at.Oldest && len(t.blocks) > 0; t.oldest++ {
		if old := t.blocks[t.oldest]; old != nil {
			delete(t.blocks, t.oldest)
			t.release(old, in)
		}
	}
	t.oldest = max(t.oldest, at.Oldest)
	b := t.blocks[at.Block]
	if b == nil {
		b = t.add(at.Block)
	}
	if more := at.Index + 1 - len(b.symbols); more > 0 {
		if t.symbols+more > in.pool.limit/bytesPerSymbol {
			return nil, ErrSymbols
		}
		t.symbols += more
		b.symbols = slices.Grow(b.symbols, more)[:at.Index+1]
	}
	return b, nil
}

func (t *trails) add(block uint64) *trail {
	var b *trail
	if n := len(t.free); n > 0 {
		b, t.free = t.free[n-1], t.free[:n-1]
	} else {
		b = &trail{}
	}
	if t.blocks == nil {
		t.blocks = map[uint64]*trail{}
	}
	t.blocks[block] = b
	return b
}

// release gives back what a trail holds.
func (t *trails) release(b *trail, in *intake) {
	for i := range b.symbols {
		if held := b.symbols[i].held; held != nil {
			in.pool.put(held)
		}
	}
	t.symbols -= len(b.symbols)
	clear(b.symbols)
	b.symbols = b.symbols[:0]
	if len(t.free) < freeTrails {
		t.free = append(t.free, b)
	}
}

// before is the last segment of the symbol before index; known tells whether there is
// none or it is known.
func (b *trail) before(index int) (last header, known bool) {
	if index == 0 {
		return header{}, true
	}
	y := &b.symbols[index-1]
	return y.last, y.came && !y.all
}

// fits reports whether what waits behind the symbol at index may do so, if that ends
// with last.
func (b *trail) fits(index int, last header) bool {
	for _, y := range b.symbols[index+1:] {
		if !y.waits {
			break
		}
		if h := (header{flags: flagNext | y.opener}); !h.continues(last) {
			return false
		}
		if !y.all { // else the one behind it continues the same channel
			break
		}
	}
	return true
}

// hasFront reports whether a symbol continues the one before it.
func hasFront(b []byte) bool { return len(b) > 0 && b[0]&flagNext != 0 }

// anything stands for the segment before a front while that is not known: one of any
// channel, with the number 0, that the front may continue.
func anything(b []byte) header {
	return header{id: makeID(1, 1), flags: b[0] & flagOpener}
}

// frontLen is the length of the front of a well-formed symbol that has one.
func frontLen(b []byte) int {
	rest, before := b, anything(b)
	for hasFront(rest) {
		h, _, behind, err := parseSegment(rest, before)
		if err != nil {
			break
		}
		rest, before = behind, h
	}
	return len(b) - len(rest)
}

// HandleSymbol is HandleSegments for a symbol of a block. Its front may continue the
// symbol before it in the block; while that is not there the front waits, and
// nothing else does. Each symbol of a block is handed over once, in any order.
func (m *Mux) HandleSymbol(now time.Time, at Position, b []byte) error {
	t, err := m.trails.of(at, &m.in)
	if err != nil {
		return err
	}
	before, known := header{}, true
	if hasFront(b) {
		before, known = t.before(at.Index)
	}
	y := trailing{came: true}
	front := 0
	if !known {
		before, front = anything(b), frontLen(b)
		y.waits, y.all, y.opener = true, front == len(b), before.flags
	}
	if y.last, err = check(b, before); err != nil {
		return err
	}
	if !y.all && !t.fits(at.Index, y.last) {
		return ErrFlags
	}
	m.observe(now)
	if y.waits {
		if y.held = m.in.pool.get(front); y.held != nil {
			y.held.b = append(y.held.b[:0], b[:front]...)
		}
		b, before = b[front:], header{}
	}
	t.symbols[at.Index] = y
	m.take(b, before)
	if !y.all {
		m.follow(t, at.Index)
	}
	m.armTrim()
	return nil
}

// follow takes the fronts that waited for the symbol at index, the last segment of
// which is known now. Where there was no room for one, its channel has lost it.
func (m *Mux) follow(t *trail, index int) {
	for i := index + 1; i < len(t.symbols) && t.symbols[i].waits; i++ {
		before, y := t.symbols[i-1].last, &t.symbols[i]
		if y.held != nil {
			m.take(y.held.b, before)
			m.in.pool.put(y.held)
		} else if c := m.find(before.id, before.flags&flagOpener != 0); c != nil {
			m.violate(c, ReasonOverflow)
		}
		y.waits, y.held = false, nil
		if !y.all {
			return
		}
		y.all = false
		y.last.id, y.last.seq = before.id, (before.seq+y.last.seq)%(1<<SequenceBits)
	}
}
