package lab

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/link"
)

// The programs that the lab compares the tunnel with, set up as their own
// documents say, without tuning but for what the link's rate and delay demand.

// wireguardMTU is wg-quick's: 1500 less the outer headers of IPv6.
const wireguardMTU = 1420

// wireguardSockets is where wireguard-go is configured. It knows no other place.
const wireguardSockets = "/var/run/wireguard"

// startWireguard starts wireguard-go in both hosts.
func startWireguard(ctx context.Context, w *world, cfg carrierConfig) (carrier, error) {
	if err := hideSockets(); err != nil {
		return nil, fmt.Errorf("%w: wireguard-go needs %s: %w", ErrPeer, wireguardSockets, err)
	}
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
	}
	p := &programs{}
	for i, h := range []*host{w.a, w.b} {
		name := "wg-" + strings.ToLower(h.name)
		// The programs share the folder of the sockets, so their devices differ.
		c, err := background(h, strings.ToLower(h.name), environment(nil), cfg.live, "wireguard-go", "-f", name)
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("%w: %w", ErrPeer, err)
		}
		p[i] = c
		far := []string{directB, directA}[i]
		inner := []string{innerA, innerB, innerA6, innerB6}
		err = configureWireguard(ctx, name, fmt.Sprintf("set=1\nprivate_key=%x\nlisten_port=51820\npublic_key=%x\nallowed_ip=%s/32\nallowed_ip=%s/128\nendpoint=%s:51820\n\n",
			keys[i].Bytes(), keys[1-i].PublicKey().Bytes(), inner[1-i], inner[3-i], far))
		if err == nil {
			err = h.address(name, wireguardMTU, inner[i], inner[2+i])
		}
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("%w: wireguard-go: %w\n%s", ErrPeer, err, c.log.last(5))
		}
	}
	if err := p.wait(ctx, w, innerB); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w: wireguard-go: %w", ErrPeer, err)
	}
	return p, nil
}

// hideSockets gives wireguard-go a folder that no other lab and no tunnel of the
// host's sees. The lab's mounts are its own, and nothing is made on the host.
func hideSockets() error {
	at := wireguardSockets
	if _, err := os.Stat(at); err != nil {
		at = "/run"
	}
	if err := unix.Mount("run", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	return os.MkdirAll(wireguardSockets, 0o700)
}

// configureWireguard speaks wireguard's configuration protocol.
func configureWireguard(ctx context.Context, name, request string) error {
	var conn net.Conn
	var err error
	for range 100 {
		if conn, err = net.Dial("unix", filepath.Join(wireguardSockets, name+".sock")); err == nil || !sleep(ctx, knock) {
			break
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the answer is what counts
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "errno=0" {
		return fmt.Errorf("not configured: %q, %w", answer, err)
	}
	return nil
}

// address gives a device of the host an MTU and addresses, and brings it up.
func (h *host) address(device string, mtu int, addresses ...string) error {
	return h.ns.do(func() error {
		handle, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer handle.Close()
		l, err := handle.LinkByName(device)
		if err != nil {
			return err
		}
		if mtu > 0 {
			if err := handle.LinkSetMTU(l, mtu); err != nil {
				return err
			}
		}
		for _, a := range addresses {
			if err := addAddress(handle, l, a); err != nil {
				return err
			}
		}
		return handle.LinkSetUp(l)
	})
}

// startOpenvpn starts openvpn in both hosts, with a static key over UDP.
func startOpenvpn(ctx context.Context, w *world, cfg carrierConfig) (carrier, error) {
	key := filepath.Join(cfg.dir, "static.key")
	if out, err := exec.Command("openvpn", "--genkey", "secret", key).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: openvpn --genkey: %w\n%s", ErrPeer, err, out)
	}
	p := &programs{}
	inner := [2]string{innerA, innerB}
	for i, h := range []*host{w.a, w.b} {
		c, err := background(h, strings.ToLower(h.name), environment(nil), cfg.live, "openvpn",
			"--dev", "ovpn0", "--dev-type", "tun", "--proto", "udp", "--port", "1194", "--remote", []string{directB, directA}[i],
			"--ifconfig", inner[i], inner[1-i], "--secret", key, "--cipher", "AES-256-CBC", "--auth", "SHA256", "--verb", "1")
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("%w: %w", ErrPeer, err)
		}
		p[i] = c
	}
	if err := p.wait(ctx, w, innerB); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w: openvpn: %w", ErrPeer, err)
	}
	return p, nil
}

// kcptunSegment is the data of one of kcptun's packets, in bytes.
const kcptunSegment = 1300

// startKcptun starts kcptun for one TCP port of host B, with its own default code of
// 10 data and 3 parity packets, and windows of twice what the link holds.
func startKcptun(ctx context.Context, w *world, cfg carrierConfig) (carrier, error) {
	window := func(l link.Config) string {
		return strconv.Itoa(max(1024, 2*link.BDP(l.Rate, w.path.RTT())/kcptunSegment))
	}
	if err := w.a.address("lo", 0, innerB); err != nil {
		return nil, fmt.Errorf("%w: kcptun: %w", ErrPeer, err)
	}
	flags := []string{"--mode", "fast3", "--crypt", "aes-128", "--nocomp", "--key", hex.EncodeToString([]byte(rand.Text()))}
	target := netip.AddrPortFrom(netip.MustParseAddr(innerB), uint16(cfg.port)).String()
	p := &programs{}
	for i, side := range []struct {
		h             *host
		program       string
		address       []string
		send, receive link.Config
	}{
		{w.a, "kcptun-client", []string{"-r", directB + ":4000", "-l", target}, w.path.Up, w.path.Down},
		{w.b, "kcptun-server", []string{"-l", directB + ":4000", "-t", "127.0.0.1:" + strconv.Itoa(cfg.port)}, w.path.Down, w.path.Up},
	} {
		argv := append([]string{side.program, "--sndwnd", window(side.send), "--rcvwnd", window(side.receive)}, flags...)
		c, err := background(side.h, strings.ToLower(side.h.name), environment(nil), cfg.live, append(argv, side.address...)...)
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("%w: %w", ErrPeer, err)
		}
		p[i] = c
	}
	if err := w.a.listens(ctx, target); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w: kcptun: %w", ErrPeer, p.failure(p[0], err.Error()))
	}
	return p, nil
}

// listens waits until something in the host accepts connections at address.
func (h *host) listens(ctx context.Context, address string) error {
	var err error
	for range 100 {
		err = h.ns.do(func() error {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
		if err == nil || !sleep(ctx, knock) {
			break
		}
	}
	return err
}
