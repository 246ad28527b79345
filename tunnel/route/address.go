package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addAddresses adds those that the interface does not have yet.
func (a *Applied) addAddresses(wanted []netip.Prefix) error {
	present, err := a.presentAddresses()
	if err != nil {
		return err
	}
	link, err := a.netlink.LinkByIndex(a.link)
	if err != nil {
		return explainLink(a.plan.Interface, err)
	}
	for _, p := range wanted {
		if _, ok := present[p]; ok {
			continue
		}
		addr := netlinkAddr(p)
		if p.Addr().Is4() && link.Attrs().Flags&net.FlagBroadcast == 0 {
			addr.Broadcast = net.IPv4zero // else the library makes one up
		}
		if err := a.netlink.AddrAdd(link, addr); err != nil {
			return explain(fmt.Sprintf("add address %v to interface %q", p, a.plan.Interface), noIPv6(p, err))
		}
		a.addresses[p] = struct{}{}
	}
	return nil
}

// removeAddresses removes those made here that are not wanted.
func (a *Applied) removeAddresses(wanted []netip.Prefix) error {
	for p := range a.addresses {
		if slices.Contains(wanted, p) {
			continue
		}
		link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: a.link}}
		addr := netlinkAddr(p)
		addr.Broadcast = net.IPv4zero // the kernel needs none to find the address
		if err := a.netlink.AddrDel(link, addr); err != nil && !isGone(err) {
			return explain(fmt.Sprintf("remove address %v from interface %q", p, a.plan.Interface), err)
		}
		delete(a.addresses, p)
	}
	return nil
}

func (a *Applied) presentAddresses() (map[netip.Prefix]struct{}, error) {
	present := map[netip.Prefix]struct{}{}
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: a.link}}
	err := dump(func() error {
		clear(present)
		list, err := a.netlink.AddrList(link, netlink.FAMILY_ALL)
		for _, addr := range list {
			if addr.IPNet != nil {
				present[fromIPNet(*addr.IPNet)] = struct{}{}
			}
		}
		return err
	})
	if err != nil {
		return nil, explain(fmt.Sprintf("list addresses of interface %q", a.plan.Interface), err)
	}
	return present, nil
}

// netlinkAddr is an address in the library's terms. Nobody else is on the
// interface, so IPv6 need not wait to find duplicates.
func netlinkAddr(p netip.Prefix) *netlink.Addr {
	addr := &netlink.Addr{IPNet: toIPNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// fromIPNet is the zero Prefix for what is no address.
func fromIPNet(n net.IPNet) netip.Prefix {
	ip, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}
	}
	ones, _ := n.Mask.Size()
	if len(n.Mask) == net.IPv4len {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, ones)
}

// noIPv6 recognises the errors of a host or an interface without IPv6.
func noIPv6(p netip.Prefix, err error) error {
	if p.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)) {
		return &advice{ErrNoIPv6, fmt.Sprintf("%v: IPv6 is switched off on this host: switch it on (sysctl net.ipv6.conf.default.disable_ipv6=0) or configure no IPv6", p)}
	}
	return err
}
