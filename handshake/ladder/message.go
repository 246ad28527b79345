package ladder

import (
	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
)

// Signature is an Ed25519 signature.
type Signature = [handshake.SignatureLen]byte

// Message is what one party sends: its commitment and its own signatures up to
// its level, so that one received copy lifts the receiver as far as it can go
// . The receiver has its own artifacts; they are not repeated.
//
//	0       1        2     3            3+n        35+n    99+n
//	+-------+--------+-----+------------+----------+-------+-- … --+----------+-----------+
//	| flags | action | n   | parameters | nonce    | C     | D …   | ABORT    | RECEIPT   |
//	| u8    | u8     | u8  | n B        | 32 B     | 64 B  | 64 B  | 0 or 64  | 0 or 32 B |
//	+-------+--------+-----+------------+----------+-------+-- … --+----------+-----------+
//	flags: bits 0-2 the level, 1 to 6: as many signatures from C on; bit 3 ABORT is there,
//	       never with V; bit 4 RECEIPT is there, with V only; bit 5 SEEN: the sender
//	       knows that the receiver decided, with ABORT or RECEIPT only; the rest 0
//	n: at most 60
//
// Identities and session are not sent; the signatures cover them.
type Message struct {
	Action  uint8
	Params  []byte // of a parsed message: part of the input
	Nonce   [NonceLen]byte
	Level   Level             // LevelC to LevelV
	Sigs    [LevelV]Signature // by SigOf; Level of them count
	Abort   *Signature        // nil: none
	Receipt *[ReceiptLen]byte // nil: none
	Seen    bool              // the sender knows that the receiver decided
}

const (
	flagLevel   = 0x07
	flagAbort   = 1 << 3
	flagReceipt = 1 << 4
	flagSeen    = 1 << 5
	flagsKnown  = flagLevel | flagAbort | flagReceipt | flagSeen
)

// SigOf is the signature of level l, LevelC to LevelV.
func (m *Message) SigOf(l Level) *Signature { return &m.Sigs[l-LevelC] }

// Append appends the message: at most MaxMessage bytes if its parameters are
// within MaxParams.
func (m *Message) Append(dst []byte) []byte {
	flags := byte(m.Level)
	if m.Abort != nil {
		flags |= flagAbort
	}
	if m.Receipt != nil {
		flags |= flagReceipt
	}
	if m.Seen {
		flags |= flagSeen
	}
	dst = append(dst, flags, m.Action, byte(len(m.Params)))
	dst = append(dst, m.Params...)
	dst = append(dst, m.Nonce[:]...)
	for l := LevelC; l <= m.Level; l++ {
		dst = append(dst, m.SigOf(l)[:]...)
	}
	if m.Abort != nil {
		dst = append(dst, m.Abort[:]...)
	}
	if m.Receipt != nil {
		dst = append(dst, m.Receipt[:]...)
	}
	return dst
}

// Parse parses a message. It looks at no signature; a Machine does. The error
// is ErrMessage.
func Parse(b []byte) (Message, error) {
	r := wire.NewReader(b)
	flags := r.U8()
	m := Message{Action: r.U8(), Level: Level(flags & flagLevel), Seen: flags&flagSeen != 0}
	n := int(r.U8())
	if flags&^byte(flagsKnown) != 0 || m.Level < LevelC || m.Level > LevelV || n > MaxParams {
		return Message{}, ErrMessage
	}
	abort, receipt := flags&flagAbort != 0, flags&flagReceipt != 0
	if abort && m.Level == LevelV || receipt && m.Level != LevelV || m.Seen && !abort && !receipt {
		return Message{}, ErrMessage
	}
	m.Params = r.Bytes(n)
	copy(m.Nonce[:], r.Bytes(NonceLen))
	for l := LevelC; l <= m.Level; l++ {
		copy(m.SigOf(l)[:], r.Bytes(sigLen))
	}
	if abort {
		m.Abort = new(Signature)
		copy(m.Abort[:], r.Bytes(sigLen))
	}
	if receipt {
		m.Receipt = new([ReceiptLen]byte)
		copy(m.Receipt[:], r.Bytes(ReceiptLen))
	}
	if r.Done() != nil {
		return Message{}, ErrMessage
	}
	return m, nil
}
