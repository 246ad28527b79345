package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/link"
)

// batch bounds the packets read before arrivals are looked at, and the reverse.
const batch = 64

// Wire is what one direction of the emulator did.
type Wire struct {
	link.Stats
	Refused  uint64        // packets that the receiving kernel did not take (damaged headers)
	LateMean time.Duration // how much later than the model says packets were delivered
	LateMax  time.Duration
}

// emulator moves packets between two TUN devices through one link per
// direction. Each direction has a thread of its own and shares nothing.
type emulator struct {
	up, down *pump
	stop     int // eventfd
	wg       sync.WaitGroup
	once     sync.Once
}

// pump is one direction. Its fields belong to its thread until that has ended.
type pump struct {
	link     *link.Link
	from, to int // TUN descriptors, not blocking
	stop     int

	refused   uint64
	lateSum   time.Duration
	lateMax   time.Duration
	delivered uint64
	err       error
}

// newEmulator starts moving packets between the TUN descriptors a and b.
func newEmulator(path Path, a, b int, seed uint64) (*emulator, error) {
	steady()
	now := wallClock()
	up, err := link.New(now, path.Up, rand.New(rand.NewPCG(seed, 1)))
	if err != nil {
		return nil, err
	}
	down, err := link.New(now, path.Down, rand.New(rand.NewPCG(seed, 2)))
	if err != nil {
		return nil, err
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	e := &emulator{
		up:   &pump{link: up, from: a, to: b, stop: stop},
		down: &pump{link: down, from: b, to: a, stop: stop},
		stop: stop,
	}
	for _, p := range []*pump{e.up, e.down} {
		e.wg.Go(p.run)
	}
	return e, nil
}

// close stops both directions; the devices can be closed afterwards.
func (e *emulator) close() {
	e.once.Do(func() {
		one := [8]byte{1}
		_, _ = unix.Write(e.stop, one[:]) // an eventfd takes it, or is readable already
		e.wg.Wait()
		_ = unix.Close(e.stop) // a descriptor of our own
	})
}

// stats is valid after close.
func (e *emulator) stats() (up, down Wire) { return e.up.wire(), e.down.wire() }

func (p *pump) wire() Wire {
	w := Wire{Stats: p.link.Stats(), Refused: p.refused, LateMax: p.lateMax}
	if p.delivered > 0 {
		w.LateMean = p.lateSum / time.Duration(p.delivered)
	}
	return w
}

// run is the thread. Go's own timers are too coarse for single packets at these
// rates (1 ms on Linux), so it sleeps in ppoll, which the kernel ends within the
// thread's timer slack; that is 50 µs unless set.
func (p *pump) run() {
	runtime.LockOSThread() // never unlocked: slack and priority end with the thread
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	hurry()
	buf := make([]byte, link.MaxMTU)
	fds := []unix.PollFd{{Fd: int32(p.from), Events: unix.POLLIN}, {Fd: int32(p.stop), Events: unix.POLLIN}}
	readable := false
	for {
		if readable {
			p.read(buf)
		}
		p.deliver(buf)
		wait := p.timeout()
		n, err := unix.Ppoll(fds, wait, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			p.err = fmt.Errorf("poll: %w", err)
			return
		}
		if n > 0 && fds[1].Revents != 0 {
			return
		}
		readable = n > 0 && fds[0].Revents != 0
	}
}

// steady keeps Go's scheduler and collector out of the emulator's way for the life
// of this process: a thread that wakes up finds a free processor slot, and no
// collection makes it wait for threads that a loaded machine does not let run.
// A lab allocates little; should it not, collections start at the memory limit.
func steady() {
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))
	debug.SetMemoryLimit(512 << 20)
	debug.SetGCPercent(-1)
}

// hurry puts the calling thread before the programs under test, as far as allowed:
// real root may have real-time priority, root of a user namespace not. The thread
// sleeps between packets, so it takes no more than it needs.
func hurry() {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: 1}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	}
}

// read takes what the sending host has put on the wire.
func (p *pump) read(buf []byte) {
	for range batch {
		n, err := unix.Read(p.from, buf)
		if err != nil || n == 0 {
			return // EAGAIN: empty; anything else shows again at the next poll
		}
		p.link.Send(wallClock(), buf[:n])
	}
}

// deliver hands over what has arrived, in batches so that neither end waits.
func (p *pump) deliver(buf []byte) {
	for range batch {
		due, now := p.link.Next(), wallClock()
		n, ok := p.link.Receive(now, buf)
		if !ok {
			return
		}
		if late := now.Sub(due); late > 0 {
			p.lateSum += late
			p.lateMax = max(p.lateMax, late)
		}
		p.delivered++
		if _, err := unix.Write(p.to, buf[:n]); err != nil {
			p.refused++
		}
	}
}

// timeout is how long ppoll may sleep, nil for ever.
func (p *pump) timeout() *unix.Timespec {
	next := p.link.Next()
	if next.IsZero() {
		return nil
	}
	ts := unix.NsecToTimespec(max(0, next.Sub(wallClock()).Nanoseconds()))
	return &ts
}
