package flow

// Held knows which bytes of inner TCP connections the tunnel holds: those that
// wait in the Stream class of a Queue, and those that were sent and are not
// known to have arrived. The tunnel resends these by itself, so a retransmission
// of them would only lengthen the queue that caused it.
//
// The caller asks Holds before it queues a unit, and drops the unit if the
// answer is true; it calls Add for every unit that it has queued. Units of the
// Stream class, and no others, have numbers, 1, 2, … in the order of these
// calls, and Sent speaks of the next of them: the queue keeps their order.
//
// A byte is held from Add to Release, or to Reset if it was sent (RFC 9293,
// section 3.4, for the arithmetic modulo 2^32). Held errs to one side: what it
// cannot follow, for its limits or because the ranges of a connection are torn,
// it does not hold. Nothing is ever refused of which a byte is not in the tunnel.
type Held struct {
	connections map[connectionKey]*connection
	free        []*connection

	ring   []heldUnit // units with a range that are held, by their number
	head   int
	count  int
	flying int // of these, the first so many are sent

	added  uint64 // number of the newest unit
	sent   uint64 // number of the newest unit that was sent
	symbol uint64 // … and its last symbol
}

// heldUnit is a unit with a range. All that is left of the range is its end: it
// begins where the unit before it in its run ends.
type heldUnit struct {
	of     *connection
	number uint64
	run    uint64
	symbol uint64
	end    uint32
}

// connectionKey is one direction of a TCP connection: IP version, addresses and
// ports.
type connectionKey [1 + 16 + 16 + 4]byte

type connection struct {
	key   connectionKey
	units int // in the ring
	runs  [maxRuns]run
}

// run is a range of held bytes without a hole, [start, end) modulo 2^32. Every
// unit in it ends beyond the one before, so start follows as they are released.
// It may be empty, and go on from there.
type run struct {
	first      uint64 // number of the unit that began it, 0: none did
	start, end uint32
}

// NewHeld returns a Held that follows at most limit units at a time, and 1,024
// connections.
func NewHeld(limit int) *Held {
	n := min(limit, maxConnections)
	h := &Held{
		connections: make(map[connectionKey]*connection, n),
		free:        make([]*connection, n),
		ring:        make([]heldUnit, limit),
	}
	all := make([]connection, n)
	for i := range all {
		h.free[i] = &all[i]
	}
	return h
}

// Holds reports that the unit is a TCP segment with payload, and that the tunnel
// holds all of it. It is false for segments with SYN, FIN, RST or URG.
func (h *Held) Holds(unit []byte) bool {
	in, t, ok := parseData(unit)
	if !ok || !t.data() {
		return false
	}
	c := h.connections[keyOf(&in, &t)]
	return c != nil && c.holds(t.seq, t.payload)
}

// Add notes a unit that was queued. A unit that is not of the Stream class
// changes nothing.
func (h *Held) Add(unit []byte) {
	in, t, ok := parseData(unit)
	if in.Class != Stream {
		return
	}
	h.added++
	switch {
	case !ok:
	case t.flags&tcpSYN != 0:
		// A new connection with the addresses and ports of an old one: its
		// sequence numbers stand for other bytes.
		if c := h.connections[keyOf(&in, &t)]; c != nil {
			c.runs = [maxRuns]run{}
		}
	case t.data() && h.count < len(h.ring):
		h.hold(keyOf(&in, &t), t.seq, t.payload)
	}
}

// Sent tells that the next unit is wholly in symbols, the last of which has this
// tag. Tags never fall between two calls of Reset.
func (h *Held) Sent(symbol uint64) {
	if h.sent == h.added || symbol < h.symbol {
		panic("flow: a unit is sent that was not added, or out of order")
	}
	h.sent++
	h.symbol = symbol
	if h.flying == h.count {
		return
	}
	if u := h.at(h.flying); u.number == h.sent {
		u.symbol = symbol
		h.flying++
	}
}

// Release tells that all symbols with a tag below this one have arrived.
func (h *Held) Release(below uint64) {
	for h.flying > 0 && h.at(0).symbol < below {
		h.pop()
	}
}

// Reset tells that the session is lost: what was sent is held no longer, what
// waits in the queue still is. Tags may begin anew.
func (h *Held) Reset() {
	for h.flying > 0 {
		h.pop()
	}
	h.symbol = 0
}

func (h *Held) at(i int) *heldUnit { return &h.ring[(h.head+i)%len(h.ring)] }

// hold appends a unit to the ring, unless the tunnel holds its range already.
func (h *Held) hold(key connectionKey, seq, n uint32) {
	c := h.connections[key]
	switch {
	case c != nil && c.holds(seq, n):
		return
	case c == nil && len(h.free) == 0:
		return
	case c == nil:
		c = h.free[len(h.free)-1]
		h.free = h.free[:len(h.free)-1]
		*c = connection{key: key}
		h.connections[key] = c
	}
	*h.at(h.count) = heldUnit{of: c, number: h.added, run: c.extend(seq, n, h.added), end: seq + n}
	c.units++
	h.count++
}

// pop releases the oldest unit of the ring.
func (h *Held) pop() {
	u := h.at(0)
	u.of.release(u.run, u.end)
	u.of.units--
	if u.of.units == 0 {
		delete(h.connections, u.of.key)
		h.free = append(h.free, u.of)
	}
	*u = heldUnit{}
	h.head = (h.head + 1) % len(h.ring)
	h.count--
	h.flying--
}

// holds reports whether the runs cover the range.
func (c *connection) holds(seq, n uint32) bool {
	for range c.runs { // each can lead on once
		for _, r := range c.runs {
			if seq-r.start < r.end-r.start {
				step := min(n, r.end-seq)
				seq, n = seq+step, n-step
			}
		}
		if n == 0 {
			return true
		}
	}
	return false
}

// extend adds the range of a unit that is not wholly held, and returns the run
// that it became a part of: one that it continues, else a new one in the place
// of the shortest. So what fills many small holes cannot push out the run in
// which the connection goes on.
func (c *connection) extend(seq, n uint32, number uint64) uint64 {
	shortest := &c.runs[0]
	for i := range c.runs {
		r := &c.runs[i]
		length, ahead := r.end-r.start, seq-r.start
		if r.first != 0 && ahead <= length && ahead+n <= maxRun {
			r.end = seq + n
			return r.first
		}
		if length < shortest.end-shortest.start {
			shortest = r
		}
	}
	*shortest = run{first: number, start: seq, end: seq + n}
	return number
}

// release takes the bytes up to the end of a unit out of its run, if the
// connection still has it.
func (c *connection) release(first uint64, end uint32) {
	for i := range c.runs {
		if r := &c.runs[i]; r.first == first {
			r.start = end
		}
	}
}

// parseData reads a unit and its TCP header; ok is false if it has none.
func parseData(unit []byte) (in inner, t segment, ok bool) {
	if in, ok = parse(unit); !ok {
		return in, segment{}, false
	}
	t, ok = in.tcp()
	return in, t, ok
}

// keyOf is the key of a segment's connection.
func keyOf(in *inner, t *segment) (k connectionKey) {
	src, dst := in.Src.As16(), in.Dst.As16()
	if in.Src.Is4() {
		k[0] = 4
	}
	copy(k[1:], src[:])
	copy(k[17:], dst[:])
	copy(k[33:], t.ports[:])
	return k
}
