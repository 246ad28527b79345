package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
)

func newDownCmd() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:                   "down [NAME | -c FILE]",
		DisableFlagsInUseLine: true,
		Short:                 "Bring a tunnel down",
		Long: `Tells a running "totg up" to end, and returns when it has taken back interface,
addresses and routes. Without a name or a file it means the only tunnel that is up.`,
		Example: `  sudo totg down                                # the only one
  sudo totg down totg0
  sudo totg down -c office.toml`,
		Args:              oneInterface,
		ValidArgsFunction: completeInterface,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := whichInterface(cmd, args, file)
			if err != nil {
				return err
			}
			return control.Stop(control.Path(name))
		},
	}
	configFlag(cmd.Flags(), &file, "")
	completeConfig(cmd)
	return cmd
}

// whichInterface finds the interface that a command line means.
func whichInterface(cmd *cobra.Command, args []string, file string) (string, error) {
	byFile := cmd.Flags().Changed("config")
	switch {
	case byFile && len(args) > 0:
		return "", usage(cmd, "give a name or -c, not both")
	case len(args) > 0:
		return args[0], nil
	case byFile:
		cfg, err := config.Load(file)
		if err != nil {
			return "", err
		}
		return cfg.Interface.Name, nil
	}
	names, err := control.Running()
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("no tunnel is up; start one: totg up -c FILE")
	case len(names) > 1:
		return "", usage(cmd, "several tunnels are up, name one: "+strings.Join(names, ", "))
	}
	return names[0], nil
}
