package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// killedVariable makes the test binary a tunnel that gets killed.
const killedVariable = "TOTG_TEST_KILLED"

func TestMain(m *testing.M) {
	if path := os.Getenv(killedVariable); path != "" {
		beKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// beKilled takes a socket, says so and waits for SIGKILL.
func beKilled(path string) {
	s, err := Listen(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening")
	_ = s.Serve(context.Background(), &fakeTunnel{})
}

// fakeTunnel answers with what it is given.
type fakeTunnel struct {
	status  Status
	err     error
	stopped atomic.Int32
	onStop  func()
}

func (f *fakeTunnel) Status(context.Context, bool) (Status, error) { return f.status, f.err }

// Agree commits after a while that depends on the name.
func (f *fakeTunnel) Agree(ctx context.Context, p Proposal) (Agreement, error) {
	switch p.Name {
	case "never":
		<-ctx.Done()
		return Agreement{}, ctx.Err()
	case "doubt":
		return Agreement{Peer: p.Peer, Name: p.Name, Outcome: OutcomeInDoubt}, f.err
	}
	return Agreement{Peer: p.Peer, Name: p.Name, Outcome: OutcomeCommitted, Receipt: "ab"}, f.err
}

func (f *fakeTunnel) Agreements(context.Context) ([]Agreement, error) {
	return []Agreement{{Peer: "office", Name: "switch", Outcome: OutcomeAborted, Resolved: true}}, f.err
}

func (f *fakeTunnel) Stop() {
	f.stopped.Add(1)
	if f.onStop != nil {
		f.onStop()
	}
}

// runDir names a folder for sockets that is not there yet.
func runDir(t *testing.T) string {
	t.Helper()
	t.Setenv(DirVariable, filepath.Join(t.TempDir(), "run"))
	return Dir()
}

// start serves h as interface "t0" until the test ends.
func start(t *testing.T, h Handler) (path string) {
	t.Helper()
	path = Path("t0")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, p := range []string{path, lockPath(path)} {
			if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left over: %v", p, err)
			}
		}
	})
	return path
}

func sampleStatus() Status {
	return Status{
		Version: "v1", PID: 7, Interface: "t0", Mode: "tun", MTU: 1500, PublicKey: "key", Listen: "[::]:4430",
		RateMode: "fair", RateBits: 50_000_000,
		Uptime: 90*time.Second + 1, Drops: map[string]uint64{"mac": 3},
		Peers: []PeerStatus{{
			Name: "b", PublicKey: "other", State: StateUp, Endpoint: "192.0.2.1:4430",
			LastHandshake: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), LastReceived: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
			TxBytes: 1, RxBytes: 2, TxPackets: 3, RxPackets: 4, TxDatagrams: 5, RxDatagrams: 6, Resent: 7,
			Loss: 0.25, ReturnLoss: 0.5, RTT: 40 * time.Millisecond, RateBits: 8,
			CapacityBits: 10, RatePhase: "run", QueueDelay: 2 * time.Millisecond, QueueTarget: 9 * time.Millisecond, QueueBytes: 9, DatagramSize: 1400,
			Drops: map[string]uint64{"replay": 1},
		}},
	}
}

func TestQuery(t *testing.T) {
	runDir(t)
	want := sampleStatus()
	path := start(t, &fakeTunnel{status: want})
	for range 3 {
		got, err := Query(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Query (-want +got):\n%s", diff)
		}
	}
	names, err := Running()
	if diff := cmp.Diff([]string{"t0"}, names); err != nil || diff != "" {
		t.Errorf("Running: %v, %v", names, err)
	}
}

