package tunnel

import (
	"context"
	"maps"
	"os"
	"time"

	"github.com/totg/totg/tunnel/control"
	"github.com/totg/totg/tunnel/peer"
)

// Status answers the control socket: the loop fills it in.
func (l *loop) Status(ctx context.Context, channels bool) (control.Status, error) {
	answer := make(chan control.Status, 1)
	select {
	case l.calls <- func() { answer <- l.status(channels) }:
	case <-ctx.Done():
		return control.Status{}, ctx.Err()
	}
	select {
	case st := <-answer:
		return st, nil
	case <-ctx.Done():
		return control.Status{}, ctx.Err()
	}
}

// Stop begins the tunnel's end.
func (l *loop) Stop() { l.stop() }

func (l *loop) status(channels bool) control.Status {
	c := l.opt.Config.Interface
	st := control.Status{
		Version: l.opt.Version, PID: os.Getpid(), Interface: l.device.Name(), Mode: string(c.Mode), MTU: c.MTU,
		PublicKey: c.PrivateKey.Public().Base64(), Listen: l.socket.LocalAddr().String(),
		RateMode: string(c.Rate), RateBits: int64(c.Bandwidth), Uptime: time.Since(l.started), Drops: l.drops.byReason(),
	}
	for _, p := range l.table.peers {
		ps := p.status()
		if channels {
			ps.Channels = p.channels()
		}
		st.Peers = append(st.Peers, ps)
	}
	return st
}

func (p *tunnelPeer) status() control.PeerStatus {
	s := p.core.Status()
	out := control.PeerStatus{
		Name: p.config.Name, PublicKey: p.config.PublicKey.Base64(), State: s.State,
		LastHandshake: s.LastHandshake, LastReceived: s.LastReceived,
		TxBytes: s.TxBytes, RxBytes: s.RxBytes, TxPackets: s.TxPackets, RxPackets: s.RxPackets,
		TxDatagrams: s.TxDatagrams, RxDatagrams: s.RxDatagrams, Resent: s.Resent + s.Proactive, KeyEpochs: s.Rekeyed,
		Loss: s.Loss, ReturnLoss: s.ReturnLoss, RTT: s.RTT, RateBits: s.Rate, QueueBytes: int64(s.QueueBytes), DatagramSize: s.Datagram,
		CapacityBits: s.Capacity, RatePhase: s.Phase, QueueDelay: s.QueueDelay, QueueTarget: s.QueueTarget,
		Drops: map[string]uint64{},
	}
	if m := s.Move; m.State != peer.MoveNone {
		out.PathSwitch = control.PathStatus{To: m.To.String(), State: m.State.String(), ByPeer: !m.Own, Why: m.Why}
	}
	if s.Endpoint.IsValid() {
		out.Endpoint = s.Endpoint.String()
	}
	for reason := peer.DropNone + 1; reason < peer.NumDropReasons; reason++ {
		if n := s.Drops[reason]; n > 0 {
			out.Drops[reason.String()] = n
		}
	}
	maps.Copy(out.Drops, nonZero(map[string]uint64{
		"queue_full": s.QueueDropped, "queue_dropped": s.QueueEvicted, "expired": s.Expired, "suppressed": s.Suppressed, "bad_unit": s.RxMalformed,
	}))
	return out
}

// channels lists the peer's channels, as many as an answer has room for.
func (p *tunnelPeer) channels() (list []control.ChannelStatus) {
	all := p.core.Channels()
	for _, c := range all[:min(len(all), control.MaxChannels)] {
		list = append(list, control.ChannelStatus{
			ID: c.ID, Mode: c.Mode, State: c.State, ByPeer: c.ByPeer, Flows: c.Flows, TxUnits: c.TxUnits, RxUnits: c.RxUnits,
			Skipped: c.Skipped, Late: c.Late, Resent: c.Resent, QueueBytes: int64(c.QueueBytes), Age: c.Age.Seconds(),
		})
	}
	return list
}

func (d *dropCounters) byReason() map[string]uint64 {
	return nonZero(map[string]uint64{
		"malformed": d.malformed, "unknown_index": d.unknown, "bad_init": d.badInit, "cookie_sent": d.cookie, "init_flood": d.flooded, "no_peer": d.noPeer,
		"bad_packet": d.badPacket, "source": d.source, "device_error": d.deviceError, "send_error": d.sendError,
	})
}

// nonZero leaves out what never happened.
func nonZero(m map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(m, func(_ string, n uint64) bool { return n == 0 })
	return m
}
