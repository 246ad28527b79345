package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The probe runs on host A of a lab, with its server on host B: requests on new
// connections first, then one long download and small messages beside it. It is
// the same for all peers. All of it is TCP, as some peers carry nothing else.

const (
	port        = 5201
	requestSize = 10_000 // bytes
	requests    = 3
	requestTime = 15 * time.Second // for one; a quick run has less patience
	quickTime   = 6 * time.Second
	echoSize    = 64 // bytes
	echoPause   = 25 * time.Millisecond
	echoTime    = 2 * time.Second // for answers after the download

	refusedPause = 10 * time.Millisecond

	wantRequest, wantDownload, wantEcho = 'R', 'D', 'E'
)

// Probe is what the probe prints.
type Probe struct {
	Bytes    int64
	Seconds  float64
	First    []float64 // seconds, of the requests that were answered
	Echo     []float64 // seconds, ascending
	EchoSent int
	Error    string
}

// runProbe is the foreground command of a lab.
func runProbe(target string, load, patience time.Duration) error {
	if err := serveIn(os.Getenv("TOTG_NETNS_B")); err != nil {
		return err
	}
	var p Probe
	for range requests {
		d, err := request(target, patience)
		if err != nil {
			break // the others would hardly do better, and take as long
		}
		p.First = append(p.First, d.Seconds())
	}
	ctx, cancel := context.WithTimeout(context.Background(), load)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { p.Echo, p.EchoSent = echo(ctx, target) })
	start := time.Now()
	p.Bytes = download(ctx, target)
	p.Seconds = time.Since(start).Seconds()
	wg.Wait()
	if p.Bytes == 0 && len(p.First) == 0 {
		p.Error = "neither a request nor a download brought anything"
	}
	return json.NewEncoder(os.Stdout).Encode(p)
}

// serveIn starts the server in another network namespace.
func serveIn(ns string) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errc <- func() error {
			file, err := os.Open(ns)
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				return err
			}
			go serve(l)
			return nil
		}()
	}()
	return <-errc
}

func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			var want [1]byte
			if _, err := io.ReadFull(conn, want[:]); err != nil {
				return
			}
			noise := rand.NewChaCha8([32]byte{})
			switch want[0] {
			case wantRequest:
				_, _ = io.CopyN(conn, noise, requestSize)
			case wantDownload:
				_, _ = io.Copy(conn, noise)
			case wantEcho:
				_, _ = io.Copy(conn, conn)
			}
		}()
	}
}

// ask opens a connection and says what is wanted. A forwarder that is not there yet,
// as it first connects to its other end, is waited for.
func ask(target string, want byte, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", target)
	for errors.Is(err, unix.ECONNREFUSED) && time.Now().Before(deadline) {
		time.Sleep(refusedPause)
		conn, err = dialer.Dial("tcp", target)
	}
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte{want})
	return conn, err
}

// request is the time to the first byte of an answer, which has to be whole.
func request(target string, patience time.Duration) (time.Duration, error) {
	start := time.Now()
	conn, err := ask(target, wantRequest, start.Add(patience))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	var one [1]byte
	if _, err := io.ReadFull(conn, one[:]); err != nil {
		return 0, err
	}
	first := time.Since(start)
	n, err := io.Copy(io.Discard, conn)
	if err == nil && n != requestSize-1 {
		err = errors.New("cut off")
	}
	return first, err
}

// download counts the bytes that arrive until ctx ends.
func download(ctx context.Context, target string) (n int64) {
	deadline, _ := ctx.Deadline()
	conn, err := ask(target, wantDownload, deadline)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	n, _ = io.Copy(io.Discard, conn) // until the deadline, or whatever ends it
	return n
}

// echo sends small messages, one at every pause whether or not the last one was
// answered, until ctx ends.
func echo(ctx context.Context, target string) (took []float64, sent int) {
	deadline, _ := ctx.Deadline()
	conn, err := ask(target, wantEcho, deadline.Add(echoTime))
	if err != nil {
		return nil, 0
	}
	start := time.Now()
	answers := make(chan float64, max(0, time.Until(deadline)/echoPause)+2) // as many as are sent
	go func() {
		defer close(answers)
		buf := make([]byte, echoSize)
		for {
			if _, err := io.ReadFull(conn, buf); err != nil {
				return
			}
			answers <- (time.Since(start) - time.Duration(binary.BigEndian.Uint64(buf))).Seconds()
		}
	}()
	buf := make([]byte, echoSize)
	for ; ctx.Err() == nil && sent < cap(answers); sent++ {
		binary.BigEndian.PutUint64(buf, uint64(time.Since(start)))
		if _, err := conn.Write(buf); err != nil {
			break
		}
		time.Sleep(time.Until(start.Add(time.Duration(sent+1) * echoPause)))
	}
	for answer := range answers { // until the connection's deadline
		if took = append(took, answer); len(took) == sent {
			break
		}
	}
	_ = conn.Close()
	slices.Sort(took)
	return took, sent
}
