package udp

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Blank describes datagrams that begin with a byte and have four zero bytes at a
// distance from their end.
type Blank struct {
	First byte
	Last  int // bytes from the first of the zeros to the end, at least 4
}

// Shed has the kernel keep only a share of the datagrams that b describes, drawn for
// each, before they wake anybody; 1 and more keeps them all again. What is dropped so
// appears in no counter of the Socket. An error says that the kernel cannot, and
// nothing has changed.
func (s *Socket) Shed(b Blank, keep float64) error {
	fd, err := s.fd.Use()
	if err != nil {
		return fmt.Errorf("filter udp %v: %w", s.local, err)
	}
	defer s.fd.Release()
	if keep >= 1 {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); errors.Is(err, unix.ENOENT) {
			err = nil
		}
	} else {
		program := b.program(keep)
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	}
	if err != nil {
		return fmt.Errorf("filter udp %v: %w", s.local, err)
	}
	return nil
}

// program is the filter, in the kernel's classic language (Linux,
// Documentation/networking/filter.rst). It sees a datagram with its UDP header. What
// is too short for a load is dropped: no datagram of ours is.
func (b Blank) program(keep float64) []unix.SockFilter {
	const (
		header     = 8                   // of UDP
		randomWord = 1<<32 - 0x1000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
		pass       = math.MaxUint32      // bytes
		accept     = 9                   // index of the instruction
	)
	to := func(at int) uint8 { return uint8(accept - at - 1) } // jumps count from the next instruction
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: header},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(b.First), Jf: to(1)},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K, K: uint32(b.Last)},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_IND},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: to(6)},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomWord},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(max(keep, 0) * math.MaxUint32), Jt: to(8) + 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: pass},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
}
