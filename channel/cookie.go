package channel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

const (
	// cookieLen is what HMAC-SHA-256 is cut to, in bytes (C-3). A cookie lives
	// inside an authenticated session for two time steps at most, so 64 bits
	// leave nothing to guess; 16 bytes would not let fifty ACKNOWLEDGE share a
	// datagram (C-2).
	cookieLen = 8
	secretLen = sha256.Size
)

type (
	cookie [cookieLen]byte
	secret [secretLen]byte
	peerID [32]byte
)

// cookie1 is what an opener puts into NEW and finds again in ACKNOWLEDGE:
// HMAC(secret, pid1 ‖ pid2 ‖ c1), SHA-256 cut to 8 bytes (C-3). pid1 is the
// opener's id, pid2 the responder's.
func cookie1(s *secret, opener, responder *peerID, c1 uint16) cookie {
	var tail [2]byte
	binary.BigEndian.PutUint16(tail[:], c1)
	return bake(s, opener, responder, tail[:])
}

// cookie2 is what a responder puts into ACKNOWLEDGE and finds again in
// FINALIZE: HMAC(secret, pid1 ‖ pid2 ‖ c1 ‖ c2 ‖ time step), cut likewise; the
// step has 64 bits (C-3).
func cookie2(s *secret, opener, responder *peerID, id ID, step uint64) cookie {
	var tail [12]byte
	binary.BigEndian.PutUint32(tail[:], uint32(id))
	binary.BigEndian.PutUint64(tail[4:], step)
	return bake(s, opener, responder, tail[:])
}

func bake(s *secret, opener, responder *peerID, tail []byte) (c cookie) {
	h := hmac.New(sha256.New, s[:])
	h.Write(opener[:])
	h.Write(responder[:])
	h.Write(tail)
	var sum [sha256.Size]byte
	copy(c[:], h.Sum(sum[:0]))
	return c
}

// equal compares in constant time.
func (c *cookie) equal(d *cookie) bool { return hmac.Equal(c[:], d[:]) }

// jar holds the two live secrets of one kind of cookie (C-3). A new secret is
// a hash of the one before it, which the new one does not reveal: rotation
// needs no randomness and cannot fail.
type jar struct {
	current, previous secret
	rotateAt          time.Duration // since the Mux was made
}

func newJar(current, previous secret) jar {
	return jar{current: current, previous: previous, rotateAt: secretLifetime}
}

func (s *secret) next() (n secret) {
	h := hmac.New(sha256.New, s[:])
	h.Write([]byte("totg channel: next cookie secret"))
	h.Sum(n[:0])
	return n
}

// rotate replaces the secrets whose time is over. After a long pause neither of
// them is live any more.
func (j *jar) rotate(at time.Duration) {
	for n := 0; at >= j.rotateAt && n < 2; n++ {
		j.previous, j.current = j.current, j.current.next()
		j.rotateAt += secretLifetime
	}
	if at >= j.rotateAt {
		j.rotateAt = at + secretLifetime
	}
}

// cookieStepAt is the number of the time step that at lies in.
func cookieStepAt(at time.Duration) uint64 { return uint64(at / cookieStep) }

// open1 reports whether c is the cookie1 that we made for c1.
func (m *Mux) open1(c1 uint16, c *cookie) bool {
	m.jar1.rotate(m.at)
	current := cookie1(&m.jar1.current, &m.us, &m.them, c1)
	previous := cookie1(&m.jar1.previous, &m.us, &m.them, c1)
	return current.equal(c) || previous.equal(c)
}

// open2 reports whether c is a cookie2 that we made for id in this time step
// or the last one.
func (m *Mux) open2(id ID, c *cookie) bool {
	m.jar2.rotate(m.at)
	step := cookieStepAt(m.at)
	for _, s := range []*secret{&m.jar2.current, &m.jar2.previous} {
		for back := uint64(0); back <= min(step, 1); back++ {
			if want := cookie2(s, &m.them, &m.us, id, step-back); want.equal(c) {
				return true
			}
		}
	}
	return false
}

// seal1 is the cookie1 for a channel that we open.
func (m *Mux) seal1(c1 uint16) cookie {
	m.jar1.rotate(m.at)
	return cookie1(&m.jar1.current, &m.us, &m.them, c1)
}

// seal2 is the cookie2 for a channel that the peer opens.
func (m *Mux) seal2(id ID) cookie {
	m.jar2.rotate(m.at)
	return cookie2(&m.jar2.current, &m.them, &m.us, id, cookieStepAt(m.at))
}
