package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bench runs measurements.
type Bench struct {
	totg    string // the program under test, whose lab makes the links
	version string // its
	self    string // this program
	tmp     string // a folder of our own
	grid    Grid
}

// rawRate is what the tunnel is told for the measurement without a link, in bit/s.
const rawRate = 10_000_000_000

// newBench finds the programs. The folder that it makes has to be removed.
func newBench(totg string, grid Grid) (*Bench, error) {
	totg, err := filepath.Abs(totg)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(totg); err != nil {
		return nil, fmt.Errorf("%w (make build)", err)
	}
	// What the lab needs is missing for all points alike, and no result.
	if out, err := exec.Command(totg, "lab", "--quiet", "--no-tunnel", "--", "true").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the lab does not run: %s", lastLine(string(out)))
	}
	version, err := exec.Command(totg, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s version: %w", totg, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "totg-bench-")
	if err != nil {
		return nil, err
	}
	// The lab finds our wireguard-go, of a known version, before any other.
	if err := os.Symlink(self, filepath.Join(tmp, "wireguard-go")); err != nil {
		return nil, err
	}
	path := tmp + string(os.PathListSeparator) + os.Getenv("PATH")
	return &Bench{totg, strings.TrimSpace(string(version)), self, tmp, grid}, os.Setenv("PATH", path)
}

// missing says which peers cannot be measured here, and how that can be changed.
func missing(peers []string) map[string]string {
	all := map[string]string{}
	for peer, need := range map[string][2]string{
		"kcptun":  {"kcptun-client", "apt-get install kcptun"},
		"openvpn": {"openvpn", "apt-get install openvpn"},
	} {
		if _, err := exec.LookPath(need[0]); err != nil && slices.Contains(peers, peer) {
			all[peer] = "there is no " + need[0] + ": " + need[1]
		}
	}
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control") // without the file there is none
	for _, name := range []string{"cubic", "bbr"} {
		if slices.Contains(peers, "tcp-"+name) && !slices.Contains(strings.Fields(string(b)), name) {
			all["tcp-"+name] = "this kernel has no TCP " + name + ": modprobe tcp_" + name
		}
	}
	return all
}

// labReport is what of the lab's report is used.
type labReport struct {
	Error    string     `json:"error"`
	Setup    float64    `json:"setup_seconds"`
	CPU      [2]float64 `json:"cpu_seconds"`
	Commands [2]float64 `json:"commands_cpu_seconds"`
	Up       labWire    `json:"up"`
	Down     labWire    `json:"down"`
}

type labWire struct {
	Bytes   uint64  `json:"sent_bytes"`
	Missed  uint64  `json:"missed"`
	LateP99 float64 `json:"late_p99_seconds"`
}

// tries is how often a point is measured where the machine has other things to do.
const tries = 3

// measureAlone measures a point until the machine leaves it alone, but not for ever.
func (b *Bench) measureAlone(ctx context.Context, p Point) (best Result, err error) {
	for try := range tries {
		r, err := b.measure(ctx, p)
		if err != nil {
			return r, err
		}
		if try == 0 || r.LateP99 < best.LateP99 {
			best = r
		}
		if !r.worthless() {
			return r, nil
		}
		fmt.Fprintf(os.Stderr, "bench: the machine was busy with other things (%.0f %%, packets %.1f ms late)\n", 100*r.Busy, 1000*r.LateP99)
	}
	return best, nil
}

// measure measures one point. An error is of the benchmark; what goes wrong with
// the peer is in the result.
func (b *Bench) measure(ctx context.Context, p Point) (Result, error) {
	r := Result{Point: p, At: time.Now().UTC().Truncate(time.Second), Machine: machine(), Version: b.version, Busy: busy()}
	report := filepath.Join(b.tmp, "report.json")
	_ = os.Remove(report) // of the point before
	ctx, cancel := context.WithTimeout(ctx, b.grid.Load+requests*b.grid.Patient+2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.totg, b.arguments(p, report)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	if context.Cause(ctx) != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return r, context.Cause(ctx)
	}
	var probe Probe
	if err := json.Unmarshal([]byte(stdout.String()), &probe); err != nil || runErr != nil {
		r.Error = lastLine(stderr.String())
		if r.Error == "" {
			r.Error = fmt.Sprintf("no figures: %v", errors.Join(runErr, err))
		}
		return r, nil
	}
	r.Error = probe.Error
	text, err := os.ReadFile(report)
	if err != nil {
		return r, err
	}
	var reports []labReport
	if err := json.Unmarshal(text, &reports); err != nil || len(reports) != 1 {
		return r, fmt.Errorf("the lab's report: %w in %s", err, text)
	}
	r.take(&probe, &reports[0])
	return r, nil
}

