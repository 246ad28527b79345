package lab

import (
	"errors"
	"fmt"
)

// world is two hosts and the wire between them.
type world struct {
	path Path
	a, b *host
	wire *emulator

	capture *capture // nil without one

	drops [2]uint64 // of the hosts' ends of the wire, valid after close
	err   error     // of the capture, as well
}

// worldConfig is a link and what is said about it.
type worldConfig struct {
	path       Path
	congestion string // TCP congestion control of the hosts
	seed       uint64
	pcap       string // file to record both wires in, "" for none
	cable      bool   // a veth pair instead of the emulated link
}

// newWorld makes hosts A and B and starts the emulator.
func newWorld(cfg worldConfig) (*world, error) {
	path, congestion := cfg.path, cfg.congestion
	w := &world{path: path}
	mtu := min(path.Up.MTU, path.Down.MTU)
	var err error
	w.a, err = newHost("A", cfg.cable, congestion)
	if err == nil {
		w.b, err = newHost("B", cfg.cable, congestion)
	}
	if err == nil && cfg.cable {
		if err = w.a.connect(w.b); err == nil {
			err = w.configure(mtu)
		}
		if err != nil {
			w.close()
			return nil, err
		}
		return w, nil
	}
	if err == nil {
		err = w.configure(mtu)
	}
	if err == nil && cfg.pcap != "" {
		w.capture, err = newCapture(cfg.pcap)
	}
	if err == nil {
		w.wire, err = newEmulator(path, w.a.wire, w.b.wire, cfg.seed, w.capture)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// configure brings up the hosts' ends of the wire.
func (w *world) configure(mtu int) error {
	return errors.Join(w.a.configure(mtu, directA, directA6), w.b.configure(mtu, directB, directB6))
}

// close stops the emulator and ends the hosts. It may be called again.
func (w *world) close() {
	for i, h := range []*host{w.a, w.b} {
		if h != nil && h.wire >= 0 {
			w.drops[i] = h.drops()
		}
	}
	if w.wire != nil {
		w.wire.close()
	}
	if w.capture != nil {
		missing, err := w.capture.close()
		if err == nil && missing > 0 {
			err = fmt.Errorf("%w: %d packets are missing: the disk is too slow", ErrCapture, missing)
		}
		w.err, w.capture = err, nil
	}
	for _, h := range []*host{w.a, w.b} {
		if h != nil {
			h.close()
		}
	}
}

// congest sets the congestion control of a device that both hosts have.
func (w *world) congest(device, name string) error {
	return errors.Join(w.a.congest(device, name), w.b.congest(device, name))
}

// vars are the variables that every command in the lab sees. Without a tunnel,
// the peer is reached directly, so that a command works both ways.
func (w *world) vars(kind *carrierKind) map[string]string {
	return map[string]string{
		"TOTG_LAB":     "1",
		"TOTG_THROUGH": kind.name,
		"TOTG_PEER":    kind.v4,
		"TOTG_PEER6":   kind.v6,
		"TOTG_DIRECT":  directB,
		"TOTG_DIRECT6": directB6,
		"TOTG_NETNS_A": w.a.ns.path(),
		"TOTG_NETNS_B": w.b.ns.path(),
	}
}

// describe is the link in one line.
func describe(p Path) string {
	if sameLink(p) {
		return fmt.Sprintf("%s, RTT %v", describeSide(p.Up.Rate, p.Up.Loss, p.Up.Burst, p.Up.Queue), p.RTT())
	}
	return fmt.Sprintf("up %s; down %s; RTT %v",
		describeSide(p.Up.Rate, p.Up.Loss, p.Up.Burst, p.Up.Queue),
		describeSide(p.Down.Rate, p.Down.Loss, p.Down.Burst, p.Down.Queue), p.RTT())
}

func sameLink(p Path) bool {
	return p.Up.Rate == p.Down.Rate && p.Up.Loss == p.Down.Loss && p.Up.Burst == p.Down.Burst && p.Up.Queue == p.Down.Queue
}
