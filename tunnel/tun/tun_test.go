package tun

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

// bound ends a test that hangs; nothing is measured against it.
const bound = 20 * time.Second

// host is a namespace with a device in it.
type host struct {
	ns  *netnstest.NS
	dev *Device
	v4  string
	v6  string
}

// newHost makes a namespace and a device with addresses ending in n.
func newHost(t *testing.T, n int, cfg Config, offload bool) *host {
	t.Helper()
	h := &host{ns: netnstest.New(t), v4: fmt.Sprintf("10.77.0.%d", n), v6: fmt.Sprintf("fd77::%d", n)}
	h.ns.Do(t, func() {
		var err error
		if h.dev, err = open(cfg, clonePath, offload); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = h.dev.Close() })
	h.ns.Run(t, "ip", "addr", "add", h.v4+"/24", "dev", cfg.Name)
	h.ns.Run(t, "ip", "addr", "add", h.v6+"/64", "dev", cfg.Name, "nodad")
	h.ns.Run(t, "ip", "link", "set", cfg.Name, "up")
	return h
}

// connect moves units between two devices until they are closed and counts those
// with a virtio header.
func connect(t *testing.T, a, b *Device) *atomic.Int64 {
	t.Helper()
	var virtio atomic.Int64
	var pumps sync.WaitGroup
	pump := func(from, to *Device) {
		buf := make([]byte, MaxUnit)
		for {
			unit, err := from.Read(buf)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			if unit[0]&flagVirtio != 0 {
				virtio.Add(1)
			}
			if err := to.Write(unit); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.EIO) {
				t.Errorf("write: %v", err)
			}
		}
	}
	pumps.Go(func() { pump(a, b) })
	pumps.Go(func() { pump(b, a) })
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
		pumps.Wait()
	})
	return &virtio
}

// transfer sends data by TCP from one host to another and checks its arrival.
func transfer(t *testing.T, from, to *host, address string) {
	t.Helper()
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	var l net.Listener
	to.ns.Do(t, func() {
		var err error
		if l, err = net.Listen("tcp", net.JoinHostPort(address, "0")); err != nil {
			t.Error(err)
		}
	})
	defer func() { _ = l.Close() }()
	got := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			got <- nil
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(bound))
		b, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("after %d bytes: %v", len(b), err)
		}
		got <- b
	}()
	from.ns.Do(t, func() {
		c, err := net.DialTimeout("tcp", l.Addr().String(), bound)
		if err != nil {
			t.Error(err)
			_ = l.Close()
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(bound))
		if _, err := c.Write(data); err != nil {
			t.Error(err)
		}
	})
	if b := <-got; !bytes.Equal(b, data) {
		t.Fatalf("%d bytes arrived, and not those sent", len(b))
	}
}

// datagrams sends UDP super-packets and checks that their datagrams arrive.
func datagrams(t *testing.T, from, to *host, address string) {
	t.Helper()
	const size, count = 1200, 40
	var l *net.UDPConn
	to.ns.Do(t, func() {
		var err error
		if l, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0))); err != nil {
			t.Error(err)
		}
	})
	defer func() { _ = l.Close() }()
	data := make([]byte, size*count-100)
	for i := range data {
		data[i] = byte(i / size)
	}
	from.ns.Do(t, func() {
		c, err := net.Dial("udp", l.LocalAddr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		raw, err := c.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) })
		if err != nil {
			t.Error(err)
		}
		if _, err := c.Write(data); err != nil {
			t.Error(err)
		}
	})
	_ = l.SetDeadline(time.Now().Add(bound))
	var got []byte
	buf := make([]byte, 2*size)
	for range count {
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Fatal("other datagrams arrived than were sent")
	}
}

// TestTunnelT1 moves real TCP and UDP between two kernels through two devices, in
// every combination of offloads: the kernels check the checksums (T-1, R-1).
func TestTunnelT1(t *testing.T) {
	for _, tt := range []struct {
		name             string
		a, b, refuse     bool // offload of A, of B; B's kernel refuses headers
		virtioToBeSeenAt bool
	}{
		{"offload at both", true, true, false, true},
		{"offload at one", true, false, false, true},
		{"kernel refuses", true, true, true, true},
		{"no offload", false, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newHost(t, 1, Config{Name: "tuna", MTU: 1500}, tt.a)
			b := newHost(t, 2, Config{Name: "tunb", MTU: 1500}, tt.b)
			if a.dev.Offload() != tt.a || b.dev.Offload() != tt.b {
				t.Fatalf("offload = %v, %v; want %v, %v", a.dev.Offload(), b.dev.Offload(), tt.a, tt.b)
			}
			b.dev.refuseGSO = tt.refuse
			virtio := connect(t, a.dev, b.dev)
			transfer(t, a, b, b.v4)
			transfer(t, a, b, b.v6)
			transfer(t, b, a, a.v4)
			datagrams(t, a, b, b.v4)
			datagrams(t, a, b, b.v6)
			if got := virtio.Load() > 0; got != tt.virtioToBeSeenAt {
				t.Errorf("virtio headers seen: %v, want %v", got, tt.virtioToBeSeenAt)
			}
		})
	}
}

