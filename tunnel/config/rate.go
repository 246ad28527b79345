package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a data rate in bit/s of IP bytes (headers of the outer IP packets included).
type Rate int64

// Units of a Rate: decimal, as network equipment counts.
const (
	Bit     Rate = 1
	Kilobit      = 1000 * Bit
	Megabit      = 1000 * Kilobit
	Gigabit      = 1000 * Megabit
)

var errRate = errors.New(`write a number and a unit, such as "50Mbit", "2.5Gbit" or "512kbit"`)

// ParseRate reads a number with a unit: bit, kbit, Mbit or Gbit, in any case, with "/s" or not: "50Mbit", "2.5 Gbit/s".
// Bytes and bare numbers are refused: they are too easily a factor of eight or a million off.
func ParseRate(s string) (Rate, error) {
	text := strings.TrimSpace(s)
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	number, err := strconv.ParseFloat(text[:end], 64)
	if err != nil {
		return 0, fmt.Errorf("%s is no rate: %w", quote(s), errRate)
	}
	unit := strings.TrimSuffix(strings.TrimSpace(text[end:]), "/s")
	scale, ok := rateUnit(unit)
	if !ok {
		return 0, unitError(s, text[:end], unit)
	}
	bits := math.Round(number * float64(scale))
	if bits >= math.MaxInt64 {
		return 0, fmt.Errorf("%s is no rate: %w", quote(s), errRate)
	}
	return Rate(bits), nil
}

// String gives the shortest text that ParseRate reads back to the same value: "50Mbit".
func (r Rate) String() string {
	unit, name := Bit, "bit"
	switch {
	case r >= Gigabit:
		unit, name = Gigabit, "Gbit"
	case r >= Megabit:
		unit, name = Megabit, "Mbit"
	case r >= Kilobit:
		unit, name = Kilobit, "kbit"
	}
	return strconv.FormatFloat(float64(r)/float64(unit), 'f', -1, 64) + name
}

func rateUnit(unit string) (Rate, bool) {
	switch strings.ToLower(unit) {
	case "bit":
		return Bit, true
	case "kbit":
		return Kilobit, true
	case "mbit":
		return Megabit, true
	case "gbit":
		return Gigabit, true
	}
	return 0, false
}

// unitError explains a unit that ParseRate does not take, with the same number in bits where the meaning is clear.
func unitError(s, number, unit string) error {
	if unit == "" {
		return fmt.Errorf("%s has no unit: %w", quote(s), errRate)
	}
	if prefix, ok := strings.CutSuffix(unit, "B"); ok && (prefix == "" || strings.ContainsAny(prefix, "kKMG") && len(prefix) == 1) {
		if n, err := strconv.ParseFloat(number, 64); err == nil {
			if scale, known := rateUnit(prefix + "bit"); known && n*float64(scale) < float64(MaxBandwidth) {
				return fmt.Errorf("%s counts bytes: write bits, %q", quote(s), Rate(math.Round(8*n*float64(scale))))
			}
		}
	}
	return fmt.Errorf("%s has an unknown unit: %w", quote(s), errRate)
}
