package handshake

import (
	"bytes"
	"encoding/binary"
	"time"
)

const timestampLen = 12

// tai64Base is the TAI64 label of the Unix epoch: 1970 began 10 s after its
// UTC label in TAI. Leap seconds since are left out: timestamps are compared
// with those of the same host only, and must grow, not be right.
const tai64Base = 1<<62 + 10

// Timestamp is a TAI64N label: seconds u64, nanoseconds u32, big-endian (H-3).
type Timestamp [timestampLen]byte

// NewTimestamp is the label of now.
func NewTimestamp(now time.Time) Timestamp {
	var t Timestamp
	binary.BigEndian.PutUint64(t[:], uint64(tai64Base+now.Unix()))
	binary.BigEndian.PutUint32(t[8:], uint32(now.Nanosecond()))
	return t
}

// After reports whether t is later than o: an INIT counts only if its
// timestamp is After that of the newest INIT of the same host (H-6).
func (t Timestamp) After(o Timestamp) bool { return bytes.Compare(t[:], o[:]) > 0 }
