package route

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addRoutes adds the routes that are not there yet. A route to the same destination
// by another interface is a conflict, whatever its metric: one of the two would
// silently never be used.
func (a *Applied) addRoutes(wanted []destination) error {
	present, err := a.presentRoutes(wanted)
	if err != nil {
		return err
	}
	for _, d := range wanted {
		others := present[d]
		if slices.ContainsFunc(others, func(r netlink.Route) bool { return r.LinkIndex == a.link }) {
			continue // made earlier, or by the kernel for the interface's subnet
		}
		if len(others) > 0 {
			return a.conflict(d, others[0])
		}
		err := a.netlink.RouteAdd(a.route(d))
		if errors.Is(err, unix.EEXIST) {
			return a.conflict(d, netlink.Route{})
		}
		if err != nil {
			return explain(fmt.Sprintf("add route %v by interface %q", d.prefix, a.plan.Interface), noIPv6(d.prefix, err))
		}
		a.routes[d] = struct{}{}
	}
	return nil
}

// removeRoutes removes those made here that are not wanted.
func (a *Applied) removeRoutes(wanted []destination) error {
	keep := make(map[destination]struct{}, len(wanted))
	for _, d := range wanted {
		keep[d] = struct{}{}
	}
	for d := range a.routes {
		if _, ok := keep[d]; ok {
			continue
		}
		if err := a.netlink.RouteDel(a.route(d)); err != nil && !isGone(err) {
			return explain(fmt.Sprintf("remove route %v by interface %q", d.prefix, a.plan.Interface), err)
		}
		delete(a.routes, d)
	}
	return nil
}

// presentRoutes finds the routes to the given destinations, and keeps no others:
// the host may have very many.
func (a *Applied) presentRoutes(wanted []destination) (map[destination][]netlink.Route, error) {
	present := map[destination][]netlink.Route{}
	tables := map[[2]int]struct{}{}
	for _, d := range wanted {
		present[d] = nil
		tables[[2]int{familyOf(d.prefix), d.table}] = struct{}{}
	}
	for key := range tables {
		err := dump(func() error {
			for d := range present {
				if familyOf(d.prefix) == key[0] && d.table == key[1] {
					present[d] = nil
				}
			}
			return a.listRoutes(key[0], key[1], func(r netlink.Route) {
				if r.Dst == nil {
					return
				}
				d := destination{prefix: fromIPNet(*r.Dst), table: r.Table}
				if list, ok := present[d]; ok {
					present[d] = append(list, r)
				}
			})
		})
		if err != nil {
			return nil, explain("list routes", err)
		}
	}
	return present, nil
}

// listRoutes calls f for the routes of a table.
func (a *Applied) listRoutes(family, table int, f func(netlink.Route)) error {
	return listRoutes(a.netlink, family, table, f)
}

func listRoutes(h *netlink.Handle, family, table int, f func(netlink.Route)) error {
	return h.RouteListFilteredIter(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		f(r)
		return true
	})
}

// route is a destination in the library's terms.
func (a *Applied) route(d destination) *netlink.Route {
	r := &netlink.Route{LinkIndex: a.link, Dst: toIPNet(d.prefix), Table: d.table, Protocol: protocol}
	if d.prefix.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

// conflict says what stands in the way of a route.
func (a *Applied) conflict(d destination, other netlink.Route) error {
	by := "another interface"
	if link, err := a.netlink.LinkByIndex(other.LinkIndex); err == nil {
		by = fmt.Sprintf("interface %q", link.Attrs().Name)
	}
	table := ""
	if d.table != unix.RT_TABLE_MAIN {
		table = fmt.Sprintf(" in table %d", d.table)
	}
	return &advice{ErrConflict, fmt.Sprintf("route %v by interface %q: there is a route to it by %s%s already: remove that, or take the prefix out of allowed_ips", d.prefix, a.plan.Interface, by, table)}
}
