package rate

import "time"

// Mode is how the controller treats others on the path (G-4).
type Mode uint8

// The modes.
const (
	Fair      Mode = iota // competes with flows that fill buffers once drains keep failing
	Scavenger             // yields to them
	Fixed                 // sends at the ceiling; measures and adapts nothing
)

// String returns the word of the configuration file.
func (m Mode) String() string {
	switch m {
	case Fair:
		return "fair"
	case Scavenger:
		return "scavenger"
	case Fixed:
		return "fixed"
	}
	return "invalid"
}

// Config configures a Controller.
type Config struct {
	Mode Mode
	// Ceiling bounds the rate in every mode (G-4), in bit/s of IP bytes; 0 is no
	// bound but MaxRate. Fixed needs one.
	Ceiling int64
	// Datagram is the size of a full datagram in IP bytes; 0 is 1,500.
	Datagram int
}

// Valid reports whether New accepts c.
func (c *Config) Valid() bool {
	return c.Mode <= Fixed && c.Ceiling >= 0 && c.Ceiling <= MaxRate && (c.Mode != Fixed || c.Ceiling > 0) &&
		c.Datagram >= 0 && c.Datagram <= 65535
}

// bounds returns the least and the greatest rate in bytes/s.
func (c *Config) bounds() (floor, ceiling float64) {
	ceiling = MaxRate / 8
	if c.Ceiling > 0 {
		ceiling = float64(c.Ceiling) / 8
	}
	return min(MinRate/8, ceiling), ceiling
}

// seconds is d as a number; all arithmetic with rates is in bytes and seconds.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }

// duration is s seconds, at most an hour either way, so that no input overflows.
func duration(s float64) time.Duration {
	return time.Duration(min(max(s, -3600), 3600) * float64(time.Second))
}
