package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/agreement"
	"github.com/totg/totg/tunnel/control"
)

// Exit codes of "totg agree".
const (
	codeAborted = 1
	codeInDoubt = 3
	codeThen    = 4
)

// outcomeError is an outcome other than COMMITTED, which has been printed.
type outcomeError struct {
	code int
	text string
}

func (e *outcomeError) Error() string { return e.text }

// ExitCode is for the program's exit.
func (e *outcomeError) ExitCode() int { return e.code }

func newAgreeCmd() *cobra.Command {
	var list, asJSON bool
	var then, iface string
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:                   "agree PEER NAME [--deadline 10s] [--then CMD] | agree --list [--json]",
		DisableFlagsInUseLine: true,
		Short:                 "Act together with a peer, or not at all",
		Long: `Coordinates a named action with a peer: either both hosts end COMMITTED, or both
ABORTED, whatever the link loses and whoever crashes. Both run this command with the
same NAME, or the other one accepts it by "agree" in its configuration. Prints

  COMMITTED  exit code 0: the other host has committed too, or will
  ABORTED    exit code 1: the other host has not and will not
  IN DOUBT   exit code 3: this host has voted, and the deadline found it waiting for
             the other. Neither outcome may be assumed. The tunnel goes on asking, also
             after a restart; "totg agree --list" tells when it knows.

A mistake, or a tunnel that is not up, is exit code 1 or 2 with nothing on standard
output. With --then a command of the shell runs on COMMITTED, and only then, with
TOTG_PEER, TOTG_NAME and TOTG_RECEIPT in its environment; if it fails the exit code
is 4.

While an attempt at a name is under way, running the command again joins it. Once it is
decided the name may be used again. A name has 1 to 60 letters, digits and _.:@+-.`,
		Example: `  sudo totg agree office switch-1                       # on both hosts
  sudo totg agree office switch-1 --deadline 1m --then 'systemctl restart uplink'
  sudo totg agree --list`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := agreeInterface(cmd, iface)
			if err != nil {
				return err
			}
			if list {
				return listAgreements(cmd, name, asJSON)
			}
			p := control.Proposal{Peer: args[0], Name: args[1], Deadline: deadline}
			return agree(cmd, name, p, then)
		},
		Args: func(cmd *cobra.Command, args []string) error { return agreeArgs(cmd, args, list, deadline) },
	}
	f := cmd.Flags()
	f.DurationVar(&deadline, "deadline", 10*time.Second, "give up after this `TIME`, if this host has not voted by then")
	f.StringVar(&then, "then", "", "run this shell command `CMD` on COMMITTED")
	f.BoolVar(&list, "list", false, "list what the tunnel remembers")
	f.BoolVar(&asJSON, "json", false, "with --list: print JSON")
	f.StringVar(&iface, "interface", "", "the tunnel's interface `NAME`, where several are up")
	return cmd
}

func agreeArgs(cmd *cobra.Command, args []string, list bool, deadline time.Duration) error {
	switch {
	case list && len(args) > 0:
		return usage(cmd, "--list takes no arguments")
	case list:
		return nil
	case len(args) != 2:
		return usage(cmd, "give a peer and a name")
	case !agreement.ValidName(args[1]):
		return usage(cmd, fmt.Sprintf("%q cannot name an action: use 1 to %d letters, digits and _.:@+-", args[1], agreement.MaxName))
	case deadline <= 0 || deadline > control.MaxDeadline:
		return usage(cmd, fmt.Sprintf("--deadline must be above 0 and at most %v", control.MaxDeadline))
	}
	return nil
}

// agreeInterface finds the interface that is meant.
func agreeInterface(cmd *cobra.Command, name string) (string, error) {
	if name == "" {
		return whichInterface(cmd, nil, "")
	}
	return name, oneInterface(cmd, []string{name})
}

// agree asks for the action and says how it ended.
func agree(cmd *cobra.Command, iface string, p control.Proposal, then string) error {
	a, err := control.Agree(control.Path(iface), p)
	if err != nil {
		return err
	}
	if err := show(cmd, a.Outcome); err != nil { // one word or two, for scripts
		return err
	}
	switch a.Outcome {
	case control.OutcomeCommitted:
		return runThen(cmd, a, then)
	case control.OutcomeAborted:
		return &outcomeError{code: codeAborted}
	case control.OutcomeInDoubt:
		return &outcomeError{code: codeInDoubt}
	}
	return fmt.Errorf("outcome %q: %w", a.Outcome, control.ErrProtocol)
}

// runThen runs what the user wants to happen on COMMITTED.
func runThen(cmd *cobra.Command, a control.Agreement, then string) error {
	if then == "" {
		return nil
	}
	c := exec.CommandContext(cmd.Context(), "sh", "-c", then)
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.Env = append(os.Environ(), "TOTG_PEER="+a.Peer, "TOTG_NAME="+a.Name, "TOTG_RECEIPT="+a.Receipt)
	if err := c.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return &outcomeError{codeThen, fmt.Sprintf("committed, but the command failed: %v", exit)}
		}
		return &outcomeError{codeThen, fmt.Sprintf("committed, but the command did not run: %v", err)}
	}
	return nil
}

// listAgreements prints what the tunnel remembers.
func listAgreements(cmd *cobra.Command, iface string, asJSON bool) error {
	all, err := control.Agreements(control.Path(iface))
	if err != nil {
		return err
	}
	if asJSON {
		return showJSON(cmd, all)
	}
	rows := [][]string{{"PEER", "NAME", "OUTCOME", "RECEIPT"}}
	for _, a := range all {
		note := a.Receipt[:min(len(a.Receipt), 16)]
		if !a.Resolved && a.Outcome != control.OutcomeOpen && a.Outcome != control.OutcomeInDoubt {
			note += " (the peer may not know yet)"
		}
		rows = append(rows, []string{printable(a.Peer), printable(a.Name), a.Outcome, strings.TrimSpace(note)})
	}
	return show(cmd, strings.TrimRight(alignColumns(rows), "\n"))
}
