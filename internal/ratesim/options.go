package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

const (
	defaultSeeds = 20
	maxSeeds     = 1000
	quickSeeds   = 2
	quickRate    = 100e6 // bit/s: -quick leaves out what is faster, but policers
)

// options are the flags.
type options struct {
	only    string
	seeds   int
	seed    uint64
	quick   bool
	json    bool
	trace   string
	verbose bool
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("ratesim", flag.ContinueOnError)
	f.SetOutput(io.Discard) // run prints one line, or the help
	f.StringVar(&o.only, "only", "", "play only the scenarios whose name has `text` in it")
	f.IntVar(&o.seeds, "seeds", defaultSeeds, "`number` of runs of a scenario with a loss of 0.9 or more; others have one")
	f.Uint64Var(&o.seed, "seed", 1, "`seed` of the first run; the next ones count up")
	f.BoolVar(&o.quick, "quick", false, "leave out 1 Gbit/s, and 2 seeds unless -seeds says more")
	f.BoolVar(&o.json, "json", false, "write JSON instead of the table")
	f.StringVar(&o.trace, "trace", "", "write the trace of the first flow of the first run to this `file` (CSV)")
	f.BoolVar(&o.verbose, "v", false, "show the progress")
	return f
}

// parseOptions reads the command line. The error is flag.ErrHelp where help is
// asked for.
func parseOptions(args []string) (*options, error) {
	o := &options{}
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	explicit := false
	f.Visit(func(f *flag.Flag) { explicit = explicit || f.Name == "seeds" })
	if o.quick && !explicit {
		o.seeds = quickSeeds
	}
	if o.seeds < 1 || o.seeds > maxSeeds {
		return nil, fmt.Errorf("-seeds %d is not between 1 and %d", o.seeds, maxSeeds)
	}
	if len(o.scenarios()) == 0 {
		return nil, fmt.Errorf("-only %q: no scenario has such a name", o.only)
	}
	return o, nil
}

// scenarios lists what is to be played, one seed of each.
func (o *options) scenarios() []scenario {
	var list []scenario
	for _, sc := range append(grid(), scenarios()...) {
		slow := sc.rate > quickRate && sc.policer.Rate == 0
		if strings.Contains(sc.name, o.only) && (!o.quick || !slow) {
			list = append(list, sc)
		}
	}
	return list
}

// replay is the command that plays one run again.
func replay(sc *scenario) string {
	return fmt.Sprintf("go run ./internal/ratesim -seeds 1 -seed %d -only '%s'", sc.seed, sc.name)
}

// help is the text of -h.
func help() string {
	var b strings.Builder
	b.WriteString(`Drives the rate controller through the grid and the scenarios of G-6 (docs/protocol.md) in virtual time.

usage: go run ./internal/ratesim [flags]

`)
	f := new(options).flags()
	f.SetOutput(&b)
	f.PrintDefaults()
	b.WriteString(`
examples:
  go run ./internal/ratesim                              # everything
  go run ./internal/ratesim -quick                       # a first impression
  go run ./internal/ratesim -only 'grid 10M'             # some cells of the grid
  go run ./internal/ratesim -only CUBIC                  # beside CUBIC
  go run ./internal/ratesim -json | jq '.runs[] | select(.gates[] | .met | not)'
`)
	return b.String()
}
