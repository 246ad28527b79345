package peer

import (
	"net/netip"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// Counters are running totals over all sessions of a Peer.
type Counters struct {
	TxPackets, TxBytes   uint64 // inner, put into symbols
	RxPackets, RxBytes   uint64 // inner, delivered
	RxMalformed          uint64 // units from the peer that hold no packet
	TxDatagrams, TxOuter uint64 // outer datagrams and their IP bytes
	RxDatagrams, RxOuter uint64
	Resent, Proactive    uint64 // copies and repairs: for what is missing; in case something is
	Useless              uint64 // symbols that told nothing new
	Expired              uint64 // symbols given up at their deadline
	QueueDropped         uint64 // inner packets that found the queue full
	QueueEvicted         uint64 // … that were queued, and dropped to slow their flow or for others
	QueueMarked          uint64 // … that got an ECN mark instead
	Suppressed           uint64 // inner TCP segments sent again while the first was on its way
	Closed               uint64 // that this side ended by CLOSE
	BlackHoles           uint64 // datagram sizes that stopped arriving
	Rekeyed              uint64 // switches of the key epoch
	ChannelsClosed       uint64 // by either side, but for idleness
}

// Status is a snapshot of a Peer.
type Status struct {
	Counters
	State         string         // "idle", "connecting", "up" or "closed"
	Endpoint      netip.AddrPort // where the peer is, or is called
	LastHandshake time.Time      // zero: never
	LastReceived  time.Time
	Loss          float64 // share of our datagrams that do not arrive
	ReturnLoss    float64 // share of the receipts that do not arrive here
	RTT           time.Duration
	QueueDelay    time.Duration // of the path, one way, above its base delay
	QueueTarget   time.Duration // what rate control wants it to be
	Phase         string        // of rate control; empty: no session
	Rate          int64         // bit/s of IP bytes, of our sending
	Capacity      int64         // bit/s of IP bytes, that the path is thought to carry
	Datagram      int           // UDP payload in use, bytes
	QueueBytes    int           // waiting in the ingress queue
	InFlight      int           // symbols without a receipt
	Channels      int           // open, by either side
	Move          Move          // the newest switch of the path
	Drops         [NumDropReasons]uint64
}

// Status returns a snapshot.
func (p *Peer) Status() Status {
	st := Status{
		Counters: p.stats, State: p.state(), Endpoint: p.path.addr, Move: p.moved,
		Datagram: p.path.size, QueueBytes: p.queue.Bytes(), Drops: p.drops,
	}
	q := p.queue.Stats()
	st.QueueDropped, st.QueueEvicted, st.QueueMarked = q.Refused, q.Evicted+q.Slowed+q.Expired, q.Marked
	if !st.Endpoint.IsValid() {
		st.Endpoint = p.cfg.Endpoint
	}
	s := p.cur
	if s == nil {
		return st
	}
	st.addSession(s)
	tx := s.sender.Stats()
	st.Loss, st.RTT, st.InFlight = tx.Loss, tx.RTT, tx.InFlight
	control := s.sender.Control(p.now)
	st.QueueDelay, st.QueueTarget, st.Phase = control.Queue, control.Target, control.Phase.String()
	st.Rate, st.Capacity = control.Rate, s.sender.Capacity()
	st.ReturnLoss = s.receiver.ReturnLoss()
	st.Channels = s.mux.Stats().Channels
	st.LastHandshake, st.LastReceived = s.created, s.lastRx
	return st
}

// Control returns what rate control of the session does, with the share of the
// receipts that is lost (q̂); false without a session.
func (p *Peer) Control() (s rate.Snapshot, returnLoss float64, ok bool) {
	if p.cur == nil {
		return rate.Snapshot{}, 0, false
	}
	return p.cur.sender.Control(p.now), p.cur.receiver.ReturnLoss(), true
}

// RTT is the smoothed round-trip time of the path, a default before it was measured;
// zero without a session.
func (p *Peer) RTT() time.Duration {
	if p.cur == nil {
		return 0
	}
	return p.cur.sender.RTT()
}

func (p *Peer) state() string {
	switch {
	case p.down:
		return "closed"
	case p.cur != nil && p.cur.confirm == nil:
		return "up"
	case p.cur != nil || p.attempt != nil || p.next != nil:
		return "connecting"
	}
	return "idle"
}

// retire adds the totals of a session that ends.
func (p *Peer) retire(s *session) { p.stats.addSession(s) }

func (c *Counters) addSession(s *session) {
	tx := s.sender.Stats()
	datagrams, bytes := s.receiver.Received()
	c.TxDatagrams += tx.Datagrams
	c.TxOuter += tx.Bytes
	c.RxDatagrams += datagrams
	c.RxOuter += bytes
	c.Resent += tx.Resent
	c.Proactive += tx.Proactive
	c.Expired += tx.Abandoned
	c.Useless += s.receiver.Useless()
}
