package tunnel

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/poll"
	"github.com/totg/totg/tunnel/udp"
)

const (
	// timerSlack is the least distance of a deadline: at high rates it gathers the
	// datagrams of one pacing quantum into one wake-up.
	timerSlack = 150 * time.Microsecond
	// lookPause is how long the loop does not look at the socket after a look that
	// came soon after the one before: a wake-up costs more than the datagram that it
	// is for, and the kernel stamps what comes meanwhile (ADR 046).
	lookPause = 150 * time.Microsecond
	// socketBatch bounds the runs of one look at the socket.
	socketBatch = 16
	// deviceBatch bounds the units that are read before anything is sent.
	deviceBatch = 8
)

// Numbers of what the loop waits for.
const (
	onSocket = iota
	onDevice
	onBell
	inputs
)

// watch is what the loop waits with: for the socket, the interface, the bell and
// time, in one system call.
type watch struct {
	set   *poll.Set
	bell  *poll.Bell
	posts chan func() // to be called when the bell rings

	looked time.Time // at the socket, when something was there
	pause  time.Time // no look at the socket until then; zero: look at any time
	batch  *udp.Batch
}

// openWatch begins to wait for the socket and the bell.
func (l *loop) openWatch() error {
	w := &l.wait
	w.posts, w.batch = make(chan func(), 1), udp.NewBatch(socketBatch)
	w.set = poll.NewSet(inputs)
	var err error
	if w.bell, err = poll.NewBell(); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if err := w.set.Add(onSocket, l.socket.FD()); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if err := w.set.Add(onBell, w.bell.FD); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	return nil
}

// exactTimers has the kernel end this thread's sleeps when they are over; it may be
// 50 µs late otherwise, for lack of which nothing fails.
func exactTimers() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// until waits for input, but no longer than the deadline; a zero one is none. With
// more it does not wait at all.
func (w *watch) until(now, deadline time.Time, more bool) error {
	d := time.Duration(-1)
	switch {
	case more:
		d = 0
	case !deadline.IsZero():
		d = max(deadline.Sub(now), timerSlack)
	}
	if rest := w.pause.Sub(now); !w.pause.IsZero() && (d < 0 || d > rest) {
		d = max(0, rest)
	}
	return w.set.Wait(d)
}

// look reports whether to look at the socket.
func (w *watch) look(now time.Time) bool {
	if w.pause.IsZero() {
		return w.set.Ready(onSocket)
	}
	if now.Before(w.pause) {
		return false
	}
	w.pause = time.Time{}
	w.set.Listen(onSocket, true)
	return true
}

// onLook notes that something was at the socket. Where it comes often, the next look
// waits for more, unless the batch was full and there is more already.
func (w *watch) onLook(now time.Time, full bool) {
	if !full && now.Sub(w.looked) < 2*lookPause {
		w.pause = now.Add(lookPause)
		w.set.Listen(onSocket, false)
	}
	w.looked = now
}

// relay brings what comes by Go's channels to the loop, until ctx ends.
func (l *loop) relay(ctx context.Context, done <-chan struct{}) {
	defer l.pumps.Done()
	for {
		var post func()
		select {
		case post = <-l.calls:
		case now := <-l.trace.tick():
			post = func() { l.traceRows(now) }
		case c := <-l.opt.Reload:
			post = func() { l.reload(c) }
		case <-done:
			done = nil
			post = l.leave
		case <-ctx.Done():
			return
		}
		select {
		case l.wait.posts <- post:
			l.wait.bell.Ring()
		case <-ctx.Done():
			return
		}
	}
}

// answer does what was brought.
func (w *watch) answer() {
	w.bell.Clear() // first: who brings something after that rings again
	for {
		select {
		case post := <-w.posts:
			post()
		default:
			return
		}
	}
}
