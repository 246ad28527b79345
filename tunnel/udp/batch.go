package udp

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/poll"
)

// Batch is the space for several runs, which one system call receives. It belongs to
// the goroutine that receives.
type Batch struct {
	headers []header
	slots   []slot
	runs    []Run
	now     time.Time // when the last call came back
}

// header is struct mmsghdr of Linux.
type header struct {
	unix.Msghdr
	length uint32
}

// slot is where the kernel puts a run and what it says of it.
type slot struct {
	name unix.RawSockaddrInet6 // the larger of both families
	oob  [oobLen]byte
	iov  unix.Iovec
	buf  []byte
}

// NewBatch is a batch of n runs with their buffers.
func NewBatch(n int) *Batch {
	b := newBatch(n)
	for i := range n {
		b.place(i, make([]byte, MaxRun))
	}
	return b
}

func newBatch(n int) *Batch {
	return &Batch{headers: make([]header, n), slots: make([]slot, n), runs: make([]Run, n)}
}

// place sets the buffer of a run.
func (b *Batch) place(i int, buf []byte) {
	s := &b.slots[i]
	s.buf = buf
	s.iov.Base = unsafe.SliceData(buf)
	s.iov.SetLen(len(buf))
}

// Run is one of those that the last call received, and its bytes, which may be
// changed. A run that was of no use has none.
func (b *Batch) Run(i int) (Run, []byte) { return b.runs[i], b.slots[i].buf[:b.runs[i].N] }

// ReceiveBatch takes what has arrived and does not wait. It returns the number of
// runs, at most as many as b has space for; 0 if there is nothing.
func (s *Socket) ReceiveBatch(b *Batch) (int, error) {
	fd, err := s.fd.Use()
	if err != nil {
		return 0, fmt.Errorf("receive on udp %v: %w", s.local, net.ErrClosed)
	}
	defer s.fd.Release()
	for i := range b.headers {
		h, t := &b.headers[i], &b.slots[i]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&t.name)), unix.SizeofSockaddrInet6
		h.Iov, h.Iovlen = &t.iov, 1
		h.Control, h.Flags = &t.oob[0], 0
		h.SetControllen(len(t.oob))
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])),
			uintptr(len(b.headers)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			b.now = time.Now()
			return b.keep(int(n)), nil
		case errno == unix.EAGAIN:
			return 0, nil
		case errno != unix.EINTR:
			return 0, fmt.Errorf("receive on udp %v: %w", s.local, errno)
		}
	}
}

// keep reads what the kernel said of n runs.
func (b *Batch) keep(n int) int {
	for i := range n {
		h, t := &b.headers[i], &b.slots[i]
		m := parseMessages(t.oob[:h.Controllen])
		size, seg := usable(int(h.length), m.seg, int(h.Flags))
		b.runs[i] = Run{N: size, Seg: seg, From: t.from(), To: m.to, CE: m.ce, At: arrival(b.now, m.stamp)}
	}
	return n
}

// from is the sender's address.
func (t *slot) from() netip.AddrPort {
	if t.name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&t.name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), hostOrder(v4.Port))
	}
	ip := netip.AddrFrom16(t.name.Addr).Unmap()
	if t.name.Scope_id != 0 {
		ip = ip.WithZone(strconv.Itoa(int(t.name.Scope_id)))
	}
	return netip.AddrPortFrom(ip, hostOrder(t.name.Port))
}

// outgoing is what the kernel is told of a message to send.
type outgoing struct {
	v6     bool // the socket's family
	header unix.Msghdr
	iov    unix.Iovec
	name4  unix.RawSockaddrInet4
	name6  unix.RawSockaddrInet6
	to     netip.AddrPort // of the names
}

// isV6 reports whether a socket is one of IPv6.
func isV6(f *poll.FD) (bool, error) {
	fd, err := f.Use()
	if err != nil {
		return false, err
	}
	defer f.Release()
	name, err := unix.Getsockname(fd)
	_, v6 := name.(*unix.SockaddrInet6)
	return v6, err
}

// address sets the destination.
func (m *outgoing) address(to netip.AddrPort) error {
	if to == m.to {
		return nil
	}
	ip := to.Addr()
	switch {
	case !ip.IsValid() || !m.v6 && !ip.Unmap().Is4():
		return unix.EAFNOSUPPORT
	case !m.v6:
		m.name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: hostOrder(to.Port()), Addr: ip.Unmap().As4()}
		m.header.Name, m.header.Namelen = (*byte)(unsafe.Pointer(&m.name4)), unix.SizeofSockaddrInet4
	default:
		scope, err := scopeOf(ip.Zone())
		if err != nil {
			return err
		}
		m.name6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: hostOrder(to.Port()), Addr: ip.As16(), Scope_id: scope}
		m.header.Name, m.header.Namelen = (*byte)(unsafe.Pointer(&m.name6)), unix.SizeofSockaddrInet6
	}
	m.to = to
	return nil
}

// scopeOf is the index of the interface of a link-local address.
func scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// sendMessage is one call of sendmsg. Where the socket's buffer is full it waits.
func (s *Socket) sendMessage(b, oob []byte, to netip.AddrPort) error {
	fd, err := s.fd.Use()
	if err != nil {
		return net.ErrClosed
	}
	defer s.fd.Release()
	m := &s.message
	if err := m.address(to); err != nil {
		return err
	}
	m.iov.Base = unsafe.SliceData(b)
	m.iov.SetLen(len(b))
	m.header.Iov, m.header.Iovlen = &m.iov, 1
	m.header.Control = unsafe.SliceData(oob)
	m.header.SetControllen(len(oob))
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), 0)
		switch {
		case errno == 0:
			return nil
		case errno == unix.EAGAIN:
			if err := s.fd.Wait(unix.POLLOUT); err != nil {
				return net.ErrClosed
			}
		case errno != unix.EINTR:
			return errno
		}
	}
}

// hostOrder turns a port from network order to the host's, and back.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}
