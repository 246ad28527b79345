package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Query asks the tunnel at a control socket for its status. The error is one line for the user.
func Query(path string) (Status, error) { return query(path, cmdStatus) }

// QueryChannels is Query with the channels of each peer.
func QueryChannels(path string) (Status, error) { return query(path, cmdChannels) }

func query(path, cmd string) (Status, error) {
	reply, err := ask(path, request{Cmd: cmd}, clientTime)
	if err != nil {
		return Status{}, err
	}
	if reply.Status == nil {
		return Status{}, fmt.Errorf("interface %s: %w", nameOf(path), ErrProtocol)
	}
	return *reply.Status, nil
}

// Stop tells the tunnel at a control socket to end and returns when it has taken back all that it made.
func Stop(path string) error {
	reply, err := ask(path, request{Cmd: cmdStop}, clientTime)
	if err != nil {
		return err
	}
	if !reply.OK {
		return fmt.Errorf("interface %s: %w", nameOf(path), ErrProtocol)
	}
	for end := time.Now().Add(stopTime); locked(path); time.Sleep(stopPoll) {
		if time.Now().After(end) {
			return fmt.Errorf("interface %s: %w after %v", nameOf(path), ErrStillUp, stopTime)
		}
	}
	return nil
}

// ask sends one request and reads the reply, within patience.
func ask(path string, req request, patience time.Duration) (response, error) {
	name := nameOf(path)
	conn, err := net.DialTimeout("unix", path, clientTime)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTSOCK):
		return response{}, fmt.Errorf("interface %s is %w; start it: totg up -c FILE", name, ErrNotUp)
	case errors.Is(err, fs.ErrPermission):
		return response{}, fmt.Errorf("interface %s: %w", name, ErrDenied)
	case err != nil:
		return response{}, fmt.Errorf("interface %s: %w", name, err)
	}
	defer conn.Close() //nolint:errcheck // the answer is here, or it is not
	_ = conn.SetDeadline(time.Now().Add(patience))
	line, err := json.Marshal(req)
	if err != nil {
		return response{}, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return response{}, fmt.Errorf("interface %s: %w", name, err)
	}
	return readResponse(conn, name)
}

func readResponse(conn io.Reader, name string) (response, error) {
	var reply response
	err := json.NewDecoder(io.LimitReader(conn, maxResponse)).Decode(&reply)
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case ok && timeout.Timeout():
		return reply, fmt.Errorf("interface %s: no answer within %v", name, clientTime)
	case errors.Is(err, io.EOF):
		return reply, fmt.Errorf("interface %s: the tunnel hung up; it may just have ended", name)
	case err != nil:
		return reply, fmt.Errorf("interface %s: %w", name, ErrProtocol)
	case reply.Error != "":
		return reply, fmt.Errorf("interface %s: %s", name, reply.Error)
	}
	return reply, nil
}
