package peer

import (
	"net/netip"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability"
)

// goodbye is the last word of a session: CLOSE datagrams sealed before its keys
// are wiped.
type goodbye struct {
	datagrams [closeCopies][headerLen + 1 + 4 + maxReason + tagLen]byte
	size      int
	left      int
	to        netip.AddrPort
}

// prepareClose seals the CLOSE datagrams of a session that ends.
func (p *Peer) prepareClose(s *session, why CloseError) {
	g := &p.goodbye
	g.to, g.left = p.path.addr, closeCopies
	for i := range g.datagrams {
		buf := g.datagrams[i][:]
		pn := s.sender.NextPN()
		dst := appendHeader(buf[:0], wire.TypeData, s.keys.RemoteIndex, pn)
		dst = append(dst, s.sender.Epoch(p.now))
		dst = appendClose(dst, why.Code, why.Reason)
		sealed := s.keys.Send.Seal(buf[headerLen:headerLen], buf[:headerLen], dst[headerLen:], 0, pn)
		g.size = headerLen + len(sealed)
		s.sender.OnSent(p.now, g.size+p.path.overhead(), reliability.Transmission{})
	}
}

// pollClose returns the next CLOSE datagram.
func (p *Peer) pollClose(buf []byte) (n int, to netip.AddrPort) {
	g := &p.goodbye
	if g.left == 0 {
		return 0, netip.AddrPort{}
	}
	g.left--
	return copy(buf, g.datagrams[g.left][:g.size]), g.to
}
