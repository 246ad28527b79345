package flow

// Held knows which bytes of inner TCP connections the tunnel holds: those that
// wait in the Stream class of a Queue, and those that were sent and are not
// known to have arrived. The tunnel resends these by itself, so a retransmission
// of them would only lengthen the queue that caused it.
//
// The caller asks Holds before it queues a unit, and drops the unit if the
// answer is true; it calls Add for every unit that it has queued, and gets a
// ticket, 0 for a unit that is not followed. With the ticket it tells what became
// of the unit: Sent or Drop. Units of one connection are sent in the order in
// which they were added; others may go between.
//
// A byte is held from Add to Release, or to Drop, or to Reset if it was sent (RFC
// 9293, section 3.4, for the arithmetic modulo 2^32). Held errs to one side: what
// it cannot follow, for its limits or because the ranges of a connection are
// torn, it does not hold. Nothing is ever refused of which a byte is not in the
// tunnel.
type Held struct {
	connections map[connectionKey]*connection
	free        []*connection

	units  []heldUnit // by ticket less one
	unused []int      // tickets
	ring   []int      // tickets of units that are sent, by their symbols
	head   int
	flying int // of these
	runs   uint64
	symbol uint64 // newest tag of Sent
}

// heldUnit is a unit with a range. All that is left of the range is its end: it
// begins where the unit before it in its run ends.
type heldUnit struct {
	of     *connection // nil: the ticket is not in use
	run    uint64
	symbol uint64
	end    uint32
	sent   bool
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
	number     uint64 // its own, 0: there is none
	start, end uint32
}

// NewHeld returns a Held that follows at most limit units at a time, and 1,024
// connections.
func NewHeld(limit int) *Held {
	n := min(limit, maxConnections)
	h := &Held{
		connections: make(map[connectionKey]*connection, n),
		free:        make([]*connection, n),
		units:       make([]heldUnit, limit),
		unused:      make([]int, limit),
		ring:        make([]int, limit),
	}
	for i := range h.unused {
		h.unused[i] = limit - i
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

// Add notes a unit that was queued and returns its ticket. A unit that is not TCP
// has none.
func (h *Held) Add(unit []byte) (ticket int) {
	in, t, ok := parseData(unit)
	switch {
	case !ok:
	case t.flags&tcpSYN != 0:
		// A new connection with the addresses and ports of an old one: its
		// sequence numbers stand for other bytes.
		if c := h.connections[keyOf(&in, &t)]; c != nil {
			c.runs = [maxRuns]run{}
		}
	case t.data() && len(h.unused) > 0:
		return h.hold(keyOf(&in, &t), t.seq, t.payload)
	}
	return 0
}

// Sent tells that the unit is wholly in symbols, the last of which has this tag.
// Tags never fall between two calls of Reset.
func (h *Held) Sent(ticket int, symbol uint64) {
	if symbol < h.symbol {
		panic("flow: symbols out of order")
	}
	h.symbol = symbol
	if ticket == 0 {
		return
	}
	u := h.waiting(ticket)
	u.symbol, u.sent = symbol, true
	h.ring[(h.head+h.flying)%len(h.ring)] = ticket
	h.flying++
}

// Drop tells that the unit was dropped from the queue: its bytes are held no
// longer, nor are those before it in its run, which are on their way.
func (h *Held) Drop(ticket int) {
	if ticket == 0 {
		return
	}
	u := h.waiting(ticket)
	u.of.release(u.run, u.end)
	h.discard(ticket)
}

// waiting is the unit of a ticket that was neither sent nor dropped.
func (h *Held) waiting(ticket int) *heldUnit {
	u := &h.units[ticket-1]
	if u.of == nil || u.sent {
		panic("flow: a unit is sent or dropped that does not wait")
	}
	return u
}

// Release tells that all symbols with a tag below this one have arrived.
func (h *Held) Release(below uint64) {
	for h.flying > 0 && h.units[h.ring[h.head]-1].symbol < below {
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

// hold follows a unit, unless the tunnel holds its range already.
func (h *Held) hold(key connectionKey, seq, n uint32) (ticket int) {
	c := h.connections[key]
	switch {
	case c != nil && c.holds(seq, n):
		return 0
	case c == nil && len(h.free) == 0:
		return 0
	case c == nil:
		c = h.free[len(h.free)-1]
		h.free = h.free[:len(h.free)-1]
		*c = connection{key: key}
		h.connections[key] = c
	}
	ticket = h.unused[len(h.unused)-1]
	h.unused = h.unused[:len(h.unused)-1]
	h.runs++
	h.units[ticket-1] = heldUnit{of: c, run: c.extend(seq, n, h.runs), end: seq + n}
	c.units++
	return ticket
}

// pop releases the unit that was sent first.
func (h *Held) pop() {
	ticket := h.ring[h.head]
	u := &h.units[ticket-1]
	u.of.release(u.run, u.end)
	h.discard(ticket)
	h.head = (h.head + 1) % len(h.ring)
	h.flying--
}

// discard takes a ticket back.
func (h *Held) discard(ticket int) {
	u := &h.units[ticket-1]
	u.of.units--
	if u.of.units == 0 {
		delete(h.connections, u.of.key)
		h.free = append(h.free, u.of)
	}
	*u = heldUnit{}
	h.unused = append(h.unused, ticket)
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
		if r.number != 0 && ahead <= length && ahead+n <= maxRun {
			r.end = seq + n
			return r.number
		}
		if length < shortest.end-shortest.start {
			shortest = r
		}
	}
	*shortest = run{number: number, start: seq, end: seq + n}
	return number
}

// release takes the bytes up to the end of a unit out of its run, if the
// connection still has them: a unit behind it may have been dropped.
func (c *connection) release(number uint64, end uint32) {
	for i := range c.runs {
		if r := &c.runs[i]; r.number == number && end-r.start <= r.end-r.start {
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
