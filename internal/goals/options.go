package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Defaults, and limits: a link holds what maxMbits and maxRTT put on it.
const (
	defaultSeeds = 5
	defaultSeed  = 1
	defaultRTT   = 100 * time.Millisecond
	maxSeeds     = 1000
	maxLoss      = 0.99
	maxMbits     = 1000
	minRTT       = time.Millisecond
	maxRTT       = 2 * time.Second
)

// options are the flags.
type options struct {
	rates, losses, bursts list // losses: empty for those of R-9
	rtt                   time.Duration
	seeds                 int
	seed                  uint64 // the first
	arq, quick            bool
	json, verbose         bool
}

// list is a flag of numbers with commas between.
type list []float64

// String writes the list as Set reads it.
func (l *list) String() string {
	words := make([]string, len(*l))
	for i, x := range *l {
		words[i] = number(x)
	}
	return strings.Join(words, ",")
}

// Set reads the list.
func (l *list) Set(text string) error {
	*l = nil
	for word := range strings.SplitSeq(text, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", word)
		}
		*l = append(*l, x)
	}
	return nil
}

// number writes x as short as can be.
func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// flags returns the flags, to be stored in o.
func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("goals", flag.ContinueOnError)
	f.SetOutput(io.Discard) // run prints one line, or the help
	o.rates, o.bursts = list{10, 100}, list{1, 5, 20}
	f.Var(&o.rates, "rates", "`list` of rates, Mbit/s")
	f.Var(&o.losses, "losses", "`list` of losses in both directions, 0 to 0.99 (default those of R-9)")
	f.Var(&o.bursts, "burst", "`list` of mean lengths of a loss burst, packets; 1: independent losses")
	f.DurationVar(&o.rtt, "rtt", defaultRTT, "round-trip `time`; the goals are for 100 ms")
	f.IntVar(&o.seeds, "seeds", defaultSeeds, "`number` of runs of each kind in a row")
	f.Uint64Var(&o.seed, "seed", defaultSeed, "seed of the first run; the next ones count up")
	f.BoolVar(&o.arq, "arq", true, "compare with plain ARQ")
	f.BoolVar(&o.quick, "quick", false, "a quarter as long, and one seed unless -seeds says more")
	f.BoolVar(&o.json, "json", false, "write JSON instead of the table")
	f.BoolVar(&o.verbose, "v", false, "show the progress even if standard error is no terminal")
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
		o.seeds = 1
	}
	return o, o.validate()
}

// validate reports the first mistake.
func (o *options) validate() error {
	switch {
	case o.seeds < 1 || o.seeds > maxSeeds:
		return fmt.Errorf("-seeds %d is not between 1 and %d", o.seeds, maxSeeds)
	case o.rtt < minRTT || o.rtt > maxRTT:
		return fmt.Errorf("-rtt %v is not between %v and %v", o.rtt, minRTT, maxRTT)
	}
	for _, rate := range o.rates {
		if !(rate >= 0.1 && rate <= maxMbits) { // NaN too
			return fmt.Errorf("-rates: %v is not between 0.1 and %d Mbit/s", rate, maxMbits)
		}
	}
	for _, loss := range o.losses {
		if !(loss >= 0 && loss <= maxLoss) {
			return fmt.Errorf("-losses: %v is not between 0 and %v", loss, maxLoss)
		}
	}
	for _, burst := range o.bursts {
		if !(burst >= 1 && burst <= 1000) {
			return fmt.Errorf("-burst: %v is not between 1 and 1000", burst)
		}
	}
	if len(o.rows()) == 0 {
		return errors.New("no link has such a loss in such short bursts: the mean burst is at least loss / (1 - loss)")
	}
	return nil
}

// replay is the command that measures a row again.
func (o *options) replay(r row) string {
	command := fmt.Sprintf("go run ./internal/goals -rates %s -losses %s -burst %s",
		number(r.mbits()), number(r.loss), number(r.burst))
	if o.quick {
		command += " -quick"
	}
	if o.seeds != defaultSeeds && (!o.quick || o.seeds != 1) {
		command += fmt.Sprintf(" -seeds %d", o.seeds)
	}
	if o.seed != defaultSeed {
		command += fmt.Sprintf(" -seed %d", o.seed)
	}
	return command
}

// help is the text of -h.
func help() string {
	var b strings.Builder
	b.WriteString(`Measures the engine against the goals of R-9 (docs/protocol.md) in virtual time.

usage: go run ./internal/goals [flags]

`)
	f := new(options).flags()
	f.SetOutput(&b)
	f.PrintDefaults()
	b.WriteString(`
examples:
  go run ./internal/goals                                       # the whole table, some minutes
  go run ./internal/goals -quick -rates 10 -arq=false           # a first impression, some seconds
  go run ./internal/goals -rates 50 -losses 0.2,0.4 -rtt 40ms   # another link: figures, no goals
  go run ./internal/goals -losses 0.3 -burst 10                 # losses in bursts
  go run ./internal/goals -rates 10 -losses 0.9 -burst 1 -seeds 1 -seed 4   # one run of a row
  go run ./internal/goals -json | jq '.rows[] | select(.goals[]? | .met | not)'
`)
	return b.String()
}
