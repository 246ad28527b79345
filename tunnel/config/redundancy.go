package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Redundancy caps the datagrams that are sent in advance, before a receipt shows a loss, per datagram of new data:
// from 0, none at all, to MaxRedundancy, or AutoRedundancy.
type Redundancy float64

// AutoRedundancy is no cap: need and rate alone decide what is sent in advance.
const AutoRedundancy Redundancy = -1

const autoText = "auto"

var (
	errRedundancy      = fmt.Errorf(`write "auto" or a number from 0 to %v`, MaxRedundancy)
	errNoRedundancy    = errors.New("is no redundancy")
	errRedundancyRange = errors.New("is out of range")
)

// ParseRedundancy reads "auto" or a number.
func ParseRedundancy(s string) (Redundancy, error) {
	r, err := readRedundancy(s)
	if err != nil {
		return 0, fmt.Errorf("%s %w: %w", quote(s), err, errRedundancy)
	}
	return r, nil
}

// String gives the text that ParseRedundancy reads back to the same value.
func (r Redundancy) String() string {
	if r == AutoRedundancy {
		return autoText
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64)
}

// readRedundancy is ParseRedundancy with an error that says only what is wrong.
func readRedundancy(s string) (Redundancy, error) {
	if s == autoText {
		return AutoRedundancy, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // too large is infinite, and out of range below
		return 0, errNoRedundancy
	}
	return numberRedundancy(n)
}

func numberRedundancy(n float64) (Redundancy, error) {
	switch {
	case math.IsNaN(n):
		return 0, errNoRedundancy
	case n < 0 || n > MaxRedundancy:
		return 0, errRedundancyRange
	}
	return Redundancy(math.Abs(n)), nil // of zero, too
}

// redundancy takes the word or a number, whole or not.
func (s section) redundancy() Redundancy {
	const key = "redundancy"
	var shown string
	var r Redundancy
	var err error
	switch v := s.values[key].(type) {
	case nil:
		return AutoRedundancy
	case string:
		if r, err = readRedundancy(v); err == nil && r != AutoRedundancy {
			s.wrong(key, quote(v)+" is a string", fmt.Sprintf("write the number without quotes: %s = %v", key, r))
		}
		shown = quote(v)
	case int64:
		r, err = numberRedundancy(float64(v))
		shown = strconv.FormatInt(v, 10)
	case float64:
		r, err = numberRedundancy(v)
		shown = strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64))
	default:
		s.wrong(key, "is "+describe(v), errRedundancy.Error())
	}
	if err != nil {
		s.wrong(key, shown+" "+err.Error(), errRedundancy.Error())
	}
	return r
}

func (s section) arq() bool {
	const key = "arq"
	v, ok := s.values[key]
	if !ok {
		return false
	}
	on, ok := v.(bool)
	if !ok {
		s.wrong(key, "is "+describe(v), "write true or false: arq = false")
	}
	return on
}
