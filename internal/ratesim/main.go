// Command ratesim drives the rate controller of package reliability/rate in
// virtual time over internal/link, through the grid and the scenarios of
// requirement G-6 (docs/protocol.md). It prints a line for each scenario, says
// which gates fail with the command that plays the run again, and fails if one
// does. How to read it: docs/testing.md.
//
// The receiver, with its receipts, is the real one of package reliability. A run
// is deterministic: equal flags give equal figures. Exit codes: 0 all gates hold,
// 1 a gate fails or an error, 2 a mistake on the command line.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) //nolint:forbidigo // the exit code is the command's answer
}

// run is the command; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, help()) // there is no other place to complain
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "ratesim: %v; -h lists the flags\n", err)
		return 2
	}
	results, err := measure(o, runtime.GOMAXPROCS(0), func(done, all int) {
		if o.verbose && done%max(all/20, 1) == 0 {
			_, _ = fmt.Fprintf(stderr, "%d of %d runs done\n", done, all) // progress is not worth an error
		}
	})
	if err == nil {
		err = newReport(results).write(stdout, o.json)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "ratesim: %v\n", err)
		return 1
	}
	for i := range results {
		if results[i].missed() {
			return 1
		}
	}
	return 0
}
