package netem_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// transferSize is in bytes: some hundred datagrams each way, which a TCP without the
// tunnel does not bring over a link that loses every other packet.
const transferSize = 1 << 20

// The tunnel carries TCP over real tc netem that loses half of the packets, both
// ways, and not a byte is changed.
func TestTunnelOverNetem(t *testing.T) {
	needUML(t)
	t.Parallel() // no timing in it
	totg := program(t)
	out := run(t, totg, "transfer", 4*time.Minute, "./uml.sh", "./two-hosts.sh", "exec", "--tunnel",
		"lossy-50", "--rate=20mbit", "--loss=50", "--", self(t))
	if !strings.Contains(out, "both ways\n") {
		t.Error(out)
	}
	t.Log(strings.TrimSpace(out))
}

// transferBothWays runs on host A. It sends a stream to host B and back at once,
// and compares what arrives.
func transferBothWays() error {
	var listener net.Listener
	err := within(os.Getenv("TOTG_NETNS_B"), func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "0.0.0.0:0")
		return err
	})
	if err != nil {
		return err
	}
	start := time.Now()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = exchange(conn, 1, 2)
		}
		served <- err
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp4", net.JoinHostPort(os.Getenv("TOTG_PEER"), port))
	if err != nil {
		return err
	}
	if err := exchange(conn, 2, 1); err != nil {
		return fmt.Errorf("host A: %w", err)
	}
	if err := <-served; err != nil {
		return fmt.Errorf("host B: %w", err)
	}
	fmt.Printf("%d bytes in %.1f s, both ways\n", transferSize, time.Since(start).Seconds())
	return nil
}

// content is bytes that do not compress, the same for the same seed.
func content(seed byte) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), transferSize)
}

func exchange(conn net.Conn, own, other byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, content(own))
		if err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	got, want := sha256.New(), sha256.New()
	n, err := io.Copy(got, conn)
	if err != nil {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	_, _ = io.Copy(want, content(other))
	if string(got.Sum(nil)) != string(want.Sum(nil)) {
		return fmt.Errorf("%d bytes arrived, and not those that were sent", n)
	}
	return nil
}
