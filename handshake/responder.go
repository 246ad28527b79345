package handshake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/flynn/noise"

	"github.com/totg/totg/internal/wire"
)

// Identity opens the INITs that are meant for one private key.
type Identity struct {
	private PrivateKey
	mac     macKey
}

// NewIdentity prepares a key. The error is ErrNoKey.
func NewIdentity(private PrivateKey) (Identity, error) {
	if private.IsZero() {
		return Identity{}, ErrNoKey
	}
	return Identity{private: private, mac: newMACKey((*private.k).point)}, nil
}

// Init is an INIT that opened: its sender has the private key of Remote. It
// may still be a replay; see Timestamp.
type Init struct {
	Remote    [32]byte  // the sender's public key in X25519 form (H-1)
	Timestamp Timestamp // must be After the newest one of this sender (H-6)
	Index     uint32    // by which the sender wants to be addressed
	Params    Params
	Ladder    []byte

	hs     *noise.HandshakeState // nil once it has answered
	random *bytes.Reader         // what hs reads its ephemeral key from
	size   int                   // of the INIT
}

// OpenInit checks an INIT and opens it. A datagram without the right MAC costs
// one hash (H-5).
func (id *Identity) OpenInit(b []byte) (*Init, error) {
	if id.private.IsZero() {
		return nil, ErrNoKey
	}
	index, message, err := parseInit(b, &id.mac)
	if err != nil {
		return nil, err
	}
	random := bytes.NewReader(nil)
	hs, err := noise.NewHandshakeState(noiseConfig(id.private, random))
	if err != nil {
		return nil, fmt.Errorf("handshake: start: %w", err)
	}
	plain, _, _, err := hs.ReadMessage(nil, message)
	if err != nil {
		return nil, ErrNoise
	}
	p, err := parseInitPayload(plain)
	if err != nil {
		return nil, err
	}
	if p.index != index {
		return nil, ErrIndex
	}
	return &Init{
		Remote: [32]byte(hs.PeerStatic()), Timestamp: p.timestamp, Index: index,
		Params: p.params, Ladder: slices.Clone(p.ladder),
		hs: hs, random: random, size: len(b),
	}, nil
}

// RespondConfig is what a RESP is made of.
type RespondConfig struct {
	PSK    PresharedKey // zero: none (H-2)
	Index  uint32       // by which the peer is to address us; random (W-1)
	Params Params
	Ladder []byte    // at most MaxLadder bytes, and no more than the INIT is long (H-3)
	Random io.Reader // cryptographic; 32 bytes are read
}

// Respond completes the session and builds the RESP, which is never larger
// than the INIT (H-5). The session is to be used once a datagram from the peer
// opens under its keys (H-3, H-6): until then the INIT may be a replay. An
// Init makes one session.
func (in *Init) Respond(cfg RespondConfig) ([]byte, *Session, error) {
	switch {
	case in.hs == nil:
		return nil, nil, ErrFinished
	case cfg.Random == nil:
		return nil, nil, ErrNoRandom
	case len(cfg.Ladder) > MaxLadder:
		return nil, nil, ErrLadder
	}
	p := payload{index: cfg.Index, params: cfg.Params, ladder: cfg.Ladder}
	body := p.appendResp(nil)
	size := respOverhead + len(body)
	if size > in.size {
		return nil, nil, ErrRespSize
	}
	var seed [dhLen]byte
	if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("handshake: read randomness: %w", err)
	}
	defer clear(seed[:])
	in.random.Reset(seed[:])
	hs := in.hs
	in.hs = nil // from here on the Noise state moves
	if err := hs.SetPresharedKey(cfg.PSK[:]); err != nil {
		return nil, nil, fmt.Errorf("handshake: preshared key: %w", err)
	}
	b := make([]byte, 0, size)
	b = append(b, wire.TypeResp)
	b = binary.BigEndian.AppendUint32(b, cfg.Index)
	b = binary.BigEndian.AppendUint32(b, in.Index)
	b, recv, send, err := hs.WriteMessage(b, body)
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: write message 2: %w", err)
	}
	s := &Session{
		LocalIndex: cfg.Index, RemoteIndex: in.Index,
		Remote: in.Params, RemoteLadder: in.Ladder, AES: cfg.Params.AES && in.Params.AES,
	}
	if err := s.setKeys(hs, send, recv); err != nil {
		return nil, nil, err
	}
	key := newMACKey(in.Remote)
	return key.append(b), s, nil
}
