// Package rate is rate control for one path of a session (requirements G-1 … G-4
// of docs/protocol.md): it finds the capacity by itself, ignores random loss, and
// keeps a small queue.
//
// Contract. A Controller is pure: no goroutine, lock, clock or randomness; now is
// the first argument, and an older one counts as the newest seen. One goroutine
// owns it. Steady state allocates nothing but for the log of datagrams in flight,
// which doubles up to MaxRecords. Reports come from an authenticated peer and are
// not trusted: whatever they say, the rate stays within its bounds and finite.
// Misuse by the caller panics.
//
// Rates inside are in bytes/s of IP bytes and times in seconds.
package rate
