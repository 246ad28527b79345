package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// attempt is what these tests read of "totg agree --list --json".
type attempt struct {
	Peer     string `json:"peer"`
	Name     string `json:"name"`
	Outcome  string `json:"outcome"`
	Resolved bool   `json:"resolved"`
	Receipt  string `json:"receipt"`
}

func (h *host) attempts() []attempt {
	h.t.Helper()
	var all []attempt
	if err := json.Unmarshal([]byte(h.totg("agree", "--list", "--json")), &all); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// agree runs "totg agree" and returns what it prints and its exit code.
func (h *host) agree(args ...string) (out string, code int) {
	h.t.Helper()
	out, err := h.run(program(), append([]string{"agree"}, args...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strings.TrimSpace(out), exit.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(out), 0
}

// settled waits until both hosts know how all attempts ended, and compares.
func settled(p *pair, names ...string) error {
	var receipts [2]map[string]bool
	for i, h := range []*host{p.a, p.b} {
		receipts[i] = map[string]bool{}
		for _, x := range h.attempts() {
			switch x.Outcome {
			case "COMMITTED":
				receipts[i][x.Name+" "+x.Receipt] = true
			case "ABORTED":
			default:
				return fmt.Errorf("host %s: %s is %s", h.name, x.Name, x.Outcome)
			}
		}
	}
	if fmt.Sprint(receipts[0]) != fmt.Sprint(receipts[1]) {
		return fmt.Errorf("committed here %v, there %v", receipts[0], receipts[1])
	}
	for _, n := range names {
		found := false
		for x := range receipts[0] {
			found = found || strings.HasPrefix(x, n+" ")
		}
		if !found {
			return fmt.Errorf("%s is not committed", n)
		}
	}
	return nil
}

// newAgreeingPair is a pair of which b accepts some names.
func newAgreeingPair(t *testing.T) *pair {
	t.Helper()
	return newPair(t, func(p *pair) { p.cb.peers[0].agree = []string{"switch-*"} })
}

// both run the command, or one accepts the name: both commit, with the
// same receipt, and the command of --then runs; a name that the other neither runs
// nor accepts is aborted at the deadline. A restart forgets nothing.
func TestAgree(t *testing.T) {
	p := newAgreeingPair(t)
	out, code := p.a.agree("b", "switch-1", "--then", "echo it is $TOTG_RECEIPT")
	if !strings.HasPrefix(out, "COMMITTED\nit is ") || code != 0 {
		t.Errorf("accepted: %q, code %d", out, code)
	}
	if out, code := p.a.agree("b", "other", "--deadline", "500ms", "--then", "echo no"); out != "ABORTED" || code != 1 {
		t.Errorf("not accepted: %q, code %d", out, code)
	}
	type result struct {
		out  string
		code int
	}
	results := make(chan result, 2)
	for _, h := range []*host{p.a, p.b} {
		peer := "b"
		if h == p.b {
			peer = "a"
		}
		go func() {
			out, code := h.agree(peer, "backup")
			results <- result{out, code}
		}()
	}
	for range 2 {
		if r := <-results; r != (result{"COMMITTED", 0}) {
			t.Errorf("both run it: %+v", r)
		}
	}
	eventually(t, patience, func() error { return settled(p, "switch-1", "backup") })
	before := p.b.attempts()
	p.db.stop()
	p.db = p.b.up(p.cb)
	if after := p.b.attempts(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after a restart: %+v, before: %+v", after, before)
	}
	if out, code := p.a.agree("b", "switch-1"); out != "COMMITTED" || code != 0 {
		t.Errorf("the same name again: %q, code %d", out, code)
	}
	eventually(t, patience, func() error { return settled(p, "switch-1", "backup") })
}

// either host is killed at any moment of an attempt and started again.
// Whatever the command says, the two never end differently, and no doubt stays.
func TestAgreeKilled(t *testing.T) {
	p := newAgreeingPair(t)
	said := map[string]int{}
	for i := range 12 {
		name := fmt.Sprintf("switch-%d", i)
		done := make(chan string, 1)
		go func() {
			out, err := p.a.run(program(), "agree", "b", name, "--deadline", "1s") // may lose its tunnel
			if err != nil && out == "" {
				out = "(killed)"
			}
			done <- strings.TrimSpace(out)
		}()
		time.Sleep(time.Duration(20*i) * time.Millisecond) // some moment of it
		if i%2 == 0 {
			p.db.kill()
			p.db = p.b.up(p.cb)
		} else {
			p.da.kill()
			p.da = p.a.up(p.ca)
		}
		word := <-done
		said[word]++
		eventually(t, 3*patience, func() error { return settled(p) })
		if word == "COMMITTED" {
			if err := settled(p, name); err != nil {
				t.Errorf("the command said COMMITTED: %v", err)
			}
		}
	}
	t.Logf("the commands said: %v", said)
}

// with routes = "committed" the route to a peer comes when both ends have the
// session, and goes with it.
func TestCommittedRoutes(t *testing.T) {
	p := newPair(t, func(p *pair) { p.ca.routes = "committed" })
	route := func(want bool) func() error {
		return func() error {
			if has := strings.Contains(p.a.ip("-4", "route", "show", inside(2)), inside(2)); has != want {
				return fmt.Errorf("the route to b is there: %v, want %v", has, want)
			}
			return nil
		}
	}
	eventually(t, patience, route(true))
	p.db.stop()
	eventually(t, patience, route(false))
	p.db = p.b.up(p.cb)
	p.a.reaches(inside(2)) // the network of the interface's address still leads there
	eventually(t, patience, route(true))
	p.da.stop()
	p.da = p.a.up(p.ca)
	eventually(t, patience, route(true))
}