// take fills the figures in.
func (r *Result) take(p *Probe, l *labReport) {
	r.Bytes = p.Bytes
	if p.Seconds > 0 {
		r.Goodput = float64(p.Bytes) * 8 / p.Seconds
	}
	r.Wire = l.Up.Bytes + l.Down.Bytes
	r.CPU = l.CPU[0] + l.CPU[1] + l.Commands[0] + l.Commands[1]
	r.Setup = l.Setup
	r.LateP99, r.Missed = max(l.Up.LateP99, l.Down.LateP99), l.Up.Missed+l.Down.Missed
	if n := len(p.First); n > 0 {
		slices.Sort(p.First)
		r.First = p.First[n/2]
	}
	r.EchoLost = p.EchoSent - len(p.Echo)
	if n := len(p.Echo); n > 0 {
		for q := range 101 {
			r.Echo = append(r.Echo, p.Echo[q*(n-1)/100])
		}
	}
}

// arguments are the lab's command line for a point.
func (b *Bench) arguments(p Point, report string) []string {
	args := []string{"lab", "--quiet", "--report", report, "--congestion", "cubic", "--port", strconv.Itoa(port)}
	if p.Link == (Link{}) {
		args = append(args, "--cable", "--bandwidth", strconv.Itoa(rawRate)+"bit")
	} else {
		args = append(args, "--profile", "clean", "--rate", fmt.Sprintf("%dbit", p.Link.Rate), "--rtt", p.Link.RTT.String(),
			"--queue", "1BDP", "--loss", strconv.FormatFloat(p.Loss, 'g', -1, 64))
	}
	target := fmt.Sprintf("$TOTG_PEER:%d", port)
	switch p.Peer {
	case "totg":
	case "quic":
		target = fmt.Sprintf("127.0.0.1:%d", port)
		args = append(args, "--no-tunnel", "--a", "exec "+quote(b.self)+" -role quic-client -server $TOTG_DIRECT",
			"--b", "exec "+quote(b.self)+" -role quic-server")
	default:
		args = append(args, "--no-tunnel", "--compare", p.Peer)
	}
	return append(args, "--", b.self, "-role", "probe", "-target", target, "-load", b.grid.Load.String(),
		"-patience", b.grid.Patient.String())
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// busyTime is how long the machine is watched before a measurement.
const busyTime = 400 * time.Millisecond

// busy is the share of the processors' time that others take, while the benchmark
// itself does nothing.
func busy() float64 {
	idle, total := processors()
	time.Sleep(busyTime)
	idleThen, totalThen := processors()
	if totalThen <= total {
		return 0 // not known
	}
	return 1 - (idleThen-idle)/(totalThen-total)
}

// processors are the ticks that the processors were idle, and all there were.
func processors() (idle, total float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, text := range strings.Fields(line)[1:] {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || i > 7 { // guests are counted as users already
			break
		}
		if i == 3 || i == 4 { // idle, waiting for a disk
			idle += v
		}
		total += v
	}
	return idle, total
}

// machine is the kernel, the processor and how many of them.
func machine() string {
	var u syscall.Utsname
	_ = syscall.Uname(&u) // empty is "not known"
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	model, cores := "", 0
	b, _ := os.ReadFile("/proc/cpuinfo") // as above
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			model, cores = strings.TrimSpace(value), cores+1
		}
	}
	return fmt.Sprintf("Linux %s, %d × %s", release, cores, model)
}
