package lab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/totg/totg/internal/link"
)

// Direction names one direction of a link or both. Host A is the user's side:
// up is from A to B.
type Direction int

// The directions.
const (
	Both Direction = iota
	Up
	Down
)

// MinMTU is the smallest packet size of the emulated wire, in bytes: IPv6 needs
// as much, and the lab gives both hosts IPv6 addresses.
const MinMTU = 1280

// Spec is a link as people describe it. The zero value is unlimited and perfect.
type Spec struct {
	rtt      *time.Duration // halved into both delays
	up, down side
}

// side is one direction; its Config lacks what depends on the other one.
type side struct {
	cfg   link.Config
	queue link.QueueSize
	delay *time.Duration // instead of half the RTT
}

// Path is a link ready to run.
type Path struct {
	Up, Down link.Config
}

// RTT is the round-trip time without queueing and jitter.
func (p Path) RTT() time.Duration { return p.Up.Delay + p.Down.Delay }

// Keys are the names that Set knows, as the profile file writes them.
func Keys() []string {
	return []string{
		"rate", "rtt", "delay", "jitter", "jitter_reorders", "loss", "burst", "queue", "duplicate",
		"reorder", "reorder_delay", "corrupt", "mtu", "policer_rate", "policer_burst",
	}
}

// Set gives one property a value, in one direction or both. Percentages are
// written as numbers from 0 to 100. An error names the key.
func (s *Spec) Set(d Direction, key, value string) error {
	if !slices.Contains(Keys(), key) {
		return fmt.Errorf("%w: unknown key %q", ErrSpec, key)
	}
	if key == "rtt" {
		if d != Both {
			return fmt.Errorf("%w: rtt: a round trip has no direction; set delay", ErrSpec)
		}
		rtt, err := time.ParseDuration(value)
		if err != nil || rtt < 0 {
			return fmt.Errorf("%w: rtt %q: write for example 40ms", ErrSpec, value)
		}
		s.rtt, s.up.delay, s.down.delay = &rtt, nil, nil
		return nil
	}
	if d != Down {
		if err := s.up.set(key, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSpec, key, err)
		}
	}
	if d != Up {
		if err := s.down.set(key, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSpec, key, err)
		}
	}
	return nil
}

// Resolve computes delays and queues and validates both directions.
func (s *Spec) Resolve() (Path, error) {
	p := Path{Up: s.up.cfg, Down: s.down.cfg}
	if s.rtt != nil {
		p.Up.Delay, p.Down.Delay = *s.rtt/2, *s.rtt-*s.rtt/2
	}
	if s.up.delay != nil {
		p.Up.Delay = *s.up.delay
	}
	if s.down.delay != nil {
		p.Down.Delay = *s.down.delay
	}
	p.Up.Queue = s.up.queue.Resolve(p.Up.Rate, p.RTT())
	p.Down.Queue = s.down.queue.Resolve(p.Down.Rate, p.RTT())
	p.Up.MTU = mtuOf(p.Up)
	p.Down.MTU = mtuOf(p.Down)
	if p.Up.MTU < MinMTU || p.Down.MTU < MinMTU {
		return Path{}, fmt.Errorf("%w: mtu: at least %d, for IPv6", ErrSpec, MinMTU)
	}
	if err := p.Up.Validate(); err != nil {
		return Path{}, fmt.Errorf("%w (up, from A to B)", err)
	}
	if err := p.Down.Validate(); err != nil {
		return Path{}, fmt.Errorf("%w (down, from B to A)", err)
	}
	return p, nil
}

func mtuOf(c link.Config) int {
	if c.MTU == 0 {
		return link.DefaultMTU
	}
	return c.MTU
}

func (s *side) set(key, value string) (err error) {
	c := &s.cfg
	switch key {
	case "rate":
		c.Rate, err = link.ParseRate(value)
	case "delay":
		s.delay = new(time.Duration)
		*s.delay, err = parseDuration(value)
	case "jitter":
		c.Jitter, err = parseDuration(value)
	case "jitter_reorders":
		if c.JitterReorders, err = strconv.ParseBool(value); err != nil {
			err = fmt.Errorf("%q: write true or false", value)
		}
	case "loss":
		c.Loss, err = link.ParsePercent(value)
	case "burst":
		c.Burst, err = parseBurst(value)
	case "queue":
		s.queue, err = link.ParseQueue(value)
	case "duplicate":
		c.Duplicate, err = link.ParsePercent(value)
	case "reorder":
		c.Reorder, err = link.ParsePercent(value)
	case "reorder_delay":
		c.ReorderDelay, err = parseDuration(value)
	case "corrupt":
		c.Corrupt, err = link.ParsePercent(value)
	case "mtu":
		if c.MTU, err = strconv.Atoi(value); err != nil {
			err = fmt.Errorf("%q: write a number of bytes", value)
		}
	case "policer_rate":
		c.Policer.Rate, err = link.ParseRate(value)
	case "policer_burst":
		c.Policer.Burst, err = link.ParseSize(value)
	}
	return err
}

func parseBurst(value string) (float64, error) {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: write a mean number of packets", value)
	}
	return v, nil
}

func parseDuration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: write for example 20ms", value)
	}
	return d, nil
}

// ParseRate reads a rate such as "50mbit" as bit/s.
func ParseRate(s string) (int64, error) { return link.ParseRate(s) }

// ParseSize reads a size such as "20MB" as bytes.
func ParseSize(s string) (int, error) { return link.ParseSize(s) }

// IsUsage reports whether err is a mistake in what the user wrote, not a failure
// of the environment.
func IsUsage(err error) bool {
	return errors.Is(err, ErrSpec) || errors.Is(err, ErrProfiles) || errors.Is(err, link.ErrConfig) || errors.Is(err, link.ErrParse)
}
