package channel

import (
	"math/rand/v2"
	"testing"
	"time"
)

// C-6: preset channels are open at both ends from the beginning, in both
// directions, and carry units without a message of a handshake; ids that are
// negotiated later are others.
func TestPreset(t *testing.T) {
	now := time.Unix(1e9, 0)
	list := []Capabilities{ModeTCP, ModeZ, ModeZ, ModeStreaming2}
	var m [2]*Mux
	var own [2][]Handle
	for i := range m {
		var err error
		m[i], err = NewMux(now, Config{Local: [32]byte{byte(i)}, Remote: [32]byte{byte(1 - i)}, Random: rand.NewChaCha8([32]byte{byte(i)})})
		if err != nil {
			t.Fatal(err)
		}
		own[i] = m[i].Preset(list)
		if m[i].ControlPending() || m[i].Deadline() != (time.Time{}) {
			t.Error("a preset channel has something to negotiate")
		}
	}
	for i := range m {
		for k, h := range own[i] {
			if m[i].State(h) != Established {
				t.Fatalf("side %d, channel %d: %v", i, k, m[i].State(h))
			}
			b := m[i].AppendSegment(nil, h, Whole, []byte{byte(i), byte(k)})
			if err := m[1-i].HandleSegments(now, b); err != nil {
				t.Fatal(err)
			}
			var buf [MaxUnit]byte
			if n, ok := m[1-i].ReadUnit(buf[:]); !ok || n != 2 || buf[0] != byte(i) || buf[1] != byte(k) {
				t.Errorf("side %d, channel %d: %v", i, k, buf[:n])
			}
		}
		if _, err := m[i].Open(now, ModeTCP); err != nil || m[i].half1 <= uint16(len(list)) && m[i].half1 > 0 && m[i].local.byHalf[m[i].half1].id.Responder() != 0 {
			t.Errorf("another channel: %v, half %d", err, m[i].half1)
		}
	}
}
