package handshake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/totg/totg/internal/wire"
)

// COOKIE, what a responder under load answers to an INIT (H-5):
//
//	 0      1                5            21           37
//	 +------+----------------+------------+------------+
//	 | type | receiver index | cookie     | mac        |
//	 | u8   | u32, of INIT   | 16 B       | 16 B       |
//	 +------+----------------+------------+------------+
//
// mac is a hash with the INIT in it, so only who saw that can make one. The
// initiator puts the cookie into its INIT, which thus shows that it
// hears what is sent to its address.

// Cookies tells when a responder is under load, and makes and checks its
// address cookies (H-5). It keeps nothing of those who ask: two live secrets
// and a count are all its state. It allocates nothing either, so that a flood
// is no work for the collector.
type Cookies struct {
	guard  hash.Hash // HMAC under the key of INITs to this host
	start  time.Time
	secret [sha256.Size]byte
	step   uint64
	live   [2]hash.Hash // HMAC under the secrets of step and of the one before it
	head   [16 + 2 + 8]byte
	sum    [sha256.Size]byte
	text   []byte

	newest  time.Time
	calm    budget    // INITs that are no load yet
	until   time.Time // end of the load
	answers budget    // COOKIEs
}

// budget grows by a rate up to a burst.
type budget struct {
	rate, burst float64 // per second, and at once
	left        float64
	counted     time.Time
}

// has reports whether there is one more, which spend takes.
func (b *budget) has(now time.Time) bool {
	b.left = min(b.left+now.Sub(b.counted).Seconds()*b.rate, b.burst)
	b.counted = now
	return b.left >= 1
}

func (b *budget) spend() { b.left = max(b.left-1, 0) }

// NewCookies starts with a secret of 32 bytes from random, which must be
// cryptographic. The errors are ErrNoKey, ErrNoRandom and that of random.
func NewCookies(now time.Time, id Identity, random io.Reader) (*Cookies, error) {
	switch {
	case id.private.IsZero():
		return nil, ErrNoKey
	case random == nil:
		return nil, ErrNoRandom
	}
	c := &Cookies{
		guard: hmac.New(sha256.New, id.mac[:]), start: now, newest: now,
		calm:    budget{rate: loadInits, burst: loadBurst, left: loadBurst, counted: now},
		answers: budget{rate: CookieRate, burst: cookieBurst, left: cookieBurst, counted: now},
	}
	if _, err := io.ReadFull(random, c.secret[:]); err != nil {
		return nil, fmt.Errorf("handshake: read randomness: %w", err)
	}
	c.turn(0)
	return c, nil
}

// OnOpened counts an INIT that cost a Diffie-Hellman. More than so many a second are
// load, and load lasts for a while after them (H-5).
func (c *Cookies) OnOpened(now time.Time) {
	c.advance(now)
	if !c.calm.has(c.newest) {
		c.until = c.newest.Add(loadFor)
	}
	c.calm.spend()
}

// Loaded reports whether INITs need a cookie now.
func (c *Cookies) Loaded(now time.Time) bool {
	c.advance(now)
	return c.newest.Before(c.until)
}

// MayAnswer reports whether a COOKIE may leave now. They have a budget, so that a
// flood takes no more of this host's time than it has left (H-5): an INIT that carries
// no cookie, and cannot be given one, is not worth a hash.
func (c *Cookies) MayAnswer(now time.Time) bool {
	c.advance(now)
	return c.answers.has(c.newest)
}

// HasCookie reports whether an INIT carries a cookie, good or bad.
func HasCookie(init []byte) bool {
	if len(init) < MinInit {
		return false
	}
	_, cookie := splitInit(init)
	return [cookieLen]byte(cookie) != ([cookieLen]byte{})
}

// Check checks size, type and MAC of an INIT, for the price of one hash: its
// sender knows the public key of this host (H-5). The errors are those of
// OpenInit.
func (c *Cookies) Check(init []byte) error {
	if err := checkType(init, wire.TypeInit, MinInit, MaxInit); err != nil {
		return err
	}
	body, mac := init[:len(init)-macLen], init[len(init)-macLen:]
	c.guard.Reset()
	c.guard.Write(body)
	if !hmac.Equal(mac, c.guard.Sum(c.sum[:0])[:macLen]) {
		return ErrMAC
	}
	return nil
}

