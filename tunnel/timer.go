package tunnel

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// timer is the tunnel's one timer: a timerfd, for the runtime's own timers are
// late by up to a millisecond, four datagrams' time at 50 Mbit/s (G-5).
type timer struct {
	file  *os.File
	fd    int
	fired chan struct{}
	set_  time.Time // deadline in force, zero if none
}

// timerSlack is the least distance of a deadline: at high rates it gathers the
// datagrams of one pacing quantum into one wake-up.
const timerSlack = 150 * time.Microsecond

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &timer{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd, fired: make(chan struct{}, 1)}, nil
}

// pump turns expirations into messages.
func (t *timer) pump(wg *sync.WaitGroup) {
	defer wg.Done()
	var count [8]byte
	for {
		if _, err := t.file.Read(count[:]); err != nil {
			return
		}
		select {
		case t.fired <- struct{}{}:
		default:
		}
	}
}

// set arms the timer for a deadline; a zero one disarms it.
func (t *timer) set(now, deadline time.Time) {
	if deadline.Equal(t.set_) && (deadline.IsZero() || deadline.After(now)) {
		return
	}
	t.set_ = deadline
	var spec unix.ItimerSpec
	if !deadline.IsZero() {
		spec.Value = unix.NsecToTimespec(max(deadline.Sub(now), timerSlack).Nanoseconds())
	}
	// It fails for a bad descriptor or a bad time alone, neither of which
	// can be here while the loop runs.
	if err := unix.TimerfdSettime(t.fd, 0, &spec, nil); err != nil {
		panic("tunnel: timerfd: " + err.Error())
	}
}

func (t *timer) close() { _ = t.file.Close() }
