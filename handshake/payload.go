package handshake

import (
	"encoding/binary"
	"errors"

	"github.com/totg/totg/internal/wire"
)

// Params are the transport parameters of one side (H-3).
type Params struct {
	// AES says that this host does AES in hardware: AES-128-GCM protects the
	// datagrams where both sides say so, else ChaCha20-Poly1305 (W-2).
	AES bool
}

// DefaultParams suit every host. The caller sets AES if the CPU has it.
func DefaultParams() Params { return Params{} }

// Parameters on the wire: each an id, a length and a value, in ascending order
// of ids. Unknown ids, and unknown bits of known ones, are ignored, so that
// later versions can add to them.
//
//	+-----------+-----------------------------------------+
//	| length    | { id u8 | length u8 | value } …         |
//	| u16       |   id 1: AEADs beside ChaCha20-Poly1305  |
//	|           |         u8: bit 0 AES-128-GCM           |
//	+-----------+-----------------------------------------+
const (
	paramAEAD = 1

	aeadAES128GCM = 1 << 0

	paramsLen = 2 + 2 + 1 // of what we send
)

func (p Params) append(dst []byte) []byte {
	var aead byte
	if p.AES {
		aead |= aeadAES128GCM
	}
	dst = binary.BigEndian.AppendUint16(dst, paramsLen-2)
	return append(dst, paramAEAD, 1, aead)
}

func parseParams(r *wire.Reader) (Params, error) {
	var p Params
	n := int(r.U16())
	if n > maxParams-2 {
		return Params{}, ErrPayload
	}
	list := wire.NewReader(r.Bytes(n))
	last := -1
	for list.Len() > 0 {
		id, value := int(list.U8()), list.Bytes(int(list.U8()))
		if id <= last {
			return Params{}, ErrPayload
		}
		last = id
		if id == paramAEAD {
			if len(value) != 1 {
				return Params{}, ErrPayload
			}
			p.AES = value[0]&aeadAES128GCM != 0
		}
	}
	return p, errors.Join(list.Err(), r.Err())
}

// payload is what INIT and RESP carry sealed. The index is that of the header
// again: the header is covered only by a MAC that everyone can make who knows
// the public key, and a wrong index would send the session's datagrams astray.
//
//	INIT: index u32 | timestamp 12 | parameters | ladder length u16 | ladder | zeros
//	RESP: index u32 |                parameters | ladder length u16 | ladder
//
// The zeros make an INIT at least MinInit long (H-5).
type payload struct {
	index     uint32
	timestamp Timestamp // INIT only
	params    Params
	ladder    []byte // a LADDER message, opaque here
}

func (p *payload) appendInit(dst []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, p.index)
	dst = append(dst, p.timestamp[:]...)
	dst = p.appendTail(dst)
	if short := MinInit - initOverhead - (len(dst) - start); short > 0 {
		dst = append(dst, make([]byte, short)...)
	}
	return dst
}

func (p *payload) appendResp(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, p.index)
	return p.appendTail(dst)
}

func (p *payload) appendTail(dst []byte) []byte {
	dst = p.params.append(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.ladder)))
	return append(dst, p.ladder...)
}

func parseInitPayload(b []byte) (payload, error) {
	var p payload
	r := wire.NewReader(b)
	p.index = r.U32()
	copy(p.timestamp[:], r.Bytes(timestampLen))
	if err := p.parseTail(&r); err != nil {
		return payload{}, ErrPayload
	}
	for _, c := range r.Rest() {
		if c != 0 {
			return payload{}, ErrPayload
		}
	}
	return p, nil
}

func parseRespPayload(b []byte) (payload, error) {
	var p payload
	r := wire.NewReader(b)
	p.index = r.U32()
	if p.parseTail(&r) != nil || r.Done() != nil {
		return payload{}, ErrPayload
	}
	return p, nil
}

func (p *payload) parseTail(r *wire.Reader) error {
	var err error
	if p.params, err = parseParams(r); err != nil {
		return err
	}
	n := int(r.U16())
	if n > MaxLadder {
		return ErrPayload
	}
	p.ladder = r.Bytes(n)
	return r.Err()
}
