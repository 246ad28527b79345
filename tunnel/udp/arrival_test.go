package udp

import (
	"testing"
	"time"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

// G-1: a datagram that waits for its reader has not travelled longer.
func TestArrival(t *testing.T) {
	ns := netnstest.New(t)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		server, client := listen(t, ns, addr, 0), listen(t, ns, addr, 0)
		host := "::1"
		if addr == "127.0.0.1:0" {
			host = "127.0.0.1"
		}
		// The kernel begins to stamp a while after the first socket asks for it.
		for try := 0; ; try++ {
			before := time.Now()
			if err := client.Send(make([]byte, 3000), 1000, to(server, host)); err != nil {
				t.Fatal(err)
			}
			after := time.Now()
			time.Sleep(20 * time.Millisecond)
			run, err := server.Receive(make([]byte, MaxRun))
			if err != nil {
				t.Fatal(err)
			}
			for got := run.N; got < 3000; got += run.N {
				if run, err = server.Receive(make([]byte, MaxRun)); err != nil {
					t.Fatal(err)
				}
			}
			const clocks = time.Millisecond // the wall clock may be slewed meanwhile
			if !run.At.Before(before.Add(-clocks)) && !run.At.After(after.Add(clocks)) {
				break
			}
			if try == 100 {
				t.Fatalf("%s: arrived %v after it was sent, in a call of %v", addr, run.At.Sub(before), after.Sub(before))
			}
		}
	}
}

func TestArrivalByAClockThatWasSet(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ age, want time.Duration }{
		{0, 0}, {30 * time.Millisecond, 30 * time.Millisecond}, {maxAge, maxAge}, {maxAge + 1, 0}, {-1, 0}, {-time.Hour, 0}, {time.Hour, 0},
	} {
		if got := now.Sub(arrival(now, now.Add(-c.age).UnixNano())); got != c.want {
			t.Errorf("a stamp of age %v: %v, want %v", c.age, got, c.want)
		}
	}
	if arrival(now, 0) != now { // the kernel does not tell
		t.Error("no stamp is not now")
	}
}
