package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// configure sets the options of a socket that is not bound yet. v6 sockets may
// carry IPv4 too, so that they get the options of both.
func configure(fd int, v6 bool, mark uint32) error {
	if err := setMark(fd, mark); err != nil {
		return err
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	// Kernels before 5.0 know no GRO: they give one datagram per call.
	_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	// W-4: the DF bit on every datagram, and no memory of the path's MTU, which
	// anyone could poison with a forged ICMP message: the protocol probes itself.
	if err := setIP(fd, v6, [2]int{unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}, [2]int{unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE}); err != nil {
		return fmt.Errorf("set the don't-fragment bit: %w", err)
	}
	// T-2: the TOS byte of arriving datagrams, for its ECN bits.
	if err := setIP(fd, v6, [2]int{unix.IP_RECVTOS, 1}, [2]int{unix.IPV6_RECVTCLASS, 1}); err != nil {
		return fmt.Errorf("ask for the TOS byte: %w", err)
	}
	// the address that each datagram came to, so that the answer can leave from it.
	if err := setIP(fd, v6, [2]int{unix.IP_PKTINFO, 1}, [2]int{unix.IPV6_RECVPKTINFO, 1}); err != nil {
		return fmt.Errorf("ask for the destination: %w", err)
	}
	// G-1: when each datagram came, so that the time until this process looks at it
	// is no delay of the path. Kernels before 5.1 do not tell.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	return nil
}

// setIP sets an option for IPv4 and, on a v6 socket, its counterpart for IPv6; both
// are given as option and value. A host without IPv4 has only the latter.
func setIP(fd int, v6 bool, v4Option, v6Option [2]int) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, v4Option[0], v4Option[1])
	if v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, v6Option[0], v6Option[1])
	}
	return err
}

// setBuffer asks for a buffer beyond the system's limit, which takes
// CAP_NET_ADMIN, or else for as much as the limit grants.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

// setMark leaves a socket that never had a mark alone, as this takes a privilege
// even for zero.
func setMark(fd int, mark uint32) error {
	if old, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK); err == nil && uint32(old) == mark {
		return nil
	}
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	if errors.Is(err, fs.ErrPermission) {
		return &advice{ErrPrivilege, fmt.Sprintf("marking the tunnel's datagrams (fwmark %#x) is not allowed: run as root or with CAP_NET_ADMIN", mark)}
	}
	if err != nil {
		return fmt.Errorf("set fwmark %#x: %w", mark, err)
	}
	return nil
}

// segmentMessage is a control message UDP_SEGMENT, with room for a source after it;
// setSegment sets its size.
func segmentMessage() []byte {
	b := make([]byte, segmentLen+sourceRoom)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return b
}

func setSegment(message []byte, seg int) {
	binary.NativeEndian.PutUint16(message[unix.CmsgLen(0):], uint16(seg))
}

// messages is what the control messages of a receive call say.
type messages struct {
	seg   int // segment size, 0 if none is given
	ce    bool
	to    netip.Addr
	stamp int64 // arrival by the wall clock, ns since 1970; 0 if none is given
}

// parseMessages reads the control messages of a receive call.
func parseMessages(oob []byte) (m messages) {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		if to := destination(h, data); to.IsValid() {
			m.to = to
		}
		switch {
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			m.seg = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			m.stamp = int64(binary.NativeEndian.Uint64(data))*1e9 + int64(binary.NativeEndian.Uint64(data[8:]))
		// IPv4 gives one byte, IPv6 an int.
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			m.ce = data[0]&ecnMask == ecnCE
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			m.ce = binary.NativeEndian.Uint32(data)&ecnMask == ecnCE
		}
	}
	return m
}

// arrival is the time of a stamp by the monotonic clock. One that cannot be, as the
// wall clock was set meanwhile, counts as now.
func arrival(now time.Time, stamp int64) time.Time {
	age := time.Duration(now.UnixNano() - stamp)
	if age < 0 || age > maxAge {
		return now
	}
	return now.Add(-age)
}

// usable finds what of a received run can be used: all of it, but of a truncated
// run only the whole datagrams, and nothing when the size of a datagram is lost.
// A run of no bytes, an empty datagram, is of no use to anybody.
func usable(n, size, flags int) (run, seg int) {
	if flags&unix.MSG_CTRUNC != 0 {
		return 0, 0
	}
	if flags&unix.MSG_TRUNC != 0 {
		if size <= 0 {
			return 0, 0
		}
		n -= n % size
	}
	if size <= 0 || size > n {
		size = n
	}
	return n, size
}

// explain turns an error of bind into a line that says what to do.
func explain(addr netip.AddrPort, err error) error {
	var a *advice
	switch {
	case errors.As(err, &a):
		return a
	case errors.Is(err, unix.EADDRINUSE):
		return &advice{ErrTaken, fmt.Sprintf("UDP port %d of %v is taken by another program: stop that program or choose another listen port", addr.Port(), addr.Addr())}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return &advice{ErrAddress, fmt.Sprintf("listen address %v is not an address of this host: use one that \"ip address\" shows, or 0.0.0.0 or [::] for all", addr.Addr())}
	case errors.Is(err, unix.EAFNOSUPPORT):
		return &advice{ErrAddress, fmt.Sprintf("this host has no IPv6: listen on 0.0.0.0:%d instead of %v", addr.Port(), addr)}
	case errors.Is(err, fs.ErrPermission):
		return &advice{ErrPrivilege, fmt.Sprintf("UDP port %d needs a privilege: choose a port from 1024 up, or run as root or with CAP_NET_BIND_SERVICE", addr.Port())}
	}
	return fmt.Errorf("listen on udp %v: %w", addr, err)
}