// TestTAP moves TCP between two Ethernet devices (T-1).
func TestTAP(t *testing.T) {
	a := newHost(t, 1, Config{Name: "tapa", MTU: 1400, TAP: true}, false)
	b := newHost(t, 2, Config{Name: "tapb", MTU: 1400, TAP: true}, false)
	if a.dev.Offload() {
		t.Error("a TAP device claims offloads")
	}
	if out := a.ns.Run(t, "ip", "link", "show", "tapa"); !strings.Contains(out, "link/ether") || !strings.Contains(out, "mtu 1400") {
		t.Errorf("not an Ethernet interface of MTU 1400:\n%s", out)
	}
	if n := connect(t, a.dev, b.dev); n.Load() != 0 {
		t.Error("frames with virtio header")
	}
	transfer(t, a, b, b.v4)
	transfer(t, b, a, a.v6)
}

func TestOpenSetsNameAndMTU(t *testing.T) {
	h := newHost(t, 1, Config{Name: "totg-abcdefghij", MTU: 9000}, true)
	if h.dev.Name() != "totg-abcdefghij" {
		t.Errorf("name %q", h.dev.Name())
	}
	if out := h.ns.Run(t, "ip", "link", "show", h.dev.Name()); !strings.Contains(out, "mtu 9000") {
		t.Errorf("MTU is not 9000:\n%s", out)
	}
}

// TestCloseT4 checks that Close unblocks Read and removes the interface (T-4).
func TestCloseT4(t *testing.T) {
	h := newHost(t, 1, Config{Name: "tun9", MTU: 1500}, true)
	ended := make(chan error, 1)
	go func() {
		buf := make([]byte, MaxUnit)
		for {
			if _, err := h.dev.Read(buf); err != nil { // router solicitations come first
				ended <- err
				return
			}
		}
	}()
	if err := h.dev.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close = %v, want os.ErrClosed", err)
	}
	if err := h.dev.Write([]byte{0, 0x45}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Close = %v, want os.ErrClosed", err)
	}
	if err := h.dev.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	if out := h.ns.Run(t, "ip", "-o", "link"); strings.Contains(out, "tun9") {
		t.Errorf("the interface is still there:\n%s", out)
	}
}

func TestDeletedInterface(t *testing.T) {
	h := newHost(t, 1, Config{Name: "tun9", MTU: 1500}, true)
	h.ns.Run(t, "ip", "link", "delete", "tun9")
	buf := make([]byte, MaxUnit)
	for {
		if _, err := h.dev.Read(buf); err != nil {
			if !errors.Is(err, ErrDeleted) {
				t.Errorf("Read = %v, want ErrDeleted", err)
			}
			break
		}
	}
	if err := h.dev.Write([]byte{0, 0x45}); !errors.Is(err, ErrDeleted) {
		t.Errorf("Write = %v, want ErrDeleted", err)
	}
}

// TestWriteErrors checks that a malformed unit is refused and leaves the device
// usable, whatever the offloads.
func TestWriteErrors(t *testing.T) {
	h, p := superPacket{payload: 3000, size: 1000, flags: 0x10}.build()
	super := append(append([]byte{flagVirtio}, h.bytes()...), p...)
	for _, offload := range []bool{true, false} {
		host := newHost(t, 1, Config{Name: "tun9", MTU: 1500}, offload)
		if err := host.dev.Write(nil); !errors.Is(err, ErrUnit) {
			t.Errorf("empty unit: %v", err)
		}
		bad := bytes.Clone(super)
		bad[11] = 0x55 // IP version 5
		if err := host.dev.Write(bad); !errors.Is(err, ErrUnit) && !errors.Is(err, unix.EINVAL) {
			t.Errorf("IP version 5 (offload %v): %v", offload, err)
		}
		if err := host.dev.Write(bytes.Clone(super)); err != nil {
			t.Errorf("good unit after bad ones (offload %v): %v", offload, err)
		}
		host.ns.Run(t, "ip", "link", "set", "tun9", "down")
		if err := host.dev.Write(bytes.Clone(super)); !errors.Is(err, unix.EIO) {
			t.Errorf("interface down: %v, want EIO", err)
		}
		_ = host.dev.Close()
	}
}

