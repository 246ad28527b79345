package poll

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipe is both ends of a pipe.
func pipe(t *testing.T) (r, w *FD) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	ends := [2]*FD{}
	for i, fd := range fds {
		f, err := Own(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		ends[i] = f
	}
	return ends[0], ends[1]
}

func TestReadWrite(t *testing.T) {
	r, w := pipe(t)
	buf := make([]byte, 100)
	if _, err := r.Read(buf); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("reading nothing: %v", err)
	}
	if n, err := w.Write([]byte("word")); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "word" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// A writer waits for room.
func TestWriteWaits(t *testing.T) {
	r, w := pipe(t)
	block := make([]byte, 4096)
	const blocks = 100 // more than a pipe holds
	done := make(chan error, 1)
	go func() {
		for range blocks {
			if _, err := w.Write(block); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	s := NewSet(1)
	if err := s.Add(0, r); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len(block))
	for got := 0; got < blocks*len(block); {
		if err := s.Wait(time.Minute); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(buf); err == nil {
			got += n
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Close wakes who waits, and every use after it fails without touching a descriptor
// that may be somebody else's by then.
func TestClose(t *testing.T) {
	r, w := pipe(t)
	waiting, done := make(chan struct{}), make(chan error, 1)
	go func() {
		if _, err := r.Use(); err != nil {
			done <- err
			return
		}
		defer r.Release()
		close(waiting)
		done <- r.Wait(unix.POLLIN)
	}()
	<-waiting
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("who waited: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := NewSet(1).Add(0, r); !errors.Is(err, os.ErrClosed) {
		t.Errorf("add: %v", err)
	}
	_ = w.Close()
	if _, err := w.Write([]byte{1}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestSet(t *testing.T) {
	r, w := pipe(t)
	bell, err := NewBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bell.FD.Close() })
	const onPipe, onBell, numbers = 0, 1, 3 // one number is nobody's
	s := NewSet(numbers)
	if err := errors.Join(s.Add(onPipe, r), s.Add(onBell, bell.FD)); err != nil {
		t.Fatal(err)
	}
	expect := func(d time.Duration, ready ...bool) {
		t.Helper()
		if err := s.Wait(d); err != nil {
			t.Fatal(err)
		}
		for i, want := range ready {
			if s.Ready(i) != want {
				t.Errorf("%d ready: %v", i, !want)
			}
		}
	}
	expect(0, false, false, false)
	start := time.Now()
	if expect(10*time.Millisecond, false, false, false); time.Since(start) < 10*time.Millisecond {
		t.Error("back too early")
	}
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	expect(-1, true, false, false)
	s.Listen(onPipe, false)
	expect(0, false, false, false)
	time.AfterFunc(time.Millisecond, bell.Ring)
	expect(-1, false, true, false)
	bell.Ring()
	bell.Clear()
	bell.Clear()
	expect(0, false, false, false)
	s.Listen(onPipe, true)
	expect(-1, true, false, false)
}

// A socket that was taken works on, and Go's poller does not know it.
func TestTake(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := c.LocalAddr().String()
	f, err := Take(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the old one: %v", err)
	}
	from, err := net.Dial("udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	if _, err := from.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	s, buf := NewSet(1), make([]byte, 10)
	if err := errors.Join(s.Add(0, f), s.Wait(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(buf); err != nil || string(buf[:n]) != "word" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := Take(c); !errors.Is(err, net.ErrClosed) {
		t.Errorf("taken again: %v", err)
	}
}
