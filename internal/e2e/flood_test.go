package e2e

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/handshake"
)

// floodRate is how many INITs a second the flood aims at.
const floodRate = 50_000

// H-5: INITs of a stranger, 50,000 a second for 10 s, each from another address and
// port: such as one sends who knows the hub's public key, with and without a cookie of
// his own, and noise. The hub keeps nothing of them, a transfer goes on, and a new peer
// behind a link that loses a tenth gets its session. How fast all that is depends on
// the machine, which floods itself here: it is logged.
func TestHandshakeFlood(t *testing.T) {
	const pause = 5 * time.Second
	s := newStar(t)
	s.config.bandwidth = "55Mbit" // 50 Mbit/s inside
	d := s.hub.up(s.config)
	s.hub.ip("route", "add", "198.18.0.0/15", "via", outside(2, 2)) // where the answers go
	first := s.spoke(1)
	first.bandwidth = s.config.bandwidth
	s.s1.up(first)
	s.s1.reaches(inside(1))
	through := s.s1.upload(s.hub, inside(1))
	time.Sleep(pause) // it has found its rate, and the collector its pace
	before := d.cpu()
	calm := through.rate(pause)
	t.Logf("before: %.1f Mbit/s, %.2f s of processor time a second", calm/1e6, (d.cpu()-before).Seconds()/pause.Seconds())

	late := s.spoke(2)
	late.peers[0].endpoint = s.s2.relay(outside(2, 1), 0.1, 0).address
	for _, kind := range []struct {
		name     string
		init     []byte
		window   time.Duration
		answered bool
	}{
		{"no cookie", s.hub.strangersInit(), 10 * time.Second, true},
		{"false cookie", s.hub.falseCookie(), 4 * time.Second, true},
		{"noise", s.hub.noise(), 4 * time.Second, false},
	} {
		f := s.s2.flood(outside(2, 1), kind.init)
		time.Sleep(time.Second)
		memory, sent, answered, busy := d.memory(), f.sent.Load(), s.hub.answered(), d.cpu()
		stormy := through.rate(kind.window)
		grown := d.memory() - memory
		busy = d.cpu() - busy
		sent, answered = f.sent.Load()-sent, s.hub.answered()-answered
		t.Logf("%s: in %v: %d INITs left, %d COOKIEs were sent, memory of %d KiB grew by %d KiB, %.2f s of processor time a second",
			kind.name, kind.window, sent, answered, memory, grown, busy.Seconds()/kind.window.Seconds())
		t.Logf("%s: transfer at %.1f Mbit/s: %.0f %%", kind.name, stormy/1e6, 100*stormy/calm)
		if (answered > 1000) != kind.answered || sent < 1000 || stormy == 0 {
			t.Errorf("%s: %d INITs, %d COOKIEs, %.0f bit/s: the test shows nothing", kind.name, sent, answered, stormy)
		}
		// The transfer alone lets the collector's room fill by 30 to 45 KiB a second. A
		// state of 4 bytes for each INIT would show.
		if grown > 2<<10 {
			t.Errorf("%s: memory grew by %d KiB", kind.name, grown)
		}
		start := time.Now()
		peer := s.s2.up(late)
		s.s2.reaches(inside(1))
		t.Logf("%s: a new peer at 10 %% loss is through %v after its start", kind.name, time.Since(start).Round(time.Millisecond))
		peer.kill()
		through.goesOn()
		if err := f.end(); err != nil {
			t.Error(err)
		}
	}
}

// answered is how many COOKIEs the host has sent.
func (h *host) answered() uint64 {
	h.t.Helper()
	st, err := h.status("totg0")
	if err != nil {
		h.t.Fatal(err)
	}
	return st.Drops["cookie_sent"]
}

// memory is the resident set of a daemon, in KiB.
func (d *daemon) memory() int {
	d.h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		d.h.t.Fatal(err)
	}
	return n
}

