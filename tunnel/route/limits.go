package route

import "golang.org/x/sys/unix"

// Protocol numbers that tell our routes and rules from those of others (Linux,
// rtnetlink.h: 0 to 4 are the kernel's, of the others iproute2's list knows neither).
const (
	protocol       = 84
	protocolSysctl = 85 // a rule of a run that changed src_valid_mark from 0 to 1
)

// Priorities of rules: after those that an administrator usually makes, before the
// main table (32766) and before what wg-quick makes (from 32765 down).
const (
	priorityPort     = 31879
	prioritySuppress = 31880
	priorityTunnel   = 31881
)

const (
	maxMTU     = 65535 // bytes
	minIPv6MTU = 1280  // bytes, RFC 8200 section 5
	maxTable   = 1<<32 - 1
	maxDumps   = 16 // tries to list what others are changing
)

const (
	sysctlName = "net.ipv4.conf.all.src_valid_mark"
	sysctlPath = "/proc/sys/net/ipv4/conf/all/src_valid_mark"
)

// families are the address families, in the order in which they are handled.
var families = [2]int{unix.AF_INET, unix.AF_INET6}
