package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Mistake is one thing wrong in a configuration: where, what, and what would be right. It is always a single line.
type Mistake struct {
	File    string // as the caller of Load named it
	Line    int    // from 1; 0 if the mistake belongs to no line
	Key     string // "interface.mtu", "peer.endpoint"; empty if the mistake belongs to no key
	Problem string // what is wrong
	Remedy  string // what would be right; may be empty
}

// Error gives "FILE:LINE: KEY: PROBLEM; REMEDY", leaving out the parts that are not known.
func (m *Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		b.WriteString(":" + strconv.Itoa(m.Line))
	}
	if m.Key != "" {
		b.WriteString(": " + m.Key)
	}
	b.WriteString(": " + m.Problem)
	if m.Remedy != "" {
		b.WriteString("; " + m.Remedy)
	}
	return b.String()
}

// Errors is every mistake of one configuration in the order of lines, at most a few dozen: the last one then counts the rest.
type Errors []*Mistake

// Error gives one line for each mistake, without a final line feed.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, m := range e {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a *Mistake.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, m := range e {
		errs[i] = m
	}
	return errs
}

// quote makes the user's text safe to repeat in a one-line message.
func quote(s string) string {
	if len(s) > maxQuoted {
		cut := maxQuoted
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "…"
	}
	return strconv.Quote(s)
}

// several says "1 key", "2 keys".
func several(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
