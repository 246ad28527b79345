package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/totg/totg/internal/lab"
	"github.com/totg/totg/tunnel/config"
)

// codeError is an error that chooses the program's exit code. Without a cause
// there is nothing to print: the code is another program's.
type codeError struct {
	code  int
	cause error
}

func (e *codeError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *codeError) Unwrap() error { return e.cause }

// ExitCode is for the program's exit.
func (e *codeError) ExitCode() int { return e.code }

// exitWith turns the outcome of a lab into an error, nil for success.
func exitWith(code int, err error) error {
	switch {
	case err != nil && lab.IsUsage(err):
		return &codeError{2, err}
	case err != nil || code != 0:
		return &codeError{max(code, 1), err}
	}
	return nil
}

// newLabCmd is "totg lab".
func newLabCmd() *cobra.Command {
	opt, list, tc := lab.Options{Congestion: lab.DefaultCongestion}, false, false
	flags, tun := &linkFlags{profile: lab.DefaultProfile}, newLabTunnel()
	cmd := &cobra.Command{
		Use:   "lab [flags] [--] [command ...]",
		Short: "Run a command on a host behind an emulated lossy link, with the tunnel over it",
		Long: `Makes two hosts with an emulated link between them and the tunnel over it, and
runs a command (a shell without one) in host A. Needs no root where user
namespaces are allowed, and leaves nothing behind.

The command sees $TOTG_PEER and $TOTG_PEER6 (host B through the tunnel),
$TOTG_DIRECT and $TOTG_DIRECT6 (host B beside it); they are also replaced in the
arguments. The exit code is the command's.

The link starts as the profile says; flags change it. Each flag that describes
the link sets both directions; with -up (from A to B) or -down (from B to A)
added to its name, one of them. Percentages are plain numbers.`,
		Example: `  totg lab                                      # a shell; 50 Mbit/s, 40 ms, 20 % loss
  totg lab --b 'iperf3 -s' -- iperf3 -R -c '$TOTG_PEER'
  totg lab --rate 20mbit --rtt 600ms --loss 5 --burst 4 -- ping -c 10 '$TOTG_PEER'
  totg lab --profile leo --no-tunnel -- ping -c 100 -i 0.2 '$TOTG_DIRECT'
  totg lab --loss 0 --loss-down 30              # the way back only
  totg lab --compare wireguard,tcp-bbr --b 'iperf3 -s' -- iperf3 -R -c '$TOTG_PEER'
  totg lab --change 'at=5s every=15s outage=300ms' -- ping '$TOTG_PEER'
  totg lab --pcap link.pcapng -- ping -c 5 '$TOTG_PEER'
  totg lab --list                               # the profiles`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return exitWith(0, flags.list(cmd.OutOrStdout()))
			}
			var err error
			if opt.Link, err = flags.path(); err != nil {
				return exitWith(2, err)
			}
			if tc {
				return exitWith(0, writeTC(cmd, &opt))
			}
			if err = errors.Join(tun.apply(&opt), checkCompare(&opt, args)); err != nil {
				return exitWith(2, err)
			}
			opt.Command, opt.Stdin, opt.Stdout, opt.Stderr = args, os.Stdin, os.Stdout, os.Stderr
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return exitWith(lab.Run(ctx, opt))
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // the command's own flags need no --
	f.SortFlags = false
	flags.add(f)
	f.StringVar(&opt.CommandA, "a", "", "shell `COMMAND` to run in the background of host A")
	f.StringVar(&opt.CommandB, "b", "", "shell `COMMAND` to run in the background of host B")
	f.StringSliceVar(&opt.Compare, "compare", nil, "run the command through each of these `NAMES` too: "+strings.Join(lab.Comparable(), ","))
	f.IntVar(&opt.Port, "port", 5201, "TCP `PORT` of host B that is forwarded by those which forward one (kcptun)")
	f.StringVar(&opt.Pcap, "pcap", "", "record both ends of the link in a pcapng `FILE`")
	f.StringVar(&opt.Trace, "trace", "", "write what rate control does to a CSV `FILE` for each host: FILE-a, FILE-b before the suffix")
	f.StringVar(&opt.Report, "report", "", "write the figures to a JSON `FILE`")
	f.BoolVar(&opt.Cable, "cable", false, "a plain cable instead of the link, as fast as the machine; a tunnel needs --bandwidth")
	f.BoolVar(&opt.NoTunnel, "no-tunnel", false, "the link alone")
	tun.add(f)
	f.BoolVar(&opt.ARQ, "arq", false, "the tunnel without coding, for comparison: what is lost is sent again, and nothing else")
	f.StringVar(&opt.Congestion, "congestion", opt.Congestion, "TCP congestion control of both hosts, by its `NAME`")
	f.Uint64Var(&opt.Seed, "seed", 0, "`NUMBER` that the link's randomness starts from (default: a new one)")
	f.BoolVarP(&opt.Quiet, "quiet", "q", false, "neither introduction nor counters")
	f.BoolVarP(&opt.Verbose, "verbose", "v", false, "show what daemons and background commands print")
	f.BoolVar(&list, "list", false, "list the profiles and exit")
	f.BoolVar(&tc, "tc", false, "write the link as arguments of tc netem, for scripts/netem, and exit")
	return cmd
}

