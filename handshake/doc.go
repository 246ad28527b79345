// Package handshake is the two-party cryptography of a session: identity keys,
// the Noise handshake that makes session keys (INIT and RESP), the protection
// of datagrams under those keys, the replay window, and the schedule by which
// INIT and RESP are flooded. It is pure: no clock, no socket, no goroutine, no
// randomness of its own.
//
// # Contract
//
// Byte slices given to a function are not retained and, except by Seal and
// Open, not changed. Datagrams, payloads and sessions returned belong to the
// caller. Sizes are in bytes. Every random byte comes from the io.Reader in a
// Config, every instant from the argument now.
//
// A value of this package belongs to one goroutine at a time; PublicKey,
// PrivateKey, PresharedKey and Identity do not change and may be shared.
//
// A call that returns an error has changed nothing: a forged RESP does not
// disturb the attempt that it answers, a datagram that does not open leaves a
// Key and a ReplayWindow as they were. Errors are the sentinels of errors.go,
// to be tested with errors.Is; what a stranger sends never gets an answer that
// tells these errors apart. Misuse by the program (sealing with a wiped key or
// with a packet number again) panics.
//
// Secrets do not print: every verb of package fmt, and every encoder that knows
// encoding.TextMarshaler, shows a fingerprint of the public key, or a
// placeholder. Keep a PresharedKey in exported fields or behind a pointer, for
// fmt looks past the methods of what an unexported field holds.
//
// Sources: docs/protocol.md, requirements H-1 to H-7, W-1 and W-2; the Noise
// Protocol Framework, revision 34; RFC 7748 and RFC 8032 (keys); RFC 8439 and
// NIST SP 800-38D (AEAD); RFC 5869 (HKDF).
package handshake
