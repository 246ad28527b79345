package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/link"
)

// BenchmarkEmulator shows what the emulator carries of full packets, and how late
// it delivers them at the rates of the profiles. The figures depend on what else
// the machine does: run it alone.
func BenchmarkEmulator(b *testing.B) {
	for _, c := range []struct {
		name string
		rate string // of the link
		load int64  // bit/s that are sent; 0 is as many as there is time for
	}{
		{"most", "0", 0},
		{"50Mbit", "50mbit", 60e6},
		{"200Mbit", "200mbit", 240e6},
	} {
		b.Run(c.name, func(b *testing.B) {
			var w Wire
			for b.Loop() {
				o := job{Kind: "load", Load: c.load, Settings: map[string]string{"rate": c.rate, "rtt": "40ms"}}.run(b)
				if err := json.Unmarshal([]byte(o.stdout), &w); err != nil || o.code != 0 {
					b.Fatalf("code %d, %v\n%s%s", o.code, err, o.stdout, o.stderr)
				}
			}
			micro := func(d time.Duration) float64 { return float64(d.Microseconds()) }
			b.ReportMetric(float64(w.DeliveredBytes)*8/1e6/loadTime.Seconds(), "Mbit/s")
			b.ReportMetric(micro(w.Late.Quantile(0.5)), "µs-late-p50")
			b.ReportMetric(micro(w.Late.Quantile(0.99)), "µs-late-p99")
			b.ReportMetric(micro(w.Late.Max), "µs-late-max")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A packet on its way through the emulator allocates nothing: the collector is off.
func TestPumpAllocatesNothing(t *testing.T) {
	in, out := datagrams(t), datagrams(t)
	l, err := link.New(wallClock(), link.Config{}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	p := &pump{link: l, from: in[1], to: out[0]}
	packet, buf := bytes.Repeat([]byte{7}, 1500), make([]byte, link.MaxMTU)
	n := testing.AllocsPerRun(1000, func() {
		if rawWrite(in[0], packet) != len(packet) {
			t.Fatal("not sent")
		}
		p.read(buf)
		p.deliver(buf)
		if rawRead(out[1], buf) != len(packet) || !bytes.Equal(buf[:len(packet)], packet) {
			t.Fatal("not delivered")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	if p.late.Count != 1001 || rawRead(out[1], buf) >= 0 {
		t.Errorf("%d packets", p.late.Count)
	}
}

// datagrams is a pair of connected descriptors that keep packets apart.
func datagrams(t *testing.T) [2]int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(pair[0])
		_ = unix.Close(pair[1])
	})
	return pair
}

const (
	loadTime = 4 * time.Second
	loadEnv  = "TOTG_LAB_LOAD" // makes the test binary the sender, and says how many bit/s
)

// load runs a link under load and prints what became of it.
func load(ctx context.Context, path Path, rate int64) (int, error) {
	dir, code, err := isolate(ctx, os.Args[1:])
	if dir == "" || err != nil {
		return code, err
	}
	w, err := newWorld(worldConfig{path: path, congestion: DefaultCongestion, seed: 1})
	if err != nil {
		return 1, err
	}
	defer w.close()
	opt := Options{Stdout: os.Stderr, Stderr: os.Stderr}
	env := environment(w.vars(&carrierKind{v4: directB, v6: directB6}))
	code, err = foreground(ctx, w.a, append(env, loadEnv+"="+strconv.FormatInt(rate, 10)), &opt, []string{"/proc/self/exe"})
	if err != nil || code != 0 {
		return code, err
	}
	w.close()
	up, _ := w.wire.stats()
	return 0, json.NewEncoder(os.Stdout).Encode(up)
}

// sendLoad sends full packets for loadTime at so many bit/s, or as fast as it can.
// The kernel cuts them out of large ones, as it does for a fast sender.
func sendLoad(rate int64) error {
	const (
		payload  = 1500 - 28
		segments = 20
	)
	conn, err := net.Dial("udp4", os.Getenv("TOTG_DIRECT")+":9")
	if err != nil {
		return err
	}
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, payload) })
	if err != nil {
		return err
	}
	buf := make([]byte, payload*segments)
	start := time.Now()
	for i := 0; time.Since(start) < loadTime; i++ {
		n := segments
		if rate > 0 { // a few packets every millisecond
			due := start.Add(time.Duration(i) * time.Millisecond)
			time.Sleep(time.Until(due))
			n = int(rate/12_000*int64(i+1)/1000 - rate/12_000*int64(i)/1000)
		}
		if n > 0 {
			_, _ = conn.Write(buf[:n*payload]) // nobody listens, which an ICMP message says
		}
	}
	fmt.Fprintln(os.Stderr, "sent")
	return nil
}
