package reliability

import (
	"time"

	"github.com/totg/totg/reliability/rlc"
)

// A block that is not full is closed by the first symbol that comes when it is
// older than blockRTTs round trips, a Deadline block than a share of its
// deadline. Repairs serve a growing block too, so it need not end when the queue
// runs empty, and a flow that leaves capacity unused still gets blocks long
// enough to code well.
const (
	blockRTTs          = 2
	blockDeadlineShare = 4
)

// txSymbol is a source symbol in coded form: bytes, end marker.
type txSymbol struct {
	coded  []byte
	pn     uint64 // newest transmission
	before int    // datagrams sent for the block before the first of this symbol
	tag    uint64
	sent   bool
	have   bool // a receipt shows it
}

// bytes are those of the symbol itself.
func (y *txSymbol) bytes() []byte { return y.coded[:len(y.coded)-rlc.MarkerLen] }

// txBlock is the sender's knowledge of one block.
type txBlock struct {
	symbols   []txSymbol
	class     Class
	closed    bool
	done      bool          // complete, or given up
	once      bool          // nothing of it is sent again
	byDefault bool          // a symbol has the deadline of the configuration
	patience  time.Duration // the longest deadline of the others
	deficit   int           // symbols that the receiver lacks, by the newest receipt
	inFlight  int           // datagrams for it whose fate no receipt has shown
	longest   int           // longest coded form, bytes
	born      time.Duration // birth of its first symbol
	newest    time.Duration // … and of its newest
	served    time.Duration // when nothing more was to be sent for it since the last attempt, 0: not yet
	attempts  int           // rounds of sending that receipts showed to be in vain
	limit     int           // K
	head      bool          // of a burst
	lastPN    uint64        // newest transmission
	sends     int           // datagrams sent for it so far
	key       needKey       // of need
	need      float64
}

// blockStore holds the sender's blocks [oldest, next) and their symbols.
type blockStore struct {
	ring         []txBlock
	oldest, next uint64
	open         [numSlots]uint64 // id of the open block plus one, 0 if none
	symbols      int              // in [oldest, next)
	window       int              // symbols that the receiver holds
	unreceipted  int              // sum of deficits
	pool         [][]byte
	lists        [][]txSymbol // of blocks that are gone
}

func newBlockStore() blockStore {
	return blockStore{ring: make([]txBlock, MaxLiveBlocks), window: initialWindow / rlc.BufferLen}
}

func (s *blockStore) block(id uint64) *txBlock { return &s.ring[id%MaxLiveBlocks] }

func (s *blockStore) live(id uint64) bool { return id >= s.oldest && id < s.next }

func (s *blockStore) canOpen() bool {
	return s.symbols < s.window && s.next-s.oldest < maxOpenBlocks
}

func (s *blockStore) buffer() []byte {
	if len(s.pool) == 0 {
		s.pool = append(s.pool, make([]byte, rlc.BufferLen))
	}
	return s.pool[len(s.pool)-1]
}

// list returns an empty list of symbols, used before where there is one.
func (s *blockStore) list() []txSymbol {
	n := len(s.lists)
	if n == 0 {
		return make([]txSymbol, 0, MaxBlockSymbols)
	}
	l := s.lists[n-1]
	s.lists = s.lists[:n-1]
	return l
}

type newSymbol struct {
	class    Class
	size     int
	tag      uint64
	limit    int           // K of the block that it opens, if it opens one
	deadline time.Duration // 0: that of the configuration
	once     bool
	head     bool // first of a burst
}

// numSlots is how many blocks are open at a time: one of each class, and one of
// symbols that are sent once.
const numSlots = NumClasses + 1

// slot says which open block the symbol belongs to.
func (y *newSymbol) slot() int { return slotOf(y.class, y.once) }

func slotOf(class Class, once bool) int {
	if once {
		return NumClasses
	}
	return int(class)
}

// grows reports whether the next symbol of the slot goes into its open block, which
// may not be older than age.
func (s *blockStore) grows(at time.Duration, slot int, age time.Duration) bool {
	id := s.open[slot]
	return id > 0 && at-s.block(id-1).born <= age
}

