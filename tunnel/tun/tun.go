// Package tun is the tunnel's network interface: a Linux TUN or TAP device that
// speaks in units (requirements T-1, R-1).
//
// A unit is what the protocol carries whole:
//
//	 0        1                    11 (or 1)
//	+--------+--------------------+----------------------------+
//	| flags  | virtio_net_hdr (10)| packet (1 .. 65535 bytes)  |
//	+--------+--------------------+----------------------------+
//
// Flag bit 0 says that the virtio header follows, bit 1 that the packet is an
// Ethernet frame; the other bits are zero. The header is the kernel's own, in
// the little-endian legacy layout. It is present only where it says something:
// a TCP or UDP super-packet to be cut later, or a checksum left partial. Such
// packets cross the tunnel as they are; where the receiving kernel has no
// offload, Write cuts and completes them in user space.
//
// Concurrency: one goroutine may call Read while another calls Write; neither
// may be called by two goroutines at once. Close may be called by anyone, at any
// time and repeatedly; it unblocks Read. The interface lives as long as the
// Device: the kernel removes it, with its addresses and routes, when the process
// closes it or dies (T-4). The device is created in the network namespace of the
// calling thread.
//
// Neither Read nor Write allocates, except for an error.
package tun

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/poll"
)

// Config describes the interface to create.
type Config struct {
	// Name of the new interface: 1 to 15 bytes, not taken in this network
	// namespace.
	Name string
	// MTU is the largest packet in bytes, without an Ethernet header: MinMTU to
	// MaxMTU, for TAP to MaxTAPMTU.
	MTU int
	// TAP asks for an Ethernet device instead of an IP device.
	TAP bool
}

// Device is an open TUN or TAP interface.
type Device struct {
	name    string
	file    *poll.FD
	offload bool // frames carry a virtio header
	tap     bool

	// out holds a virtio header of zeros and one packet: what Write hands to the
	// kernel when the unit itself has no room for the header.
	out []byte
	// refuseGSO makes Write behave as if the kernel refused every virtio header.
	// Tests set it.
	refuseGSO bool
}

// Name is the interface's name.
func (d *Device) Name() string { return d.name }

// Offload reports whether super-packets and partial checksums pass between the
// kernel and units untouched. Without it every unit read is a plain packet, and
// Write does the work in user space.
func (d *Device) Offload() bool { return d.offload }

// Read waits for the next packet that the host sends into the interface and
// returns it as a unit that aliases buf. buf has at least MaxUnit bytes, else
// Read panics. After Close the error is os.ErrClosed, after somebody deleted the
// interface ErrDeleted; no error is temporary.
func (d *Device) Read(buf []byte) ([]byte, error) {
	for {
		unit, err := d.TryRead(buf)
		if unit != nil || err != nil {
			return unit, err
		}
		if err := d.wait(); err != nil {
			return nil, d.wrap("read", err)
		}
	}
}

// wait waits until there is something to read.
func (d *Device) wait() error {
	if _, err := d.file.Use(); err != nil {
		return err
	}
	defer d.file.Release()
	return d.file.Wait(unix.POLLIN)
}

// FD is the device's descriptor, to wait for packets with a poll.Set.
func (d *Device) FD() *poll.FD { return d.file }

// TryRead is Read that does not wait: without a packet the unit is nil.
func (d *Device) TryRead(buf []byte) ([]byte, error) {
	if len(buf) < MaxUnit {
		panic("tun: Read needs a buffer of MaxUnit bytes")
	}
	for {
		n, err := d.file.Read(buf[1:MaxUnit])
		if errors.Is(err, unix.EAGAIN) {
			return nil, nil
		}
		if err != nil {
			return nil, d.wrap("read", err)
		}
		switch {
		case !d.offload && n > 0:
			buf[0] = d.flags()
			return buf[:1+n], nil
		case d.offload && n > virtioLen:
			// the header travels only where it is not zero. The flag byte of
			// a plain packet takes the place of the header's last byte.
			if h := parseHeader(buf[1:]); h.plain() {
				buf[virtioLen] = d.flags()
				return buf[virtioLen : 1+n], nil
			}
			buf[0] = d.flags() | flagVirtio
			return buf[:1+n], nil
		}
	}
}

// Write gives a unit to the host. It may modify the unit, and does not retain
// it. A unit that is no unit, or that does not fit this device, is ErrUnit: the
// sender's mistake, and nothing was written. Other errors are the kernel's
// (unix.EIO: the interface is down).
func (d *Device) Write(unit []byte) error {
	u, err := parseUnit(unit, d.tap)
	if err != nil {
		return err
	}
	if u.header.plain() {
		return d.writePacket(u.packet)
	}
	if d.offload && !d.refuseGSO {
		// never split where the receiver's kernel takes it whole.
		_, err := d.file.Write(unit[1:])
		if err == nil {
			return nil
		}
		// A kernel that lacks an offload (UDP segmentation before Linux 6.2)
		// answers EINVAL; so does one that finds the packet malformed, which the
		// user-space code then finds too.
		if !errors.Is(err, unix.EINVAL) {
			return d.wrap("write", err)
		}
	}
	return d.writeSegments(u)
}

// Close removes the interface and unblocks Read.
func (d *Device) Close() error {
	if err := d.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return d.wrap("close", err)
	}
	return nil
}

// flags is the flag byte of a unit of this device, without flagVirtio.
func (d *Device) flags() byte {
	if d.tap {
		return flagEthernet
	}
	return 0
}

// writePacket writes one packet that needs no virtio header.
func (d *Device) writePacket(p []byte) error {
	if d.offload {
		return d.writeOut(copy(d.out[virtioLen:], p))
	}
	if _, err := d.file.Write(p); err != nil {
		return d.wrap("write", err)
	}
	return nil
}

// writeOut writes the first n bytes of the packet in d.out.
func (d *Device) writeOut(n int) error {
	frame := d.out[virtioLen : virtioLen+n]
	if d.offload {
		frame = d.out[:virtioLen+n]
	}
	if _, err := d.file.Write(frame); err != nil {
		return d.wrap("write", err)
	}
	return nil
}

// writeSegments does in user space what the virtio header asks of the kernel.
func (d *Device) writeSegments(u unit) error {
	if u.header.gso == gsoNone {
		if err := completeChecksum(u.header, u.packet); err != nil {
			return err
		}
		return d.writePacket(u.packet)
	}
	s, err := split(u.header, u.packet)
	if err != nil {
		return err
	}
	for {
		n := s.next(d.out[virtioLen:])
		if n == 0 {
			return nil
		}
		if err := d.writeOut(n); err != nil {
			return err
		}
	}
}

// wrap names the device in an error of the kernel.
func (d *Device) wrap(verb string, err error) error {
	if !errors.Is(err, os.ErrClosed) && d.deleted() {
		err = ErrDeleted
	}
	return fmt.Errorf("%s interface %q: %w", verb, d.name, err)
}

// deleted asks the kernel whether the descriptor has lost its interface.
func (d *Device) deleted() bool {
	fd, err := d.file.Use()
	if err != nil {
		return false
	}
	defer d.file.Release()
	ifr, err := unix.NewIfreq("")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	}
	return errors.Is(err, unix.EBADFD)
}
