// Package session gives programs the tunnel's channels without a network
// interface: two programs that know each other's public keys open a Session over
// one UDP path, and in it channels, each in one of eight modes (requirements C-1
// to C-5 of docs/protocol.md). A channel carries units, byte strings of 1 to
// MaxUnit bytes, that arrive whole or not at all, with their boundaries. Both ends
// send on a channel, whoever opened it.
//
//	mode        lost pieces                     order  a loss that stays
//	UDP         are not sent again              none   nobody hears of
//	Z           are sent again, to a deadline   none   nobody hears of
//	Streaming1  are not sent again              kept   is skipped, EventLost
//	Streaming2  are sent again, to a deadline   kept   is skipped, EventLost
//	X           are not sent again              none   closes the channel
//	SCTP        are sent again                  none   closes the channel after 100 s
//	Y           are not sent again              kept   closes the channel
//	TCP         are sent again                  kept   closes the channel after 100 s
//
// A Session and its Channels may be used by several goroutines. Each call that can
// wait takes a context. A Send that returned nil has put the unit into the queue;
// Flush waits until all that was sent is known to have arrived, in the modes that
// lose nothing, or to be of no use any more. Close is immediate.
//
// A peer that restarts, or stays silent for minutes, ends all channels: they
// return ErrClosed. The Session calls the peer again by itself, and new channels
// can be opened.
//
// The send rate follows the path, whatever is lost on it at random, unless
// Config.Rate fixes it (requirement G-4).
package session
