package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/totg/totg/internal/lab"
)

// newDemoCmd is "totg demo".
func newDemoCmd() *cobra.Command {
	opt := lab.DemoOptions{Congestion: lab.DefaultCongestion, Limit: 25 * time.Second}
	flags := &linkFlags{profile: lab.DefaultProfile}
	size := "20MB"
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Show what the tunnel does: the same download over a lossy link, with and without",
		Long: `Makes two equal emulated links, pings and downloads over both at once, directly
over one and through the tunnel over the other, and ends with a table. Takes less
than a minute, needs no network, no other program, and no root where user
namespaces are allowed.

The flags that describe the link are those of "totg lab".`,
		Example: `  totg demo
  totg demo --loss 50 --size 10MB
  totg demo --profile leo`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opt.Link, err = flags.path(); err != nil {
				return exitWith(2, err)
			}
			n, err := lab.ParseSize(size)
			if err != nil || n == 0 {
				return &codeError{2, fmt.Errorf("--size %q: write for example 20MB", size)}
			}
			if opt.Limit < time.Second {
				return &codeError{2, fmt.Errorf("--limit %v: at least 1s", opt.Limit)}
			}
			opt.Size, opt.Out = int64(n), os.Stdout
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return exitWith(lab.Demo(ctx, opt))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	flags.add(f)
	f.StringVar(&size, "size", size, "`SIZE` of the download")
	f.DurationVar(&opt.Limit, "limit", opt.Limit, "`TIME` after which a download is cut off")
	f.StringVar(&opt.Congestion, "congestion", opt.Congestion, "TCP congestion control of the web servers, by its `NAME`")
	f.Uint64Var(&opt.Seed, "seed", 0, "`NUMBER` that the links' randomness starts from (default: a new one)")
	f.BoolVarP(&opt.Verbose, "verbose", "v", false, "show the daemons' logs")
	return cmd
}
