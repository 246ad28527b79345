package route

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Errors that callers tell apart.
var (
	// ErrPlan says that a plan is wrong in itself.
	ErrPlan = errors.New("route: impossible plan")
	// ErrInterface says that there is no such interface.
	ErrInterface = errors.New("route: no such interface")
	// ErrConflict says that a route or rule of somebody else is in the way.
	ErrConflict = errors.New("route: conflict")
	// ErrPrivilege says that the process may not change the network.
	ErrPrivilege = errors.New("route: missing privilege")
	// ErrNoIPv6 says that a plan has IPv6 and the host has not.
	ErrNoIPv6 = errors.New("route: no IPv6")
)

// advice is a sentinel whose text is the one line a user needs.
type advice struct {
	sentinel error
	text     string
}

func (a *advice) Error() string { return a.text }

func (a *advice) Unwrap() error { return a.sentinel }

// explain adds to an error what was being done; nil stays nil.
func explain(what string, err error) error {
	var a *advice
	switch {
	case err == nil:
		return nil
	case errors.As(err, &a):
		return &advice{a.sentinel, what + ": " + a.text}
	case errors.Is(err, fs.ErrPermission):
		return &advice{ErrPrivilege, what + ": not allowed: run as root or with CAP_NET_ADMIN"}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func explainLink(name string, err error) error {
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return &advice{ErrInterface, fmt.Sprintf("interface %q does not exist: it has to be created before its addresses and routes", name)}
	}
	return explain(fmt.Sprintf("find interface %q", name), err)
}

// isGone tells that what was to be removed is not there any more.
func isGone(err error) bool {
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return true
	}
	for _, e := range []error{unix.ESRCH, unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
