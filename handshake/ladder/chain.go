package ladder

import (
	"crypto/sha256"

	"github.com/totg/totg/handshake"
)

// label keeps what the ladder signs and hashes apart from everything else that
// the keys are used for. It carries the protocol's version.
const label = "totg 1 ladder"

// role says which party: A has the smaller public key (section 2 of
// docs/protocol.md).
type role byte

const (
	roleA role = 'A'
	roleB role = 'B'
)

func (r role) other() role { return roleA + roleB - r }

// chain is what one party signed, as far as it is known.
type chain struct {
	nonce   [NonceLen]byte
	level   Level
	sigs    [LevelV]Signature
	aborted bool
	abort   Signature
}

func (c *chain) sig(l Level) *Signature { return &c.sigs[l-LevelC] }

// climbTo keeps what is below l and puts s there.
func (c *chain) climbTo(l Level, s Signature) {
	*c.sig(l) = s
	c.level = l
}

// artifact appends what the level above signs over: the signature, and for C
// the nonce too, which the signature alone does not tell.
func (c *chain) artifact(dst []byte, l Level) []byte {
	if l == LevelC {
		dst = append(dst, c.nonce[:]...)
	}
	return append(dst, c.sig(l)[:]...)
}

// pair is the artifacts of both parties of one action.
type pair struct {
	context [sha256.Size]byte
	role    role // of own
	own     chain
	peer    chain
}

// newContext is the hash of what both parties agree on beforehand: it binds
// every signature to identities, session, action and parameters.
func newContext(a, b handshake.PublicKey, session [SessionLen]byte, action uint8, params []byte) [sha256.Size]byte {
	if b.Less(a) {
		a, b = b, a
	}
	t := append([]byte(label), a[:]...)
	t = append(t, b[:]...)
	t = append(t, session[:]...)
	t = append(t, action, byte(len(params)))
	return sha256.Sum256(append(t, params...))
}

// of is the chain of a role.
func (p *pair) of(r role) *chain {
	if r == p.role {
		return &p.own
	}
	return &p.peer
}

// text is what role r signs at level l, a domain of its own for each level, or
// at domainAbort:
//
//	C            own nonce
//	D, T, Q, V   hash of both artifacts one level below, A's first
//	QC           hash of its own Q
//	ABORT        hash of both C
//
// ABORT thus holds for this action alone: one that was recorded does not hold
// for another nonce.
func (p *pair) text(r role, domain byte) []byte {
	t := make([]byte, 0, len(label)+2+sha256.Size+sha256.Size)
	t = append(t, label...)
	t = append(t, domain, byte(r))
	t = append(t, p.context[:]...)
	if domain == byte(LevelC) {
		return append(t, p.of(r).nonce[:]...)
	}
	below := Level(domain) - 1
	if domain == domainAbort {
		below = LevelC
	}
	var artifacts []byte
	if domain == byte(LevelQC) {
		artifacts = p.of(r).artifact(nil, below)
	} else {
		artifacts = p.of(roleB).artifact(p.of(roleA).artifact(nil, below), below)
	}
	h := sha256.Sum256(artifacts)
	return append(t, h[:]...)
}

// receipt is SHA-256(V_A ‖ V_B), equal on both sides.
func (p *pair) receipt() [ReceiptLen]byte {
	return sha256.Sum256(p.of(roleB).artifact(p.of(roleA).artifact(nil, LevelV), LevelV))
}

// overruled is what a party shows that voted and then heard ABORT: the hash of
// that ABORT, in the place of a RECEIPT.
func overruled(abort *Signature) [ReceiptLen]byte { return sha256.Sum256(abort[:]) }
