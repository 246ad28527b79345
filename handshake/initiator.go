package handshake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/flynn/noise"

	"github.com/totg/totg/internal/wire"
)

// InitConfig is what an INIT is made of.
type InitConfig struct {
	Private PrivateKey
	Peer    PublicKey
	PSK     PresharedKey // zero: none (H-2)
	Index   uint32       // by which the peer is to address us; random (W-1)
	Params  Params
	Ladder  []byte    // at most MaxLadder bytes (H-3)
	Random  io.Reader // cryptographic; 32 bytes are read
}

func (c *InitConfig) validate() error {
	switch {
	case c.Private.IsZero():
		return ErrNoKey
	case c.Private.Public() == c.Peer:
		return ErrOwnKey
	case c.Random == nil:
		return ErrNoRandom
	case len(c.Ladder) > MaxLadder:
		return ErrLadder
	}
	return nil
}

// Initiator is one attempt to make a session: one INIT and the key that opens
// its RESP.
type Initiator struct {
	private  PrivateKey
	psk      PresharedKey
	index    uint32
	params   Params
	remote   [32]byte
	seed     [dhLen]byte           // ephemeral private key
	hs       *noise.HandshakeState // after message 1; nil: made anew
	payload  []byte
	datagram []byte
	finished bool
}

// NewInit builds an INIT with the timestamp of now.
func NewInit(now time.Time, cfg InitConfig) (*Initiator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	remote, err := cfg.Peer.X25519()
	if err != nil {
		return nil, err
	}
	p := payload{index: cfg.Index, timestamp: NewTimestamp(now), params: cfg.Params, ladder: cfg.Ladder}
	i := &Initiator{
		private: cfg.Private, psk: cfg.PSK, index: cfg.Index, params: cfg.Params,
		remote: remote, payload: p.appendInit(nil),
	}
	if _, err := io.ReadFull(cfg.Random, i.seed[:]); err != nil {
		return nil, fmt.Errorf("handshake: read randomness: %w", err)
	}
	hs, message, err := i.start()
	if err != nil {
		return nil, err
	}
	i.hs = hs
	b := make([]byte, 0, initHeader+len(message)+cookieLen+macLen)
	b = append(b, wire.TypeInit)
	b = binary.BigEndian.AppendUint32(b, i.index)
	b = append(b, message...)
	b = append(b, make([]byte, cookieLen)...)
	key := newMACKey(remote)
	i.datagram = key.append(b)
	return i, nil
}

// start runs the Noise handshake up to message 1, with the same outcome every
// time: the ephemeral key is part of the Initiator.
func (i *Initiator) start() (*noise.HandshakeState, []byte, error) {
	cfg := noiseConfig(i.private, bytes.NewReader(i.seed[:]))
	cfg.Initiator = true
	cfg.PeerStatic = i.remote[:]
	cfg.PresharedKey = i.psk[:]
	hs, err := noise.NewHandshakeState(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: start: %w", err)
	}
	message, _, _, err := hs.WriteMessage(nil, i.payload)
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: write message 1: %w", err)
	}
	return hs, message, nil
}

// Datagram is the INIT: the same bytes at every call (H-4), until HandleCookie
// puts a cookie into them. They belong to the Initiator and stay unchanged.
func (i *Initiator) Datagram() []byte { return i.datagram }

// HandleResp completes the session with a RESP. After an error the attempt
// goes on as if nothing had arrived; after success it is finished.
//
// The Noise state is made anew after a RESP that did not complete it: a forged
// message 2 may leave it spoilt, and the right RESP must still complete it.
func (i *Initiator) HandleResp(b []byte) (*Session, error) {
	if i.finished {
		return nil, ErrFinished
	}
	own := newMACKey((*i.private.k).point)
	index, message, err := parseResp(b, &own, i.index)
	if err != nil {
		return nil, err
	}
	hs := i.hs
	i.hs = nil
	if hs == nil {
		if hs, _, err = i.start(); err != nil {
			return nil, err
		}
	}
	plain, send, recv, err := hs.ReadMessage(nil, message)
	if err != nil {
		return nil, ErrNoise
	}
	p, err := parseRespPayload(plain)
	if err != nil {
		return nil, err
	}
	if p.index != index {
		return nil, ErrIndex
	}
	s := &Session{
		LocalIndex: i.index, RemoteIndex: index, Initiator: true,
		Remote: p.params, RemoteLadder: slices.Clone(p.ladder), AES: i.params.AES && p.params.AES,
	}
	if err := s.setKeys(hs, send, recv); err != nil {
		return nil, err
	}
	i.finished = true
	clear(i.seed[:]) // forward secrecy: nothing can make these keys again (H-7)
	clear(i.psk[:])
	return s, nil
}
