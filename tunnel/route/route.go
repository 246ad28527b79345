// Package route gives the tunnel's interface its addresses and the host its
// routes, by netlink, and takes away again what it gave (requirements T-1, T-4).
//
// A Plan says what shall be; Apply makes it so, Update changes it to another plan
// by the difference alone, Remove undoes it. Whatever was there before stays and
// is never adopted: an address, route or rule that exists already is neither
// changed nor removed later.
//
// Default routes (0.0.0.0/0 and ::/0) are made in the way of wg-quick, so that the
// tunnel's own datagrams keep their way outside: the default route stands in a
// table of its own, and rules send there everything that the main table knows no
// better than by its default route, but for datagrams that carry the tunnel's mark.
// For IPv4 under strict reverse path filtering (net.ipv4.conf.*.rp_filter=1) a
// further rule lets datagrams to the tunnel's UDP port pass the filter.
//
// Addresses and routes go with the interface when the process is killed; rules and
// a sysctl stay, for CleanStale to remove at the next start (T-4). They are told by
// their protocol numbers, which nobody else uses. This takes Linux 4.17.
//
// All of it happens in the network namespace of the thread that calls Apply, Update,
// Remove or CleanStale. One goroutine at a time may use an Applied. It needs
// CAP_NET_ADMIN.
package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Plan says what an interface and the routes to it shall be.
type Plan struct {
	// Interface is the name of an existing interface.
	Interface string
	// MTU in bytes; 0 leaves it.
	MTU int
	// Addresses of the interface with their subnets, IPv4 and IPv6.
	Addresses []netip.Prefix
	// Routes are the destinations behind the interface; bits behind the prefix
	// are ignored.
	Routes []netip.Prefix
	// Mark is on the tunnel's own datagrams (SO_MARK) and Table is a routing table
	// that nobody else uses: both are needed for default routes alone, and tell
	// one tunnel's rules from another's.
	Mark  uint32
	Table int
	// Port is the tunnel's own UDP port, 0 if unknown. Default routes under strict
	// reverse path filtering need it.
	Port uint16
}

// Applied is a plan that was carried out.
type Applied struct {
	netlink *netlink.Handle
	link    int // index of the interface
	plan    Plan

	// What was made, and therefore is to be removed.
	addresses map[netip.Prefix]struct{}
	routes    map[destination]struct{}
	rules     map[int][]netlink.Rule // by address family, in the order made
	sysctl    bool                   // src_valid_mark was changed from 0 to 1

	// What the interface was before.
	mtu int
	up  bool
}

// destination is a route to the interface.
type destination struct {
	prefix netip.Prefix
	table  int
}

// Apply carries a plan out. When that is not possible it undoes what it did and
// returns one line that says what to do.
func Apply(plan Plan) (*Applied, error) {
	plan, err := plan.normalise()
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	link, err := handle.LinkByName(plan.Interface)
	if err != nil {
		handle.Close()
		return nil, explainLink(plan.Interface, err)
	}
	a := &Applied{
		netlink:   handle,
		link:      link.Attrs().Index,
		addresses: map[netip.Prefix]struct{}{},
		routes:    map[destination]struct{}{},
		rules:     map[int][]netlink.Rule{},
		mtu:       link.Attrs().MTU,
		up:        link.Attrs().Flags&net.FlagUp != 0,
	}
	a.plan = plan
	if err := a.reconcile(plan); err != nil {
		_ = a.Remove() // the first error is the one that matters
		return nil, err
	}
	return a, nil
}

// Update carries another plan for the same interface out; what both plans have in
// common stays untouched. On an error the old plan is in force again, as far as the
// host still allows it. Interface, mark, table and port cannot change.
func (a *Applied) Update(plan Plan) error {
	plan, err := plan.normalise()
	if err != nil {
		return err
	}
	old := a.plan
	if plan.Interface != old.Interface || plan.Mark != old.Mark || plan.Table != old.Table || plan.Port != old.Port {
		return &advice{ErrPlan, fmt.Sprintf("interface %q: its name, port, fwmark and table cannot change while it runs: stop the tunnel and start it again", old.Interface)}
	}
	if err := a.reconcile(plan); err != nil {
		_ = a.reconcile(old) // the first error is the one that matters
		return err
	}
	a.plan = plan
	return nil
}

// Remove undoes everything (T-4). It goes on after errors and returns the first.
// What is gone already, or the whole interface, is no error. A second call does
// nothing.
func (a *Applied) Remove() error {
	if a.netlink == nil {
		return nil
	}
	// Traffic first gets its old way back.
	first := a.removeDefault(unix.AF_INET)
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	keep(a.removeDefault(unix.AF_INET6))
	// The kernel does not give an index twice, so this is no interface of others.
	link, err := a.netlink.LinkByIndex(a.link)
	if err == nil {
		keep(a.removeRoutes(nil))
		keep(a.removeAddresses(nil))
		keep(a.restoreLink(link))
	} else if !isGone(err) {
		keep(explainLink(a.plan.Interface, err))
	}
	a.netlink.Close()
	a.netlink = nil
	return first
}

// reconcile brings the host from whatever it is to the plan. The order keeps
// traffic flowing: new addresses come before old ones go, routes only after the
// addresses (T-1).
func (a *Applied) reconcile(plan Plan) error {
	if err := a.setLink(plan.MTU); err != nil {
		return err
	}
	if err := a.addAddresses(plan.Addresses); err != nil {
		return err
	}
	wanted := plan.destinations()
	for _, family := range families {
		if !plan.hasDefault(family) {
			if err := a.removeDefault(family); err != nil {
				return err
			}
		}
	}
	if err := a.removeRoutes(wanted); err != nil {
		return err
	}
	if err := a.removeAddresses(plan.Addresses); err != nil {
		return err
	}
	// With a primary IPv4 address the kernel removes the secondary ones of its
	// subnet, and with the last address of a family its routes: look again.
	if err := a.addAddresses(plan.Addresses); err != nil {
		return err
	}
	if err := a.addRoutes(wanted); err != nil {
		return err
	}
	for _, family := range families {
		if plan.hasDefault(family) {
			if err := a.addDefault(family, plan); err != nil {
				return err
			}
		}
	}
	return nil
}

// setLink sets the MTU, where it is not 0, and brings the interface up.
func (a *Applied) setLink(mtu int) error {
	link, err := a.netlink.LinkByIndex(a.link)
	if err != nil {
		return explainLink(a.plan.Interface, err)
	}
	if mtu == 0 {
		mtu = a.mtu
	}
	if link.Attrs().MTU != mtu {
		if err := a.netlink.LinkSetMTU(link, mtu); err != nil {
			return explain(fmt.Sprintf("set MTU of interface %q to %d", a.plan.Interface, mtu), err)
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := a.netlink.LinkSetUp(link); err != nil {
			return explain(fmt.Sprintf("bring interface %q up", a.plan.Interface), err)
		}
	}
	return nil
}

func (a *Applied) restoreLink(link netlink.Link) error {
	if link.Attrs().MTU != a.mtu {
		if err := a.netlink.LinkSetMTU(link, a.mtu); err != nil && !isGone(err) {
			return explain(fmt.Sprintf("restore MTU of interface %q", a.plan.Interface), err)
		}
	}
	if !a.up {
		if err := a.netlink.LinkSetDown(link); err != nil && !isGone(err) {
			return explain(fmt.Sprintf("take interface %q down", a.plan.Interface), err)
		}
	}
	return nil
}

// dump calls a function that lists kernel objects again while the kernel says that
// the list changed under it.
func dump(list func() error) error {
	var err error
	for range maxDumps {
		if err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return err
}
