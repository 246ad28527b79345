package peer

import (
	"testing"
	"time"

	"github.com/totg/totg/internal/wire"
)

// H-4, H-6: a host that answered the peer's INIT does not call it as well while the
// peer goes on calling: of two sessions one would cost what was sent under the other.
// When the peer falls silent, for its INIT may have been a recording, the next packet
// calls.
func TestAnsweringHostDoesNotCall(t *testing.T) {
	d := newDuo(t, nil)
	d.p[1].SetEndpoint(d.now, d.addr[0])
	d.p[1].stopAttempt()
	calls, silent := 0, false
	d.cut = func(from int, b []byte) bool {
		if from == 1 && b[0] == wire.TypeInit {
			calls++
		}
		return from == 1 || silent // nothing of its answers arrives
	}
	d.exchange()
	if d.p[1].next == nil {
		t.Fatal("not answered")
	}
	for range 30 {
		d.p[1].WritePacket(d.now, packet(6, 100))
		d.pass(100 * time.Millisecond)
	}
	if calls > 0 {
		t.Fatalf("%d INITs to a peer that is calling", calls)
	}
	silent = true
	d.pass(respFloodTime)
	if calls > 0 {
		t.Fatalf("%d INITs within %v of the peer's last", calls, respFloodTime)
	}
	d.p[1].WritePacket(d.now, packet(6, 100))
	d.exchange()
	if calls == 0 {
		t.Error("no INIT to a peer that fell silent")
	}
	silent, d.cut = false, nil
	d.pass(time.Second)
	if d.p[0].Status().State != "up" || d.p[1].Status().State != "up" || d.got[0] == 0 {
		t.Errorf("%q, %q, %d packets arrived", d.p[0].Status().State, d.p[1].Status().State, d.got[0])
	}
}
