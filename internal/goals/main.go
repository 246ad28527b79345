// Command goals measures the engine of package reliability against the goals of
// requirement R-9 (docs/protocol.md) in virtual time: a Sender and a Receiver
// over two links of internal/link, at full load and with lone messages, beside
// plain ARQ. It prints a table, says which goals are met, and fails if one is
// not. How to read it: docs/testing.md.
//
// A run is deterministic: equal flags give equal figures. Exit codes: 0 all goals
// met, 1 a goal missed or an error of the engine, 2 a mistake on the command line.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) //nolint:forbidigo // the exit code is the command's answer
}

// run is the command; it returns the exit code.
func run(args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, help()) // there is no other place to complain
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "goals: %v; -h lists the flags\n", err)
		return 2
	}
	show := newProgress(stderr, o.verbose, clock)
	results, err := measure(o, runtime.GOMAXPROCS(0), show.add)
	show.clear()
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "goals: %v\n", err)
		return 1
	}
	r := newReport(o, results)
	write := r.writeText
	if o.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "goals: %v\n", err)
		return 1
	}
	if r.Missed > 0 {
		return 1
	}
	return 0
}

// clock is the time of day, for nothing but the time that is left.
func clock() time.Time {
	return time.Now() //nolint:forbidigo // runs have a clock of their own, people have this one
}
