package tun

import "errors"

// Errors that callers tell apart.
var (
	// ErrUnit says that bytes given to Write are not a unit for this device.
	ErrUnit = errors.New("tun: malformed unit")
	// ErrDeleted says that somebody deleted the interface under the Device.
	ErrDeleted = errors.New("the interface was deleted by another program")
	// ErrName says that an interface cannot have this name, or that the name is
	// taken.
	ErrName = errors.New("tun: unusable interface name")
	// ErrMTU says that an MTU is out of range.
	ErrMTU = errors.New("tun: MTU out of range")
	// ErrPrivilege says that the process may not create interfaces.
	ErrPrivilege = errors.New("tun: missing privilege")
	// ErrNoDriver says that the host has no TUN driver.
	ErrNoDriver = errors.New("tun: no TUN driver")
)

// advice is a sentinel whose text is the one line a user needs.
type advice struct {
	sentinel error
	text     string
}

func (a *advice) Error() string { return a.text }

func (a *advice) Unwrap() error { return a.sentinel }
