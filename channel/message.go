package channel

import (
	"encoding/binary"

	"github.com/totg/totg/internal/wire"
)

// Message types of channel 0 (C-2), and of COOKIE, which belongs into a segment
// of the channel that it opens and is not understood here.
const (
	typeNew         = 0x0a
	typeAcknowledge = 0x0b
	typeFinalize    = 0x0c
	typeCookie      = 0x0d
	typeClose       = 0x0e
)

// Lengths of the messages in bytes, type included.
const (
	newLen         = 1 + 2 + cookieLen
	acknowledgeLen = 1 + 4 + cookieLen + cookieLen
	finalizeLen    = 1 + 4 + cookieLen + 2
	closeLen       = 1 + 4 + 1 + 2
)

// message of channel 0, back to back in a control segment (C-2):
//
//	NEW          0a | c1 u16 | cookie1 8
//	ACKNOWLEDGE  0b | id u32 | cookie1 8 | cookie2 8
//	FINALIZE     0c | id u32 | cookie2 8 | capabilities u16
//	CLOSE        0e | id u32 | opener u8 | reason u16
//
// opener is 1 where the sender of CLOSE opened the channel, else 0.
type message struct {
	kind    uint8
	opener  bool // CLOSE
	id      ID   // in NEW the responder half is 0
	cookie1 cookie
	cookie2 cookie
	caps    Capabilities
	reason  Reason
}

func messageLen(kind uint8) int {
	switch kind {
	case typeNew:
		return newLen
	case typeAcknowledge:
		return acknowledgeLen
	case typeFinalize:
		return finalizeLen
	case typeClose:
		return closeLen
	}
	panic("channel: length of an unknown message type")
}

func appendMessage(dst []byte, m *message) []byte {
	dst = append(dst, m.kind)
	switch m.kind {
	case typeNew:
		dst = binary.BigEndian.AppendUint16(dst, m.id.Initiator())
		return append(dst, m.cookie1[:]...)
	case typeAcknowledge:
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.id))
		dst = append(dst, m.cookie1[:]...)
		return append(dst, m.cookie2[:]...)
	case typeFinalize:
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.id))
		dst = append(dst, m.cookie2[:]...)
		return binary.BigEndian.AppendUint16(dst, uint16(m.caps))
	case typeClose:
		dst = binary.BigEndian.AppendUint32(dst, uint32(m.id))
		opener := byte(0)
		if m.opener {
			opener = 1
		}
		dst = append(dst, opener)
		return binary.BigEndian.AppendUint16(dst, uint16(m.reason))
	}
	panic("channel: encoding of an unknown message type")
}

// parseMessage reads one message.
func parseMessage(r *wire.Reader) (m message, err error) {
	m.kind = r.U8()
	opener := byte(0)
	switch m.kind {
	case typeNew:
		m.id = makeID(r.U16(), 0)
		copy(m.cookie1[:], r.Bytes(cookieLen))
	case typeAcknowledge:
		m.id = ID(r.U32())
		copy(m.cookie1[:], r.Bytes(cookieLen))
		copy(m.cookie2[:], r.Bytes(cookieLen))
	case typeFinalize:
		m.id = ID(r.U32())
		copy(m.cookie2[:], r.Bytes(cookieLen))
		m.caps = Capabilities(r.U16())
	case typeClose:
		m.id = ID(r.U32())
		opener = r.U8()
		m.reason = Reason(r.U16())
	default:
		if r.Err() != nil {
			return message{}, ErrTruncated
		}
		return message{}, ErrMessageType
	}
	m.opener = opener == 1
	switch {
	case r.Err() != nil:
		return message{}, ErrTruncated
	case m.id.Initiator() == 0, m.kind != typeNew && m.id.Responder() == 0:
		return message{}, ErrID
	case !m.caps.Valid(): // C-4: the rest must be 0
		return message{}, ErrCapabilities
	case opener > 1:
		return message{}, ErrMessage
	}
	return m, nil
}

// checkMessages parses the body of a control segment without effect.
func checkMessages(body []byte) error {
	r := wire.NewReader(body)
	for r.Len() > 0 {
		if _, err := parseMessage(&r); err != nil {
			return err
		}
	}
	return nil
}
