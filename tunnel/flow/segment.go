package flow

import "encoding/binary"

// Flags of a TCP segment (RFC 9293, section 3.1).
const (
	tcpFIN = 1 << 0
	tcpSYN = 1 << 1
	tcpRST = 1 << 2
	tcpACK = 1 << 4
	tcpURG = 1 << 5

	tcpHeaderLen = 20
)

// segment is what is read of a TCP header; a super-packet has one header and is
// one segment here.
type segment struct {
	ports   [4]byte // source, destination
	seq     uint32  // of the first payload byte, where there is no SYN
	flags   uint8
	payload uint32 // bytes
}

// tcp reads the TCP header. ok is false if it is not whole: a fragment, or a
// length that is wrong.
func (in *inner) tcp() (t segment, ok bool) {
	b := in.transport
	if in.Proto != protoTCP || len(b) < tcpHeaderLen {
		return segment{}, false
	}
	header := int(b[12]>>4) * 4
	if header < tcpHeaderLen || header > len(b) {
		return segment{}, false
	}
	return segment{
		ports: [4]byte(b), seq: binary.BigEndian.Uint32(b[4:]), flags: b[13],
		payload: uint32(len(b) - header),
	}, true
}

// acknowledges reports a segment that has nothing but an acknowledgement and a
// window. It may overtake data of its own connection, for acknowledgements are
// cumulative, and get lost, for the next one says the same.
func (t *segment) acknowledges() bool {
	return t.payload == 0 && t.flags&tcpACK != 0 && t.flags&(tcpFIN|tcpSYN|tcpRST|tcpURG) == 0
}

// data reports a segment whose payload the receiver takes by its sequence
// numbers alone. SYN, FIN and RST say more than their bytes, URG points beyond
// them, and without ACK the receiver drops the segment (section 3.10.7.4).
func (t *segment) data() bool {
	return t.payload > 0 && t.flags&tcpACK != 0 && t.flags&(tcpFIN|tcpSYN|tcpRST|tcpURG) == 0
}
