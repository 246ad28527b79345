package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/config"
)

func newCheckCmd() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:                   "check [-c FILE]",
		DisableFlagsInUseLine: true,
		Short:                 "Look for mistakes in a configuration",
		Long: `Reads a configuration and its key files as "totg up" does, and changes nothing.
Every mistake is one line: file, line, key, what is wrong, what would be right;
the exit code is then 2. Without a mistake it prints what the file says.`,
		Example: `  totg check -c totg.toml
  sudo totg check                               # /etc/totg/totg.toml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return show(cmd, summary(cfg))
		},
	}
	configFlag(cmd.Flags(), &file, defaultConfig)
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
