package tunnel

import (
	"net/netip"

	"github.com/totg/totg/tunnel/peer"
	"github.com/totg/totg/tunnel/udp"
)

// maxBatch is the largest number of datagrams of one send (G-5).
const maxBatch = 44

// sendBuffer gathers datagrams of one size to one destination, so that the
// kernel cuts them (GSO). The last of a batch may be shorter.
type sendBuffer struct {
	buf   [maxBatch * peer.DefaultMaxDatagram]byte
	used  int
	count int
	seg   int
	from  netip.Addr
	to    netip.AddrPort
	short bool // the last datagram was shorter: the batch is complete
}

// next returns the space for the next datagram, of at least the largest size.
func (s *sendBuffer) next() []byte { return s.buf[s.used:] }

// add takes the datagram of n bytes that was written into next. It returns the
// number of datagrams that the kernel refused.
func (s *sendBuffer) add(socket *udp.Socket, n int, from netip.Addr, to netip.AddrPort) (failed uint64) {
	if s.count > 0 && (to != s.to || from != s.from || n > s.seg || s.short) {
		start := s.used
		failed = s.flush(socket)
		copy(s.buf[:], s.buf[start:start+n])
	}
	if s.count == 0 {
		s.seg, s.from, s.to, s.short = n, from, to, false
	}
	s.short = n < s.seg
	s.used += n
	s.count++
	if s.count == maxBatch || len(s.next()) < peer.DefaultMaxDatagram {
		failed += s.flush(socket)
	}
	return failed
}

// flush sends what was gathered.
func (s *sendBuffer) flush(socket *udp.Socket) (failed uint64) {
	if s.count == 0 {
		return 0
	}
	// An error is loss to the protocol (clause 8); it stays visible as a count.
	if err := socket.SendFrom(s.buf[:s.used], s.seg, s.from, s.to); err != nil {
		failed = 1
	}
	s.used, s.count = 0, 0
	return failed
}
