package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses of the lab. The wire's networks are outside the tunnel, the others
// inside.
const (
	wireName   = "wire0"
	tunnelName = "totg0"

	directA, directA6 = "10.99.0.1", "fd99::1"
	directB, directB6 = "10.99.0.2", "fd99::2"
	innerA, innerA6   = "10.77.0.1", "fd77::1"
	innerB, innerB6   = "10.77.0.2", "fd77::2"
)

// wireQueue is the packets that may wait for the emulator's thread, so that a
// late wake-up does not become loss: about 100 ms at 1 Gbit/s.
const wireQueue = 8192

// tcpBuffers are the limits of the TCP windows: 20 Mbit/s over 600 ms with a full
// queue and retransmissions needs far more than the kernel's usual 6 MB.
const tcpBuffers = "4096 262144 33554432"

// host is one of the two: a namespace with loopback and one end of the wire.
type host struct {
	name       string // "A" or "B"
	ns         *netns
	wire       int    // TUN descriptor
	congestion string // TCP congestion control in effect
}

// newHost makes a host, with one end of an emulated wire unless it gets a cable.
func newHost(name string, cable bool, congestion string) (*host, error) {
	ns, err := newNetns()
	if err != nil {
		return nil, err
	}
	h := &host{name: name, ns: ns, wire: -1}
	err = ns.do(func() error {
		h.congestion = tune(congestion)
		if !cable {
			h.wire, err = openWire(wireName)
		}
		return err
	})
	if err != nil {
		h.close()
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	return h, nil
}

// connect lays a cable between two hosts.
func (h *host) connect(other *host) error {
	return h.ns.do(func() error {
		handle, err := netlink.NewHandle()
		if err != nil {
			return fmt.Errorf("netlink: %w", err)
		}
		defer handle.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = wireName
		far := netlink.NsFd(int(other.ns.file.Fd()))
		if err := handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: wireName, PeerNamespace: far}); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		return nil
	})
}

// configure gives the host's end of the wire its addresses and brings it up.
func (h *host) configure(mtu int, addresses ...string) error {
	err := h.ns.do(func() error { return configure(mtu, addresses) })
	if err != nil {
		return fmt.Errorf("host %s: %w", h.name, err)
	}
	return nil
}

// close ends the host; the emulator must have stopped.
func (h *host) close() {
	if h.wire >= 0 {
		_ = unix.Close(h.wire) // the device goes with it
		h.wire = -1
	}
	h.ns.close()
}

// drops is how many packets the wire lost before the emulator saw them: a sign
// that this machine is too slow.
func (h *host) drops() uint64 {
	var n uint64
	_ = h.ns.do(func() error { // a missing figure is no figure
		handle, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer handle.Close()
		l, err := handle.LinkByName(wireName)
		if err == nil && l.Attrs().Statistics != nil {
			n = l.Attrs().Statistics.TxDropped
		}
		return err
	})
	return n
}

// openWire makes a TUN device without offloads, so that each read is one packet
// as it would be on a wire.
func openWire(name string) (int, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return -1, fmt.Errorf("%w to open %s: run as root, or open it to users, as most distributions do: chmod 0666 %s",
			ErrPrivilege, device, device)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV):
		return -1, fmt.Errorf("no %s: load the driver (modprobe tun), or pass the device to the container (--device %s)", device, device)
	case err != nil:
		return -1, fmt.Errorf("open %s: %w", device, err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was done with it
		return -1, privilege("make a TUN device", err)
	}
	return fd, nil
}

// configure gives the wire its addresses and brings it and loopback up.
func configure(mtu int, addresses []string) error {
	handle, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer handle.Close()
	lo, err := handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	wire, err := handle.LinkByName(wireName)
	if err != nil {
		return fmt.Errorf("%s: %w", wireName, err)
	}
	// The kernel's own IPv6 chatter would be packets that nobody sent.
	sysctl("net.ipv6.conf."+wireName+".addr_gen_mode", "1")
	sysctl("net.ipv6.conf."+wireName+".router_solicitations", "0")
	if err := handle.LinkSetMTU(wire, mtu); err != nil {
		return fmt.Errorf("%s: mtu %d: %w", wireName, mtu, err)
	}
	if err := handle.LinkSetTxQLen(wire, wireQueue); err != nil {
		return fmt.Errorf("%s: queue: %w", wireName, err)
	}
	for _, a := range addresses {
		if err := addAddress(handle, wire, a); err != nil {
			return err
		}
	}
	if err := handle.LinkSetUp(wire); err != nil {
		return fmt.Errorf("%s up: %w", wireName, err)
	}
	return nil
}

func addAddress(handle *netlink.Handle, wire netlink.Link, address string) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	addr := &netlink.Addr{
		IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(bits, ip.BitLen())},
		Flags: unix.IFA_F_NODAD,
	}
	if err := handle.AddrAdd(wire, addr); err != nil && ip.Is4() { // a kernel without IPv6 has no IPv6 lab
		return fmt.Errorf("%s: address %s: %w", wireName, address, err)
	}
	return nil
}

// tune sets what measurements depend on, as far as the kernel lets us, and
// returns the TCP congestion control in effect.
func tune(congestion string) string {
	sysctl("net.ipv4.tcp_rmem", tcpBuffers)
	sysctl("net.ipv4.tcp_wmem", tcpBuffers)
	sysctl("net.ipv4.tcp_no_metrics_save", "1") // one run must not slow the next
	sysctl("net.ipv4.tcp_congestion_control", congestion)
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// congest makes name the TCP congestion control of everything that goes through a
// device, whatever the kernel lets a namespace have as its default: a route may say.
func (h *host) congest(device, name string) error {
	err := h.ns.do(func() error {
		handle, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer handle.Close()
		l, err := handle.LinkByName(device)
		if err != nil {
			return err
		}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			routes, err := handle.RouteList(l, family)
			if err != nil && family == unix.AF_INET {
				return err
			}
			for i := range routes {
				routes[i].Congctl = name
				if err := handle.RouteReplace(&routes[i]); err != nil && family == unix.AF_INET {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		h.congestion = name
	}
	return err
}

// congestionControls are those that the kernel has.
func congestionControls() []string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// sysctl sets a variable of the calling thread's namespace, if the kernel has it
// and allows it.
func sysctl(name, value string) {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	_ = os.WriteFile(path, []byte(value), 0o644) // what matters is read back
}
