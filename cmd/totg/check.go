package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/config"
)

func newCheckCmd() *cobra.Command {
	file, packet := "", ""
	cmd := &cobra.Command{
		Use:                   "check [-c FILE] [--packet PACKET]",
		DisableFlagsInUseLine: true,
		Short:                 "Look for mistakes in a configuration",
		Long: `Reads a configuration and its key files as "totg up" does, and changes nothing.
Every mistake is one line: file, line, key, what is wrong, what would be right;
the exit code is then 2. Without a mistake it prints what the file says.

With --packet it prints where a packet goes and how it travels: the peer, the rule
that it meets, the mode. A packet is written as protocol, source, ">" and
destination, then "dscp" or "size" with a number if need be.`,
		Example: `  totg check -c totg.toml
  sudo totg check                               # /etc/totg/totg.toml
  totg check -c totg.toml --packet "udp 10.0.0.1:5000 > 10.0.0.2:3074 dscp 46"
  totg check -c totg.toml --packet "icmpv6 fd77::1 > fd77::2 size 84"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("packet") {
				return show(cmd, summary(cfg))
			}
			p, err := config.ParsePacket(packet)
			if err != nil {
				return &usageError{err.Error()}
			}
			return show(cmd, explain(cfg, &p))
		},
	}
	configFlag(cmd.Flags(), &file, defaultConfig)
	cmd.Flags().StringVar(&packet, "packet", "", "explain what becomes of a `PACKET`")
	completeConfig(cmd)
	return cmd
}

// summary tells what a configuration says, without secrets and without a final line feed.
func summary(cfg *config.Config) string {
	var b strings.Builder
	i := cfg.Interface
	fmt.Fprintf(&b, "%s: no mistake found\n\n", cfg.Path)
	rows := [][]string{
		{"interface", fmt.Sprintf("%s (%s), mtu %d", i.Name, i.Mode, i.MTU)},
		{"public key", i.PrivateKey.Public().Base64()},
		{"addresses", prefixes(i.Addresses)},
		{"listen", i.Listen.String()},
		{"rate", rateText(string(i.Rate), int64(i.Bandwidth))},
		{"redundancy", i.Redundancy.String()},
	}
	if i.ARQ {
		rows = append(rows, []string{"coding", "off (arq)"})
	}
	for _, p := range cfg.Peers {
		endpoint := p.Endpoint
		if endpoint == "" {
			endpoint = "not known, it calls"
		}
		rows = append(rows, nil, []string{"peer", p.Name}, []string{"public key", p.PublicKey.Base64()},
			[]string{"endpoint", endpoint}, []string{"allowed ips", prefixes(p.AllowedIPs)})
		if !p.PresharedKey.IsZero() {
			rows = append(rows, []string{"preshared", "yes"})
		}
		if p.Keepalive > 0 {
			rows = append(rows, []string{"keepalive", p.Keepalive.String()})
		}
		if len(p.Rules) > 0 {
			rows = append(rows, []string{"rules", strconv.Itoa(len(p.Rules))})
		}
	}
	b.WriteString(alignColumns(rows))
	return strings.TrimRight(b.String(), "\n")
}

func prefixes(list []netip.Prefix) string {
	if len(list) == 0 {
		return "-"
	}
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
