// Package udp is the tunnel's socket: one UDP socket that sends and receives many
// datagrams per system call (UDP segmentation and receive offload, GSO and GRO),
// never fragments (W-4) and reports congestion marks (T-2).
//
// A run of datagrams lies back to back in one buffer: every datagram has seg
// bytes, but the last may be shorter. A run for one datagram has seg equal to its
// length.
//
// Concurrency: one goroutine may call Receive while another calls Send; neither
// may be called by two goroutines at once. The other methods may be called by
// anyone at any time. Close unblocks Receive. The socket belongs to the network
// namespace of the thread that called Listen.
//
// Neither Receive nor Send allocates, except for an error and for link-local
// addresses.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/poll"
)

// Socket is a bound UDP socket.
type Socket struct {
	fd    *poll.FD
	local netip.AddrPort

	single    *Batch // of Receive
	sendOOB   []byte // the control messages of Send: the size, and after it the source
	sourceLen int    // bytes of the latter
	message   outgoing

	// noGSO holds the destinations whose path refused segmentation offload:
	// nothing but single sends go there. At most maxNoGSO.
	noGSO []netip.Addr
	// refuseGSO, where not nil, is the error that the kernel is said to give for
	// every call with segmentation. Tests set it.
	refuseGSO error
}

// Listen binds a socket to addr. The address [::] takes IPv4 and IPv6, any other
// its own family alone; port 0 picks a free port. A mark other than zero is set on
// every datagram sent (SO_MARK), which takes CAP_NET_ADMIN. An error is one line
// that says what to do about it.
func Listen(addr netip.AddrPort, mark uint32) (*Socket, error) {
	if !addr.IsValid() {
		return nil, &advice{ErrAddress, "the listen address is empty; use for instance 0.0.0.0:4430 or [::]:4430"}
	}
	ip := addr.Addr().Unmap()
	addr = netip.AddrPortFrom(ip, addr.Port())
	network := "udp6"
	switch {
	case ip.Is4():
		network = "udp4"
	case ip.IsUnspecified():
		network = "udp" // the net package makes it a socket for both families
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = configure(int(fd), ip.Is6(), mark) }); cerr != nil {
			return cerr
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, explain(addr, err)
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		panic("udp: ListenPacket gave no UDP socket")
	}
	s := &Socket{single: newBatch(1), sendOOB: segmentMessage(), noGSO: make([]netip.Addr, 0, maxNoGSO)}
	if a, ok := udp.LocalAddr().(*net.UDPAddr); ok {
		s.local = a.AddrPort()
	}
	if s.fd, err = poll.Take(udp); err != nil {
		return nil, fmt.Errorf("listen on udp %v: %w", addr, err)
	}
	if s.message.v6, err = isV6(s.fd); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on udp %v: %w", addr, err), s.fd.Close())
	}
	return s, nil
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// FD is the socket's descriptor, to wait for datagrams with a poll.Set.
func (s *Socket) FD() *poll.FD { return s.fd }

// Close closes the socket and unblocks Receive.
func (s *Socket) Close() error {
	if err := s.fd.Close(); err != nil {
		return fmt.Errorf("close udp %v: %w", s.local, err)
	}
	return nil
}

// SetMark changes the mark of datagrams sent from now on; 0 means none.
func (s *Socket) SetMark(mark uint32) error {
	fd, err := s.fd.Use()
	if err != nil {
		return fmt.Errorf("mark udp %v: %w", s.local, net.ErrClosed)
	}
	defer s.fd.Release()
	return setMark(fd, mark)
}

// SetECN says of every datagram from now on that its sender answers congestion marks
// ("ECN-capable transport", RFC 3168), so that routers mark it rather than drop it.
// Only a sender whose rate follows them may say so (T-2, G-4).
func (s *Socket) SetECN() error {
	fd, err := s.fd.Use()
	if err != nil {
		return fmt.Errorf("mark udp %v as ECN-capable: %w", s.local, net.ErrClosed)
	}
	defer s.fd.Release()
	if err := setIP(fd, s.message.v6, [2]int{unix.IP_TOS, ecnECT0}, [2]int{unix.IPV6_TCLASS, ecnECT0}); err != nil {
		return fmt.Errorf("mark udp %v as ECN-capable: %w", s.local, err)
	}
	return nil
}

