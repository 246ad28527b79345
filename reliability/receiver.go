package reliability

import (
	"math/bits"
	"time"

	"github.com/totg/totg/reliability/rlc"
)

// ReceiverConfig configures a Receiver.
type ReceiverConfig struct {
	// Window is the receive window in bytes; 0 means DefaultWindow.
	Window int
	// Rate is the rate of the return path in bit/s until SetRate: the budget of
	// receipts is a share of it. It must be positive.
	Rate int64
}

// Receiver is the receiving half of a path: it says which symbols are new and
// keeps the state that receipts report.
type Receiver struct {
	cfg   ReceiverConfig
	start time.Time

	// Blocks. base is the oldest block that is neither complete nor given up
	// by the sender; next is one above the newest seen.
	blocks     [MaxLiveBlocks]rxBlock
	base, next uint64
	pool       *rlc.Pool
	solved     *rxBlock // whose symbols NextRecovered returns
	handled    uint64   // the block that was handled last
	index      int      // … and its symbol

	// Arrivals.
	anything  bool
	largest   uint64
	arrival   time.Duration // of the largest, since start
	newest    time.Duration // arrival of the newest datagram, since start
	datagrams uint32
	gaps      uint32 // runs of numbers that were missing when a later one arrived
	overtaken overtaken
	bytes     uint64
	useless   uint32
	ce        uint32
	epochs    epochRing

	// Receipts.
	number   uint32        // of the next receipt
	lastSent time.Duration // when the last one was made
	news     bool          // something arrived that no receipt reports yet
	again    int           // repeats of the last receipt that are left
	haste    haste         // … and the sender waits for it
	rotate   uint64        // first block of the next receipt's list
	size     int           // of the last receipt, bytes
	rtt      time.Duration // by the sender half of this side
	echo     echoState
}

// haste is how soon a receipt is wanted.
type haste uint8

const (
	unhurried  haste = iota
	early            // after a quarter of the period: a block is complete
	atOnceIdle       // at once, where nothing else waits: an interactive symbol
	atOnce           // at once: a question, or a control symbol
)

// rxBlock is what the receiver keeps of a block.
type rxBlock struct {
	got   [maxBitmap / 8]uint64 // source symbols delivered
	n     uint16                // rank of what arrived
	k     uint16                // size, 0 while unknown
	class Class
	dec   rlc.Decoder
}

// reset forgets the block.
func (b *rxBlock) reset(pool *rlc.Pool) {
	b.dec.Reset(pool)
	*b = rxBlock{dec: b.dec}
}

func (b *rxBlock) complete() bool { return b.k > 0 && b.n == b.k }

// span is the number of bitmap bytes up to the highest index received.
func (b *rxBlock) span() int {
	for i := len(b.got) - 1; i >= 0; i-- {
		if b.got[i] != 0 {
			return i*8 + (bits.Len64(b.got[i])+7)/8
		}
	}
	return 0
}

// NewReceiver returns a Receiver. It panics if the configuration is invalid.
func NewReceiver(now time.Time, cfg ReceiverConfig) *Receiver {
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.Window < 0 || cfg.Rate <= 0 {
		panic("reliability: receiver needs a positive window and rate")
	}
	return &Receiver{
		cfg: cfg, start: now, rtt: initialRTT, size: receiptFixedLen,
		pool: rlc.NewPool(windowsHeld * cfg.Window / rlc.BufferLen),
	}
}

// SetRTT tells the receiver the round-trip time that the sender half of this
// side measured: it sets the receipt period.
func (r *Receiver) SetRTT(rtt time.Duration) { r.rtt = rtt }

// SetRate tells the receiver the rate of the return path in bit/s. It must be
// positive.
func (r *Receiver) SetRate(rate int64) { r.cfg.Rate = rate }

// Arrival describes a datagram that opened.
type Arrival struct {
	PN        uint64
	At        time.Time // when it arrived, zero for now
	Epoch     uint8
	Size      int  // wire size in IP bytes
	CE        bool // outer congestion mark
	Eliciting bool // carries more than receipts, echoes and padding
	Urgent    bool // the sender waits for the receipt (PING, path control)
}

