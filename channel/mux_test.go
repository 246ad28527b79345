package channel

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{Local: [32]byte{1}, Remote: [32]byte{2}, Random: newSource(1)}
	}
	tests := []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"good", func(*Config) {}, ""},
		{"same ends", func(c *Config) { c.Remote = c.Local }, "the same"},
		{"no randomness", func(c *Config) { c.Random = nil }, "Random"},
		{"negative channels", func(c *Config) { c.Limits.Channels = -1 }, "Channels"},
		{"too many channels", func(c *Config) { c.Limits.Channels = maxChannels + 1 }, "Channels"},
		{"most channels", func(c *Config) { c.Limits.Channels = maxChannels }, ""},
		{"one channel", func(c *Config) { c.Limits.Channels = 1 }, ""},
		{"more opening than channels", func(c *Config) { c.Limits.Opening = DefaultChannels + 1 }, "Opening"},
		{"negative opening", func(c *Config) { c.Limits.Opening = -1 }, "Opening"},
		{"little memory", func(c *Config) { c.Limits.BufferBytes = minBufferBytes - 1 }, "BufferBytes"},
		{"negative handshake", func(c *Config) { c.Limits.HandshakeTimeout = -1 }, "HandshakeTimeout"},
		{"long handshake", func(c *Config) { c.Limits.HandshakeTimeout = maxDuration + 1 }, "HandshakeTimeout"},
		{"negative unit", func(c *Config) { c.Limits.UnitTimeout = -1 }, "UnitTimeout"},
		{"long unit", func(c *Config) { c.Limits.UnitTimeout = maxDuration + 1 }, "UnitTimeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good()
			tt.edit(&cfg)
			_, err := NewMux(epoch(), cfg)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	cfg := good()
	cfg.Random = iotest.ErrReader(io.ErrClosedPipe)
	if _, err := NewMux(epoch(), cfg); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken randomness: %v", err)
	}
}

func TestPanics(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeTCP)
	opening, _ := p.a.Open(p.now, ModeTCP)
	begun, _ := p.b.Open(p.now, ModeTCP)
	p.settle()
	_ = p.b.AppendSegment(nil, begun, First, []byte{1})
	another, _ := p.a.Open(p.now, ModeTCP)
	for name, f := range map[string]func(){
		"no channel":      func() { p.a.AppendSegment(nil, Handle{}, Whole, []byte{1}) },
		"opening":         func() { p.a.AppendSegment(nil, another, Whole, []byte{1}) },
		"no bytes":        func() { p.a.AppendSegment(nil, h, Whole, nil) },
		"too many bytes":  func() { p.a.AppendSegment(nil, h, Whole, make([]byte, MaxSegment+1)) },
		"no beginning":    func() { p.a.AppendSegment(nil, opening, Last, []byte{1}) },
		"two beginnings":  func() { p.b.AppendSegment(nil, begun, Whole, []byte{1}) },
		"follows none":    func() { p.a.AppendSegment(nil, h, Whole|Next, []byte{1}) },
		"small buffer":    func() { p.a.ReadUnit(make([]byte, MaxUnit-1)) },
		"unknown message": func() { appendMessage(nil, &message{kind: 1}) },
		"unknown length":  func() { messageLen(1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "channel: ") {
					t.Errorf("recovered %q", s)
				}
			}()
			f()
		})
	}
}

// TestChannelLimit opens as many channels as the limit allows, both ways, and
// closes them again, several times over.
func TestChannelLimit(t *testing.T) {
	p := newPair(t, Limits{Channels: 10})
	for range 3 {
		var handles []Handle
		for range 10 {
			h, _ := p.open(ModeUDP)
			handles = append(handles, h)
		}
		if _, err := p.a.Open(p.now, ModeUDP); !errors.Is(err, ErrTooManyChannels) {
			t.Fatalf("one more: %v", err)
		}
		if s := p.b.Stats(); s.Channels != 10 {
			t.Fatalf("%+v", s)
		}
		for _, h := range handles {
			p.a.CloseChannel(p.now, h, ReasonIdle)
		}
		p.settle()
	}
	if s := p.b.Stats(); s.Opened != 30 || s.Closed != 30 || s.Channels != 0 || len(p.b.slots) != 10 {
		t.Errorf("%+v, %d slots", s, len(p.b.slots))
	}
}

// TestHalves takes halves all the way around: zero is never chosen, nor one in
// use (C-1).
func TestHalves(t *testing.T) {
	tab := newTable()
	tab.byHalf[7], tab.half2[9] = &channel{}, struct{}{}
	one, two := map[uint16]bool{}, map[uint16]bool{}
	h1, h2 := uint16(0xfff0), uint16(0xfff0)
	for range 0xfffe {
		h1, h2 = tab.freeHalf1(h1), tab.freeHalf2(h2)
		one[h1], two[h2] = true, true
	}
	if len(one) != 0xfffe || len(two) != 0xfffe || one[0] || two[0] || one[7] || two[9] {
		t.Errorf("%d and %d halves", len(one), len(two))
	}
}

