package lab

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls of the emulator's threads, which do not tell Go's scheduler. With
// it, a thread that comes back from the kernel may have to wait for a processor slot
// or a lock that a thread of lower priority holds. The calls do not block, but for
// rawPoll, which a signal of the runtime ends (EINTR).

// rawRead reads one packet into b, which is not empty. It is negative without one.
func rawRead(fd int, b []byte) int {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1
	}
	return int(n)
}

// rawWrite writes one packet, which is not empty. It is negative if the device does
// not take it.
func rawWrite(fd int, b []byte) int {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1
	}
	return int(n)
}

// rawPoll waits for one of fds for up to d, and returns how many are ready.
func rawPoll(fds []unix.PollFd, d time.Duration) (int, unix.Errno) {
	ts := unix.NsecToTimespec(int64(d))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)),
		uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return int(n), errno
}