// OnDatagram records the arrival of an authenticated datagram that is no
// duplicate.
func (r *Receiver) OnDatagram(now time.Time, a Arrival) {
	at := now.Sub(r.start)
	if !a.At.IsZero() { // in order, and not in the future
		at = min(max(a.At.Sub(r.start), r.newest), at)
	}
	r.newest = at
	switch {
	case !r.anything && a.PN > 0, r.anything && a.PN > r.largest+1:
		r.gaps++
	case r.anything && a.PN < r.largest:
		r.overtaken.add(at, r.largest-a.PN)
	}
	if !r.anything || a.PN > r.largest {
		r.anything, r.largest, r.arrival = true, a.PN, at
	}
	r.datagrams++
	r.bytes += uint64(a.Size)
	if a.CE {
		r.ce++
	}
	r.epochs.add(a.Epoch, a.PN, at)
	if a.Eliciting {
		r.news = true
	}
	if a.Urgent {
		r.haste = atOnce
	}
}

// HandleSource records a symbol and reports whether it is new: the caller then
// delivers it, and what NextRecovered returns; order is the channel's business
// . A symbol of a block that is done is not new and no error.
func (r *Receiver) HandleSource(s *Source) (fresh bool, err error) {
	k := 0
	if s.Last {
		k = int(s.Index) + 1
	}
	b, err := r.blockOf(s.Block, s.Class, k, int(s.Index)+1)
	if b == nil {
		return false, err
	}
	word, bit := s.Index/64, uint64(1)<<(s.Index%64)
	if b.got[word]&bit != 0 || b.complete() {
		r.useless++
		r.settleBlock(b) // it may tell K of a block that has everything
		return false, nil
	}
	b.got[word] |= bit
	if !b.dec.AddSource(int(s.Index), s.Symbol) {
		r.useless++ // what repairs told could have been solved for it
	}
	r.settleBlock(b)
	r.index = int(s.Index)
	return true, nil
}

// HandleRepair records a repair of the datagram with packet number pn. What became
// known by it, NextRecovered returns.
func (r *Receiver) HandleRepair(f *Repair, pn uint64) error {
	k := 0
	if f.Closed {
		k = f.N
	}
	b, err := r.blockOf(f.Block, f.Class, k, f.N)
	if b == nil {
		return err
	}
	if b.complete() {
		r.useless++
		return nil
	}
	if k > 0 && b.dec.Rank() == k { // it told K of a block that has everything
		r.useless++
		r.settleBlock(b)
		return nil
	}
	if !b.dec.AddRepair(f.N, pn, f.Coded) {
		r.useless++
	}
	r.settleBlock(b)
	return nil
}

// NextRecovered returns the next symbol that the last call of HandleSource or
// HandleRepair made known, or nil. It is valid until the next such call.
func (r *Receiver) NextRecovered() (symbol []byte, err error) {
	if r.solved == nil {
		return nil, nil
	}
	b := r.solved
	i, symbol, ok := b.dec.NextRecovered()
	if !ok {
		r.releaseSolved()
		return nil, nil
	}
	if symbol == nil {
		return nil, ErrMalformed
	}
	b.got[i/64] |= 1 << (i % 64)
	r.index = i
	return symbol, nil
}

// Position says where a symbol stands.
type Position struct {
	Block  uint64 // ids grow by one per block
	Oldest uint64 // block of which symbols may still come, at most Block
	Index  int    // 0 to 255
	Class  Class
}

// Position is that of the symbol that HandleSource found new, or NextRecovered
// returned, last.
func (r *Receiver) Position() Position {
	return Position{
		Block: r.handled, Oldest: min(r.base, r.handled), Index: r.index, Class: r.blocks[r.handled%MaxLiveBlocks].class,
	}
}

