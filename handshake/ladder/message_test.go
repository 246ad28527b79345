package ladder

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samples is a message of every form.
func samples() []Message {
	var all []Message
	for l := LevelC; l <= LevelV; l++ {
		m := Message{Action: 9, Params: []byte("name"), Nonce: nonce(3), Level: l}
		for i := LevelC; i <= l; i++ {
			m.SigOf(i)[0] = byte(i)
		}
		all = append(all, m)
		if l < LevelV {
			m.Abort = &Signature{1, 2, 3}
			all = append(all, m)
		} else {
			m.Receipt = &[ReceiptLen]byte{4, 5}
			all = append(all, m)
		}
		m.Seen = true
		all = append(all, m)
	}
	full := all[len(all)-1]
	full.Params = bytes.Repeat([]byte{'x'}, MaxParams)
	none := all[0]
	none.Params = []byte{}
	return append(all, full, none)
}

// every form is read as it was written, fits in MaxMessage, and no part of
// it is a message.
func TestMessage(t *testing.T) {
	for _, m := range samples() {
		b := m.Append(nil)
		if len(b) > MaxMessage {
			t.Errorf("%d bytes", len(b))
		}
		got, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
		for n := range b {
			if _, err := Parse(b[:n]); !errors.Is(err, ErrMessage) {
				t.Fatalf("%d of %d bytes parse", n, len(b))
			}
		}
		if _, err := Parse(append(b, 0)); !errors.Is(err, ErrMessage) {
			t.Error("a trailing byte")
		}
	}
}

// a message that says V and ABORT at once does not even parse, nor does a
// RECEIPT without a vote.
func TestMessageForms(t *testing.T) {
	for name, m := range map[string]Message{
		"no level":            {},
		"level 7":             {Level: 7},
		"V with ABORT":        {Level: LevelV, Abort: new(Signature)},
		"RECEIPT without V":   {Level: LevelQC, Receipt: new([ReceiptLen]byte)},
		"SEEN, no decision":   {Level: LevelV, Seen: true},
		"parameters too long": {Level: LevelC, Params: make([]byte, MaxParams+1)},
	} {
		var b []byte
		if m.Level <= LevelV {
			b = m.Append(nil)
		} else {
			b = append([]byte{byte(m.Level)}, make([]byte, headLen+7*sigLen-1)...)
		}
		if _, err := Parse(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Message{Level: LevelC}
	for _, bit := range []byte{1 << 6, 1 << 7} {
		b := c.Append(nil)
		b[0] |= bit
		if _, err := Parse(b); err == nil {
			t.Errorf("flag %#x", bit)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{
		LevelQC.String(), Level(9).String(), InDoubt.String(), Outcome(9).String(),
		EventDone.String(), Event(9).String(), DropEquivocation.String(), Drop(99).String(),
	} {
		if s == "" {
			t.Error("an empty name")
		}
	}
}
