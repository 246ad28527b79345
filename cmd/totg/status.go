package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/totg/totg/tunnel/control"
)

func newStatusCmd() *cobra.Command {
	asJSON, channels := false, false
	cmd := &cobra.Command{
		Use:                   "status [NAME] [--channels] [--json]",
		DisableFlagsInUseLine: true,
		Short:                 "Show how tunnels are doing",
		Long: `Shows a tunnel, or all that are up: the peers, the loss and the round-trip time on
the link, what was sent, received, sent again and dropped.

With --channels it lists the channels of each peer too, at most 64.

With --json and a name it prints one object, with --json alone a list of objects.`,
		Example: `  sudo totg status
  sudo totg status totg0
  sudo totg status --channels
  sudo totg status totg0 --json | jq '.peers[] | {name, loss, rtt_seconds}'
  sudo watch -n 1 totg status`,
		Args:              oneInterface,
		ValidArgsFunction: completeInterface,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				st, err := query(args[0], channels)
				if err != nil {
					return err
				}
				if asJSON {
					return showJSON(cmd, st)
				}
				return show(cmd, statusTable(st, time.Now()))
			}
			all, err := queryAll(channels)
			if asJSON {
				return errors.Join(showJSON(cmd, all), err)
			}
			if len(all) == 0 && err == nil {
				return errors.New("no tunnel is up; start one: totg up -c FILE")
			}
			var tables []string
			for _, st := range all {
				tables = append(tables, statusTable(st, time.Now()))
			}
			return errors.Join(show(cmd, strings.Join(tables, "\n\n")), err)
		},
	}
	cmd.Flags().BoolVar(&channels, "channels", false, "list channels too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// query asks one tunnel.
func query(name string, channels bool) (control.Status, error) {
	if channels {
		return control.QueryChannels(control.Path(name))
	}
	return control.Query(control.Path(name))
}

// queryAll asks every tunnel that is up. Those that answer come with an error about those that do not.
func queryAll(channels bool) ([]control.Status, error) {
	names, err := control.Running()
	if err != nil {
		return nil, err
	}
	all, errs := []control.Status{}, []error(nil)
	for _, name := range names {
		st, err := query(name, channels)
		if errors.Is(err, control.ErrNotUp) {
			continue // it ended in between
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, st)
	}
	return all, errors.Join(errs...)
}

func showJSON(cmd *cobra.Command, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return show(cmd, string(text))
}

// statusTable shows a status to people, without a final line feed.
func statusTable(st control.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  up for %s\n", printable(st.Interface), span(st.Uptime))
	b.WriteString(indent(alignColumns([][]string{
		{"public key", printable(st.PublicKey)},
		{"listening", printable(st.Listen)},
		{"carries", fmt.Sprintf("%s, mtu %d", carries(st.Mode), st.MTU)},
		{"rate", rateText(st.RateMode, st.RateBits)},
	})))
	rows := [][]string{{"PEER", "STATE", "ENDPOINT", "HANDSHAKE", "RTT", "LOSS", "SENT", "RECEIVED", "RESENT", "QUEUE", "DATAGRAM"}}
	for _, p := range st.Peers {
		rows = append(rows, peerRow(p, now))
	}
	if len(st.Peers) > 0 {
		b.WriteString("\n" + indent(alignColumns(rows)))
	}
	if moves := pathRows(st.Peers); len(moves) > 0 {
		b.WriteString("\n" + indent(alignColumns(moves)))
	}
	for _, p := range st.Peers {
		if len(p.Channels) > 0 {
			b.WriteString("\n" + indent("channels, "+printable(p.Name)+"\n"+indent(alignColumns(channelRows(p.Channels)))))
		}
	}
	drops := [][]string{}
	if text := dropList(st.Drops); text != "" {
		drops = append(drops, []string{"dropped", text})
	}
	for _, p := range st.Peers {
		if text := dropList(p.Drops); text != "" {
			drops = append(drops, []string{"dropped, " + printable(p.Name), text})
		}
	}
	if len(drops) > 0 {
		b.WriteString("\n" + indent(alignColumns(drops)))
	}
	return strings.TrimRight(b.String(), "\n")
}

// pathRows tells the newest switch of the path to each peer, if there was one.
func pathRows(peers []control.PeerStatus) (rows [][]string) {
	for _, p := range peers {
		s := p.PathSwitch
		if s.State == "" {
			continue
		}
		text := printable(s.State) + ", to " + printable(s.To)
		if s.ByPeer {
			text += ", by the peer's wish"
		}
		if s.Why != "" {
			text += ": " + printable(s.Why)
		}
		rows = append(rows, []string{"path switch, " + printable(p.Name), text})
	}
	return rows
}

// channelRows is the table of a peer's channels. What the peer opened carries what it sends.
func channelRows(list []control.ChannelStatus) [][]string {
	rows := [][]string{{"CHANNEL", "MODE", "STATE", "FLOWS", "SENT", "RECEIVED", "SKIPPED", "LATE", "RESENT", "QUEUE", "AGE"}}
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, c := range list {
		flows := strconv.Itoa(c.Flows)
		if c.ByPeer {
			flows = "peer's"
		}
		rows = append(rows, []string{
			printable(c.ID), printable(c.Mode), printable(c.State), flows, count(c.TxUnits), count(c.RxUnits), count(c.Skipped),
			count(c.Late), count(c.Resent), byteCount(uint64(max(c.QueueBytes, 0))), span(time.Duration(c.Age * float64(time.Second))),
		})
	}
	return rows
}

func peerRow(p control.PeerStatus, now time.Time) []string {
	handshake, rtt, loss, resent, size := "never", "-", "-", "-", "-"
	if !p.LastHandshake.IsZero() {
		handshake = span(now.Sub(p.LastHandshake)) + " ago"
	}
	if p.RTT > 0 {
		rtt = milliseconds(p.RTT)
		loss = percent(p.Loss)
	}
	if p.TxDatagrams > 0 {
		resent = percent(float64(p.Resent) / float64(p.TxDatagrams))
	}
	if p.DatagramSize > 0 {
		size = fmt.Sprintf("%d B", p.DatagramSize)
	}
	endpoint := printable(p.Endpoint)
	if endpoint == "" {
		endpoint = "-"
	}
	return []string{
		printable(p.Name), printable(p.State), endpoint, handshake, rtt, loss, byteCount(p.TxBytes), byteCount(p.RxBytes), resent,
		byteCount(uint64(max(p.QueueBytes, 0))), size,
	}
}
