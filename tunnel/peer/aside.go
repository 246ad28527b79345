package peer

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
)

// asides are the datagrams beside the path in use, for a switch to another one
// . They have packet numbers of their own (W-1), so that receipts, rate control
// and roaming never see them. A datagram is the header, as of any other; sealed, the
// number of the switch as u64, and PATH_CHALLENGE, PATH_RESPONSE, LADDER and PADDING
// frames.
type asides struct {
	next    uint64    // packet number of the next one sent
	free    time.Time // none leaves before (X-3: under the rate budget)
	replay  handshake.ReplayWindow
	largest uint64 // packet number that arrived
	arrived bool
}

// pathAside is the path id in the nonces of asides (W-1).
const pathAside = 1

// Sizes, in bytes.
const (
	// asideHead is the number of the switch.
	asideHead = 8
	// asideProbe is an aside that carries a challenge and a response.
	asideProbe = headerLen + asideHead + 2*pathFrameLen + tagLen
)

// pollAside returns the next aside, if one is due.
func (p *Peer) pollAside(buf []byte) (n int, to netip.AddrPort) {
	s := p.cur
	if s == nil || s.move == nil || p.now.Before(s.asides.free) || !s.move.mayAsk() {
		return 0, netip.AddrPort{}
	}
	m, a := s.move, &s.asides
	dst := appendHeader(buf[:0], wire.TypeAside, s.keys.RemoteIndex, a.next)
	dst = binary.BigEndian.AppendUint64(dst, m.ID)
	empty := len(dst)
	if m.asked {
		m.asked = false
		dst = appendPath(dst, framePathResponse, m.question)
	}
	if m.asks() && m.flood.Due(p.now) {
		m.flood.OnSent(p.now)
		dst = appendPath(dst, framePathChallenge, m.token)
	}
	dst = m.appendLadder(p.now, dst)
	if len(dst) == empty {
		return 0, netip.AddrPort{}
	}
	n = headerLen + len(s.keys.Send.Seal(buf[headerLen:headerLen], buf[:headerLen], dst[headerLen:], pathAside, a.next))
	a.next++
	a.free = p.now.Add(shareTime(n, s.sender.Rate(p.now)))
	m.sent += n
	to, p.source = m.beside()
	return n, to
}

// handleAside opens an aside and handles its frames. It is no sign of life on the
// path in use, and never moves the peer's address: a recorded one, or one from
// anywhere, does nothing but what its frames prove.
func (p *Peer) handleAside(in Inbound, b []byte) DropReason {
	r := wire.NewReader(b)
	_, index, low := r.U8(), r.U32(), r.U32()
	if r.Len() < tagLen+asideHead {
		return DropMalformed
	}
	s := p.cur
	if s == nil || s.keyOf(index) == nil {
		return DropIndex
	}
	a := &s.asides
	pn := handshake.ReconstructPN(a.largest, low)
	if !a.replay.Check(pn) {
		return DropReplay
	}
	plain, err := s.keyOf(index).Open(b[headerLen:headerLen], b[:headerLen], b[headerLen:], pathAside, pn)
	if err != nil {
		return DropAuth
	}
	a.replay.Mark(pn)
	newest := !a.arrived || pn > a.largest
	if newest {
		a.arrived, a.largest = true, pn
	}
	if s.confirm != nil {
		return DropNone // as if it were lost: the peer's first datagram is still on its way
	}
	f := wire.NewReader(plain)
	aside := asideFrom{id: f.U64(), from: in.From, to: in.To, size: len(b), newest: newest}
	if m := s.move; m != nil && m.ID == aside.id && in.From == m.To {
		m.received, m.heard = m.received+len(b), p.now
	}
	for f.Len() > 0 {
		if err := p.handleBeside(s, aside, &f); err != nil {
			p.closeSession(s, CloseError{Code: CloseProtocol, Reason: err.Error()})
			return DropNone
		}
		if p.cur != s {
			return DropNone
		}
	}
	return DropNone
}

// asideFrom is where an aside came from and which switch it is for.
type asideFrom struct {
	id     uint64
	from   netip.AddrPort
	to     netip.Addr
	size   int
	newest bool
}

// handleBeside handles one frame of an aside.
func (p *Peer) handleBeside(s *session, a asideFrom, r *wire.Reader) error {
	switch r.U8() {
	case framePadding:
		if !parsePadding(r) {
			return errFrame
		}
	case frameLadder:
		return p.handleLadder(s, r)
	case framePathChallenge:
		token := r.U64()
		if r.Err() != nil {
			return errFrame
		}
		p.onMoveChallenge(s, a, token)
	case framePathResponse:
		token := r.U64()
		if r.Err() != nil {
			return errFrame
		}
		p.onMoveResponse(s, a, token)
	default:
		return errUnknown
	}
	return nil
}