// checkCompare says what does not go together.
func checkCompare(opt *lab.Options, command []string) error {
	for _, name := range opt.Compare {
		if !slices.Contains(lab.Comparable(), name) {
			return fmt.Errorf("--compare: there is no %q; there are %s", name, strings.Join(lab.Comparable(), ", "))
		}
	}
	switch {
	case len(opt.Compare) > 0 && len(command) == 0:
		return errors.New("--compare: which command?")
	case opt.Cable && opt.Pcap != "":
		return errors.New("--pcap: a cable has no capture; use tcpdump in a host")
	case opt.Port < 1 || opt.Port > 65535:
		return fmt.Errorf("--port %d: not between 1 and 65535", opt.Port)
	}
	return nil
}

// writeTC writes the link for the scripts that build it from tc netem, and warns
// of what is missing there.
func writeTC(cmd *cobra.Command, opt *lab.Options) error {
	if opt.Seed == 0 {
		opt.Seed = rand.Uint64()
	}
	missing, err := lab.WriteTC(cmd.OutOrStdout(), opt.Link, opt.Seed)
	for _, key := range missing {
		cmd.PrintErrf("totg lab: tc netem has no %s like that: left out\n", key)
	}
	return err
}

// labTunnel is what the flags say of the tunnel.
type labTunnel struct{ mode, bandwidth, redundancy string }

func newLabTunnel() labTunnel {
	return labTunnel{mode: string(config.RateFair), redundancy: config.AutoRedundancy.String()}
}

// add defines the flags.
func (t *labTunnel) add(f *pflag.FlagSet) {
	f.StringVar(&t.mode, "rate-mode", t.mode, "`MODE` in which the tunnel finds its rate: fair, scavenger or fixed")
	f.StringVar(&t.bandwidth, "bandwidth", "", "`RATE` that the tunnel may send at most each way (default: no bound; with fixed, the link's rate)")
	f.StringVar(&t.redundancy, "redundancy", t.redundancy, "cap on what the tunnel sends in advance, per datagram of new data: auto or a `NUMBER`")
}

// apply checks the flags and sets the options.
func (t *labTunnel) apply(opt *lab.Options) (err error) {
	switch config.RateMode(t.mode) {
	case config.RateFair:
	case config.RateScavenger:
		opt.Scavenger = true
	case config.RateFixed:
		opt.Fixed = true
	default:
		return fmt.Errorf("--rate-mode: %q is no rate mode: choose fair, scavenger or fixed", t.mode)
	}
	if t.bandwidth != "" {
		if opt.Bandwidth, err = lab.ParseRate(t.bandwidth); err != nil {
			return fmt.Errorf("--bandwidth: %w", err)
		}
	}
	r, err := config.ParseRedundancy(t.redundancy)
	if err != nil {
		return fmt.Errorf("--redundancy: %w", err)
	}
	if r != config.AutoRedundancy {
		n := float64(r)
		opt.Redundancy = &n
	}
	return nil
}

// untilSignal is ctx until the user or the system wants the program to end.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}

// linkFlags describe a link on the command line.
type linkFlags struct {
	profile string
	file    string // of profiles, "" for the built-in ones
	set     []setting
	changes []string // of the schedule, beside the profile's
}

