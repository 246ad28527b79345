package handshake

import "errors"

// Errors about keys and configuration: the user's or the program's.
var (
	// ErrKeyText is a key that is not 44 characters of base64.
	ErrKeyText = errors.New("handshake: not a key: want 32 bytes as 44 characters of base64")
	// ErrKeyPoint is a public key that no private key belongs to, or one of
	// low order.
	ErrKeyPoint = errors.New("handshake: not a public key: no point of the curve, or one of low order")
	// ErrNoKey is a zero PrivateKey.
	ErrNoKey = errors.New("handshake: no private key")
	// ErrOwnKey is a peer with this host's own public key.
	ErrOwnKey = errors.New("handshake: the peer's public key is this host's own")
	// ErrNoRandom is a configuration without a source of randomness.
	ErrNoRandom = errors.New("handshake: no source of randomness")
	// ErrLadder is a ladder longer than MaxLadder.
	ErrLadder = errors.New("handshake: ladder bytes above the limit")
	// ErrRespSize is a RESP that would be larger than the INIT it answers.
	ErrRespSize = errors.New("handshake: RESP larger than its INIT")
)

// Errors about datagrams that arrive.
var (
	// ErrSize is a datagram too short or too long for its type.
	ErrSize = errors.New("handshake: datagram of a wrong size")
	// ErrType is a datagram of another type or protocol version.
	ErrType = errors.New("handshake: datagram of another type or version")
	// ErrIndex is a RESP to another INIT.
	ErrIndex = errors.New("handshake: receiver index of another attempt")
	// ErrMAC is a datagram whose sender does not know our public key.
	ErrMAC = errors.New("handshake: wrong MAC")
	// ErrNoise is a message that does not open: forged or damaged, or made
	// with another key, preshared key or protocol version.
	ErrNoise = errors.New("handshake: message does not open")
	// ErrPayload is a payload that opens and does not parse: the peer has the
	// keys and does not speak the protocol.
	ErrPayload = errors.New("handshake: malformed payload")
	// ErrFinished is a second use of what makes one session only.
	ErrFinished = errors.New("handshake: already finished")
	// ErrOpen is a sealed datagram that does not open.
	ErrOpen = errors.New("handshake: datagram does not open")
)
