package handshake

import (
	"time"

	"github.com/totg/totg/internal/wire"
)

// Sizes in bytes.
const (
	// KeyLen is the length of a public, private or preshared key.
	KeyLen = 32
	// SignatureLen is the length of an Ed25519 signature.
	SignatureLen = 64
	// Overhead is what Seal adds: the tag of both AEADs (W-2).
	Overhead = 16
	// MaxLadder bounds the ladder bytes of INIT and RESP: a commitment and
	// six signatures of 64 bytes.
	MaxLadder = 512
	// MinInit is the length that an INIT is padded to, and below which it is
	// not looked at. RESP, with C and D of its ladder (H-3), is never larger than
	// INIT (H-5), and to a strange address three times its bytes go (H-4): this
	// makes five RESPs of one INIT, without which one in a hundred sessions takes
	// five seconds at 90 % loss (TestSetup in internal/simnet). INIT is flooded,
	// and 448 bytes every 20 ms are 179 kbit/s.
	MinInit = 448
	// MaxInit bounds an INIT.
	MaxInit = initOverhead + initFixed + maxParams + 2 + MaxLadder
	// MaxResp bounds a RESP.
	MaxResp = respOverhead + respFixed + maxParams + 2 + MaxLadder
)

const (
	macLen    = 16
	cookieLen = 16
	dhLen     = 32

	cookieDatagram = 1 + 4 + cookieLen + macLen // a COOKIE

	initHeader   = 1 + 4                                       // type, sender index
	respHeader   = 1 + 4 + 4                                   // type, sender index, receiver index
	initNoise    = dhLen + (dhLen + Overhead) + Overhead       // e, s, payload's tag
	respNoise    = dhLen + Overhead                            // e, payload's tag
	initOverhead = initHeader + initNoise + cookieLen + macLen // of a datagram over its payload
	respOverhead = respHeader + respNoise + macLen

	initFixed = 4 + timestampLen // payload before the parameters
	respFixed = 4
	maxParams = 2 + 256 // length field and values

	ladderCD = 256 - 64 // C and D with room for C's parameters

	datagramBase = 1200 // what every path takes (W-4)
)

// Relations that the protocol needs; a negative constant does not convert.
const (
	_ = uint(MinInit - respOverhead - respFixed - paramsLen - 2 - ladderCD)
	_ = uint(datagramBase - MaxInit)
	_ = uint(MaxInit - MaxResp)
	_ = uint(MinInit - cookieDatagram)              // no amplification (H-5)
	_ = uint(ReplayWindowSize - 8192)               // W-2
	_ = uint(wire.Version-1) + uint(1-wire.Version) // the labels below say 1
)

// Labels keep the uses of keys apart and carry the protocol's version: peers
// of another version share no key and no MAC with us.
const (
	prologue    = "totg 1" // H-2
	labelMAC    = "totg 1 mac"
	labelCookie = "totg 1 cookie"
	labelSecret = "totg 1 cookie secret"
	labelAES    = "totg 1 aes-128-gcm"
	labelChaCha = "totg 1 chacha20-poly1305"
	labelEpoch  = "totg 1 epoch"
)

// maxPN is the one packet number that is never sealed, so that the number after
// any other exists.
const maxPN = 1<<64 - 1

// Flood schedule (H-4): one INIT or RESP is repeated at these intervals, by
// its age.
const (
	floodFirst  = 10 * time.Millisecond  // before the first repeat
	floodFast   = 20 * time.Millisecond  // younger than floodFastFor
	floodMedium = 100 * time.Millisecond // younger than floodMediumFor
	floodSlow   = 250 * time.Millisecond

	floodFastFor   = 2 * time.Second
	floodMediumFor = 10 * time.Second

	floodJitter = 10 // percent, either way

	giveUpMin = 5 * time.Second
	giveUpMax = 60 * time.Second
)

// Address cookies (H-5).
const (
	// cookieStep is how long a secret makes cookies; it checks them for as long
	// again. H-5 gives the figure.
	cookieStep = 2 * time.Minute
	// loadInits is how many INITs a second are opened before cookies are asked
	// for, and loadBurst how many at once. Each costs two Diffie-Hellman, hundreds of
	// times what a COOKIE does, and 9 KB for the collector (BenchmarkOpenInit and
	// BenchmarkCookie): a tenth of a slow core, and half a megabyte. One peer that
	// calls sends 50 a second at most (H-4).
	loadInits, loadBurst = 200, 50
	// loadFor is how long cookies are asked for after there were so many, opened or
	// answered by a COOKIE: as long as a flood goes on, and a while more.
	loadFor = 10 * time.Second
	// CookieRate and cookieBurst bound the COOKIEs, per second and at once. Sending
	// one costs the kernel several times what making it costs: so many take a tenth
	// of a core. Under a flood of 50,000 a second a sixth of a peer's INITs is
	// answered, of which it sends fifty a second (H-4).
	CookieRate, cookieBurst = 8000, 100
)