// cpu is the processor time that a daemon has used.
func (d *daemon) cpu() time.Duration {
	d.h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		d.h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // proc(5): fields from the third on
	ticks := 0
	for _, field := range strings.Fields(rest)[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			d.h.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// stranger calls a host with a key that nobody knows.
func (h *host) stranger() *handshake.Initiator {
	h.t.Helper()
	remote, err := handshake.ParsePublicKey(h.public)
	if err != nil {
		h.t.Fatal(err)
	}
	key, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	in, err := handshake.NewInit(time.Now(), handshake.InitConfig{Private: key, Peer: remote, Index: 1, Random: rand.Reader})
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// strangersInit is an INIT to a host.
func (h *host) strangersInit() []byte { return h.stranger().Datagram() }

// falseCookie is an INIT to a host, with a cookie under a secret that is not the
// host's and a MAC that is right.
func (h *host) falseCookie() []byte {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "key"))
	if err != nil {
		h.t.Fatal(err)
	}
	own, err := handshake.ParsePrivateKey(strings.TrimSpace(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := handshake.NewIdentity(own)
	if err != nil {
		h.t.Fatal(err)
	}
	cookies, err := handshake.NewCookies(time.Now(), id, rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	in := h.stranger()
	cookie := cookies.AppendCookie(nil, time.Now(), addrPort("198.18.0.1:1024"), in.Datagram())
	if fresh, err := in.HandleCookie(cookie); !fresh || err != nil {
		h.t.Fatal(err)
	}
	return in.Datagram()
}

// noise looks like an INIT by its first byte and its size.
func (h *host) noise() []byte {
	h.t.Helper()
	b := h.strangersInit()
	if _, err := rand.Read(b[1:]); err != nil {
		h.t.Fatal(err)
	}
	return b
}

// flooding is a flood of datagrams with forged source addresses.
type flooding struct {
	stop atomic.Bool
	sent atomic.Uint64
	done chan error
}

// flood sends a payload to the tunnel's port at an address again and again, each
// from another address and port of 198.18.0.0/15.
func (h *host) flood(to string, payload []byte) *flooding {
	h.t.Helper()
	f := &flooding{done: make(chan error, 1)}
	var fd int
	err := h.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer unix.Close(fd) //nolint:errcheck // nothing is buffered
		f.done <- f.run(fd, addrPort(to+":1").Addr().As4(), payload)
	}()
	h.t.Cleanup(func() { f.stop.Store(true) })
	return f
}

// run sends what is due every millisecond. What a busy machine leaves no time for is
// sent in larger batches, but never made up for beyond one.
func (f *flooding) run(fd int, to [4]byte, payload []byte) error {
	const batch = 10 * floodRate / 1000
	b := newBatch(to, payload, batch)
	n := uint32(0)
	for last := time.Now(); !f.stop.Load(); time.Sleep(time.Millisecond) {
		now := time.Now()
		due := min(int(now.Sub(last).Seconds()*floodRate), batch)
		last = now
		for i := range due {
			n++
			binary.BigEndian.PutUint32(b.packets[i][12:], 198<<24|18<<16|n&0x1ffff)
			binary.BigEndian.PutUint16(b.packets[i][20:], uint16(1024+n%60000))
		}
		left, err := b.send(fd, due)
		f.sent.Add(uint64(left))
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
	}
	return nil
}

// batch is packets that leave in one call of the kernel.
type batch struct {
	packets [][]byte
	headers []mmsghdr
}

// mmsghdr is the kernel's, sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr

	sent uint32
}

func newBatch(to [4]byte, payload []byte, size int) *batch {
	b := &batch{headers: make([]mmsghdr, size)}
	target := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to}
	for i := range b.headers {
		p := forged(to, payload)
		vec := &unix.Iovec{Base: &p[0]}
		vec.SetLen(len(p))
		h := &b.headers[i].Msghdr
		h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(target)), unix.SizeofSockaddrInet4, vec
		h.SetIovlen(1)
		b.packets = append(b.packets, p)
	}
	return b
}

// send sends the first n and returns how many left.
func (b *batch) send(fd, n int) (left int, err error) {
	if n == 0 {
		return 0, nil
	}
	r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), uintptr(n), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

func (f *flooding) end() error {
	f.stop.Store(true)
	return <-f.done
}

// forged is an IPv4 packet with a UDP datagram to the tunnel's port. The kernel
// fills in length and checksum of the header; UDP over IPv4 needs none.
func forged(to [4]byte, payload []byte) []byte {
	p := make([]byte, 28, 28+len(payload))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[22:], uint16(port))
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	return append(p, payload...)
}

// stream is a transfer without end, as its receiver sees it.
type stream struct {
	t     *testing.T
	bytes atomic.Uint64
}

// upload sends to another host as fast as TCP goes, over an inner address.
func (h *host) upload(to *host, address string) *stream {
	h.t.Helper()
	x := &stream{t: h.t}
	l, err := to.listen("tcp", ":0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close() //nolint:errcheck // the sender sees what is missing
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			x.bytes.Add(uint64(n))
			if err != nil {
				return
			}
		}
	}()
	c, err := h.dial("tcp", "", net.JoinHostPort(address, fmt.Sprint(addrPort(l.Addr().String()).Port())), patience)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	x.goesOn()
	return x
}

// rate is that of the next while, bit/s.
func (x *stream) rate(d time.Duration) float64 {
	before, start := x.bytes.Load(), time.Now()
	time.Sleep(d)
	return 8 * float64(x.bytes.Load()-before) / time.Since(start).Seconds()
}

// goesOn waits until more arrives.
func (x *stream) goesOn() {
	x.t.Helper()
	before := x.bytes.Load()
	eventually(x.t, patience, func() error {
		if x.bytes.Load() == before {
			return errors.New("the transfer stands still")
		}
		return nil
	})
}