// TestOpenErrors checks that every mistake gives one line that says what to do.
func TestOpenErrors(t *testing.T) {
	ns := netnstest.New(t)
	ns.Run(t, "ip", "tuntap", "add", "persist0", "mode", "tun")
	missing := filepath.Join(t.TempDir(), "tun")
	tests := []struct {
		name string
		cfg  Config
		path string
		is   error
		says string
	}{
		{"no driver", Config{Name: "tun9", MTU: 1500}, missing, ErrNoDriver, "modprobe tun"},
		{"taken by another kind", Config{Name: "lo", MTU: 1500}, clonePath, ErrName, "choose another name"},
		{"taken by a persistent TUN", Config{Name: "persist0", MTU: 1500}, clonePath, ErrName, "ip link delete persist0"},
		{"taken, TAP", Config{Name: "persist0", MTU: 1500, TAP: true}, clonePath, ErrName, "choose another name"},
		{"no name", Config{MTU: 1500}, clonePath, ErrName, "empty"},
		{"long name", Config{Name: "abcdefghijklmnop", MTU: 1500}, clonePath, ErrName, "15 bytes"},
		{"slash", Config{Name: "a/b", MTU: 1500}, clonePath, ErrName, "character"},
		{"pattern", Config{Name: "tun%d", MTU: 1500}, clonePath, ErrName, "character"},
		{"space", Config{Name: "tun 1", MTU: 1500}, clonePath, ErrName, "character"},
		{"dot", Config{Name: "..", MTU: 1500}, clonePath, ErrName, "reserved"},
		{"small MTU", Config{Name: "tun9", MTU: 67}, clonePath, ErrMTU, "choose 68 to 65535"},
		{"large MTU", Config{Name: "tun9", MTU: 65536}, clonePath, ErrMTU, "65535"},
		{"large MTU for TAP", Config{Name: "tap9", MTU: 65535, TAP: true}, clonePath, ErrMTU, "65521"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns.Do(t, func() {
				dev, err := open(tt.cfg, tt.path, !tt.cfg.TAP)
				if err == nil {
					_ = dev.Close()
					t.Fatal("no error")
				}
				if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, want %v with %q on one line", err, tt.is, tt.says)
				}
			})
		})
	}
}

func TestOpenWithoutPrivilege(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		// This thread alone gives its privileges up; it ends with this function.
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Config{Name: "tun9", MTU: 1500})
		if !errors.Is(err, ErrPrivilege) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("error %q, want ErrPrivilege that names CAP_NET_ADMIN", err)
		}
	})
}

func TestExplain(t *testing.T) {
	if err := explainOpen(clonePath, unix.EACCES); !errors.Is(err, ErrPrivilege) {
		t.Errorf("EACCES: %v", err)
	}
	if err := explainOpen(clonePath, unix.EMFILE); !errors.Is(err, unix.EMFILE) {
		t.Errorf("EMFILE: %v", err)
	}
	if err := explainCreate("x", unix.EINVAL); !errors.Is(err, ErrName) {
		t.Errorf("EINVAL: %v", err)
	}
	if err := explainCreate("x", unix.ENOMEM); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("ENOMEM: %v", err)
	}
}

// TestNoAllocations checks Read and Write in the steady state, in every way that
// Write has.
func TestNoAllocations(t *testing.T) {
	h, p := superPacket{payload: 3000, size: 1000, flags: 0x10}.build()
	super := append(append([]byte{flagVirtio}, h.bytes()...), p...)
	plain := append([]byte{0}, p[:1040]...)
	for _, offload := range []bool{true, false} {
		host := newHost(t, 1, Config{Name: "tun9", MTU: 1500}, offload)
		check := func(what string, f func() error) {
			t.Helper()
			if n := testing.AllocsPerRun(50, func() {
				if err := f(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}); n != 0 {
				t.Errorf("%s (offload %v) allocates %v times", what, offload, n)
			}
		}
		check("Write of a super-packet", func() error { return host.dev.Write(super) })
		check("Write of a packet", func() error { return host.dev.Write(plain) })
		host.dev.refuseGSO = true
		check("Write in segments", func() error { return host.dev.Write(super) })

		buf := make([]byte, MaxUnit)
		var c net.Conn
		host.ns.Do(t, func() {
			var err error
			if c, err = net.Dial("udp", "10.77.0.2:9"); err != nil {
				t.Error(err)
			}
		})
		message := make([]byte, 100)
		check("Read", func() error {
			if _, err := c.Write(message); err != nil {
				return err
			}
			_, err := host.dev.Read(buf)
			return err
		})
		_ = c.Close()
		_ = host.dev.Close()
	}
}

func TestReadPanicsOnSmallBuffer(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = (&Device{}).Read(make([]byte, MaxUnit-1))
}
