package handshake

import "github.com/flynn/noise"

// Session is what a handshake leaves: equal on both sides but for the side.
type Session struct {
	Send, Recv   *Key
	LocalIndex   uint32   // on datagrams to us (W-1); of the present key epoch
	RemoteIndex  uint32   // on datagrams to the peer
	Hash         [32]byte // handshake hash, unique to the session
	Initiator    bool     // we sent INIT
	AES          bool     // the keys are for AES-128-GCM (W-2)
	Remote       Params   // the peer's
	RemoteLadder []byte

	epoch uint32   // number of the key epoch
	chain [32]byte // secret from which the next one follows
}

// setKeys takes hash and keys from a finished Noise handshake. AES-128-GCM is
// used where both sides have it, else ChaCha20-Poly1305 (W-2).
func (s *Session) setKeys(hs *noise.HandshakeState, send, recv *noise.CipherState) error {
	s.Hash = [32]byte(hs.ChannelBinding())
	var err error
	if s.Send, err = newKey(send.UnsafeKey(), s.AES); err != nil {
		return err
	}
	if s.Recv, err = newKey(recv.UnsafeKey(), s.AES); err != nil {
		return err
	}
	if s.Initiator {
		return s.setChain(send, recv)
	}
	return s.setChain(recv, send)
}

// Wipe ends the session's keys (H-7).
func (s *Session) Wipe() {
	s.Send.Wipe()
	s.Recv.Wipe()
	clear(s.chain[:])
}