// releaseSolved gives back the symbols of a block that is complete.
func (r *Receiver) releaseSolved() {
	if r.solved != nil && r.solved.complete() {
		r.solved.dec.Reset(r.pool)
	}
	r.solved = nil
}

// blockOf returns the block of a frame that speaks of its first n symbols, nil
// if the block is done. k is its size, 0 while it is open.
func (r *Receiver) blockOf(low uint32, class Class, k, n int) (*rxBlock, error) {
	r.releaseSolved()
	id := expand(r.next, low, BlockBits)
	if id < r.base {
		r.useless++
		return nil, nil
	}
	if id >= r.base+MaxLiveBlocks || r.pool.Free() == 0 {
		return nil, ErrWindow
	}
	b := &r.blocks[id%MaxLiveBlocks]
	if id < r.next && !b.accepts(class, k, n) {
		return nil, ErrBlock
	}
	for r.next <= id { // a newer block: forget what its slot held before
		r.blocks[r.next%MaxLiveBlocks].reset(r.pool)
		r.next++
	}
	b.class = class
	r.handled = id
	if k > 0 {
		b.k = uint16(k)
	}
	return b, nil
}

// settleBlock draws the conclusions from what a block got: symbols that can be
// solved, and whether it is complete.
func (r *Receiver) settleBlock(b *rxBlock) {
	if b.complete() {
		return
	}
	b.n = uint16(b.dec.Rank())
	b.dec.Solve()
	r.solved = b
	switch b.class {
	case Control:
		r.haste = atOnce
	case Interactive:
		r.haste = max(r.haste, atOnceIdle)
	case Deadline, Bulk:
	}
	if !b.complete() {
		return
	}
	r.haste = max(r.haste, early)
	for r.base < r.next && r.blocks[r.base%MaxLiveBlocks].complete() {
		r.base++
	}
}

// accepts reports whether a frame agrees with what is known of its block.
func (b *rxBlock) accepts(class Class, k, n int) bool {
	if b.n == 0 && b.k == 0 {
		return true
	}
	if b.class != class || (b.k > 0 && (n > int(b.k) || (k > 0 && k != int(b.k)))) {
		return false
	}
	return k == 0 || max(b.dec.Symbols(), b.highest()+1) <= k
}

// highest is the highest index received, -1 if none.
func (b *rxBlock) highest() int {
	for i := len(b.got) - 1; i >= 0; i-- {
		if b.got[i] != 0 {
			return i*64 + bits.Len64(b.got[i]) - 1
		}
	}
	return -1
}

// HandleEcho takes the sender's word for blocks that it no longer holds and
// measures the loss of receipts.
func (r *Receiver) HandleEcho(e Echo) error {
	sent := r.number - e.Largest // wraps to a huge value for a number never sent
	if sent == 0 || sent > r.number {
		return ErrReceipt
	}
	oldest := expand(r.base, e.Oldest, 32)
	if oldest > r.base+MaxLiveBlocks {
		return ErrWindow
	}
	if oldest > r.base {
		r.skipTo(oldest)
	}
	r.echo.add(e)
	return nil
}

// skipTo gives up the blocks below oldest: the sender no longer holds them.
func (r *Receiver) skipTo(oldest uint64) {
	r.releaseSolved()
	for r.next < oldest {
		r.blocks[r.next%MaxLiveBlocks].reset(r.pool)
		r.next++
	}
	for r.base < oldest || (r.base < r.next && r.blocks[r.base%MaxLiveBlocks].complete()) {
		r.blocks[r.base%MaxLiveBlocks].dec.Reset(r.pool)
		r.base++
	}
}

// Useless is the number of symbols that arrived although they were known.
func (r *Receiver) Useless() uint64 { return uint64(r.useless) }

// Received is the number of datagrams and the IP bytes that arrived.
func (r *Receiver) Received() (datagrams, bytes uint64) { return uint64(r.datagrams), r.bytes }