// TestOldNow: an older now counts as the newest seen.
func TestOldNow(t *testing.T) {
	p := newPair(t, Limits{HandshakeTimeout: time.Second})
	p.a.HandleTimeout(p.now.Add(time.Hour))
	if _, err := p.a.Open(p.now, ModeTCP); err != nil {
		t.Fatal(err)
	}
	if got := p.a.Deadline(); !got.Equal(p.now.Add(time.Hour + time.Second)) {
		t.Errorf("deadline %v", got)
	}
	p.a.HandleTimeout(p.now)
	if p.a.State(Handle{0, 1}) != Opening {
		t.Error("a handshake ended early")
	}
}

// TestEventsBounded never polls: the oldest events give way.
func TestEventsBounded(t *testing.T) {
	p := newPair(t, Limits{})
	for range maxEvents {
		h, err := p.a.Open(p.now, ModeUDP)
		if err != nil {
			t.Fatal(err)
		}
		p.settle()
		p.a.CloseChannel(p.now, h, ReasonNone)
		p.settle()
	}
	if s := p.b.Stats(); s.EventsDropped != maxEvents {
		t.Errorf("%+v", s)
	}
	e, ok := p.b.PollEvent()
	if h := p.b.half2; !ok || e.Kind != EventOpened || e.ID.Responder() != h-maxEvents/2+1 {
		t.Errorf("the oldest: %+v, newest half %x", e, h)
	}
}

// TestMemoryComesBack buffers much, and then is idle: free memory goes, up to a
// small rest.
func TestMemoryComesBack(t *testing.T) {
	p := newPair(t, Limits{})
	h, _ := p.open(ModeTCP)
	missing := p.a.AppendSegment(nil, h, Whole, []byte("first"))
	for range 10_000 {
		p.giveFast(p.b, p.a.AppendSegment(nil, h, Whole, unit(1, 1200)))
	}
	if got := p.b.Stats().Buffered; got < 10_000*1200 {
		t.Fatalf("%d bytes buffered", got)
	}
	p.giveFast(p.b, missing)
	if got := len(p.units(p.b)); got != 10_001 {
		t.Fatalf("%d units", got)
	}
	for n := 0; ; n++ {
		d := p.b.Deadline()
		if d.IsZero() {
			break
		}
		if !d.After(p.now) || n > 5 {
			t.Fatalf("deadline %v at %v", d, p.now)
		}
		p.now = d
		p.b.HandleTimeout(p.now)
		checkMux(t, p.b)
	}
	if got := p.b.in.pool.idle; got > idleBytes {
		t.Errorf("%d bytes are kept", got)
	}
}

// TestTrim keeps the free memory that was in use since the last trim.
func TestTrim(t *testing.T) {
	pool := pool{limit: minBufferBytes}
	cycle := func(n int) {
		var held []*buffer
		var rings [][]*buffer
		for range n {
			held, rings = append(held, pool.get(100)), append(rings, pool.getRing(100))
		}
		for i := range held {
			pool.put(held[i])
			pool.putRing(rings[i])
		}
	}
	cycle(10)
	for _, n := range []int{3, 5, 2, 0} {
		pool.trim()
		cycle(n)
	}
	pool.trim()
	if pool.used != 0 || pool.idle != 0 {
		t.Errorf("%d used, %d idle", pool.used, pool.idle)
	}
	cycle(10)
	pool.trim()
	cycle(4)
	pool.trim()
	if b, r := len(pool.buffers[classSmall].items), len(pool.rings[1].items); b != 4 || r != 4 {
		t.Errorf("%d buffers and %d rings are left of 4 that were used", b, r)
	}
}

// TestMemoryPressure: free memory of one kind gives way to another kind.
func TestMemoryPressure(t *testing.T) {
	pool := pool{limit: minBufferBytes}
	var held []*buffer
	for b := pool.get(1200); b != nil; b = pool.get(1200) {
		held = append(held, b)
	}
	rings := 0
	for _, b := range held {
		pool.put(b)
	}
	for r := pool.getRing(1000); r != nil; r = pool.getRing(1000) {
		if len(r) != 1024 {
			t.Fatalf("a ring of %d", len(r))
		}
		rings++
		pool.putRing(r)
		if pool.used+pool.idle > pool.limit {
			t.Fatalf("%d used and %d idle", pool.used, pool.idle)
		}
		if rings == 3 {
			break
		}
	}
	if b := pool.get(MaxUnit); b == nil || cap(b.b) != MaxUnit {
		t.Error("no room for a unit")
	}
	if len(held) != minBufferBytes/(datagramBytes+bufferOverhead) {
		t.Errorf("%d buffers", len(held))
	}
}

func TestStrings(t *testing.T) {
	for s := Closed; s <= Established; s++ {
		if strings.Contains(s.String(), "(") {
			t.Errorf("state %d has no name", s)
		}
	}
	for r := ReasonNone; r <= ReasonLoss; r++ {
		if strings.Contains(r.String(), "(") {
			t.Errorf("reason %d has no name", r)
		}
	}
	for k := EventOpened; k <= EventClosed; k++ {
		if strings.Contains(k.String(), "(") {
			t.Errorf("event %d has no name", k)
		}
	}
	if s := State(9).String() + Reason(999).String() + EventKind(9).String(); s != "state(9)reason(999)event(9)" {
		t.Error(s)
	}
}
