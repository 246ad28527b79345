package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const webPort = 8080

// content is what a web server serves: size bytes that do not compress, the same
// every time.
func content(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{'t', 'o', 't', 'g'}), size)
}

// serve starts a web server in h that serves size bytes under every path, and
// returns the TCP congestion control of its connections and a function that ends
// it.
func serve(h *host, size int64, congestion string) (got string, stop func(), err error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// A namespace's default is restricted, a privileged socket's choice is not.
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
			got, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		})
	}}
	var l net.Listener
	err = h.ns.do(func() error {
		l, err = lc.Listen(context.Background(), "tcp4", fmt.Sprintf("0.0.0.0:%d", webPort))
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("web server in host %s: %w", h.name, err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.Copy(w, content(size)) // a client that leaves early is expected
	})}
	go func() { _ = srv.Serve(l) }() // ends with ErrServerClosed
	return trimZero(got), func() { _ = srv.Close() }, nil
}

func trimZero(s string) string { return string(bytes.TrimRight([]byte(s), "\x00")) }

// Download is the outcome of one download.
type Download struct {
	Bytes    int64
	Took     time.Duration
	Complete bool // every byte arrived, and unchanged
}

// Rate is the goodput in bit/s.
func (d Download) Rate() float64 {
	if d.Took <= 0 {
		return 0
	}
	return float64(d.Bytes) * 8 / d.Took.Seconds()
}

// download runs in host h; other goroutines may watch got and done.
type download struct {
	got  atomic.Int64
	done atomic.Bool
}

// Write counts bytes.
func (d *download) Write(p []byte) (int, error) {
	d.got.Add(int64(len(p)))
	return len(p), nil
}

// run fetches size bytes from address until ctx ends.
func (d *download) run(ctx context.Context, h *host, address string, size int64) (Download, error) {
	defer d.done.Store(true)
	dialer := net.Dialer{}
	client := http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			err = h.ns.do(func() error {
				conn, err = dialer.DialContext(ctx, network, addr)
				return err
			})
			return conn, err
		},
	}}
	defer client.CloseIdleConnections()
	start := wallClock()
	sum := sha256.New()
	err := d.fetch(ctx, &client, fmt.Sprintf("http://%s:%d/", address, webPort), sum)
	result := Download{Bytes: d.got.Load(), Took: wallClock().Sub(start)}
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) || isNetwork(err) {
			return result, nil // cut off: a slow download is a result
		}
		return result, err
	}
	want := sha256.New()
	_, _ = io.Copy(want, content(size)) // neither side can fail
	result.Complete = result.Bytes == size && bytes.Equal(sum.Sum(nil), want.Sum(nil))
	if result.Bytes == size && !result.Complete {
		return result, errors.New("the download arrived damaged")
	}
	return result, nil
}

func (d *download) fetch(ctx context.Context, client *http.Client, url string, sum hash.Hash) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or given up
	_, err = io.Copy(io.MultiWriter(d, sum), resp.Body)
	return err
}

// isNetwork reports whether err is the network's: no route, reset, timed out.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}
