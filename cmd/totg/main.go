// Command totg makes a lossy link between two hosts look like a clean, slower one.
//
// docs/cli.md is its reference, generated from the commands below (go test ./cmd/totg -update).
//
// Exit codes: 0 success, 1 something failed, 2 a mistake on the command line or in the configuration. Errors are single lines
// on standard error: "totg: …", and "FILE:LINE: KEY: …" for mistakes in a configuration. "totg lab" passes on its command's code.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel"
	"github.com/totg/totg/tunnel/config"
)

// version is stamped by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// runTunnel is the tunnel behind "totg up"; tests put another in its place.
type runTunnel func(context.Context, tunnel.Options) error

func main() {
	root := newRootCmd(tunnel.Run)
	os.Exit(exitCode(root.ExecuteContext(context.Background()), os.Stderr))
}

func newRootCmd(run runTunnel) *cobra.Command {
	root := &cobra.Command{
		Use:   "totg",
		Short: "A tunnel that makes a lossy link look like a clean, slower one",
		Long: `totg connects two hosts over a link that loses packets. Each end gets a network
interface; ordinary programs use it unchanged and see no loss.

Start with "totg demo", which needs no configuration and no root.

Exit codes: 0 success, 1 something failed, 2 a mistake on the command line or in
the configuration.`,
		Example: `  totg demo                                     # what it does, on this machine
  totg keygen -o totg.key                       # make a key, print its public part
  totg check -c totg.toml                       # look for mistakes
  sudo totg up -c totg.toml                     # bring the tunnel up
  sudo totg status                              # how it is doing`,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate(versionText())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err.Error()) })
	cobra.EnableCommandSorting = false
	root.AddCommand(
		newUpCmd(run), newDownCmd(), newStatusCmd(), newAgreeCmd(), newPathCmd(), newCheckCmd(), newKeygenCmd(), newPubkeyCmd(),
		newLabCmd(), newDemoCmd(), newTheseusCmd(), newVersionCmd(), newCompletionCmd(),
	)
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	return root
}

// exitCode reports an error, if there is one, and gives the program's exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if mistakes, ok := errors.AsType[config.Errors](err); ok {
		_, _ = fmt.Fprintln(stderr, mistakes.Error()) // there is no other place to complain
		return codeUsage
	}
	code := codeFailed
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		code = coded.ExitCode()
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(stderr, "totg: "+strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\ntotg: "))
	}
	return code
}
