package peer

import (
	"github.com/totg/totg/tunnel/flow"
	"github.com/totg/totg/tunnel/header"
)

// headers shortens the headers of inner TCP on the channels of mode TCP of a
// session, and restores the peer's. A context belongs to one bucket of
// flows, and so to one channel at a time. The zero value is ready.
type headers struct {
	out     header.Compressor
	in      header.Decompressor
	head    []byte // the unit at the head of the queue in short form, nil: not begun
	saved   [header.MaxHeaders]byte
	n       int // bytes of saved
	scratch []byte
}

// shorten returns the unit at the head of the queue as it travels. Its short form
// lies in the same memory, and stays until done or restore.
func (h *headers) shorten(slot uint8, unit []byte) []byte {
	if h.head == nil {
		h.n = copy(h.saved[:], unit)
		h.head = h.out.Compress(slot, unit)
	}
	return h.head
}

// done notes that the unit is wholly in symbols.
func (h *headers) done() { h.head = nil }

// restore gives the unit at the head of the queue, if it was begun, its headers
// back: it begins again, on another channel.
func (h *headers) restore(unit []byte) {
	if h.head != nil {
		copy(unit, h.saved[:h.n])
	}
	h.head = nil
}

// forget prepares for a channel that knows nothing yet of the flows that have this
// context.
func (h *headers) forget(slot uint8) { h.out.Forget(slot) }

// expand restores the unit of n bytes in buf, which holds flow.MaxUnit bytes, and
// returns its length. A unit that was not shortened stays as it is.
func (h *headers) expand(buf []byte, n int) (int, error) {
	if n > 0 && buf[0]&^(flow.FlagVirtio|flow.FlagEthernet) == 0 {
		return n, nil
	}
	h.scratch = append(h.scratch[:0], buf[:n]...)
	return h.in.Expand(buf, h.scratch)
}
