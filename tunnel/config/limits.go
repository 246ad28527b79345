package config

import "time"

// Limits of a configuration. docs/configuration.md states those that a user can meet; a test compares.
const (
	// MaxFileSize is the largest configuration file that Load reads, in bytes. 1024 peers with every key set take a fifth of it.
	MaxFileSize = 1 << 20
	// MaxPeers is the largest number of [[peer]] tables.
	MaxPeers = 1024
	// MaxAddresses is the largest number of addresses of the interface.
	MaxAddresses = 64
	// MaxAllowedIPs is the largest number of prefixes of one peer.
	MaxAllowedIPs = 1024

	// MaxRules is the largest number of [[peer.rule]] tables of one peer: each packet is compared with them in turn.
	MaxRules = 64
	// MaxRuleItems is the largest number of elements of a list in a rule.
	MaxRuleItems = 64
	// MinDeadline and MaxDeadline bound a rule's deadline: less is no path's delay, more is no deadline.
	MinDeadline = time.Millisecond
	MaxDeadline = time.Minute

	// MinMTU is the smallest inner MTU in bytes: what every IPv4 host must be able to receive (RFC 791).
	MinMTU = 576
	// MinMTU6 is the smallest inner MTU in bytes of an interface that carries IPv6 (RFC 8200, section 5).
	MinMTU6 = 1280
	// MaxMTU is the largest inner MTU in bytes of a TUN: the largest IP packet.
	MaxMTU = 65535
	// MaxMTUTAP is the largest inner MTU in bytes of a TAP: a frame with its Ethernet header and a VLAN tag (18 bytes) must fit a unit.
	MaxMTUTAP = MaxMTU - 18
	// DefaultMTU is the inner MTU in bytes when the file names none: Ethernet's. It does not depend on the outer path.
	DefaultMTU = 1500

	// MinBandwidth is the smallest configurable rate: below it one full datagram takes longer than a second.
	MinBandwidth = 10 * Kilobit
	// MaxBandwidth is the largest configurable rate.
	MaxBandwidth = 100 * Gigabit

	// MaxRedundancy is the largest cap on redundancy other than none: at a loss of 0.99 each datagram is sent a hundred times.
	MaxRedundancy = 100

	// DefaultRekey is that of H-7. MinRekey is for tests: a switch takes some round trips. MaxRekey keeps forward secrecy
	// worth its name.
	DefaultRekey = 2 * time.Minute
	MinRekey     = time.Second
	MaxRekey     = time.Hour
	// MinKeepalive and MaxKeepalive bound a peer's keepalive: less is a flood, more outlives no NAT's memory.
	MinKeepalive = time.Second
	MaxKeepalive = time.Hour

	// DefaultName is the interface's name when the file gives none.
	DefaultName = "totg0"
	// DefaultPort is the UDP port of the default listen address and of the examples.
	DefaultPort = 4430

	maxNameLen     = 15    // bytes: IFNAMSIZ (16) less the terminating zero
	maxPeerNameLen = 64    // bytes: a host name's label is 63
	maxHostLen     = 253   // bytes: RFC 1035 in text form
	maxLabelLen    = 63    // bytes: RFC 1035
	maxKeyFileSize = 4096  // bytes: a key is 44 characters and a line feed
	maxKeys        = 16384 // keys, tables and list elements in a file; the TOML library looks for repeated keys in quadratic time
	maxKeyLen      = 256   // bytes of one part of a key
	maxDepth       = 8     // parts of a key; the format needs six
	maxMistakes    = 32    // reported one by one; the rest are counted
	maxPacketLen   = 256   // bytes of a packet as people write it
	maxQuoted      = 64    // bytes of the user's text repeated in a message
)

// A file that reaches every limit on peers still has room for each of a peer's keys.
const _ = uint(maxKeys - MaxPeers*(maxPeerKeys+1))

// maxPeerKeys is the number of keys that one peer can use at a time.
const maxPeerKeys = 7
