package handshake

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// Exchange is this side's share of the next key epoch: an X25519 key that is
// made for it and forgotten after it (H-7). Its public half is this side's nonce
// in the ladder that switches the epoch, so the ladder's signatures authenticate
// it. The zero Exchange must not be used.
type Exchange struct{ private *ecdh.PrivateKey }

// NewExchange makes an Exchange from 32 bytes of random, which must be
// cryptographic.
func NewExchange(random io.Reader) (Exchange, error) {
	var seed [dhLen]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Exchange{}, fmt.Errorf("handshake: read randomness: %w", err)
	}
	k, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return Exchange{}, fmt.Errorf("handshake: exchange key: %w", err)
	}
	return Exchange{private: k}, nil
}

// Public is what the peer needs of it.
func (x Exchange) Public() [KeyLen]byte { return [KeyLen]byte(x.private.PublicKey().Bytes()) }

// Epoch is the keys of a key epoch that a session may switch to. Its indices are
// derived like its keys, so that nobody has to tell them.
type Epoch struct {
	Send, Recv  *Key
	LocalIndex  uint32 // on datagrams to us
	RemoteIndex uint32 // on datagrams to the peer
	number      uint32
	chain       [32]byte
}

// NextEpoch derives the keys of epoch number Epoch()+1 from the exchange of both
// sides and the session's present secret, so that who is to know them must know
// that secret, the preshared key in it included, and one of the exchange keys.
// The session is unchanged. The error is ErrKeyPoint for an exchange that no
// honest peer makes.
func (s *Session) NextEpoch(x Exchange, peer [KeyLen]byte) (*Epoch, error) {
	remote, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return nil, ErrKeyPoint
	}
	shared, err := x.private.ECDH(remote)
	if err != nil { // a point of low order
		return nil, ErrKeyPoint
	}
	defer clear(shared)
	e := &Epoch{number: s.epoch + 1}
	first, second := x.Public(), peer
	if !s.Initiator {
		first, second = second, first
	}
	t := append([]byte(labelEpoch), s.Hash[:]...)
	t = binary.BigEndian.AppendUint32(t, e.number)
	t = append(append(t, first[:]...), second[:]...)
	salt := sha256.Sum256(t)
	secret := append(s.chain[:len(s.chain):len(s.chain)], shared...)
	defer clear(secret)
	if err := e.derive(secret, salt[:], s); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Epoch) derive(secret, salt []byte, s *Session) error {
	root, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		return fmt.Errorf("handshake: derive epoch: %w", err)
	}
	defer clear(root)
	// The initiator's direction first, then the responder's.
	var keys [2]*Key
	var indices [2]uint32
	for i, side := range [...]string{" initiator", " responder"} {
		secret, err := hkdf.Expand(sha256.New, root, labelEpoch+side, 32)
		if err != nil {
			return fmt.Errorf("handshake: derive epoch: %w", err)
		}
		if keys[i], err = newKey([32]byte(secret), s.AES); err != nil {
			return err
		}
		clear(secret)
		index, err := hkdf.Expand(sha256.New, root, labelEpoch+side+" index", 4)
		if err != nil {
			return fmt.Errorf("handshake: derive epoch: %w", err)
		}
		indices[i] = binary.BigEndian.Uint32(index) // on what that side receives
	}
	chain, err := hkdf.Expand(sha256.New, root, labelEpoch+" chain", len(e.chain))
	if err != nil {
		return fmt.Errorf("handshake: derive epoch: %w", err)
	}
	copy(e.chain[:], chain)
	clear(chain)
	own, other := 0, 1
	if !s.Initiator {
		own, other = 1, 0
	}
	e.Send, e.Recv = keys[own], keys[other]
	e.LocalIndex, e.RemoteIndex = indices[own], indices[other]
	return nil
}

// Wipe ends keys that were never switched to.
func (e *Epoch) Wipe() {
	e.Send.Wipe()
	e.Recv.Wipe()
	clear(e.chain[:])
}

// Epoch is the number of the session's key epoch, from 0.
func (s *Session) Epoch() uint32 { return s.epoch }

// Switch makes e the session's key epoch: the old sending key is wiped, and the
// old receiving key, with its index, is returned for what is still on its way
// (H-7). It panics for an epoch that is not the next one.
func (s *Session) Switch(e *Epoch) (old *Key, index uint32) {
	if e.number != s.epoch+1 {
		panic("handshake: switch to an epoch that is not the next")
	}
	s.Send.Wipe()
	old, index = s.Recv, s.LocalIndex
	s.Send, s.Recv, s.LocalIndex, s.RemoteIndex = e.Send, e.Recv, e.LocalIndex, e.RemoteIndex
	s.epoch, s.chain = e.number, e.chain
	clear(e.chain[:])
	return old, index
}

// setChain takes the first secret of the chain of epochs from both keys of the
// Noise handshake, the initiator's first.
func (s *Session) setChain(initiator, responder *noise.CipherState) error {
	a, b := initiator.UnsafeKey(), responder.UnsafeKey()
	secret := append(a[:], b[:]...)
	defer clear(secret)
	chain, err := hkdf.Key(sha256.New, secret, s.Hash[:], labelEpoch+" chain", len(s.chain))
	if err != nil {
		return fmt.Errorf("handshake: derive epoch: %w", err)
	}
	copy(s.chain[:], chain)
	clear(chain)
	return nil
}
