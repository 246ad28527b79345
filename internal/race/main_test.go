package main

import (
	"net"
	"strings"
	"testing"
	"time"
)

// Both ways end on a clean link: the caller knows that the server took part.
func TestRace(t *testing.T) {
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	for up := false; !up; {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
		if up = err == nil; up {
			_ = c.Close()
		}
	}
	if err := byTCP("127.0.0.1"); err != nil {
		t.Error(err)
	}
	if err := byLadder("127.0.0.1"); err != nil {
		t.Error(err)
	}
}

func TestQuantiles(t *testing.T) {
	var took []time.Duration
	for i := range trials {
		took = append(took, time.Duration(i+1)*time.Second)
	}
	if got := quantiles(took); got != "p50 20s p90 36s" {
		t.Error(got)
	}
	if got := quantiles(took[:trials/2]); got != "p50 20s p90 over 30s" {
		t.Error(got)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"serve", "x"}, {"call"}} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
