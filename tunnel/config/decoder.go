package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// decoder turns a document into a Config and collects the mistakes on the way.
type decoder struct {
	file     string
	dir      string                            // paths in the file are relative to it
	readKey  func(path string) (string, error) // reads a key file
	exposed  fs.FileMode                       // the file's own permissions if others can read it, else 0
	doc      *document
	mistakes Errors
}

// section is one table of the file.
type section struct {
	d      *decoder
	path   string // "interface", "peer/0": for line numbers
	shown  string // "interface", "peer": for messages
	values map[string]any
}

// item is one element of a list of strings.
type item struct {
	text string
	line int
}

func (d *decoder) decode(data []byte) (*Config, error) {
	doc, m := parseDocument(d.file, data)
	if m != nil {
		return nil, Errors{m}
	}
	d.doc = doc
	d.unknown("", "", doc.values, []string{tableInterface, tablePeer})
	cfg := &Config{Path: d.file}
	d.decodeInterface(&cfg.Interface)
	d.decodePeers(cfg)
	if len(d.mistakes) > 0 {
		return nil, d.sorted()
	}
	return cfg, nil
}

// sorted gives the mistakes in the order of lines, cut to a length that a person can read.
func (d *decoder) sorted() Errors {
	all := d.mistakes
	slices.SortStableFunc(all, func(a, b *Mistake) int { return cmp.Compare(a.Line, b.Line) })
	if len(all) > maxMistakes {
		rest := len(all) - maxMistakes
		all = append(all[:maxMistakes:maxMistakes], &Mistake{File: d.file, Problem: "and " + several(rest, "more mistake")})
	}
	return all
}

func (d *decoder) mistake(line int, key, problem, remedy string) {
	d.mistakes = append(d.mistakes, &Mistake{File: d.file, Line: line, Key: key, Problem: problem, Remedy: remedy})
}

// section opens a table; false if, reported, it is none.
func (d *decoder) section(path, shown, header string, v any) (section, bool) {
	values, ok := v.(map[string]any)
	if !ok {
		d.mistake(d.doc.line(path), shown, "is "+describe(v), "write it as a table: "+header)
	}
	return section{d: d, path: path, shown: shown, values: values}, ok
}

// unknown reports the keys of a table that are not among the known ones.
func (d *decoder) unknown(path, shown string, values map[string]any, known []string) {
	for _, k := range sortedKeys(values) {
		if slices.Contains(known, k) {
			continue
		}
		key, remedy := showKey(k), "the keys here are "+strings.Join(known, ", ")
		if shown != "" {
			key = shown + "." + key
		}
		if near := nearest(k, known); near != "" {
			remedy = fmt.Sprintf("did you mean %q?", near)
		} else if shown == "" {
			remedy = "the tables are [interface] and [[peer]]"
		}
		d.mistake(d.doc.line(join(path, k)), key, "unknown key", remedy)
	}
}

// line gives the line of one of the section's keys, or of the section if the key is not there.
func (s section) line(key string) int { return s.d.doc.line(join(s.path, key)) }

func (s section) has(key string) bool {
	_, ok := s.values[key]
	return ok
}

// wrong reports a mistake at one of the section's keys.
func (s section) wrong(key, problem, remedy string) {
	s.wrongAt(s.line(key), key, problem, remedy)
}

func (s section) wrongAt(line int, key, problem, remedy string) {
	s.d.mistake(line, s.shown+"."+key, problem, remedy)
}

// text gives a key's string; false if it is not there or, reported, no string.
func (s section) text(key, example string) (string, bool) {
	v, ok := s.values[key]
	if !ok {
		return "", false
	}
	t, ok := v.(string)
	if !ok {
		s.wrong(key, "is "+describe(v), "write a string: "+key+" = "+example)
	}
	return t, ok
}

// texts gives a key's list of strings, each with its line; false if it is not there or, reported, not such a list.
func (s section) texts(key, example string) ([]item, bool) {
	v, ok := s.values[key]
	if !ok {
		return nil, false
	}
	list, ok := v.([]any)
	if !ok {
		s.wrong(key, "is "+describe(v), "write a list of strings: "+key+" = ["+example+"]")
		return nil, false
	}
	items := make([]item, 0, len(list))
	for i, e := range list {
		line := s.d.doc.line(join(join(s.path, key), strconv.Itoa(i)))
		t, ok := e.(string)
		if !ok {
			s.wrongAt(line, key, "holds "+describe(e), "write strings: "+key+" = ["+example+"]")
			continue
		}
		items = append(items, item{text: t, line: line})
	}
	return items, true
}

// describe names a TOML value's type.
func describe(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a number"
	case float64:
		return "a decimal number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return "a date or time"
	}
	return fmt.Sprintf("a %T", v)
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// showKey quotes a key where TOML would, so that a message stays one line.
func showKey(k string) string {
	if bareKey.MatchString(k) {
		return k
	}
	return quote(k)
}
