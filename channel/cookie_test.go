package channel

import (
	"bytes"
	"testing"
	"time"
)

func TestCookieVectors(t *testing.T) { // C-3
	for _, row := range vectors(t, "cookies.txt") {
		var s secret
		copy(s[:], hexBytes(t, row[1]))
		if row[0] == "next" {
			if got := s.next(); !bytes.Equal(got[:], hexBytes(t, row[2])) {
				t.Errorf("%v: %x", row, got)
			}
			continue
		}
		var opener, responder peerID
		copy(opener[:], hexBytes(t, row[2]))
		copy(responder[:], hexBytes(t, row[3]))
		var got cookie
		if row[0] == "cookie1" {
			got = cookie1(&s, &opener, &responder, uint16(hexNumber(t, row[4])))
		} else {
			got = cookie2(&s, &opener, &responder, ID(hexNumber(t, row[4])), hexNumber(t, row[5]))
		}
		if want := hexBytes(t, row[len(row)-1]); !bytes.Equal(got[:], want) {
			t.Errorf("%v: %x", row, got)
		}
	}
}

// TestCookieLife checks how long a cookie opens: cookie1 as long as its secret
// is one of the two live ones, cookie2 in its time step and the next (C-3).
func TestCookieLife(t *testing.T) {
	made := 10 * time.Second
	tests := []struct {
		age           time.Duration
		first, second bool
	}{
		{0, true, true},
		{cookieStep - 11*time.Second, true, true},
		{cookieStep, true, true},
		{2*cookieStep - 11*time.Second, true, true},
		{2*cookieStep - 10*time.Second, true, false},
		{2*secretLifetime - 11*time.Second, true, false},
		{2*secretLifetime - 10*time.Second, false, false},
		{time.Hour, false, false},
		{1000 * time.Hour, false, false},
	}
	for _, tt := range tests {
		m := newMux(t, 1, Limits{})
		m.at = made
		one, two := m.seal1(5), m.seal2(makeID(5, 6))
		m.at += tt.age
		if m.open1(5, &one) != tt.first || m.open2(makeID(5, 6), &two) != tt.second {
			t.Errorf("after %v: cookie1 opens %v, cookie2 %v", tt.age, m.open1(5, &one), m.open2(makeID(5, 6), &two))
		}
		// Whatever happened before, a new one opens.
		one, two = m.seal1(9), m.seal2(makeID(9, 9))
		if !m.open1(9, &one) || !m.open2(makeID(9, 9), &two) {
			t.Errorf("after %v a new cookie does not open", tt.age)
		}
		if m.open1(8, &one) || m.open2(makeID(9, 8), &two) || m.open2(makeID(8, 9), &two) {
			t.Error("a cookie opens for another channel")
		}
	}
}

// TestCookieBits flips every bit of both cookies.
func TestCookieBits(t *testing.T) {
	m := newMux(t, 1, Limits{})
	one, two := m.seal1(5), m.seal2(makeID(5, 6))
	if !m.open1(5, &one) || !m.open2(makeID(5, 6), &two) || m.open1(5, &two) || m.open2(makeID(5, 6), &one) {
		t.Fatal("cookies of the two kinds are mixed up")
	}
	for i := range 8 * cookieLen {
		one[i/8] ^= 1 << (i % 8)
		two[i/8] ^= 1 << (i % 8)
		if m.open1(5, &one) || m.open2(makeID(5, 6), &two) {
			t.Errorf("opens with bit %d flipped", i)
		}
		one[i/8] ^= 1 << (i % 8)
		two[i/8] ^= 1 << (i % 8)
	}
}

// TestSecretsRotate checks that at any time two different secrets are live and
// that none comes back.
func TestSecretsRotate(t *testing.T) {
	m := newMux(t, 1, Limits{})
	seen := map[secret]time.Duration{m.jar2.current: 0, m.jar2.previous: 0, m.jar1.current: 0, m.jar1.previous: 0}
	if len(seen) != 4 {
		t.Fatal("secrets are not independent")
	}
	last := m.jar2.current
	for at := time.Duration(0); at < time.Hour; at += 30 * time.Second {
		m.jar2.rotate(at)
		if m.jar2.current == m.jar2.previous {
			t.Fatal("only one secret is live")
		}
		if m.jar2.current == last {
			continue
		}
		if m.jar2.previous != last {
			t.Fatalf("at %v the previous secret is not the last one", at)
		}
		if born, ok := seen[m.jar2.current]; ok {
			t.Fatalf("at %v the secret of %v is back", at, born)
		}
		last, seen[m.jar2.current] = m.jar2.current, at
	}
	if len(seen) != 4+29 {
		t.Errorf("%d secrets in an hour", len(seen))
	}
}