// The JSON form is a promise to scripts.
func TestStatusJSON(t *testing.T) {
	got, err := json.MarshalIndent(sampleStatus(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	empty, err := json.Marshal(Status{Peers: []PeerStatus{{}}})
	if err != nil || strings.Contains(string(empty), "null") || strings.Contains(string(empty), "last_") {
		t.Errorf("empty: %s, %v", empty, err)
	}
}

func TestHandlerError(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{err: errors.New("the loop is busy")})
	if _, err := Query(path); err == nil || err.Error() != "interface t0: the loop is busy" {
		t.Errorf("got %v", err)
	}
}

// T-4: Stop returns when the name is free, not when the order is understood.
func TestStopWaits(t *testing.T) {
	runDir(t)
	path := Path("t0")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var cleaned atomic.Bool
	h := &fakeTunnel{onStop: cancel}
	done := make(chan error, 1)
	go func() {
		err := s.Serve(ctx, h)
		time.Sleep(3 * stopPoll) // routes and the interface go away
		cleaned.Store(true)
		done <- errors.Join(err, s.Close())
	}()
	if err := Stop(path); err != nil {
		t.Error(err)
	}
	if !cleaned.Load() || h.stopped.Load() != 1 {
		t.Errorf("Stop returned early, or the tunnel heard it %d times", h.stopped.Load())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Query(path); !errors.Is(err, ErrNotUp) {
		t.Errorf("Query afterwards: %v", err)
	}
}

func TestAlreadyUp(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{})
	_, err := Listen(path)
	if want := "interface t0 is already up; stop it first: totg down t0"; !errors.Is(err, ErrAlreadyUp) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Query(path); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
}

// T-4: what a killed run leaves is replaced.
func TestStaleSocket(t *testing.T) {
	runDir(t)
	path := Path("t0")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), killedVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "listening\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrAlreadyUp) {
		t.Errorf("while it lives: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("nothing stale to test with: %v", err)
	}
	if names, err := Running(); err != nil || len(names) > 0 {
		t.Errorf("Running: %v, %v", names, err)
	}
	if _, err := Query(path); !errors.Is(err, ErrNotUp) {
		t.Errorf("Query: got %v, want %v", err, ErrNotUp)
	}
	if _, err := Query(start(t, &fakeTunnel{})); err != nil {
		t.Error(err)
	}
}

func TestPermissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := runDir(t)
	path := start(t, &fakeTunnel{})
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600, lockPath(path): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
	if !trusted(0) || !trusted(uint32(os.Geteuid())) || trusted(uint32(os.Geteuid())+1000) {
		t.Error("trusted: wrong users")
	}
}

// Whatever is wrong with the folder or the name is one line that says what to do.
func TestListenErrors(t *testing.T) {
	dir := runDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file+socketSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file + socketSuffix:                          "control socket: " + file + ".sock is no socket; remove it",
		filepath.Join(open, "t0.sock"):               "control socket: others may write to folder " + open + " (mode 0777); run: chmod 700 " + open,
		filepath.Join(file+socketSuffix, "t0.sock"):  "control socket: make folder: mkdir " + file + ".sock: not a directory",
		filepath.Join(dir, strings.Repeat("x", 108)): "path " + filepath.Join(dir, strings.Repeat("x", 108)) + " is longer than the 107 bytes of a socket's; set TOTG_RUN_DIR to a shorter folder",
	} {
		if _, err := Listen(path); err == nil || err.Error() != want {
			t.Errorf("Listen(%s): got %v, want %s", path, err, want)
		}
	}
	if _, err := os.Stat(lockPath(file + socketSuffix)); err == nil {
		t.Error("a failed Listen leaves its lock file")
	}
}

// dial opens a connection that says what the test wants.
func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestBadRequests(t *testing.T) {
	runDir(t)
	h := &fakeTunnel{}
	path := start(t, h)
	for send, want := range map[string]string{
		"\n":                              "request is no JSON object",
		"stop\n":                          "request is no JSON object",
		"{}\n":                            "unknown request",
		`{"cmd":"reboot"}` + "\n":         "unknown request",
		`{"cmd":["stop"]}` + "\n":         "request is no JSON object",
		strings.Repeat("x", maxRequest):   "request too long",
		strings.Repeat("[", 2*maxRequest): "request too long",
		`{"cmd":"stop"}`:                  "no request in time",
	} {
		c := dial(t, path)
		_, _ = io.WriteString(c, send) // the server may hang up on the long ones
		_ = c.CloseWrite()
		line, _ := bufio.NewReader(c).ReadBytes('\n')
		var got response
		if err := json.Unmarshal(line, &got); err != nil || got.Error != want {
			if len(send) > maxRequest && len(line) == 0 {
				continue // unread input makes the kernel throw the answer away
			}
			t.Errorf("%.20q: got %s, %v, want %s", send, line, err, want)
		}
	}
	if h.stopped.Load() != 0 {
		t.Error("a bad request stopped the tunnel")
	}
}

