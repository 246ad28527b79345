package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// roleEnv makes the test binary play one of the programs that tests run elsewhere.
const roleEnv = "TOTG_E2E_ROLE"

const webPort = "8080"

// play is the program of a role. It returns its exit code.
func play(role string) int {
	var err error
	switch role {
	case "serve":
		err = serve()
	case "fetch":
		err = fetchAll()
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// content does not compress and is the same every time.
func content(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{'e', '2', 'e'}), size)
}

func digest(r io.Reader) (string, int64, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil)), n, err
}

// web serves as many bytes as the path says.
func web() *http.Server {
	return &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/"), 10, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(w, content(size)) // the client sees what is missing
	})}
}

// serve is a web server in a namespace of somebody else's making.
func serve() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", ":"+webPort)
	if err != nil {
		return err
	}
	return web().Serve(l)
}

// fetchAll fetches from the peer of the lab over IPv4 and IPv6.
func fetchAll() error {
	size, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		return err
	}
	for _, variable := range []string{"TOTG_PEER", "TOTG_PEER6"} {
		start := time.Now()
		if err := fetch(&net.Dialer{}, os.Getenv(variable), size); err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
		fmt.Printf("%s: %d bytes, digest right, %.1f s\n", variable, size, time.Since(start).Seconds())
	}
	return nil
}

type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects from the host, for an HTTP client.
func (h *host) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	return h.dial(network, "", address, patience)
}

// fetch downloads size bytes from a web server and compares their digest.
func fetch(from dialer, server string, size int64) error {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: from.DialContext}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + net.JoinHostPort(server, webPort) + "/" + strconv.FormatInt(size, 10))
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the test failed
	got, n, err := digest(resp.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	want, _, err := digest(content(size))
	if err == nil && (got != want || n != size) {
		return fmt.Errorf("%d bytes with digest %s, want %d with %s", n, got, size, want)
	}
	return err
}

// web starts a web server on the host.
func (h *host) web() {
	h.t.Helper()
	l, err := h.listen("tcp", ":"+webPort)
	if err != nil {
		h.t.Fatal(err)
	}
	srv := web()
	go func() { _ = srv.Serve(l) }() // ends with ErrServerClosed
	h.t.Cleanup(func() { _ = srv.Close() })
}

// echo answers on TCP and UDP with what it gets, on all addresses of the host.
func (h *host) echo() (port string) {
	h.t.Helper()
	l, err := h.listen("tcp", ":0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // the client sees what is missing
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	u := h.listenUDP(":" + port)
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(buf[:n], from) // may be lost, as any datagram
		}
	}()
	return port
}

// echoServer is echo at the inner address of a pair's called side.
func (h *host) echoServer() string { return net.JoinHostPort(inside(2), h.echo()) }

// exchange sends a block over a new TCP connection and waits for its echo.
func (h *host) exchange(address string, within time.Duration) error {
	c, err := h.dial("tcp", "", address, within)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is in it
	_ = c.SetDeadline(time.Now().Add(within))
	return echoBlock(c, 1, 1000)
}

// exchangeUDP sends a datagram and waits for its echo.
func (h *host) exchangeUDP(address string, size int) error {
	c, err := h.dial("udp", "", address, patience)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing is in it
	_ = c.SetDeadline(time.Now().Add(time.Second))
	want, _ := io.ReadAll(content(int64(size)))
	if _, err := c.Write(want); err != nil {
		return err
	}
	got := make([]byte, size+1)
	n, err := c.Read(got)
	if err == nil && !bytes.Equal(got[:n], want) {
		return fmt.Errorf("%s: the echo is damaged", address)
	}
	return err
}

// echoBlock sends a block of its own bytes and compares the echo.
func echoBlock(c net.Conn, seed uint64, size int) error {
	want := make([]byte, size)
	rng := rand.NewPCG(seed, 0)
	for i := range want {
		want[i] = byte(rng.Uint64())
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- err
	}()
	got := make([]byte, size)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("block %d came back damaged", seed)
	}
	return <-sent
}

// conversation is one TCP connection on which blocks go there and back without end.
type conversation struct {
	t      *testing.T
	conn   net.Conn
	blocks atomic.Uint64
	failed chan error
}

// converse opens a connection to an echo server and keeps it busy.
func (h *host) converse(address string) *conversation {
	h.t.Helper()
	conn, err := h.dial("tcp", "", address, patience)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &conversation{t: h.t, conn: conn, failed: make(chan error, 1)}
	h.t.Cleanup(c.close)
	go func() {
		for {
			if err := echoBlock(conn, c.blocks.Load(), 32<<10); err != nil {
				c.failed <- err
				return
			}
			c.blocks.Add(1)
		}
	}()
	c.goesOn()
	return c
}

// goesOn waits until blocks come back that left after now.
func (c *conversation) goesOn() {
	c.t.Helper()
	start := c.blocks.Load()
	eventually(c.t, 2*patience, func() error {
		select {
		case err := <-c.failed:
			c.t.Fatalf("the TCP connection broke: %v", err)
		default:
		}
		if c.blocks.Load() < start+3 {
			return fmt.Errorf("a TCP connection stands still")
		}
		return nil
	})
}

func (c *conversation) close() { _ = c.conn.Close() }
