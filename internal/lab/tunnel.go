package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	tunnelPort = 4430

	// upTime bounds the wait for the first answer through the tunnel; a handshake
	// needs many tries where nine packets in ten are lost.
	upTime = 30 * time.Second

	// knock is the time between two requests while waiting.
	knock = 50 * time.Millisecond

	// statusTime bounds one question to a daemon.
	statusTime = 3 * time.Second

	runDirEnv = "TOTG_RUN_DIR" // where a daemon puts its control socket
)

// tunnelConfig is what newTunnel needs beside the hosts.
type tunnelConfig struct {
	dir       string // for keys, configurations and sockets
	fixed     bool   // the rate is told: the bandwidth, or the link's rates
	scavenger bool   // else the tunnel yields to others
	bandwidth int64  // bit/s each way that it may send at most, 0 for no bound
	coding    coding
	trace     string    // file for the traces of rate control, "" for none
	live      io.Writer // log output while running, or nil
}

// coding is what both daemons do about loss.
type coding struct {
	redundancy *float64 // nil is "auto"
	arq        bool
}

// tunnel is the pair of daemons.
type tunnel struct {
	w   *world
	dir string
	programs
}

// sending is what a daemon is told of its rate.
type sending struct {
	mode      string // as in a configuration file
	bandwidth int64  // bit/s, 0 for none
}

// rates is what the daemons in A and B are told.
func (c *tunnelConfig) rates(path Path) (up, down sending) {
	up = sending{"fair", c.bandwidth}
	if c.scavenger {
		up.mode = "scavenger"
	}
	down = up
	if c.fixed {
		up.mode, down.mode = "fixed", "fixed"
		if c.bandwidth == 0 {
			up.bandwidth, down.bandwidth = path.Up.Rate, path.Down.Rate
		}
	}
	return up, down
}

// newTunnel starts the daemons and waits until a ping gets through.
func newTunnel(ctx context.Context, w *world, cfg tunnelConfig) (*tunnel, error) {
	up, down := cfg.rates(w.path)
	if cfg.fixed && (up.bandwidth == 0 || down.bandwidth == 0) {
		return nil, fmt.Errorf("%w: bandwidth: the link's rate is unlimited; say what the tunnel shall send (--bandwidth 100mbit)", ErrSpec)
	}
	t := &tunnel{w: w, dir: cfg.dir}
	if err := t.configure(up, down, cfg.coding); err != nil {
		return nil, err
	}
	for i, h := range []*host{w.a, w.b} {
		name := strings.ToLower(h.name)
		argv := append([]string{"/proc/self/exe", "up", "-c", t.file(name, "toml")}, traceFlag(cfg.trace, name)...)
		c, err := background(h, name, t.env(name), cfg.live, argv...)
		if err != nil {
			t.stop()
			return nil, fmt.Errorf("%w: %w", ErrTunnel, err)
		}
		t.programs[i] = c
	}
	if err := t.wait(ctx, w, innerB); err != nil {
		t.stop()
		return nil, fmt.Errorf("%w: %w", ErrTunnel, err)
	}
	return t, nil
}

// traceFlag names the file of one host's trace: rates-a.csv and rates-b.csv for rates.csv.
func traceFlag(file, host string) []string {
	if file == "" {
		return nil
	}
	ext := filepath.Ext(file)
	return []string{"--trace", strings.TrimSuffix(file, ext) + "-" + host + ext}
}

func (t *tunnel) file(name, suffix string) string { return filepath.Join(t.dir, name+"."+suffix) }

func (t *tunnel) env(name string) []string {
	return environment(map[string]string{runDirEnv: t.file(name, "run")})
}

// configure writes keys, configurations and folders.
func (t *tunnel) configure(up, down sending, how coding) error {
	keyA, pubA, err := newKey()
	if err != nil {
		return err
	}
	keyB, pubB, err := newKey()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"a": daemonConfig{
			key: keyA, peerKey: pubB, peer: "b", sending: up, coding: how,
			addresses: [2]string{innerA, innerA6}, allowed: [2]string{innerB, innerB6}, endpoint: directB,
		}.toml(),
		"b": daemonConfig{
			key: keyB, peerKey: pubA, peer: "a", sending: down, coding: how,
			addresses: [2]string{innerB, innerB6}, allowed: [2]string{innerA, innerA6}, endpoint: directA,
		}.toml(),
	} {
		if err := os.WriteFile(t.file(name, "toml"), []byte(content), 0o600); err != nil {
			return err
		}
		if err := os.MkdirAll(t.file(name, "run"), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// newKey is a fresh key pair in the text form of configuration files: base64 of
// the Ed25519 seed and of the public key.
func newKey() (private, public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("generate a key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(key.Seed()), base64.StdEncoding.EncodeToString(pub), nil
}

type daemonConfig struct {
	key, peerKey, peer, endpoint string
	addresses, allowed           [2]string // IPv4, IPv6
	sending                      sending
	coding                       coding
}

func (c daemonConfig) toml() string {
	redundancy := `"auto"`
	if n := c.coding.redundancy; n != nil {
		redundancy = strconv.FormatFloat(*n, 'g', -1, 64)
	}
	bandwidth := ""
	if c.sending.bandwidth > 0 {
		bandwidth = fmt.Sprintf("bandwidth = \"%dbit\"\n", c.sending.bandwidth)
	}
	return fmt.Sprintf(`[interface]
name = %q
private_key = %q
addresses = ["%s/24", "%s/64"]
listen = "0.0.0.0:%d"
%srate = %q
redundancy = %s
arq = %t

[[peer]]
name = %q
public_key = %q
endpoint = "%s:%d"
allowed_ips = ["%s/32", "%s/128"]
`, tunnelName, c.key, c.addresses[0], c.addresses[1], tunnelPort, bandwidth, c.sending.mode, redundancy, c.coding.arq,
		c.peer, c.peerKey, c.endpoint, tunnelPort, c.allowed[0], c.allowed[1])
}

// hostStatus is what the summary shows of a daemon's status.
type hostStatus struct {
	Host  string `json:"-"`
	Peers []struct {
		TxDatagrams uint64            `json:"tx_datagrams"`
		RxDatagrams uint64            `json:"rx_datagrams"`
		TxPackets   uint64            `json:"tx_packets"`
		RxPackets   uint64            `json:"rx_packets"`
		Resent      uint64            `json:"resent"`
		Loss        float64           `json:"loss"`
		Drops       map[string]uint64 `json:"drops"`
	} `json:"peers"`
}

// counters asks both daemons. One that does not answer is left out.
func (t *tunnel) counters() []hostStatus {
	var all []hostStatus
	for _, name := range []string{"a", "b"} {
		ctx, cancel := context.WithTimeout(context.Background(), statusTime)
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "status", "--json", tunnelName)
		cmd.Env = t.env(name)
		out, err := cmd.Output()
		cancel()
		s := hostStatus{Host: strings.ToUpper(name)}
		if err == nil && json.Unmarshal(out, &s) == nil {
			all = append(all, s)
		}
	}
	return all
}
