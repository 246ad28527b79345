package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"github.com/totg/totg/tunnel/poll"
)

// Open creates the interface, down and without addresses. An error is one line
// that says what to do about it.
func Open(cfg Config) (*Device, error) {
	return open(cfg, clonePath, !cfg.TAP)
}

// open is Open with what tests replace: the device file, and whether to ask for
// offloads.
func open(cfg Config, path string, offload bool) (*Device, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	fd, offload, err := create(cfg, path, offload)
	if err != nil {
		return nil, err
	}
	if err := setMTU(cfg); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	// The library sets the offloads. Its own Read and Write cut and coalesce packets;
	// T-1 wants the raw virtio frames, so only the descriptor is used. This form of the
	// constructor starts no goroutines. When it fails, the descriptor belongs to
	// an unreachable os.File that closes it: closing it here could hit a
	// descriptor that was opened since.
	dev, name, err := wgtun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		return nil, fmt.Errorf("create interface %q: %w", cfg.Name, err)
	}
	file, err := poll.Take(dev.File())
	if err != nil {
		return nil, fmt.Errorf("create interface %q: %w", cfg.Name, err)
	}
	return &Device{
		name:    name,
		file:    file,
		offload: offload,
		tap:     cfg.TAP,
		out:     make([]byte, virtioLen+maxPacket),
	}, nil
}

// validate checks what needs no kernel.
func (c Config) validate() error {
	bad := ""
	switch {
	case c.Name == "":
		bad = "is empty"
	case len(c.Name) > maxNameLen:
		bad = fmt.Sprintf("is longer than %d bytes", maxNameLen)
	case c.Name == "." || c.Name == "..":
		bad = "is reserved"
	// The kernel fills in a % itself; the others it refuses.
	case strings.ContainsFunc(c.Name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("/:%", r)
	}):
		bad = "has a character that interface names cannot have"
	}
	if bad != "" {
		return &advice{ErrName, fmt.Sprintf("interface name %q %s; use letters and digits, as in totg0", c.Name, bad)}
	}
	limit := MaxMTU
	if c.TAP {
		limit = MaxTAPMTU
	}
	if c.MTU < MinMTU || c.MTU > limit {
		return &advice{ErrMTU, fmt.Sprintf("interface %q: an MTU of %d is not possible; choose %d to %d", c.Name, c.MTU, MinMTU, limit)}
	}
	return nil
}

// create makes the interface and returns its descriptor and whether frames carry
// a virtio header.
func create(cfg Config, path string, offload bool) (fd int, vnet bool, err error) {
	fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false, explainOpen(path, err)
	}
	// Without IFF_TUN_EXCL the kernel hands out an existing persistent interface
	// of somebody else, to be kept alive and reconfigured.
	flags := uint16(unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
	if cfg.TAP {
		flags |= unix.IFF_TAP
	} else {
		flags |= unix.IFF_TUN
	}
	if offload {
		err = attach(fd, cfg.Name, flags|unix.IFF_VNET_HDR)
		offload = !errors.Is(err, unix.EINVAL)
	}
	if !offload { // T-1: offloads only where the kernel has them
		err = attach(fd, cfg.Name, flags)
	}
	if err == nil && offload {
		// A header in one byte order on every host, as it travels.
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, false, explainCreate(cfg.Name, err)
	}
	return fd, offload, nil
}

func attach(fd int, name string, flags uint16) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(flags)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}

// setMTU sets the MTU of the interface that create made, in the same namespace.
func setMTU(cfg Config) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set MTU of interface %q: %w", cfg.Name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq(cfg.Name)
	if err != nil {
		return fmt.Errorf("set MTU of interface %q: %w", cfg.Name, err)
	}
	ifr.SetUint32(uint32(cfg.MTU))
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr); err != nil {
		return fmt.Errorf("set MTU of interface %q to %d: %w", cfg.Name, cfg.MTU, err)
	}
	return nil
}

func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &advice{ErrNoDriver, path + " is missing: load the driver with \"modprobe tun\"; in a container, pass the device in (--device /dev/net/tun)"}
	case errors.Is(err, fs.ErrPermission):
		return &advice{ErrPrivilege, "opening " + path + " is not allowed: run as root or with CAP_NET_ADMIN and access to that file"}
	}
	return fmt.Errorf("open %s: %w", path, err)
}

func explainCreate(name string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return &advice{ErrName, fmt.Sprintf("interface %q exists already: stop the program that made it (or \"ip link delete %s\"), or choose another name", name, name)}
	case errors.Is(err, fs.ErrPermission):
		return &advice{ErrPrivilege, fmt.Sprintf("creating interface %q is not allowed: run as root or with CAP_NET_ADMIN", name)}
	case errors.Is(err, unix.EINVAL):
		return &advice{ErrName, fmt.Sprintf("interface name %q is refused by the kernel; use letters and digits, as in totg0", name)}
	}
	return fmt.Errorf("create interface %q: %w", name, err)
}