// ReceiptDeadline is when the next receipt is due: zero if nothing arrived
// since the last one. loaded says that this side has a backlog of its own.
//
// One *received* receipt per clamp(RTT/8, 5 ms, 25 ms), so sent 1/(1-q̂) as
// often, within the share of the return path. Where data waits to go the
// same way only the peer's questions and control messages are worth haste.
func (r *Receiver) ReceiptDeadline(loaded bool) time.Time {
	if !r.news && r.again == 0 {
		return time.Time{}
	}
	period := receiptPeriod(r.rtt)
	gap := time.Duration(float64(period) * max(1-r.returnLoss(), 0.02))
	share := receiptShareIdle
	if loaded {
		share = receiptShareLoaded
		gap *= loadedPeriods
	}
	switch {
	case r.haste == atOnce, r.haste == atOnceIdle && !loaded:
		gap = 0
	case r.haste == early && !loaded:
		gap /= 4
	}
	size := r.size + 54 // IP, UDP, header and tag around it
	budget := time.Duration(float64(size*8) / (share * float64(r.cfg.Rate)) * float64(time.Second))
	return r.start.Add(r.lastSent + max(gap, budget))
}

// AppendReceipt appends the current state as a RECEIPT frame of at most room
// bytes and counts it as sent. It appends nothing if room is too small.
func (r *Receiver) AppendReceipt(now time.Time, dst []byte, room int) []byte {
	epochs := MaxEpochs
	if r.returnLoss() < 0.2 {
		epochs = 3 // enough to bridge the loss of a receipt now and then
	}
	if room < receiptFixedLen+epochs*epochLen+2+maxBitmap {
		return dst
	}
	at := now.Sub(r.start)
	c := Receipt{
		Number: r.number, Largest: uint32(r.largest), Arrival: uint32(r.arrival.Microseconds()),
		Hold:      saturate16((at - r.arrival).Microseconds() / timeUnit),
		Datagrams: r.datagrams, Gaps: r.gaps, Overtaken: r.overtaken.most(at), KiB: uint32(r.bytes >> 10), Useless: r.useless, CE: r.ce,
		Window: uint32(r.cfg.Window), Base: uint32(r.base),
	}
	c.NumEpochs = r.epochs.report(c.Epochs[:epochs], r.largest, r.arrival)
	if r.rotate < r.base || r.rotate >= r.next {
		r.rotate = r.base
	}
	c.First = uint32(r.rotate)
	head := len(dst)
	dst = c.Append(dst)
	fixed := len(dst)
	dst, c.ToEnd = r.appendStates(dst, room-(fixed-head))
	c.States = dst[fixed:]
	dst = c.Append(dst[:head]) // again, now that the states' length is known
	r.number++
	r.lastSent, r.size = at, len(dst)-head
	if r.news {
		r.again = repeats(r.returnLoss())
	} else {
		r.again--
	}
	r.news, r.haste = false, unhurried
	return dst
}

// appendStates appends block states from rotate on while they fit. What does
// not fit comes in the next receipt, so that every block is reported in turn.
// toEnd reports that the list reached the newest block.
func (r *Receiver) appendStates(dst []byte, room int) (out []byte, toEnd bool) {
	end := len(dst) + room
	for r.rotate < r.next {
		b := &r.blocks[r.rotate%MaxLiveBlocks]
		if b.complete() {
			run := uint64(1)
			for run < 256 && r.rotate+run < r.next && r.blocks[(r.rotate+run)%MaxLiveBlocks].complete() {
				run++
			}
			if len(dst)+2 > end {
				return dst, false
			}
			dst = append(dst, 0, uint8(run-1))
			r.rotate += run
			continue
		}
		span := b.span()
		if len(dst)+2+span > end {
			return dst, false
		}
		dst = append(dst, uint8(min(b.n, maxRank)+1), uint8(span))
		for i := range span {
			dst = append(dst, byte(b.got[i/8]>>(8*(i%8))))
		}
		r.rotate++
	}
	r.rotate = r.base
	return dst, true
}

func saturate16(v int64) uint16 { return uint16(min(max(v, 0), 65535)) }