// setting is one flag as given, in order.
type setting struct {
	direction  lab.Direction
	key, value string
	flag       string
}

// add defines the flags.
func (l *linkFlags) add(f *pflag.FlagSet) {
	f.StringVarP(&l.profile, "profile", "p", l.profile, "`NAME` of the link to start from")
	f.StringVar(&l.file, "profiles", "", "`FILE` to read profiles from, instead of the built-in ones")
	f.StringArrayVar(&l.changes, "change", nil, "change the link while it runs, as `KEY=VALUE ...` in a profile's schedule; may be repeated")
	help := map[string]string{
		"rate":            "`RATE` in IP bytes, such as 50mbit; 0 is unlimited",
		"rtt":             "round-trip `TIME` without queueing, such as 40ms",
		"delay":           "one-way `TIME`, instead of --rtt",
		"jitter":          "largest deviation of the one-way delay, to both sides, a `TIME`",
		"jitter_reorders": "let jitter change the order of packets (`BOOL`)",
		"loss":            "`PERCENT` of packets lost, after the bottleneck",
		"burst":           "mean `PACKETS` of a loss burst; 1 is independent losses",
		"queue":           "`SIZE` of the queue before the bottleneck, such as 250KB or 1BDP",
		"duplicate":       "`PERCENT` of packets delivered twice",
		"reorder":         "`PERCENT` of packets held back",
		"reorder_delay":   "`TIME` that a packet is held back at most (default 5ms)",
		"corrupt":         "`PERCENT` of packets with one bit flipped",
		"mtu":             "largest packet in `BYTES`",
		"policer_rate":    "drop what exceeds a token bucket of that `RATE`",
		"policer_burst":   "`SIZE` of the token bucket",
	}
	for _, key := range lab.Keys() {
		name := strings.ReplaceAll(key, "_", "-")
		l.define(f, setting{lab.Both, key, "", name}, help[key])
		if key == "rtt" {
			continue
		}
		for i, d := range []lab.Direction{lab.Up, lab.Down} {
			one := name + []string{"-up", "-down"}[i]
			l.define(f, setting{d, key, "", one}, help[key])
			f.Lookup(one).Hidden = true // the long text tells of them
		}
	}
}

func (l *linkFlags) define(f *pflag.FlagSet, s setting, help string) {
	f.Var(&settingFlag{l, s}, s.flag, help)
	if s.key == "jitter_reorders" {
		f.Lookup(s.flag).NoOptDefVal = "true"
	}
}

// settingFlag adds a setting when its flag is given.
type settingFlag struct {
	to *linkFlags
	s  setting
}

func (v *settingFlag) String() string { return v.s.value }

// Type is the placeholder in the help.
func (v *settingFlag) Type() string { return "value" }

// Set reports mistakes at once, so that they name the flag.
func (v *settingFlag) Set(value string) error {
	v.s.value = value
	var trial lab.Spec
	if err := trial.Set(v.s.direction, v.s.key, value); err != nil {
		return err
	}
	v.to.set = append(v.to.set, v.s)
	return nil
}

func (l *linkFlags) profiles() ([]lab.Profile, error) {
	if l.file == "" {
		return lab.Profiles()
	}
	text, err := os.ReadFile(l.file)
	if err != nil {
		return nil, &codeError{2, fmt.Errorf("--profiles: %w", err)}
	}
	all, err := lab.ParseProfiles(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.file, err)
	}
	return all, nil
}

// path is the link that the flags describe.
func (l *linkFlags) path() (lab.Path, error) {
	all, err := l.profiles()
	if err != nil {
		return lab.Path{}, err
	}
	p, err := lab.FindProfile(all, l.profile)
	if err != nil {
		return lab.Path{}, err
	}
	for _, s := range l.set {
		if err := p.Spec.Set(s.direction, s.key, s.value); err != nil {
			return lab.Path{}, err
		}
	}
	for _, c := range l.changes {
		if err := p.Spec.Change(c); err != nil {
			return lab.Path{}, err
		}
	}
	return p.Spec.Resolve()
}

// list writes the profiles for people.
func (l *linkFlags) list(out io.Writer) error {
	all, err := l.profiles()
	if err != nil {
		return err
	}
	return lab.WriteProfiles(out, all)
}
