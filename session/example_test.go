package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/session"
)

// connect opens two sessions of this host with each other. Programs exchange
// their public keys beforehand; one of them may wait to be called.
func connect() (a, b *session.Session) {
	var keys [2]handshake.PrivateKey
	for i := range keys {
		k, err := handshake.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[i] = k
	}
	local := netip.MustParseAddrPort("127.0.0.1:0")
	b, err := session.Open(session.Config{Private: keys[1], Peer: keys[0].Public(), Listen: local})
	if err != nil {
		panic(err)
	}
	a, err = session.Open(session.Config{
		Private: keys[0], Peer: keys[1].Public(), Listen: local, Endpoint: b.Addr(),
	})
	if err != nil {
		panic(err)
	}
	return a, b
}

// A request and its answer on a channel that is reliable and in order. Units keep
// their boundaries.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, b := connect()
	defer a.Close() //nolint:errcheck // the example is over
	defer b.Close() //nolint:errcheck // the example is over

	go func() { // the other program
		c, err := b.Accept(ctx)
		if err != nil {
			return
		}
		for {
			unit, err := c.Receive(ctx)
			if err != nil {
				return
			}
			if err := c.Send(ctx, append([]byte("you said: "), unit...), 0); err != nil {
				return
			}
		}
	}()

	c, err := a.OpenChannel(ctx, session.Options{Mode: session.TCP})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"hello", "good-bye"} {
		if err := c.Send(ctx, []byte(text), 0); err != nil {
			fmt.Println(err)
			return
		}
		answer, err := c.Receive(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", answer)
	}
	// Output:
	// you said: hello
	// you said: good-bye
}

// Frames of a voice call: in order, never late. What is older than 80 ms is of no
// use, and a gap is skipped after 40 ms.
func ExampleSession_OpenChannel() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, b := connect()
	defer a.Close() //nolint:errcheck // the example is over
	defer b.Close() //nolint:errcheck // the example is over

	call, err := a.OpenChannel(ctx, session.Options{
		Mode: session.Streaming2, Interactive: true, Patience: 40 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		if err := call.Send(ctx, fmt.Appendf(nil, "frame %d", i), 80*time.Millisecond); err != nil {
			fmt.Println(err)
			return
		}
	}
	other, err := b.Accept(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		frame, err := other.Receive(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, mode %v\n", frame, other.Mode())
	}
	// Output:
	// frame 0, mode Streaming 2
	// frame 1, mode Streaming 2
	// frame 2, mode Streaming 2
}

// The end of a channel, as an event and as an error. What arrived before is still
// there.
func ExampleSession_NextEvent() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, b := connect()
	defer a.Close() //nolint:errcheck // the example is over
	defer b.Close() //nolint:errcheck // the example is over

	c, err := a.OpenChannel(ctx, session.Options{Mode: session.SCTP})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Send(ctx, []byte("last words"), 0); err != nil {
		fmt.Println(err)
		return
	}
	other, err := b.Accept(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Flush(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_ = c.Close() // which cannot fail

	for {
		e, err := b.NextEvent(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		if e.Kind == session.EventClosed {
			fmt.Println("channel closed, by the peer:", e.ByPeer)
			break
		}
	}
	unit, err := other.Receive(ctx)
	fmt.Printf("%s, %v\n", unit, err)
	_, err = other.Receive(ctx)
	fmt.Println(errors.Is(err, session.ErrClosed))
	// Output:
	// channel closed, by the peer: true
	// last words, <nil>
	// true
}
