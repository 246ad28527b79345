package reliability

import "time"

// blockSymbols is K of a full block while symbols are resent uncoded: large
// enough that receipts are short, small enough that an old block ends soon.
const blockSymbols = 64

// symbolState is the sender's knowledge of one symbol.
type symbolState uint8

const (
	fresh  symbolState = iota // not sent yet
	flying                    // sent, no receipt covers it
	lost                      // a receipt or a timeout says it must be resent
	done                      // in a receipt, or given up
)

type txSymbol struct {
	buf   []byte // nil once done
	pn    uint64 // newest transmission
	tag   uint64
	born  time.Duration
	state symbolState
	tries uint8 // transmissions whose fate is open, at most 255
}

type txBlock struct {
	symbols []txSymbol
	class   Class
	closed  bool
	left    int // symbols not done
	lost    int
	bytes   int
}

// blockStore holds the sender's blocks [oldest, next) and their symbols.
type blockStore struct {
	ring         []txBlock
	oldest, next uint64
	open         [NumClasses]uint64 // id of the open block plus one, 0 if none
	lost         [NumClasses]int    // symbols in state lost
	lostFrom     [NumClasses]uint64 // no lost symbol of the class is older
	span         int                // bytes of symbols in [oldest, next)
	window       int                // what the receiver holds, bytes
	unreceipted  int
	pool         [][]byte
}

func newBlockStore() blockStore {
	return blockStore{ring: make([]txBlock, MaxLiveBlocks), window: initialWindow}
}

func (s *blockStore) block(id uint64) *txBlock { return &s.ring[id%MaxLiveBlocks] }

func (s *blockStore) live(id uint64) bool { return id >= s.oldest && id < s.next }

func (s *blockStore) symbol(t Transmission) *txSymbol {
	return &s.block(t.block).symbols[t.index]
}

func (s *blockStore) canOpen(class Class) bool {
	if s.span+MaxSymbol > s.window {
		return false
	}
	return s.open[class] != 0 || s.next-s.oldest < MaxLiveBlocks
}

func (s *blockStore) buffer() []byte {
	if len(s.pool) == 0 {
		s.pool = append(s.pool, make([]byte, MaxSymbol))
	}
	return s.pool[len(s.pool)-1]
}

type newSymbol struct {
	class Class
	size  int
	last  bool
	tag   uint64
}

func (s *blockStore) commit(at time.Duration, n newSymbol) Transmission {
	if n.size <= 0 || n.size > MaxSymbol || !s.canOpen(n.class) {
		panic("reliability: commit of an empty symbol or beyond the window")
	}
	if s.open[n.class] == 0 {
		b := s.block(s.next)
		*b = txBlock{symbols: b.symbols[:0], class: n.class}
		s.next++
		s.open[n.class] = s.next
	}
	id := s.open[n.class] - 1
	b := s.block(id)
	buf := s.buffer()[:n.size]
	s.pool = s.pool[:len(s.pool)-1]
	b.symbols = append(b.symbols, txSymbol{buf: buf, tag: n.tag, born: at})
	b.left++
	b.bytes += n.size
	s.span += n.size
	s.unreceipted++
	if n.last || len(b.symbols) == blockSymbols {
		b.closed = true
		s.open[n.class] = 0
	}
	return Transmission{block: id, index: uint8(len(b.symbols) - 1), valid: true}
}

// onSent notes the newest transmission and returns what was known before.
func (s *blockStore) onSent(t Transmission, pn uint64) (was symbolState) {
	y := s.symbol(t)
	was = y.state
	switch was {
	case lost:
		b := s.block(t.block)
		b.lost--
		s.lost[b.class]--
	case done:
		panic("reliability: sent a symbol that nobody needs")
	case fresh, flying:
	}
	y.state, y.pn = flying, pn
	y.tries = uint8(min(int(y.tries)+1, 255))
	return was
}

// flying reports whether pn is the newest transmission of a symbol whose fate
// is open.
func (s *blockStore) flying(t Transmission, pn uint64) bool {
	if !s.live(t.block) {
		return false
	}
	y := s.symbol(t)
	return y.state == flying && y.pn == pn
}

func (s *blockStore) markLost(t Transmission) {
	b := s.block(t.block)
	b.symbols[t.index].state, b.symbols[t.index].tries = lost, 0
	b.lost++
	s.lost[b.class]++
	s.lostFrom[b.class] = min(s.lostFrom[b.class], t.block)
}

// nextLost returns the oldest lost symbol of the class.
func (s *blockStore) nextLost(class Class) Transmission {
	if s.lost[class] == 0 {
		s.lostFrom[class] = s.next
		return Transmission{}
	}
	id := max(s.lostFrom[class], s.oldest)
	for s.block(id).class != class || s.block(id).lost == 0 {
		id++
	}
	s.lostFrom[class] = id
	for i, y := range s.block(id).symbols {
		if y.state == lost {
			return Transmission{block: id, index: uint8(i), valid: true}
		}
	}
	panic("reliability: a block's count of lost symbols is wrong")
}

// abandon gives up lost symbols of class Deadline from the old end, as long as
// they were born by limit.
func (s *blockStore) abandon(limit time.Duration) (n int) {
	for {
		t := s.nextLost(Deadline)
		if !t.valid || s.symbol(t).born > limit {
			return n
		}
		s.finish(t.block, int(t.index))
		n++
		s.release()
	}
}

// finish marks a symbol done and takes its buffer back. It returns the tag, or
// 0 if the symbol was done before.
func (s *blockStore) finish(id uint64, index int) (tag uint64) {
	b := s.block(id)
	y := &b.symbols[index]
	switch y.state {
	case done:
		return 0
	case lost:
		b.lost--
		s.lost[b.class]--
	case fresh, flying:
	}
	s.pool = append(s.pool, y.buf[:MaxSymbol])
	tag = y.tag
	*y = txSymbol{state: done}
	b.left--
	s.unreceipted--
	return tag
}

// release drops finished blocks from the old end.
func (s *blockStore) release() {
	for s.oldest < s.next {
		b := s.block(s.oldest)
		if b.left > 0 || !b.closed {
			return
		}
		s.span -= b.bytes
		s.oldest++
	}
}