// opens reports whether the next symbol of the slot opens a block; one that is
// older than age is closed first.
func (s *blockStore) opens(at time.Duration, slot int, age time.Duration) bool {
	if s.grows(at, slot, age) {
		return false
	}
	if id := s.open[slot]; id > 0 {
		s.close(id - 1)
	}
	return true
}

func (s *blockStore) commit(at time.Duration, n newSymbol) Transmission {
	if n.size <= 0 || n.size > MaxSymbol || !s.canOpen() {
		panic("reliability: commit of an empty symbol or beyond the window")
	}
	slot := n.slot()
	if s.open[slot] == 0 {
		*s.block(s.next) = txBlock{symbols: s.list(), class: n.class, once: n.once, head: n.head, born: at, limit: n.limit}
		s.next++
		s.open[slot] = s.next
	}
	id := s.open[slot] - 1
	b := s.block(id)
	b.patience, b.byDefault = max(b.patience, n.deadline), b.byDefault || n.deadline == 0
	coded := rlc.Mark(s.buffer()[:n.size])
	s.pool = s.pool[:len(s.pool)-1]
	b.symbols = append(b.symbols, txSymbol{coded: coded, tag: n.tag})
	b.deficit++
	b.longest = max(b.longest, len(coded))
	b.newest = at
	s.symbols++
	s.unreceipted++
	if len(b.symbols) >= b.limit {
		s.close(id)
	}
	return Transmission{block: id, index: uint8(len(b.symbols) - 1), valid: true}
}

// sending is how a transmission related to what was known when it left.
type sending uint8

const (
	first     sending = iota // a new symbol
	needed                   // without it the receiver could not complete
	proactive                // in case those in flight are lost
)

// onSent notes a transmission.
func (s *blockStore) onSent(t Transmission, pn uint64) (how sending) {
	b := s.block(t.block)
	how = proactive
	if b.inFlight < b.deficit {
		how = needed
	}
	b.inFlight++
	b.lastPN = pn
	b.sends++
	if t.repair {
		return how
	}
	y := &b.symbols[t.index]
	if !y.sent {
		how, y.before = first, b.sends-1
	}
	y.sent, y.pn = true, pn
	return how
}

// choose returns what to send for a block that needs something: an uncoded copy
// where one symbol is missing, or two for certain, or only such are wanted, else a
// repair, which replaces any of them: one of two may have arrived meanwhile.
func (s *blockStore) choose(id uint64, uncoded bool) Transmission {
	b := s.block(id)
	if !uncoded && (b.deficit > 2 || (b.deficit == 2 && b.inFlight > 0)) {
		return Transmission{block: id, repair: true, valid: true}
	}
	best := -1
	for i := range b.symbols {
		if y := &b.symbols[i]; !y.have && (best < 0 || y.pn < b.symbols[best].pn) {
			best = i
		}
	}
	if best < 0 {
		return Transmission{}
	}
	return Transmission{block: id, index: uint8(best), valid: true}
}

// setDeficit notes how many symbols the receiver lacks.
func (s *blockStore) setDeficit(b *txBlock, n int) {
	s.unreceipted += n - b.deficit
	b.deficit = n
}

// finish ends a block: the receiver has it, or nobody needs it any more.
func (s *blockStore) finish(id uint64) {
	b := s.block(id)
	if b.done {
		return
	}
	b.done = true
	s.setDeficit(b, 0)
	for i := range b.symbols {
		y := &b.symbols[i]
		s.pool = append(s.pool, y.coded[:rlc.BufferLen])
		y.coded = nil
	}
	s.close(id)
}

// shown reports whether receipts showed every symbol of the block.
func (b *txBlock) shown() bool {
	for i := range b.symbols {
		if !b.symbols[i].have {
			return false
		}
	}
	return true
}

// close fixes the size of a block.
func (s *blockStore) close(id uint64) {
	b := s.block(id)
	b.closed = true
	if slot := slotOf(b.class, b.once); s.open[slot] == id+1 {
		s.open[slot] = 0
	}
}

// release drops finished blocks from the old end.
func (s *blockStore) release() {
	for s.oldest < s.next && s.block(s.oldest).done {
		b := s.block(s.oldest)
		s.symbols -= len(b.symbols)
		s.lists = append(s.lists, b.symbols[:0])
		b.symbols = nil
		s.oldest++
	}
}
