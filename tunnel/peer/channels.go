package peer

import (
	"cmp"
	"slices"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/tunnel/flow"
)

// ChannelStatus describes a channel of the session.
type ChannelStatus struct {
	ID      string // both halves in hexadecimal
	Mode    string // name of the capability set
	State   string
	ByPeer  bool // the peer opened it, and sends on it
	Flows   int  // buckets of flows that have it; 0 for a ready one and for one of the peer
	TxUnits uint64
	RxUnits uint64
	Skipped uint64 // segments given up
	Late    uint64 // segments that came after that
	// Resent is how many datagrams were sent again, or in advance, for the class
	// of traffic that the channel belongs to: repairs serve many channels at once.
	Resent     uint64
	QueueBytes int // that wait to be sent on it
	Age        time.Duration
}

// Channels describes the channels of the session, the oldest first.
func (p *Peer) Channels() (list []ChannelStatus) {
	s := p.cur
	if s == nil {
		return nil
	}
	type use struct {
		class flow.Class
		flows int
		bytes int
	}
	uses := map[channel.Handle]use{}
	s.pools.each(func(c flow.Class, m *pool) {
		for _, h := range append(slices.Clone(m.ready), m.base) {
			uses[h] = use{class: c}
		}
		for i := range m.lanes {
			if l := &m.lanes[i]; l.h != (channel.Handle{}) {
				u := uses[l.h]
				u.class = c
				u.flows++
				for k := i; k < buckets; k += len(m.lanes) {
					u.bytes += p.queue.FlowBytes(c, uint8(k))
				}
				uses[l.h] = u
			}
		}
	})
	again := s.sender.Stats().Again
	for _, i := range s.mux.Channels() {
		st := ChannelStatus{
			ID: i.ID.String(), Mode: i.Capabilities.String(), State: i.State.String(), ByPeer: i.ByPeer,
			TxUnits: i.UnitsSent, RxUnits: i.UnitsReceived, Skipped: i.Skipped, Late: i.Late, Age: i.Age,
		}
		if u, ours := uses[i.Handle]; ours {
			st.Flows, st.QueueBytes, st.Resent = u.flows, u.bytes, again[class(u.class)]
		}
		list = append(list, st)
	}
	slices.SortStableFunc(list, func(a, b ChannelStatus) int { return cmp.Compare(b.Age, a.Age) })
	return list
}
