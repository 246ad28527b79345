package link

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseRate reads a rate such as "50mbit", "1.5 Mbit/s", "800kbit" or "20M", in
// decimal units whatever the case, as bit/s. A rate in bytes is refused.
func ParseRate(s string) (int64, error) {
	num, unit := split(s)
	unit = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(unit), "/s"), "ps")
	bits, full := strings.CutSuffix(unit, "bit")
	if !full {
		bits = strings.TrimSuffix(unit, "b")
		if bits != unit && strings.Contains(s, "B") { // MB are megabytes
			bits = unit
		}
	}
	scale, ok := decimal(bits)
	v, err := strconv.ParseFloat(num, 64)
	if !ok || err != nil || !(v*scale >= 0 && v*scale <= MaxRate) {
		return 0, fmt.Errorf("%w rate %q; write for example 50mbit, 800kbit or 1.5gbit", ErrParse, s)
	}
	return int64(math.Round(v * scale)), nil
}

// FormatRate writes a rate as ParseRate reads it, "unlimited" for 0.
func FormatRate(rate int64) string {
	for _, u := range [...]struct {
		scale int64
		name  string
	}{{1_000_000_000, "Gbit"}, {1_000_000, "Mbit"}, {1000, "kbit"}} {
		if rate >= u.scale {
			return strconv.FormatFloat(float64(rate)/float64(u.scale), 'f', -1, 64) + u.name
		}
	}
	if rate == 0 {
		return "unlimited"
	}
	return strconv.FormatInt(rate, 10) + "bit"
}

// ParseSize reads a number of bytes such as "250KB", "64KiB", "1.5MB" or "1500":
// KB is 1000 bytes, KiB 1024.
func ParseSize(s string) (int, error) {
	num, unit := split(s)
	unit = strings.TrimSuffix(strings.ToLower(unit), "b")
	scale, ok := decimal(unit)
	if base, binary := strings.CutSuffix(unit, "i"); binary {
		shift, known := map[string]float64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[base]
		scale, ok = shift, known
	}
	v, err := strconv.ParseFloat(num, 64)
	if !ok || err != nil || !(v*scale >= 0 && v*scale <= MaxQueue) {
		return 0, fmt.Errorf("%w size %q; write for example 250KB, 64KiB or 1500", ErrParse, s)
	}
	return int(math.Round(v * scale)), nil
}

// QueueSize is a queue in bytes or, when BDP is above zero, in bandwidth-delay
// products of a path that is not known yet.
type QueueSize struct {
	Bytes int
	BDP   float64
}

// ParseQueue reads a queue: a size, or a multiple such as "1BDP" or "2.5 bdp".
func ParseQueue(s string) (QueueSize, error) {
	num, unit := split(s)
	if !strings.EqualFold(unit, "bdp") {
		n, err := ParseSize(s)
		if err != nil || n == 0 {
			return QueueSize{}, fmt.Errorf("%w queue %q; write for example 250KB or 1BDP", ErrParse, s)
		}
		return QueueSize{Bytes: n}, nil
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || !(v > 0 && v <= 1000) {
		return QueueSize{}, fmt.Errorf("%w queue %q; write for example 1BDP or 0.5BDP", ErrParse, s)
	}
	return QueueSize{BDP: v}, nil
}

// Resolve is the queue in bytes on a path of that rate and round-trip time, at
// least MinQueue if it was given in bandwidth-delay products. The zero QueueSize
// is one product.
func (q QueueSize) Resolve(rate int64, rtt time.Duration) int {
	if q.Bytes > 0 {
		return q.Bytes
	}
	products := q.BDP
	if products == 0 {
		products = 1
	}
	b := products * float64(BDP(rate, rtt))
	return max(int(min(b, MaxQueue)), MinQueue)
}

// ParsePercent reads a percentage such as "20", "0.1" or "20%" as a fraction.
func ParsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("%w percentage %q; write a number from 0 to 100", ErrParse, s)
	}
	return v / 100, nil
}

// split cuts a number and its unit apart.
func split(s string) (num, unit string) {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

func decimal(prefix string) (scale float64, ok bool) {
	switch prefix {
	case "":
		return 1, true
	case "k":
		return 1e3, true
	case "m":
		return 1e6, true
	case "g":
		return 1e9, true
	}
	return 0, false
}
