package lab

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/link"
)

// readBatch bounds the packets that are read before arrivals are looked at, and
// deliverBatch the reverse. What is read early only waits; what is delivered late is
// a fault.
const (
	readBatch    = 16
	deliverBatch = 64
)

// longestSleep bounds a sleep in the kernel, of which Go's runtime knows nothing.
const longestSleep = time.Second

// gather is the shortest sleep: what comes due meanwhile is delivered together, for a
// wake-up costs more than a packet (ADR 019).
const gather = 100 * time.Microsecond

// Wire is what one direction of the emulator did.
type Wire struct {
	link.Stats
	Refused uint64        // packets that the receiving kernel did not take (damaged headers)
	Late    Lateness      // how much later than the model says packets were delivered
	CPU     time.Duration // processor time of the emulator's thread
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

	tape *tape     // nil without a capture
	ends [2]uint32 // of the wire in the capture: where packets come from and go to

	refused uint64
	late    Lateness
	cpu     time.Duration // valid after its end
	err     error
}

// newEmulator starts moving packets between the TUN descriptors a and b, and
// records them in c unless that is nil.
func newEmulator(path Path, a, b int, seed uint64, c *capture) (*emulator, error) {
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
		up:   &pump{link: up, from: a, to: b, stop: stop, ends: [2]uint32{0, 1}},
		down: &pump{link: down, from: b, to: a, stop: stop, ends: [2]uint32{1, 0}},
		stop: stop,
	}
	if c != nil {
		e.up.tape, e.down.tape = c.tapes[0], c.tapes[1]
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
	return Wire{Stats: p.link.Stats(), Refused: p.refused, Late: p.late, CPU: p.cpu}
}

// run is the thread. Go's own timers are too coarse for single packets at these
// rates (1 ms on Linux), so it sleeps in ppoll, which the kernel ends within the
// thread's timer slack; that is 50 µs unless set.
func (p *pump) run() {
	runtime.LockOSThread() // never unlocked: slack and priority end with the thread
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	hurry()
	defer p.account()
	buf := make([]byte, link.MaxMTU)
	fds := []unix.PollFd{{Fd: int32(p.from), Events: unix.POLLIN}, {Fd: int32(p.stop), Events: unix.POLLIN}}
	readable := false
	for {
		if readable {
			p.read(buf)
		}
		p.deliver(buf)
		p.tape.flush(wallClock())
		n, errno := rawPoll(fds, p.timeout())
		if errno != 0 && errno != unix.EINTR {
			p.err = fmt.Errorf("poll: %w", errno)
			return
		}
		if n > 0 && fds[1].Revents != 0 {
			return
		}
		readable = n > 0 && fds[0].Revents != 0
	}
}

// account notes what the thread took.
func (p *pump) account() {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err == nil {
		p.cpu = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
}

// steady keeps Go's collector and the kernel's memory management out of the
// emulator's way for the life of this process: no collection makes its threads wait
// for others that a loaded machine does not let run, and none of its pages is taken
// away where root may forbid it. A lab allocates little; should it not, collections
// start at the memory limit. The threads of the emulator keep their processor slot
// while they sleep, so there are some more than processors.
func steady() {
	stayAwake()
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT) // without the right, nothing changes
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))
	debug.SetMemoryLimit(512 << 20)
	debug.SetGCPercent(-1)
}

// stayAwake keeps idle processors from sleeping for the life of this process, where
// root may do so: a virtual machine's take up to milliseconds to wake up, which every
// packet would wait for (ADR 049). The kernel takes the wish for a latency of 0 µs back
// when the file is closed.
func stayAwake() {
	fd, err := unix.Open("/dev/cpu_dma_latency", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	if _, err := unix.Write(fd, make([]byte, 4)); err != nil {
		_ = unix.Close(fd)
	}
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
	for range readBatch {
		n := rawRead(p.from, buf)
		if n <= 0 {
			return // EAGAIN: empty; anything else shows again at the next poll
		}
		now := wallClock()
		p.tape.add(p.ends[0], now, buf[:n])
		p.link.Send(now, buf[:n])
	}
}

// deliver hands over what has arrived, in batches so that neither end waits.
func (p *pump) deliver(buf []byte) {
	for range deliverBatch {
		due, now := p.link.Next(), wallClock()
		n, ok := p.link.Receive(now, buf)
		if !ok {
			return
		}
		p.late.add(now.Sub(due))
		p.tape.add(p.ends[1], now, buf[:n])
		if rawWrite(p.to, buf[:n]) != n {
			p.refused++
		}
	}
}

// timeout is how long ppoll may sleep.
func (p *pump) timeout() time.Duration {
	next := p.link.Next()
	if next.IsZero() {
		return longestSleep
	}
	wait := next.Sub(wallClock())
	if wait <= 0 {
		return 0
	}
	return min(max(gather, wait), longestSleep)
}
