// Package wire is the leaf that every codec of the project stands on: a reader
// with a sticky error, variable-length integers, the datagram types and the sum of
// the Internet checksum.
//
// All integers are big-endian. Append* functions never fail; the Reader fails
// once and then returns zero values, so that a parser checks one error at its
// end. Nothing here allocates or retains its input.
package wire

import (
	"encoding/binary"
	"errors"
)

// Version is the protocol version, the high nibble of every datagram's first
// byte (requirement W-1).
const Version = 1

// Datagram types: version and type share the first byte (W-1).
const (
	TypeData   = Version << 4     // sealed frames of a session
	TypeInit   = Version<<4 | 0x1 // handshake, initiator to responder (H-3)
	TypeResp   = Version<<4 | 0x2 // handshake, responder to initiator (H-3)
	TypeCookie = Version<<4 | 0x3 // address cookie (H-5)
	TypeAside  = Version<<4 | 0x4 // sealed frames beside the path in use
)

// MaxVarint is the largest value that AppendVarint encodes: 2^62-1.
const MaxVarint = 1<<62 - 1

// Errors of the Reader.
var (
	ErrTruncated = errors.New("wire: truncated")
	ErrTrailing  = errors.New("wire: trailing bytes")
)

// Reader reads fields off a byte slice. After the first failure every call
// returns a zero value and Err reports ErrTruncated. The zero Reader is empty.
type Reader struct {
	b      []byte
	failed bool
}

// NewReader returns a Reader of b. Slices returned by Bytes and Rest alias b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Len is the number of unread bytes.
func (r *Reader) Len() int { return len(r.b) }

// Err is ErrTruncated after a read beyond the end, else nil.
func (r *Reader) Err() error {
	if r.failed {
		return ErrTruncated
	}
	return nil
}

// Done reports Err, or ErrTrailing if bytes are left (W-3).
func (r *Reader) Done() error {
	if r.failed {
		return ErrTruncated
	}
	if len(r.b) != 0 {
		return ErrTrailing
	}
	return nil
}

// Bytes reads n bytes. A negative n fails.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.failed = nil, true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.Bytes(len(r.b)) }

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if p := r.Bytes(1); p != nil {
		return p[0]
	}
	return 0
}

// U16 reads a big-endian 16-bit integer.
func (r *Reader) U16() uint16 {
	if p := r.Bytes(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// U32 reads a big-endian 32-bit integer.
func (r *Reader) U32() uint32 {
	if p := r.Bytes(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// U64 reads a big-endian 64-bit integer.
func (r *Reader) U64() uint64 {
	if p := r.Bytes(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// Varint reads an integer of 1, 2, 4 or 8 bytes whose top two bits give the
// length (RFC 9000, section 16). Longer encodings than needed are accepted.
func (r *Reader) Varint() uint64 {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	p := r.Bytes(1 << (r.b[0] >> 6))
	if p == nil {
		return 0
	}
	v := uint64(p[0] & 0x3f)
	for _, c := range p[1:] {
		v = v<<8 | uint64(c)
	}
	return v
}

// AppendVarint appends v in its shortest form. It panics above MaxVarint.
func AppendVarint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(dst, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(dst, 1<<14|uint16(v))
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(dst, 2<<30|uint32(v))
	case v <= MaxVarint:
		return binary.BigEndian.AppendUint64(dst, 3<<62|v)
	}
	panic("wire: integer above MaxVarint")
}
