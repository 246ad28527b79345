package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/totg/totg/handshake/ladder"
	"github.com/totg/totg/internal/theseus"
)

// newTheseusCmd is "totg theseus".
func newTheseusCmd() *cobra.Command {
	opt := theseus.Options{Runs: 500, Deadline: theseus.DefaultDeadline, Seed: 1}
	rule, asJSON := theseus.RuleName(ladder.VoteOnce), false
	cmd := &cobra.Command{
		Use:   "theseus [flags]",
		Short: "Let two parties coordinate over lossy links, and count how often they decide differently",
		Long: `Repeats the experiment of the Two Generals paper with the real machines and real
signatures, in virtual time: so many runs at each of 21 loss rates from 0 to 98 %.
In each tick each party sends its highest message once. Ticks are those until both
have attacked, of the runs that did.

The rule decides what a deadline does. vote-once is what totg does: a party that
has voted is in doubt until it hears the other, and never guesses. paper4 and
paper6 are the published rules: they abort at the deadline whatever was signed,
and so one side can attack while the other aborts.

docs/tgp.md explains the table. The exit code is 1 if vote-once ever split.`,
		Example: `  totg theseus                                  # 10,500 runs, none asymmetric
  totg theseus --rule paper6                    # the published rule, same deadline
  totg theseus --deadline 0                     # how long it takes without a deadline
  totg theseus --deadline 50 --horizon 50       # who is in doubt right at the deadline
  totg theseus --runs 50 --planks               # without each datagram in turn
  totg theseus --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opt.Rule, err = theseus.ParseRule(rule); err != nil {
				return &codeError{2, fmt.Errorf("--rule: %w", err)}
			}
			if err := checkTheseus(&opt); err != nil {
				return &codeError{2, err}
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			table, err := theseus.Measure(ctx, opt)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(table)
			} else {
				err = table.Write(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			if runs, planks := table.Asymmetric(); opt.Rule == ladder.VoteOnce && runs+planks > 0 {
				return fmt.Errorf("%d runs ended asymmetric under vote-once", runs+planks)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&opt.Runs, "runs", opt.Runs, "`NUMBER` of runs at each loss rate")
	f.StringVar(&rule, "rule", rule, "`NAME` of the rule: vote-once, paper4 or paper6")
	f.IntVar(&opt.Deadline, "deadline", opt.Deadline, "`TICKS` after which a party that may abort does; 0 for never")
	f.IntVar(&opt.Horizon, "horizon", 0, "`TICKS` after which a run is counted as it is (default: 10 deadlines for vote-once, else one)")
	f.BoolVar(&opt.Planks, "planks", false, "play each run again without each of its delivered datagrams")
	f.BoolVar(&opt.Reorder, "reorder", false, "also deliver a fifth of the datagrams twice, and three tenths up to five ticks late")
	f.Uint64Var(&opt.Seed, "seed", opt.Seed, "`NUMBER` that the randomness starts from")
	f.BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

func checkTheseus(opt *theseus.Options) error {
	switch {
	case opt.Runs < 1 || opt.Runs > theseus.MaxRuns:
		return fmt.Errorf("--runs %d: from 1 to %d", opt.Runs, theseus.MaxRuns)
	case opt.Deadline < 0 || opt.Deadline > theseus.MaxTicks:
		return fmt.Errorf("--deadline %d: from 0 to %d ticks", opt.Deadline, theseus.MaxTicks)
	case opt.Horizon < 0 || opt.Horizon > theseus.MaxTicks:
		return fmt.Errorf("--horizon %d: from 0 to %d ticks", opt.Horizon, theseus.MaxTicks)
	case opt.Horizon > 0 && opt.Horizon < opt.Deadline:
		return fmt.Errorf("--horizon %d: before the deadline of %d ticks", opt.Horizon, opt.Deadline)
	}
	return nil
}
