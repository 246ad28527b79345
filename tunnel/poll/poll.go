// Package poll uses descriptors without Go's poller, for a goroutine that waits for
// several at once.
//
// Go's poller wakes a goroutine for each descriptor, and that one wakes another with a
// message: two threads change places for a packet, which costs more than the packet
// (ADR 046). A Set waits for all of them in one system call, with a timeout that is
// exact to the thread's timer slack.
//
// Concurrency: of the methods of FD those that use the descriptor may be called by
// several goroutines at once where the kernel's call may, and Close by anyone at any
// time. A Set belongs to one goroutine.
package poll

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FD is a descriptor that does not block, and that one goroutine may close while
// others use it.
type FD struct {
	guard  sync.RWMutex // held for reading by whoever uses the descriptors
	fd     int          // -1 once it is closed
	stop   int          // eventfd, readable once it shall be closed
	ending sync.Once
	err    error // of Close
}

// Own takes over a descriptor; if it fails the descriptor is closed.
func Own(fd int) (*FD, error) {
	err := unix.SetNonblock(fd, true)
	stop := -1
	if err == nil {
		stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		_ = unix.Close(fd) // the other error says more
		return nil, err
	}
	return &FD{fd: fd, stop: stop}, nil
}

// Take takes the descriptor of a file or a socket out of Go's poller, and closes that.
func Take(c interface {
	syscall.Conn
	io.Closer
},
) (*FD, error) {
	fd := -1
	raw, err := c.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
		err = errors.Join(err, cerr)
	}
	err = errors.Join(err, c.Close())
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd) // the other error says more
		}
		return nil, err
	}
	return Own(fd)
}

// Use gives the descriptor for a system call, to be followed by Release. It fails with
// os.ErrClosed.
func (f *FD) Use() (fd int, err error) {
	f.guard.RLock()
	if f.fd < 0 {
		f.guard.RUnlock()
		return -1, os.ErrClosed
	}
	return f.fd, nil
}

// Release ends the use of the descriptor.
func (f *FD) Release() { f.guard.RUnlock() }

// Wait waits until the descriptor is ready for events (unix.POLLIN, unix.POLLOUT) or
// in error. It fails with os.ErrClosed. The caller holds the descriptor.
func (f *FD) Wait(events int16) error {
	fds := [2]unix.PollFd{{Fd: int32(f.fd), Events: events}, {Fd: int32(f.stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Ppoll(fds[:], nil, nil)
		switch {
		case fds[1].Revents != 0:
			return os.ErrClosed
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// Read reads what is there. It fails with unix.EAGAIN where there is nothing, and with
// os.ErrClosed.
func (f *FD) Read(b []byte) (int, error) {
	fd, err := f.Use()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	for {
		n, err := unix.Read(fd, b)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// Write writes b in one system call, and waits where the kernel has no room.
func (f *FD) Write(b []byte) (int, error) {
	fd, err := f.Use()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	for {
		n, err := unix.Write(fd, b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			if err := f.Wait(unix.POLLOUT); err != nil {
				return 0, err
			}
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// Close ends every Wait and closes the descriptor. It may be called again.
func (f *FD) Close() error {
	f.ending.Do(func() {
		one := [8]byte{1}
		_, _ = unix.Write(f.stop, one[:]) // an eventfd takes it
		f.guard.Lock()
		defer f.guard.Unlock()
		f.err = unix.Close(f.fd)
		_ = unix.Close(f.stop) // a descriptor of our own
		f.fd = -1
	})
	return f.err
}

// Set waits for several descriptors, each of which has a number. They must be open
// while it does.
type Set struct {
	fds  []unix.PollFd
	open []int32 // the descriptors of fds
}

// NewSet is a set with the numbers below n, without descriptors.
func NewSet(n int) *Set {
	s := &Set{fds: make([]unix.PollFd, n), open: make([]int32, n)}
	for i := range n {
		s.fds[i] = unix.PollFd{Fd: -1, Events: unix.POLLIN} // the kernel passes over it
		s.open[i] = -1
	}
	return s
}

// Add gives a number to a descriptor, to be waited for until it can be read.
func (s *Set) Add(number int, f *FD) error {
	fd, err := f.Use()
	if err != nil {
		return err
	}
	defer f.Release()
	s.open[number] = int32(fd)
	s.Listen(number, true)
	return nil
}

// Listen says whether to wait for a descriptor, which it is at first.
func (s *Set) Listen(number int, on bool) {
	s.fds[number].Fd = -1
	if on {
		s.fds[number].Fd = s.open[number]
	}
}

// Wait waits until one of the descriptors that it listens to can be read or is in
// error, but no longer than d; a negative d is no bound. It may return early.
func (s *Set) Wait(d time.Duration) error {
	var timeout *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	if _, err := unix.Ppoll(s.fds, timeout, nil); err != nil {
		for i := range s.fds {
			s.fds[i].Revents = 0
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

// Ready reports whether the last Wait ended for this descriptor.
func (s *Set) Ready(number int) bool { return s.fds[number].Revents != 0 }

// Bell wakes a goroutine from a Set; anybody may ring it.
type Bell struct{ FD *FD }

// NewBell makes a bell.
func NewBell() (*Bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f, err := Own(fd)
	if err != nil {
		return nil, err
	}
	return &Bell{FD: f}, nil
}

// Ring makes the bell readable until Clear. A closed one stays silent.
func (b *Bell) Ring() {
	one := [8]byte{1}
	_, _ = b.FD.Write(one[:]) // nobody listens to a closed one
}

// Clear makes the bell silent.
func (b *Bell) Clear() {
	var count [8]byte
	_, _ = b.FD.Read(count[:]) // it was silent, or nobody listens any more
}
