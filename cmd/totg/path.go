package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/control"
)

func newPathCmd() *cobra.Command {
	var iface string
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:                   "path PEER ADDRESS [--deadline 10s]",
		DisableFlagsInUseLine: true,
		Short:                 "Move the tunnel to another path, at both ends or at neither",
		Long: `Moves the session with a peer to the path that leads to another address of the peer:
from one uplink to the other, or from IPv4 to IPv6. Both hosts first try the new path,
in both directions, and then change together or not at all. Connections inside the
tunnel go on. ADDRESS is where this host reaches the peer on the new path, as IP:PORT;
it need not be in the configuration. The peer runs nothing. Prints

  MOVED     exit code 0: this host sends on the new path, and the other one too, or
            it will as soon as it hears so
  STAYED    exit code 1: neither host moved, and neither will; standard error says why
  IN DOUBT  exit code 3: this host has voted, and the deadline found it waiting for the
            other. It receives on both paths, sends on the old one, and follows when it
            hears from the other; "totg status" tells

A mistake, or a tunnel that is not up, is exit code 1 or 2 with nothing on standard
output. Which uplink leads to an address is a matter of the host's routes. Nothing
moves by itself: a program that watches the uplinks can run this command.`,
		Example: `  sudo totg path office 198.51.100.7:4430
  sudo totg path office '[2001:db8::7]:4430' --deadline 30s`,
		Args: func(cmd *cobra.Command, args []string) error {
			_, err := pathArgs(cmd, args, deadline)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pathArgs(cmd, args, deadline)
			if err != nil {
				return err
			}
			name, err := agreeInterface(cmd, iface)
			if err != nil {
				return err
			}
			return movePath(cmd, name, p)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&deadline, "deadline", 10*time.Second, "give up after this `TIME`, if this host has not voted by then")
	f.StringVar(&iface, "interface", "", "the tunnel's interface `NAME`, where several are up")
	return cmd
}

func pathArgs(cmd *cobra.Command, args []string, deadline time.Duration) (p control.PathProposal, err error) {
	if len(args) != 2 {
		return p, usage(cmd, "give a peer and an address")
	}
	to, err := netip.ParseAddrPort(args[1])
	switch {
	case err != nil || to.Port() == 0 || to.Addr().IsUnspecified() || to.Addr().IsMulticast():
		return p, usage(cmd, fmt.Sprintf("%q is no address of a peer: use IP:PORT, such as 198.51.100.7:4430 or [2001:db8::7]:4430", args[1]))
	case deadline <= 0 || deadline > control.MaxPathDeadline:
		return p, usage(cmd, fmt.Sprintf("--deadline must be above 0 and at most %v", control.MaxPathDeadline))
	}
	return control.PathProposal{Peer: args[0], To: to, Deadline: deadline}, nil
}

// movePath asks for the switch and says how it ended.
func movePath(cmd *cobra.Command, iface string, p control.PathProposal) error {
	s, err := control.MovePath(control.Path(iface), p)
	if err != nil {
		return err
	}
	if err := show(cmd, s.Outcome); err != nil { // one word or two, for scripts
		return err
	}
	switch s.Outcome {
	case control.OutcomeMoved:
		return nil
	case control.OutcomeStayed:
		return &outcomeError{codeAborted, printable(s.Why)}
	case control.OutcomeInDoubt:
		return &outcomeError{codeInDoubt, printable(s.Why)}
	}
	return fmt.Errorf("outcome %q: %w", s.Outcome, control.ErrProtocol)
}
