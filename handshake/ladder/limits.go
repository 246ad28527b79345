package ladder

import (
	"time"

	"github.com/totg/totg/handshake"
)

// Sizes in bytes.
const (
	// NonceLen is the length of a nonce, fresh for every action.
	NonceLen = 32
	// SessionLen is the length of a session hash.
	SessionLen = 32
	// ReceiptLen is the length of a RECEIPT.
	ReceiptLen = 32
	// MaxParams bounds the parameters of an action, such as its name: what
	// fits beside six signatures and a RECEIPT in MaxMessage, rounded down.
	MaxParams = 60
	// MaxMessage bounds a message: the ladder field of INIT and RESP.
	MaxMessage = handshake.MaxLadder
	// MaxRecord bounds a record.
	MaxRecord = recordFixed + 2*MaxMessage + recordSum
)

const (
	sigLen = handshake.SignatureLen

	headLen    = 3 + NonceLen // flags, action, length of the parameters; nonce
	maxSigs    = 6            // C to V; or five of them and ABORT
	longest    = headLen + MaxParams + maxSigs*sigLen + ReceiptLen
	commitment = headLen + sigLen // and the parameters: a message of level C
)

// Relations that the protocol needs; a negative constant does not convert.
const (
	_ = uint(MaxMessage - longest)
	_ = uint(192 - commitment - sigLen) // C and D fit in a padded INIT and its RESP (H-3)
)

// lingerFor is how long a decided party repeats its last message without an
// answer before it only answers. It is the time after which a silent
// session ends; at a loss of 98 % each way it leaves no peer unheard, with over
// 1,300 copies (H-4: 100 in 2 s, 80 in 8 s, then 4 a second).
const lingerFor = 5 * time.Minute
