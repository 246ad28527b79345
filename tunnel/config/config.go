// Package config reads totg's configuration file.
//
// The file is TOML with one [interface] table and one [[peer]] table for each peer, with [[peer.rule]] tables; docs/configuration.md documents every
// key. Load is strict: unknown keys, values out of range, contradictions between keys and key files that others can read
// are all mistakes, every mistake is reported with its line, and a file with a mistake gives no Config at all.
//
// Memory and time are bounded whatever the file holds (see limits.go). Messages repeat the user's text except where it is
// or could be a secret. The package has no state; its values may be shared between goroutines that do not change them.
//
// Requirements: H-1 and H-2 (what peers exchange), T-1 (addresses, MTU, allowed IPs, TAP with one peer), G-4 (rate mode fixed),
// R-3 (cap on redundancy), C-7 (rules).
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/tunnel/flow"
)

// Config is a configuration without mistakes.
type Config struct {
	Path      string // of the file, as given to Load
	Interface Interface
	Peers     []Peer // in the order of the file; at least one, exactly one in TAP mode
}

// Interface describes this end: the device in the kernel, the UDP socket and the rate.
type Interface struct {
	Name       string // a valid Linux interface name, also the name of the control socket
	Mode       Mode
	PrivateKey handshake.PrivateKey
	Addresses  []netip.Prefix // with host bits: an address and its network's length; empty only in TAP mode
	Listen     netip.AddrPort // port 0: the kernel chooses
	MTU        int            // bytes of an inner packet, MinMTU … MaxMTU
	Bandwidth  Rate           // most that is sent, bit/s of outer IP bytes; 0: no bound, but never 0 with RateFixed
	Rate       RateMode
	Redundancy Redundancy
	ARQ        bool // no coding: what is lost is sent again, and nothing else
	Routes     RouteMode
	Rekey      time.Duration // how long session keys are used (H-7)
}

// Peer describes one other end.
type Peer struct {
	Name         string // unique; the public key's fingerprint if the file gives none
	PublicKey    handshake.PublicKey
	Endpoint     string // "host:port", not resolved; empty: this side waits to be called
	AllowedIPs   []netip.Prefix
	PresharedKey handshake.PresharedKey // zero: none
	Keepalive    time.Duration          // 0: off
	Agree        []string               // patterns of the names of actions that it may propose
	Rules        []flow.Rule            // how packets to this peer travel, in the order of the file; the first match wins
}

// Mode says what the interface carries.
type Mode string

// The modes of an interface.
const (
	ModeTUN Mode = "tun" // IP packets
	ModeTAP Mode = "tap" // Ethernet frames, one peer
)

// RouteMode says when the routes to a peer are there.
type RouteMode string

// The route modes.
const (
	RoutesAlways    RouteMode = "always"    // as long as the tunnel runs: nothing leaks past a session that is down
	RoutesCommitted RouteMode = "committed" // while both ends are known to have the session
)

// RateMode says how the sending rate is found (G-4).
type RateMode string

// The rate modes.
const (
	RateFair      RateMode = "fair"      // finds the capacity; takes its share beside flows that fill buffers
	RateScavenger RateMode = "scavenger" // finds the capacity; yields to them
	RateFixed     RateMode = "fixed"     // sends at the bandwidth and probes for nothing
)

// Load reads and checks the file. Paths inside it are relative to its folder. The error is always of type Errors.
func Load(path string) (*Config, error) {
	data, mode, err := readConfig(path)
	if err != nil {
		return nil, Errors{{File: path, Problem: err.Error()}}
	}
	d := &decoder{file: path, dir: filepath.Dir(path), readKey: readKeyFile, exposed: exposure(mode)}
	return d.decode(data)
}

// readConfig reads the file, or a pipe, up to its limit.
func readConfig(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, reason(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, 0, reason(err)
	}
	if info.IsDir() {
		return nil, 0, errors.New("is a folder; name the TOML file in it")
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, 0, reason(err)
	}
	if len(data) > MaxFileSize {
		return nil, 0, fmt.Errorf("is larger than %d KiB; is it a configuration?", MaxFileSize>>10)
	}
	return data, info.Mode(), nil
}

// reason drops the operation and the path of a file error: the message names the file already.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
