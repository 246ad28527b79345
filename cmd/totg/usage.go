package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
)

// Exit codes.
const (
	codeFailed = 1
	codeUsage  = 2
)

// defaultConfig is the configuration file when the command line names none.
const defaultConfig = "/etc/totg/totg.toml"

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// ExitCode is for the program's exit.
func (e *usageError) ExitCode() int { return codeUsage }

// usage makes a usage error that says where to read on.
func usage(cmd *cobra.Command, text string) error {
	return &usageError{fmt.Sprintf("%s; see: %s --help", text, cmd.CommandPath())}
}

// knownCommand is for the root, whose arguments are what no command was found for.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return &usageError{text + "; did you mean: totg " + strings.Join(near, ", totg ")}
	}
	return usage(cmd, text)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Sprintf("%s takes no argument %q", cmd.Name(), args[0]))
	}
	return nil
}

// atMostOne refuses more arguments than one.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(cmd, fmt.Sprintf("%s takes one argument, not %d", cmd.Name(), len(args)))
	}
	return nil
}

// oneInterface takes at most one argument, the name of an interface.
func oneInterface(cmd *cobra.Command, args []string) error {
	if err := atMostOne(cmd, args); err != nil {
		return err
	}
	if len(args) == 1 && !config.ValidInterfaceName(args[0]) {
		return usage(cmd, fmt.Sprintf("%q is no name of an interface", args[0]))
	}
	return nil
}

// configFlag adds -c.
func configFlag(f *pflag.FlagSet, file *string, value string) {
	f.StringVarP(file, "config", "c", value, "configuration `FILE`")
}

// completeConfig lets the shell complete -c by TOML files.
func completeConfig(cmd *cobra.Command) {
	if err := cmd.MarkFlagFilename("config", "toml"); err != nil {
		panic("totg: " + err.Error()) // the command has no such flag
	}
}

// completeInterface lets the shell complete the names of tunnels that are up.
func completeInterface(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := control.Running()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
