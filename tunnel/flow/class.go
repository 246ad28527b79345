package flow

// Class says what a packet expects of the tunnel.
type Class uint8

const (
	// Message packets are worthless late and need no order: UDP and all that
	// is in no other class.
	Message Class = iota
	// Stream packets are TCP: resent until they arrive, in order.
	Stream
	// Interactive packets are small and someone waits for them: ICMP, small UDP
	// datagrams, TCP segments that only acknowledge.
	Interactive
	// Once is for packets of the modes that send nothing again: a rule asks for
	// it, no packet is of this class by itself.
	Once
	// NumClasses is the number of classes.
	NumClasses = 4
)

// IP protocol numbers.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// classify chooses the class. A fragment without the transport header could be
// anything, and the part with it is of no use alone: neither is interactive.
// The same holds for a super-packet, which is several packets.
func (in *inner) classify(super bool) Class {
	switch {
	case !in.Src.IsValid() || in.later:
		return Message
	case in.Proto == protoTCP:
		if t, ok := in.tcp(); ok && !super && t.acknowledges() {
			return Interactive
		}
	case super || in.transport == nil:
		return Message
	}
	return in.ClassOfSize()
}
