package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletionCmd() *cobra.Command {
	return &cobra.Command{
		Use:                   "completion {bash | zsh | fish}",
		DisableFlagsInUseLine: true,
		Short:                 "Print a script that completes totg's command line",
		Long: `Prints a script that teaches a shell to complete totg's commands, flags, files and
the names of tunnels that are up.`,
		Example: `  source <(totg completion bash)                # for this shell
  totg completion bash | sudo tee /usr/share/bash-completion/completions/totg >/dev/null
  totg completion zsh > "${fpath[1]}/_totg"
  totg completion fish > ~/.config/fish/completions/totg.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, "name one shell: bash, zsh or fish")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return usage(cmd, fmt.Sprintf("no completion for %q: name bash, zsh or fish", args[0]))
		},
	}
}
