package udp

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Kind describes datagrams that begin with a byte. They are blank or filled in: with
// or without four zero bytes at a distance from their end.
type Kind struct {
	First byte
	Last  int // bytes from the first of the zeros to the end, at least 4
}

// Shed has the kernel keep only a share of the datagrams of a kind, of the blank ones
// and of those filled in, drawn for each, before they wake anybody; 1 and more for both
// keeps them all again. What is dropped so appears in no counter of the Socket. An
// error says that the kernel cannot, and nothing has changed.
func (s *Socket) Shed(k Kind, blank, filled float64) error {
	fd, err := s.fd.Use()
	if err != nil {
		return fmt.Errorf("filter udp %v: %w", s.local, err)
	}
	defer s.fd.Release()
	if blank >= 1 && filled >= 1 {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); errors.Is(err, unix.ENOENT) {
			err = nil
		}
	} else {
		program := k.program(blank, filled)
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
func (k Kind) program(blank, filled float64) []unix.SockFilter {
	const (
		header     = 8                   // of UDP
		randomWord = 1<<32 - 0x1000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
		pass       = math.MaxUint32      // bytes
		other      = 9                   // index of the instruction
		accept     = 11
		drop       = 12
	)
	jump := func(from, to int) uint8 { return uint8(to - from - 1) } // they count from the next instruction
	threshold := func(keep float64) uint32 { return uint32(min(max(keep, 0), 1) * math.MaxUint32) }
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: header},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(k.First), Jf: jump(1, accept)},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K, K: uint32(k.Last)},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_IND},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: jump(6, other)},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomWord},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: threshold(blank), Jt: jump(8, drop), Jf: jump(8, accept)},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomWord},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: threshold(filled), Jt: jump(10, drop)},
		{Code: unix.BPF_RET | unix.BPF_K, K: pass},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
}
