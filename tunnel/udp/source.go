package udp

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SendFrom is Send from an address of this host: who was asked at one of several
// addresses answers from that one. An invalid address leaves the choice to the
// host's routes.
func (s *Socket) SendFrom(b []byte, seg int, from netip.Addr, to netip.AddrPort) error {
	s.sourceLen = setSource(s.sendOOB[segmentLen:], from)
	err := s.Send(b, seg, to)
	s.sourceLen = 0
	return err
}

// sourceRoom is the room for a control message IP_PKTINFO or IPV6_PKTINFO.
const sourceRoom = 40

// setSource makes the control message that names the source, and returns its length.
func setSource(dst []byte, from netip.Addr) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&dst[0]))
	switch from = from.Unmap(); {
	case from.Is4():
		clear(dst[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)])
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		ip := from.As4()
		copy(dst[unix.CmsgLen(4):], ip[:]) // ipi_spec_dst, after the interface
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	case from.Is6():
		clear(dst[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)])
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		ip := from.As16()
		copy(dst[unix.CmsgLen(0):], ip[:]) // ipi6_addr, before the interface
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return 0
}

// destination is the address of this host that a datagram came to, as a control
// message of receiving tells; invalid if this one does not. A link-local address is
// none: it would take its interface.
func destination(h unix.Cmsghdr, data []byte) netip.Addr {
	var to netip.Addr
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		to = netip.AddrFrom4([4]byte(data[4:8])) // ipi_spec_dst, after the interface
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		to = netip.AddrFrom16([16]byte(data[:16])).Unmap()
	}
	if !to.IsValid() || to.IsMulticast() || to.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	return to
}