// Run is what Receive got: datagrams of one sender, back to back.
type Run struct {
	N, Seg int            // bytes in all, at least 1; and of each but the last
	From   netip.AddrPort // never an IPv4-mapped address
	To     netip.Addr     // the address of this host that they came to; invalid: not known
	CE     bool           // the network marked them "congestion experienced" (RFC 3168)
	At     time.Time      // when the first came, by the kernel
}

// Receive waits for datagrams and puts a run of them into buf, which should have
// MaxRun bytes: what does not fit is lost. After Close the error is net.ErrClosed;
// only that one is final.
func (s *Socket) Receive(buf []byte) (Run, error) {
	for {
		s.single.place(0, buf)
		n, err := s.ReceiveBatch(s.single)
		if err != nil {
			return Run{}, err
		}
		if n > 0 {
			if run, _ := s.single.Run(0); run.N > 0 {
				return run, nil
			}
			continue
		}
		if err := s.wait(unix.POLLIN); err != nil {
			return Run{}, fmt.Errorf("receive on udp %v: %w", s.local, err)
		}
	}
}

// wait waits until the socket is ready for events.
func (s *Socket) wait(events int16) error {
	if _, err := s.fd.Use(); err != nil {
		return net.ErrClosed
	}
	defer s.fd.Release()
	if err := s.fd.Wait(events); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return net.ErrClosed
		}
		return err
	}
	return nil
}

// Send sends the run b of datagrams of seg bytes to one destination, in as few
// system calls as the path allows. A run with seg <= 0 is one datagram. An error
// is about the last datagram that failed; others may have left. It is
// unix.EMSGSIZE when a datagram is larger than the path takes (W-4), net.ErrClosed
// after Close; to the protocol every error is a loss.
func (s *Socket) Send(b []byte, seg int, to netip.AddrPort) error {
	if seg <= 0 || seg >= len(b) {
		return s.sendSingles(b, max(len(b), 1), to)
	}
	most := min(maxSegments, MaxDatagram/seg) * seg
	var failed error
	for len(b) > 0 {
		// A datagram beyond MaxDatagram gets the kernel's answer on its own.
		run := b[:min(max(most, seg), len(b))]
		b = b[len(run):]
		if err := s.sendRun(run, seg, to); err != nil {
			failed = err
		}
	}
	return failed
}

// sendRun sends a run that one system call can take.
func (s *Socket) sendRun(b []byte, seg int, to netip.AddrPort) error {
	if seg >= len(b) || len(s.noGSO) > 0 && slices.Contains(s.noGSO, to.Addr()) {
		return s.sendSingles(b, seg, to)
	}
	err := s.sendSegmented(b, seg, to)
	if err == nil || !refusesGSO(err) {
		return s.wrap(err)
	}
	// EINVAL and EMSGSIZE come of datagrams too large for the path as well. Only
	// when the same datagrams leave one by one was the offload to blame.
	if err := s.sendSingles(b, seg, to); err != nil {
		return err
	}
	if len(s.noGSO) == maxNoGSO {
		s.noGSO = s.noGSO[:0]
	}
	s.noGSO = append(s.noGSO, to.Addr())
	return nil
}

func (s *Socket) sendSegmented(b []byte, seg int, to netip.AddrPort) error {
	if s.refuseGSO != nil {
		return s.refuseGSO
	}
	setSegment(s.sendOOB, seg)
	return s.sendMessage(b, s.sendOOB[:segmentLen+s.sourceLen], to)
}

// sendSingles sends every datagram of a run by itself; one that fails does not
// keep the others back. An empty b is one empty datagram.
func (s *Socket) sendSingles(b []byte, seg int, to netip.AddrPort) error {
	var failed error
	for {
		n := min(seg, len(b))
		if err := s.sendMessage(b[:n], s.sendOOB[segmentLen:segmentLen+s.sourceLen], to); err != nil {
			failed = err
		}
		b = b[n:]
		if len(b) == 0 {
			return s.wrap(failed)
		}
	}
}

// wrap names the socket in an error of the kernel.
func (s *Socket) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("send on udp %v: %w", s.local, err)
}

// refusesGSO tells the errors with which kernels and drivers refuse segmentation:
// no checksum offload or a transform on the way (EIO), a size that they do not
// take (EINVAL, EMSGSIZE).
func refusesGSO(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE)
}
