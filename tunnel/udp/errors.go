package udp

import "errors"

// Errors of Listen that callers tell apart.
var (
	// ErrTaken says that another socket has the port.
	ErrTaken = errors.New("udp: port is taken")
	// ErrAddress says that the host does not have the address.
	ErrAddress = errors.New("udp: no such address")
	// ErrPrivilege says that the process may not bind the port or set the mark.
	ErrPrivilege = errors.New("udp: missing privilege")
)

// advice is a sentinel whose text is the one line a user needs.
type advice struct {
	sentinel error
	text     string
}

func (a *advice) Error() string { return a.text }

func (a *advice) Unwrap() error { return a.sentinel }
