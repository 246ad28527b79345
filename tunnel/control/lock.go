package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the interface's lock file. The kernel lets go of it when the process ends in whatever way, so, unlike the
// socket's name in the file system, the lock tells a live tunnel from the leftovers of a killed one, without a race.
func lock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close() // nothing was written
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrAlreadyUp
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if sameFile(f, path) {
			return f, nil
		}
		_ = f.Close() // its owner removed it between the two calls: take the new one
	}
}

// locked says whether a live process holds the lock of a control socket.
func locked(socket string) bool {
	f, err := os.Open(lockPath(socket))
	if err != nil {
		return errors.Is(err, fs.ErrPermission) // somebody else's: then connecting tells more
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// sameFile says whether a name still means the open file.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
