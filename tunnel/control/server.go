// Package control is the local conversation with a running tunnel: a Unix socket in /run/totg (TOTG_RUN_DIR overrides the
// folder), one for each interface, over which "totg status" and "totg down" ask the process of "totg up".
//
// A client sends one JSON object on a line, {"cmd":"status"}, {"cmd":"channels"}, {"cmd":"stop"}, {"cmd":"agreements"},
// {"cmd":"agree","peer":"…","name":"…","deadline_seconds":10} or {"cmd":"path","peer":"…","to":"IP:PORT","deadline_seconds":10},
// and gets one in return: {"status":{…}} for the first two, {"ok":true}, {"agreements":[…]}, {"agreement":{…}}, {"path":{…}} or {"error":"…"}. The socket has mode 0600, and the server asks the kernel who is calling: root and the
// tunnel's own user are served. Requests are bounded in size, clients in number, and all of it in time, so that a client can
// hold up neither the tunnel nor other clients for long.
//
// The socket's file outlives a killed process; a lock file beside it, which the kernel frees, tells the two apart. A stale
// socket is replaced without a word, a live one gives ErrAlreadyUp.
//
// Requirement T-4: what is here goes away with the tunnel, and the next start cleans up after a kill.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Handler is the tunnel behind the socket. Its methods are called from several goroutines.
type Handler interface {
	// Status gives the current figures, with those of the channels if asked, or
	// an error when ctx ends first.
	Status(ctx context.Context, channels bool) (Status, error)
	// Agree takes part in a named action and returns when it is decided, or at the deadline.
	Agree(ctx context.Context, p Proposal) (Agreement, error)
	// Agreements lists what is remembered of named actions.
	Agreements(ctx context.Context) ([]Agreement, error)
	// MovePath switches the path to a peer and returns when that is decided, or at the deadline.
	MovePath(ctx context.Context, p PathProposal) (PathSwitch, error)
	// Stop begins the tunnel's end and returns without waiting for it.
	Stop()
}

// Server owns an interface's name from Listen to Close.
type Server struct {
	path     string
	lock     *os.File
	listener *net.UnixListener
	clients  sync.WaitGroup
	slots    chan struct{}
	serving  sync.Mutex // held by Serve
	close    sync.Once
}

type request struct {
	Cmd      string  `json:"cmd"`
	Peer     string  `json:"peer,omitempty"` // agree
	Name     string  `json:"name,omitempty"`
	Deadline float64 `json:"deadline_seconds,omitempty"`

	To netip.AddrPort `json:"to,omitzero"` // path
}

// The commands.
const (
	cmdStatus     = "status"
	cmdChannels   = "channels"
	cmdStop       = "stop"
	cmdAgree      = "agree"
	cmdAgreements = "agreements"
	cmdPath       = "path"
)

type response struct {
	Status *Status `json:"status,omitempty"`
	OK     bool    `json:"ok,omitempty"`
	Error  string  `json:"error,omitempty"`

	Agreement  *Agreement  `json:"agreement,omitempty"`
	Agreements []Agreement `json:"agreements,omitempty"`
	Path       *PathSwitch `json:"path,omitempty"`
}

// Listen takes the control socket at path (see Path). If a live process has it the error is ErrAlreadyUp.
// It is best called before anything else is made, and the Server closed after all else is removed: until then the
// interface's name is taken, and Stop of a client waits.
func Listen(path string) (*Server, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("path %s is longer than the %d bytes of a socket's; set %s to a shorter folder",
			path, maxSocketPath, DirVariable)
	}
	if err := prepareDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	held, err := lock(lockPath(path))
	if errors.Is(err, ErrAlreadyUp) {
		return nil, fmt.Errorf("interface %s is %w; stop it first: totg down %[1]s", nameOf(path), err)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &Server{path: path, lock: held, slots: make(chan struct{}, maxClients)}
	if s.listener, err = bind(path); err != nil {
		s.unlock()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return s, nil
}

// Serve answers clients until ctx ends or the server is closed, and returns when the last of them is gone: nil then, an error
// if the socket fails before. The name stays taken until Close.
func (s *Server) Serve(ctx context.Context, h Handler) error {
	s.serving.Lock()
	defer s.serving.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer s.clients.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, s.stopListening)
	defer stop()
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			<-s.slots
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("control socket: %w", err)
		}
		s.clients.Go(func() {
			defer func() { <-s.slots }()
			serveClient(ctx, conn, h)
		})
	}
}

// Close ends Serve, waits for it, removes the socket and frees the name. It may be called again, not by a Handler.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.stopListening()
		s.serving.Lock()
		defer s.serving.Unlock()
		s.unlock()
	})
	return nil
}

// stopListening closes the socket, which removes its file.
func (s *Server) stopListening() { _ = s.listener.Close() }

func (s *Server) unlock() {
	_ = os.Remove(s.lock.Name()) // still ours: others see by the file itself that its name is gone
	_ = s.lock.Close()
}

// bind makes the socket; the caller holds the lock, so whatever has the name is left over.
func bind(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is no socket; remove it", path)
	case err == nil:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // the other error says more
		return nil, err
	}
	return l, nil
}

// serveClient has the whole conversation with one client.
func serveClient(ctx context.Context, conn *net.UnixConn, h Handler) {
	defer conn.Close() //nolint:errcheck // the client sees it, if anybody
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(requestTime))
	if ctx.Err() != nil || !allowed(conn) {
		return
	}
	reply, after := answer(ctx, conn, h)
	if line, err := json.Marshal(reply); err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(answerTime))
		_, _ = conn.Write(append(line, '\n')) // a client that went away wants no answer
	}
	if after != nil {
		after()
	}
}

// answer reads the request and finds the reply. What is to happen once the reply is out is the second value.
func answer(ctx context.Context, conn net.Conn, h Handler) (response, func()) {
	line, err := bufio.NewReaderSize(conn, maxRequest).ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return response{Error: "request too long"}, nil
	}
	if err != nil {
		return response{Error: "no request in time"}, nil
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		return response{Error: "request is no JSON object"}, nil
	}
	switch req.Cmd {
	case cmdStatus, cmdChannels:
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		st, err := h.Status(ctx, req.Cmd == cmdChannels)
		if err != nil {
			return response{Error: err.Error()}, nil
		}
		return response{Status: &st}, nil
	case cmdStop:
		return response{OK: true}, h.Stop
	case cmdAgree:
		return answerAgree(ctx, conn, req, h), nil
	case cmdPath:
		return answerPath(ctx, conn, req, h), nil
	case cmdAgreements:
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		all, err := h.Agreements(ctx)
		if err != nil {
			return response{Error: err.Error()}, nil
		}
		return response{OK: true, Agreements: all}, nil
	}
	return response{Error: "unknown request"}, nil
}

// allowed asks the kernel who is at the other end.
func allowed(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	ok := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		ok = err == nil && trusted(cred.Uid)
	})
	return ok && err == nil
}
