package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/totg/totg/tunnel/config"
)

// span gives a length of time in its two largest units: "3 h 12 min".
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	units := []struct {
		name string
		size int64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}}
	for i, u := range units {
		if s < u.size {
			continue
		}
		text := fmt.Sprintf("%d %s", s/u.size, u.name)
		if i+1 < len(units) {
			if next := units[i+1]; s%u.size >= next.size {
				text += fmt.Sprintf(" %d %s", s%u.size/next.size, next.name)
			}
		} else if s%u.size > 0 {
			text += fmt.Sprintf(" %d s", s%u.size)
		}
		return text
	}
	return fmt.Sprintf("%d s", s)
}

// milliseconds gives a round-trip time with three digits: "41.2 ms", "0.123 ms", "612 ms".
func milliseconds(d time.Duration) string {
	return threeDigits(float64(d)/float64(time.Millisecond)) + " ms"
}

// percent gives a share: "20.1 %".
func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

// byteCount gives bytes in decimal units, as link rates count: "1.20 GB".
func byteCount(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := scale(float64(n))
	return threeDigits(value) + " " + prefix + "B"
}

// rateText says how the rate is found: "fair", "fair, at most 50 Mbit/s", "fixed, 50 Mbit/s".
func rateText(mode string, bits int64) string {
	switch {
	case bits == 0:
		return mode
	case mode == string(config.RateFixed):
		return mode + ", " + bitRate(bits)
	}
	return mode + ", at most " + bitRate(bits)
}

// bitRate gives a rate: "50 Mbit/s".
func bitRate(bits int64) string {
	value, prefix := scale(float64(bits))
	return strconv.FormatFloat(value, 'f', -1, 64) + " " + prefix + "bit/s"
}

// scale finds the unit that leaves the shortest number in front of it.
func scale(v float64) (float64, string) {
	prefixes := []string{"", "k", "M", "G", "T", "P", "E"}
	i := 0
	for i+1 < len(prefixes) && v >= 999.5 {
		v, i = v/1000, i+1
	}
	return v, prefixes[i]
}

// threeDigits shows a number with three significant digits.
func threeDigits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// carries says what goes through an interface of a mode.
func carries(mode string) string {
	if mode == "tap" {
		return "Ethernet frames (tap)"
	}
	return "IP packets (" + printable(mode) + ")"
}

// dropList gives the counters that are not zero: "mac 3, replay 1".
func dropList(drops map[string]uint64) string {
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		if drops[reason] > 0 {
			list = append(list, fmt.Sprintf("%s %d", strings.ReplaceAll(printable(reason), "_", " "), drops[reason]))
		}
	}
	return strings.Join(list, ", ")
}

// printable keeps text from another process from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// alignColumns sets rows in columns, two spaces apart, widths counted in characters. A nil row is an empty line.
func alignColumns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i+1 < len(row) {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// indent moves lines to the right.
func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