// Valid reports whether an INIT that Check found right carries a cookie for
// the address that it comes from, in constant time (H-5).
func (c *Cookies) Valid(now time.Time, from netip.AddrPort, init []byte) bool {
	c.advance(now)
	if !HasCookie(init) {
		return false
	}
	own, got := splitInit(init)
	valid := 0
	for i := range c.live {
		if hmac.Equal(got, c.bake(i, from, own)) {
			valid++
		}
	}
	return valid > 0
}

// AppendCookie appends the COOKIE that answers an INIT that Check found right:
// cookieDatagram bytes, a fraction of what any INIT has (H-5). It is charged to what
// MayAnswer looks at.
func (c *Cookies) AppendCookie(dst []byte, now time.Time, from netip.AddrPort, init []byte) []byte {
	c.OnOpened(now) // it would be; so load lasts as long as the flood
	c.answers.spend()
	own, _ := splitInit(init)
	at := len(dst)
	dst = append(dst, wire.TypeCookie)
	dst = append(dst, own[1:initHeader]...)
	dst = append(dst, c.bake(0, from, own)...)
	c.text = cookieText(c.text[:0], own, dst[at:])
	mac := sha256.Sum256(c.text)
	return append(dst, mac[:macLen]...)
}

// advance follows the clock and turns the secrets every cookieStep: a cookie
// holds for one to two steps.
func (c *Cookies) advance(now time.Time) {
	if !now.After(c.newest) {
		return
	}
	c.newest = now
	if step := uint64(now.Sub(c.start) / cookieStep); step != c.step {
		c.turn(step)
	}
}

func (c *Cookies) turn(step uint64) {
	c.step = step
	for i := range c.live {
		h := hmac.New(sha256.New, c.secret[:])
		h.Write(binary.BigEndian.AppendUint64([]byte(labelSecret), step-uint64(i)))
		c.live[i] = hmac.New(sha256.New, h.Sum(nil))
	}
}

// bake is HMAC-SHA-256, cut to 16 bytes, over the source address and port, the
// time step, and what is the INIT's own (H-5). It is good until the next call.
func (c *Cookies) bake(i int, from netip.AddrPort, own []byte) []byte {
	address := from.Addr().Unmap().As16()
	copy(c.head[:], address[:])
	binary.BigEndian.PutUint16(c.head[16:], from.Port())
	binary.BigEndian.PutUint64(c.head[18:], c.step-uint64(i))
	h := c.live[i]
	h.Reset()
	h.Write(c.head[:])
	h.Write(own)
	return h.Sum(c.sum[:0])[:cookieLen]
}

// CookieEnd is how far from its end an INIT has its cookie, which is zero in one that
// carries none, bytes.
const CookieEnd = cookieLen + macLen

// splitInit splits an INIT of the right size into what stays the same when a
// cookie is put in, and the cookie.
func splitInit(init []byte) (own, cookie []byte) {
	end := len(init) - macLen
	return init[:end-cookieLen], init[end-cookieLen : end]
}

// cookieText appends what the mac of a COOKIE is the hash of: a label, the INIT,
// and the COOKIE up to its mac.
func cookieText(dst, own, cookie []byte) []byte {
	dst = append(dst, labelCookie...)
	dst = append(dst, own...)
	return append(dst, cookie...)
}

// SameInit reports whether two INITs are one, but for the cookie.
func SameInit(a, b []byte) bool {
	if len(a) != len(b) || len(a) < MinInit {
		return false
	}
	x, _ := splitInit(a)
	y, _ := splitInit(b)
	return slices.Equal(x, y)
}

// HandleCookie takes the COOKIE to this INIT: Datagram is another then, with
// the cookie in it. It reports whether the cookie was new. An error leaves all
// as it was: ErrFinished, ErrSize, ErrType, ErrIndex, ErrMAC.
func (i *Initiator) HandleCookie(b []byte) (fresh bool, err error) {
	if i.finished {
		return false, ErrFinished
	}
	if err := checkType(b, wire.TypeCookie, cookieDatagram, cookieDatagram); err != nil {
		return false, err
	}
	r := wire.NewReader(b)
	_, index := r.U8(), r.U32()
	if index != i.index {
		return false, ErrIndex
	}
	own, had := splitInit(i.datagram)
	mac := sha256.Sum256(cookieText(nil, own, b[:len(b)-macLen]))
	if !hmac.Equal(mac[:macLen], b[len(b)-macLen:]) {
		return false, ErrMAC
	}
	cookie := r.Bytes(cookieLen) // checkType has seen to the length
	if hmac.Equal(had, cookie) {
		return false, nil
	}
	to := newMACKey(i.remote)
	i.datagram = to.append(append(slices.Clone(own), cookie...))
	return true, nil
}
