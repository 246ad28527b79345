package agreement

import (
	"bytes"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
)

// FuzzBook lets an adversary own the network between two honest hosts: he
// withholds, repeats, reorders, alters and reflects their messages, restarts
// either, and chooses when they propose and withdraw. Two hosts never end
// differently, what was told stays, and the table stays bounded.
//
// Threat model: the fuzzer is whoever carries the messages, with the session's
// keys, but without the hosts' private keys.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27})
	f.Add([]byte{0, 0, 1, 0, 16, 17, 2, 1, 18, 19, 3, 0, 20, 21, 22, 23})
	f.Add([]byte{0, 0, 16, 17, 18, 4, 40, 16, 17, 5, 1, 7, 9, 18, 19, 20, 21, 6, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		d := newDuo(t, 1, 0, "*")
		var heard []flight
		names := [...]string{"switch", "backup"}
		if len(script) > 400 {
			script = script[:400]
		}
		for i, op := range script {
			arg := 0
			if i+1 < len(script) {
				arg = int(script[i+1])
			}
			d.now = d.now.Add(5 * time.Millisecond)
			h := d.h[op&1]
			switch op >> 1 {
			case 0:
				_, _ = h.book.Propose(d.now, names[arg&1], d.now.Add(time.Duration(arg)*time.Millisecond))
			case 1:
				d.crash(int(op & 1))
			case 2:
				for _, e := range h.book.List() {
					h.book.Withdraw(d.now, e.ID)
				}
			case 3:
				d.now = d.now.Add(time.Duration(arg) * 10 * time.Millisecond)
			case 4:
				if len(heard) > 0 { // altered
					b := bytes.Clone(heard[arg%len(heard)].b)
					b[arg*7%len(b)] ^= byte(1 + arg)
					h.book.Handle(d.now, b)
				}
			default:
				if len(heard) > 0 {
					h.book.Handle(d.now, heard[int(op)*arg%len(heard)].b) // also reflected
				}
			}
			for k, h := range d.h {
				h.work(d.now)
				buf := make([]byte, ladder.MaxMessage)
				for {
					n, ok := h.book.Poll(d.now, buf)
					if !ok {
						break
					}
					heard = append(heard, flight{b: bytes.Clone(buf[:n])})
					if op%3 == 0 {
						d.h[1-k].book.Handle(d.now, buf[:n])
					}
				}
				if n := len(h.book.List()); n > MaxEntries {
					t.Fatalf("%d entries", n)
				}
			}
		}
		d.flight = nil
		if !d.run(3*time.Minute, d.settled) {
			t.Errorf("not settled: %+v and %+v", d.h[0].book.List(), d.h[1].book.List())
		}
		d.same("fuzz")
	})
}
