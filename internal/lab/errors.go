package lab

import "errors"

// Sentinels of this package.
var (
	ErrSpec      = errors.New("link")               // a link that was described wrongly; the user's mistake
	ErrProfiles  = errors.New("profiles")           // a profile file that is not understood; the user's mistake
	ErrPrivilege = errors.New("not allowed")        // no right to make namespaces or devices; the text says what to do
	ErrTunnel    = errors.New("tunnel")             // the tunnel did not come up
	ErrCapture   = errors.New("pcap")               // the capture cannot be written
	ErrPeer      = errors.New("peer")               // a program for comparison that is unknown or does not come up
	errStopped   = errors.New("the lab was closed") // a use after close
)
