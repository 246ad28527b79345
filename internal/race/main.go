// Command race measures in real time, between two hosts, how long it takes one
// of them to know that both take part in something: by the proof ladder
// (handshake/ladder) over UDP, and by TCP, a connection with one message and its
// answer. It is for a lab:
//
//	go build -o bin/race ./internal/race
//	totg lab --no-tunnel --loss 50 --b 'bin/race serve' -- bin/race call '$TOTG_DIRECT'
//
// Both flood or repeat as they do everywhere: the ladder by the schedule of H-4,
// TCP by its timers. What they give is not the same: after TCP's answer the
// caller knows, and the other side does not know that it does.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

const (
	port = "4437" // of both protocols
	// trials overlap, one more each spacing: on a link of some Mbit/s they do
	// not disturb each other, and signatures do not queue for the processor.
	trials  = 40
	spacing = 100 * time.Millisecond
	// limit is when a trial is given up, in the ladder's case without a deadline
	// of the machine: it would be in doubt.
	limit = 30 * time.Second
	// wake is how often the server looks for what is due, finer than any flood.
	wake = 2 * time.Millisecond
	// maxGames bounds the actions that a server takes part in.
	maxGames = 4096
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "race:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 2 && args[0] == "call":
		return call(args[1])
	}
	return errors.New("usage: race serve | race call HOST")
}

// machine is one side of an action; side 1 serves.
func machine(now time.Time, side int, session [ladder.SessionLen]byte) (*ladder.Machine, error) {
	var keys [2]handshake.PrivateKey
	for i := range keys {
		k, err := handshake.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, handshake.KeyLen)))
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	cfg := ladder.Config{
		Private: keys[side], Remote: keys[1-side].Public(), Session: session,
		Rand: mathrand.New(mathrand.NewPCG(mathrand.Uint64(), 0)),
	}
	if _, err := rand.Read(cfg.Nonce[:]); err != nil {
		return nil, err
	}
	return ladder.New(now, cfg)
}

// settle handles events: the action ends with the process, so nothing is stored.
func settle(now time.Time, m *ladder.Machine) (committed bool) {
	for {
		e, ok := m.PollEvent()
		if !ok {
			return committed
		}
		switch e {
		case ladder.EventPersist:
			stage, _ := m.Record()
			m.OnStable(now, stage)
		case ladder.EventCommitted:
			committed = true
		case ladder.EventProgress, ladder.EventInDoubt, ladder.EventAborted, ladder.EventDone:
		}
	}
}

// game is the server's side of one action. Datagrams are the session followed by
// a ladder message.
type game struct {
	m  *ladder.Machine
	to net.Addr
}

func serve() error {
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	conn, err := net.ListenPacket("udp4", ":"+port)
	if err != nil {
		return err
	}
	games := map[[ladder.SessionLen]byte]*game{}
	in, out := make([]byte, 2048), make([]byte, ladder.SessionLen+ladder.MaxMessage)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(wake)); err != nil {
			return err
		}
		n, from, err := conn.ReadFrom(in)
		now := time.Now()
		if err == nil && n > ladder.SessionLen {
			session := [ladder.SessionLen]byte(in)
			g := games[session]
			if g == nil && len(games) < maxGames {
				m, err := machine(now, 1, session)
				if err != nil {
					return err
				}
				settle(now, m)
				g = &game{m: m}
				games[session] = g
			}
			if g != nil {
				g.to = from
				g.m.Handle(now, in[ladder.SessionLen:n])
				settle(now, g.m)
			}
		}
		for session, g := range games {
			for n, ok := g.m.Poll(now, out[ladder.SessionLen:]); ok; n, ok = g.m.Poll(now, out[ladder.SessionLen:]) {
				copy(out, session[:])
				_, _ = conn.WriteTo(out[:ladder.SessionLen+n], g.to) // an error is loss
			}
		}
	}
}

// answer sends one byte for one byte.
func answer(c net.Conn) {
	defer func() { _ = c.Close() }() // nothing is buffered
	b := make([]byte, 1)
	if _, err := c.Read(b); err == nil {
		_, _ = c.Write(b) // the caller sees it or does not
	}
}

// call runs all trials and prints what came out.
func call(host string) error {
	time.Sleep(300 * time.Millisecond) // for the server to listen
	for _, c := range []struct {
		name string
		once func(host string) error
	}{{"tcp", byTCP}, {"ladder", byLadder}} {
		var took []time.Duration
		var failed error
		var lock sync.Mutex
		var all sync.WaitGroup
		for i := range trials {
			all.Go(func() {
				time.Sleep(time.Duration(i) * spacing)
				start := time.Now()
				err := c.once(host)
				d := time.Since(start)
				lock.Lock()
				defer lock.Unlock()
				if err == nil {
					took = append(took, d)
				} else {
					failed = err
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		fmt.Printf("%-7s %d of %d within %v; %s", c.name, len(took), trials, limit, quantiles(took))
		if failed != nil {
			fmt.Printf(" (%v)", failed)
		}
		fmt.Println()
	}
	return nil
}

// quantiles of all trials, those without an end counted as longest.
func quantiles(took []time.Duration) string {
	text := ""
	for _, q := range []int{50, 90} {
		at := "over " + limit.String()
		if i := (trials*q+99)/100 - 1; i < len(took) {
			at = took[i].Round(time.Millisecond).String()
		}
		text += " p" + strconv.Itoa(q) + " " + at
	}
	return text[1:]
}

func byTCP(host string) error {
	end := time.Now().Add(limit)
	d := net.Dialer{Deadline: end}
	c, err := d.Dial("tcp4", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // all is said
	if err := c.SetDeadline(end); err != nil {
		return err
	}
	b := []byte{1}
	if _, err = c.Write(b); err == nil {
		_, err = c.Read(b)
	}
	return err
}

func byLadder(host string) error {
	c, err := net.Dial("udp4", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // all is said
	start := time.Now()
	var session [ladder.SessionLen]byte
	binary.BigEndian.PutUint64(session[:], mathrand.Uint64())
	m, err := machine(start, 0, session)
	if err != nil {
		return err
	}
	settle(start, m)
	in, out := make([]byte, 2048), make([]byte, ladder.SessionLen+ladder.MaxMessage)
	copy(out, session[:])
	for time.Since(start) < limit {
		now := time.Now()
		for n, ok := m.Poll(now, out[ladder.SessionLen:]); ok; n, ok = m.Poll(now, out[ladder.SessionLen:]) {
			_, _ = c.Write(out[:ladder.SessionLen+n]) // an error is loss
		}
		if err := c.SetReadDeadline(m.NextDeadline()); err != nil {
			return err
		}
		n, err := c.Read(in)
		if err != nil || n <= ladder.SessionLen {
			continue
		}
		now = time.Now()
		m.Handle(now, in[ladder.SessionLen:n])
		if settle(now, m) {
			return nil
		}
	}
	return fmt.Errorf("%v at the limit", m.Outcome())
}
