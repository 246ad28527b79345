package link

import "time"

// packet is a datagram inside the link. Exactly one of fifo, arrivals and pool
// owns its buffer.
type packet struct {
	b     []byte
	seq   uint64        // place in the order of serialisation
	at    time.Duration // arrival, since the link's start
	order uint64        // tie-break of equal arrivals: insertion
	copy  bool          // the second copy of a duplicate
}

// fifo is a ring of packets that grows to what it once held.
type fifo struct {
	ring []packet
	head int
	n    int
}

func (q *fifo) push(p packet) {
	if q.n == len(q.ring) {
		grown := make([]packet, max(16, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)%len(q.ring)] = p
	q.n++
}

// front is the oldest packet; the ring must not be empty.
func (q *fifo) front() *packet { return &q.ring[q.head] }

func (q *fifo) pop() packet {
	p := q.ring[q.head]
	q.ring[q.head] = packet{}
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return p
}

// arrivals is a binary heap by arrival, then by insertion.
type arrivals []packet

func (h arrivals) before(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}

func (h *arrivals) push(p packet) {
	s := append(*h, p)
	*h = s
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.before(i, up) {
			break
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *arrivals) pop() packet {
	s := *h
	p, last := s[0], len(s)-1
	s[0] = s[last]
	s[last] = packet{}
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < last && s.before(c, least) {
				least = c
			}
		}
		if least == i {
			return p
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

// pool keeps free buffers of two sizes: most packets are either full or tiny.
type pool struct {
	mtu        int
	small, big [][]byte
}

func (f *pool) get(n int) []byte {
	list, size := &f.big, f.mtu
	if n <= smallPacket {
		list, size = &f.small, smallPacket
	}
	k := len(*list)
	if k == 0 {
		return make([]byte, size)[:n]
	}
	b := (*list)[k-1]
	*list = (*list)[:k-1]
	return b[:n]
}

func (f *pool) put(b []byte) {
	if cap(b) == smallPacket {
		f.small = append(f.small, b)
		return
	}
	f.big = append(f.big, b)
}