// A client that says nothing holds up nobody: others are served at once, the end of the tunnel waits for it no longer than
// it takes to hang up.
func TestSlowClient(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{})
	for range maxClients - 1 {
		_, _ = io.WriteString(dial(t, path), `{"cm`)
	}
	if _, err := Query(path); err != nil {
		t.Error(err)
	}
}

// Even when idle clients fill every place, the next one is served once their time is up.
func TestTooManyClients(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{})
	for range maxClients {
		dial(t, path)
	}
	if _, err := Query(path); err != nil {
		t.Error(err)
	}
}

// A client asks a program that is no totg.
func TestForeignServer(t *testing.T) {
	dir := runDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]string{
		"":               "interface x: the tunnel hung up; it may just have ended",
		"hello\n":        "interface x: " + ErrProtocol.Error(),
		"{}\n":           "interface x: " + ErrProtocol.Error(),
		`{"status":[]}`:  "interface x: " + ErrProtocol.Error(),
		`{"error":"no"}`: "interface x: no",
	} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: Path("x"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}()
		if _, err := Query(Path("x")); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", answer, err, want)
		}
		<-done
		_ = l.Close()
	}
}

// FuzzAnswer: any local user with the tunnel's rights can write to the socket, so requests may be anything. The server must
// neither panic nor stop the tunnel for less than the exact order, and answers one short JSON line.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"cmd":"status"}`, `{"cmd":"stop"}`, `{"CMD":"stop"}`, "{", strings.Repeat("[", 4000)} {
		f.Add(s + "\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := &fakeTunnel{status: sampleStatus()}
		reply, after := answer(context.Background(), readConn{strings.NewReader(text)}, h)
		line, err := json.Marshal(reply)
		if err != nil || (reply.Error == "" && reply.Status == nil) != (after != nil) {
			t.Errorf("%q: %s, %v", text, line, err)
		}
		var req request
		if after != nil && (json.Unmarshal([]byte(strings.SplitN(text, "\n", 2)[0]), &req) != nil || req.Cmd != "stop") {
			t.Errorf("%q stops the tunnel", text)
		}
	})
}

// readConn is a connection that can only be read.
type readConn struct{ io.Reader }

func (readConn) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (readConn) Close() error                     { return nil }
func (readConn) LocalAddr() net.Addr              { return nil }
func (readConn) RemoteAddr() net.Addr             { return nil }
func (readConn) SetDeadline(time.Time) error      { return nil }
func (readConn) SetReadDeadline(time.Time) error  { return nil }
func (readConn) SetWriteDeadline(time.Time) error { return nil }

// an outcome passes the socket as it is, a wait is bounded by what the client
// asked for, and what is remembered is listed.
func TestAgree(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{})
	a, err := Agree(path, Proposal{Peer: "office", Name: "switch", Deadline: time.Minute})
	if want := (Agreement{Peer: "office", Name: "switch", Outcome: OutcomeCommitted, Receipt: "ab"}); err != nil || a != want {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = Agree(path, Proposal{Peer: "office", Name: "doubt", Deadline: time.Minute}); err != nil || a.Outcome != OutcomeInDoubt {
		t.Errorf("%+v, %v", a, err)
	}
	for _, d := range []time.Duration{0, -time.Second, MaxDeadline + time.Second} {
		if _, err := Agree(path, Proposal{Peer: "office", Name: "switch", Deadline: d}); err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("deadline %v: %v", d, err)
		}
	}
	all, err := Agreements(path)
	if want := []Agreement{{Peer: "office", Name: "switch", Outcome: OutcomeAborted, Resolved: true}}; err != nil || !slices.Equal(all, want) {
		t.Errorf("%+v, %v", all, err)
	}
}

// a refusal of the tunnel reaches the user as it is, and is no outcome.
func TestAgreeRefused(t *testing.T) {
	runDir(t)
	path := start(t, &fakeTunnel{err: errors.New("no such peer; see: totg status")})
	if a, err := Agree(path, Proposal{Peer: "nobody", Name: "switch", Deadline: time.Minute}); err == nil || a != (Agreement{}) ||
		!strings.Contains(err.Error(), "no such peer; see: totg status") {
		t.Errorf("%+v, %v", a, err)
	}
	if all, err := Agreements(path); err == nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}
