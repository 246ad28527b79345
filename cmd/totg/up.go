package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel"
	"github.com/totg/totg/tunnel/config"
)

func newUpCmd(run runTunnel) *cobra.Command {
	file, trace, verbose := "", "", false
	cmd := &cobra.Command{
		Use:                   "up [-c FILE] [--trace FILE] [-v]",
		DisableFlagsInUseLine: true,
		Short:                 "Bring a tunnel up and keep it up",
		Long: `Brings the tunnel of a configuration up and stays in the foreground, with its log
on standard error. SIGINT (Ctrl-C), SIGTERM or "totg down" end it: interface,
addresses and routes go away again. SIGHUP reads the configuration again; if there
is a mistake in it the old one stays.

It needs root, or the capability CAP_NET_ADMIN.`,
		Example: `  sudo totg up                                  # with /etc/totg/totg.toml
  sudo totg up -c office.toml -v                # another file, more log
  sudo kill -HUP PID                            # after a change of the configuration`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends it the hard way
			log := newLog(cmd.ErrOrStderr(), verbose)
			reload := make(chan *config.Config)
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			go reloadOn(ctx, hangup, reload, file, log)
			return run(ctx, tunnel.Options{Config: cfg, Log: log, Reload: reload, Trace: trace, Version: version})
		},
	}
	configFlag(cmd.Flags(), &file, defaultConfig)
	cmd.Flags().StringVar(&trace, "trace", "", "write what rate control does to a CSV `FILE`")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	completeConfig(cmd)
	return cmd
}

// reloadOn reads the file again at every signal and hands it on, unless there is a mistake in it.
func reloadOn(ctx context.Context, hangup <-chan os.Signal, reload chan<- *config.Config, file string, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		cfg, err := config.Load(file)
		if err != nil {
			mistakes, _ := errors.AsType[config.Errors](err)
			for _, m := range mistakes {
				log.Error("configuration not reloaded", slog.String("mistake", m.Error()))
			}
			continue
		}
		log.Info("configuration read again", slog.String("file", file))
		select {
		case reload <- cfg:
		case <-ctx.Done():
			return
		}
	}
}

// newLog logs in colour for people, plainly for files, without the time where the system's journal adds its own.
func newLog(out io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if isTerminal(out) {
		return slog.New(tint.NewTextHandler(out, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb",
		}))
	}
	opt := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		opt.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(out, opt))
}
