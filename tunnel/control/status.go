package control

import (
	"encoding/json"
	"time"
)

// States of a peer.
const (
	StateIdle       = "idle"       // no session, and none is tried
	StateConnecting = "connecting" // no session yet, or the last one went silent
	StateUp         = "up"         // a session carries data
	StateClosed     = "closed"     // the tunnel goes down
)

// Status is what a running tunnel tells about itself. Its JSON form is stable: members are added, never renamed or removed.
// Counters count from the tunnel's start, those of a peer from when the peer came into the configuration.
type Status struct {
	Version   string `json:"version"`
	PID       int    `json:"pid"`
	Interface string `json:"interface"`
	Mode      string `json:"mode"` // "tun" or "tap"
	MTU       int    `json:"mtu"`  // bytes, of inner packets
	PublicKey string `json:"public_key"`
	Listen    string `json:"listen"`
	RateMode  string `json:"rate_mode"` // "fair", "scavenger" or "fixed"
	RateBits  int64  `json:"rate_bits"` // configured bandwidth, bit/s of outer IP bytes; 0: no bound

	Uptime time.Duration `json:"-"` // uptime_seconds

	Peers []PeerStatus      `json:"peers"`
	Drops map[string]uint64 `json:"drops"` // datagrams and packets dropped before a peer was known, by reason
}

// PeerStatus is one peer's part of Status.
type PeerStatus struct {
	Name          string    `json:"name"`
	PublicKey     string    `json:"public_key"`
	State         string    `json:"state"`                   // one of the State constants
	Endpoint      string    `json:"endpoint"`                // empty: not known
	LastHandshake time.Time `json:"last_handshake,omitzero"` // zero: never
	LastReceived  time.Time `json:"last_received,omitzero"`  // authenticated datagram; zero: none yet

	TxBytes     uint64 `json:"tx_bytes"` // of inner packets
	RxBytes     uint64 `json:"rx_bytes"`
	TxPackets   uint64 `json:"tx_packets"` // inner packets
	RxPackets   uint64 `json:"rx_packets"`
	TxDatagrams uint64 `json:"tx_datagrams"` // outer datagrams
	RxDatagrams uint64 `json:"rx_datagrams"`
	KeyEpochs   uint64 `json:"key_epochs"` // changes to fresh keys within a session
	Resent      uint64 `json:"resent"`     // datagrams that carried a copy or a repair, not something new

	Loss         float64       `json:"loss"`          // share, 0 … 1, of our datagrams that did not arrive
	ReturnLoss   float64       `json:"return_loss"`   // share of the peer's receipts that did not arrive here
	RTT          time.Duration `json:"-"`             // rtt_seconds; 0: not measured
	RateBits     int64         `json:"rate_bits"`     // current sending rate, bit/s of outer IP bytes
	CapacityBits int64         `json:"capacity_bits"` // what the path is thought to carry, bit/s of outer IP bytes
	RatePhase    string        `json:"rate_phase"`    // what rate control does; empty: no session
	QueueDelay   time.Duration `json:"-"`             // queue_delay_seconds: of the path, above its base delay
	QueueTarget  time.Duration `json:"-"`             // queue_target_seconds: the delay that rate control wants
	QueueBytes   int64         `json:"queue_bytes"`   // inner bytes that wait to be sent
	DatagramSize int           `json:"datagram_size"` // bytes of UDP payload that the path takes; 0: not known

	Drops map[string]uint64 `json:"drops"` // by reason

	PathSwitch PathStatus `json:"path_switch,omitzero"` // the newest, by either side; zero: none

	Channels []ChannelStatus `json:"channels,omitempty"` // where asked for, at most MaxChannels
}

// PathStatus is a switch of the path, pending or decided.
type PathStatus struct {
	To     string `json:"to"`      // where the peer is on the new path
	State  string `json:"state"`   // "probing", "voting", "in doubt", "moved" or "stayed"
	ByPeer bool   `json:"by_peer"` // the peer asked for it
	Why    string `json:"why,omitempty"`
}

// ChannelStatus is one channel's part of PeerStatus.
type ChannelStatus struct {
	ID         string  `json:"id"`   // both halves in hexadecimal
	Mode       string  `json:"mode"` // "TCP", "Z", "Streaming 2" …
	State      string  `json:"state"`
	ByPeer     bool    `json:"by_peer"`     // the peer opened it, and sends on it
	Flows      int     `json:"flows"`       // groups of flows that have it
	TxUnits    uint64  `json:"tx_units"`    // inner packets sent on it
	RxUnits    uint64  `json:"rx_units"`    // inner packets received on it
	Skipped    uint64  `json:"skipped"`     // pieces of packets that were given up
	Late       uint64  `json:"late"`        // pieces that came after that
	Resent     uint64  `json:"resent"`      // datagrams sent again or in advance for its class of traffic
	QueueBytes int64   `json:"queue_bytes"` // inner bytes that wait for it
	Age        float64 `json:"age_seconds"`
}

// statusJSON and peerJSON carry durations as seconds.
type (
	plainStatus Status
	statusJSON  struct {
		*plainStatus
		Uptime float64 `json:"uptime_seconds"`
	}
	plainPeer PeerStatus
	peerJSON  struct {
		*plainPeer
		RTT         float64 `json:"rtt_seconds"`
		QueueDelay  float64 `json:"queue_delay_seconds"`
		QueueTarget float64 `json:"queue_target_seconds"`
	}
)

// MarshalJSON writes durations in seconds, and lists and tables that are empty as such rather than as null.
func (s Status) MarshalJSON() ([]byte, error) {
	if s.Peers == nil {
		s.Peers = []PeerStatus{}
	}
	if s.Drops == nil {
		s.Drops = map[string]uint64{}
	}
	return json.Marshal(statusJSON{(*plainStatus)(&s), s.Uptime.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Status) UnmarshalJSON(b []byte) error {
	j := statusJSON{plainStatus: (*plainStatus)(s)}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	s.Uptime = fromSeconds(j.Uptime)
	return nil
}

// MarshalJSON writes durations in seconds.
func (p PeerStatus) MarshalJSON() ([]byte, error) {
	if p.Drops == nil {
		p.Drops = map[string]uint64{}
	}
	return json.Marshal(peerJSON{(*plainPeer)(&p), p.RTT.Seconds(), p.QueueDelay.Seconds(), p.QueueTarget.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *PeerStatus) UnmarshalJSON(b []byte) error {
	j := peerJSON{plainPeer: (*plainPeer)(p)}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	p.RTT, p.QueueDelay, p.QueueTarget = fromSeconds(j.RTT), fromSeconds(j.QueueDelay), fromSeconds(j.QueueTarget)
	return nil
}

// fromSeconds rounds to the nanosecond; what no Duration can hold becomes the nearest one.
func fromSeconds(s float64) time.Duration {
	const most = float64(1<<63 - 1024) // the largest float64 that an int64 holds
	return time.Duration(min(max(s*1e9+0.5, -most), most))
}
