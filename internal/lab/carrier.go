package lab

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// carrier brings packets from host A to host B over the wire.
type carrier interface {
	stop()                  // ends it; it may be called again
	cpu() [2]time.Duration  // processor time of its programs in A and B, valid after stop
	counters() []hostStatus // what it tells of itself, nil for nothing
}

// carrierKind is a way from A to B that the lab knows how to set up.
type carrierKind struct {
	name       string
	about      string
	programs   []string // that it needs
	get        string   // how to get them
	congestion string   // TCP congestion control that it is about, "" for the lab's
	v4, v6     string   // host B's addresses, as seen by the commands
	device     string   // through which its packets leave host A, "" for the wire
	start      func(ctx context.Context, w *world, cfg carrierConfig) (carrier, error)
}

// carrierConfig is what a carrier needs beside the hosts.
type carrierConfig struct {
	dir    string    // of its own, for keys and sockets
	live   io.Writer // log output while running, or nil
	port   int       // TCP port of host B that a carrier which forwards one serves
	tunnel tunnelConfig
}

// TunnelName is totg itself among the names of carriers.
const TunnelName = "totg"

func carrierKinds() []carrierKind {
	return []carrierKind{
		{
			name: TunnelName, about: "the tunnel", v4: innerB, v6: innerB6, device: tunnelName,
			start: func(ctx context.Context, w *world, cfg carrierConfig) (carrier, error) {
				return newTunnel(ctx, w, cfg.tunnel)
			},
		},
		{name: "tcp-cubic", about: "no tunnel, TCP with cubic", congestion: "cubic", v4: directB, v6: directB6, start: direct},
		{name: "tcp-bbr", about: "no tunnel, TCP with bbr", congestion: "bbr", v4: directB, v6: directB6, start: direct},
		{
			name: "wireguard", about: "wireguard-go", programs: []string{"wireguard-go"}, get: "apt-get install wireguard-go",
			v4: innerB, v6: innerB6, device: "wg-a", start: startWireguard,
		},
		{
			name: "kcptun", about: "kcptun, TCP port --port alone", programs: []string{"kcptun-client", "kcptun-server"},
			get: "apt-get install kcptun", v4: innerB, device: "lo", start: startKcptun,
		},
		{
			name: "openvpn", about: "OpenVPN over UDP with a static key", programs: []string{"openvpn"}, get: "apt-get install openvpn",
			v4: innerB, device: "ovpn0", start: startOpenvpn,
		},
	}
}

// Comparable are the names that Options.Compare may have.
func Comparable() []string {
	var names []string
	for _, k := range carrierKinds() {
		if k.name != TunnelName {
			names = append(names, k.name)
		}
	}
	return names
}

// findCarrier returns the kind of that name.
func findCarrier(name string) (carrierKind, error) {
	for _, k := range carrierKinds() {
		if k.name == name {
			return k, nil
		}
	}
	return carrierKind{}, fmt.Errorf("%w: no peer %q; there are %s", ErrSpec, name, strings.Join(Comparable(), ", "))
}

// missing is why a carrier cannot run here, "" if it can.
func (k *carrierKind) missing() string {
	for _, p := range k.programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Sprintf("there is no %s (%s)", p, k.get)
		}
	}
	if k.congestion != "" && !slices.Contains(congestionControls(), k.congestion) {
		return fmt.Sprintf("this kernel has no TCP %s (modprobe tcp_%s)", k.congestion, k.congestion)
	}
	return ""
}

// bare is the wire itself.
type bare struct{}

func direct(context.Context, *world, carrierConfig) (carrier, error) { return bare{}, nil }

func (bare) stop()                  {}
func (bare) cpu() [2]time.Duration  { return [2]time.Duration{} }
func (bare) counters() []hostStatus { return nil }

// programs are the processes of a carrier in A and B.
type programs [2]*child

func (p *programs) stop() {
	for _, c := range p {
		if c != nil {
			c.stop()
		}
	}
}

func (p *programs) cpu() (used [2]time.Duration) {
	for i, c := range p {
		if c != nil {
			used[i] = c.cpu()
		}
	}
	return used
}

func (p *programs) counters() []hostStatus { return nil }

// wait pings address from host A until an answer comes, as long as the programs
// run.
func (p *programs) wait(ctx context.Context, w *world, address string) error {
	ping, err := newPinger(w.a, address)
	if err != nil {
		return err
	}
	defer ping.close()
	deadline := wallClock().Add(upTime + 20*w.path.RTT())
	for seq := uint16(0); ; seq++ {
		for _, c := range p {
			if c.ended() {
				return p.failure(c, fmt.Sprintf("the program in host %s ended (%v)", strings.ToUpper(c.name), c.err))
			}
		}
		switch now := wallClock(); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case now.After(deadline):
			return p.failure(p[0], "no answer through it in time")
		default:
			ping.send(seq)
			if _, err := ping.receive(now.Add(knock)); err == nil {
				return nil
			}
		}
	}
}

func (p *programs) failure(c *child, what string) error {
	log := c.log.last(8)
	if log == "" {
		log = "(nothing)"
	}
	return fmt.Errorf("%s; the last lines of the log of host %s:\n%s", what, strings.ToUpper(c.name), log)
}
