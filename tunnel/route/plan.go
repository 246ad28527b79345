package route

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// normalise checks a plan and returns it with masked routes, each once, and without
// IPv4-mapped addresses. It shares nothing with the original.
func (p Plan) normalise() (Plan, error) {
	out := p
	out.Addresses, out.Routes = nil, nil
	seen := map[netip.Prefix]struct{}{}
	for _, a := range p.Addresses {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().IsUnspecified() || a.Addr().IsMulticast() {
			return Plan{}, p.wrong("%v cannot be the address of an interface; write it as in 10.77.0.1/24", a)
		}
		if _, ok := seen[a]; !ok {
			seen[a] = struct{}{}
			out.Addresses = append(out.Addresses, a)
		}
	}
	clear(seen)
	for _, r := range p.Routes {
		if !r.IsValid() || r.Addr().Is4In6() {
			return Plan{}, p.wrong("%v is not a destination; write it as in 10.77.0.0/24", r)
		}
		r = r.Masked()
		if _, ok := seen[r]; !ok {
			seen[r] = struct{}{}
			out.Routes = append(out.Routes, r)
		}
	}
	return out, out.check()
}

// check looks at the plan as a whole.
func (p Plan) check() error {
	if p.Interface == "" {
		return p.wrong("the interface has no name")
	}
	if p.MTU < 0 || p.MTU > maxMTU {
		return p.wrong("an MTU of %d is not possible; the largest is %d", p.MTU, maxMTU)
	}
	if p.MTU != 0 && p.MTU < minIPv6MTU && p.hasIPv6() {
		return p.wrong("IPv6 needs an MTU of at least %d, not %d", minIPv6MTU, p.MTU)
	}
	if !p.hasDefault(unix.AF_INET) && !p.hasDefault(unix.AF_INET6) {
		return nil
	}
	if p.Mark == 0 {
		return p.wrong("a default route needs a fwmark other than 0")
	}
	if p.Table <= 0 || int64(p.Table) > maxTable || p.Table >= unix.RT_TABLE_DEFAULT && p.Table <= unix.RT_TABLE_LOCAL {
		return p.wrong("a default route needs a routing table of its own, not %d", p.Table)
	}
	return nil
}

func (p Plan) wrong(format string, args ...any) error {
	return &advice{ErrPlan, fmt.Sprintf("interface %q: ", p.Interface) + fmt.Sprintf(format, args...)}
}

// hasDefault tells whether all addresses of a family go to the interface.
func (p Plan) hasDefault(family int) bool {
	for _, r := range p.Routes {
		if r.Bits() == 0 && familyOf(r) == family {
			return true
		}
	}
	return false
}

func (p Plan) hasIPv6() bool {
	for _, list := range [][]netip.Prefix{p.Addresses, p.Routes} {
		for _, r := range list {
			if r.Addr().Is6() {
				return true
			}
		}
	}
	return false
}

// destinations are the routes with their tables: a default route has its own.
func (p Plan) destinations() []destination {
	list := make([]destination, 0, len(p.Routes))
	for _, r := range p.Routes {
		d := destination{prefix: r, table: unix.RT_TABLE_MAIN}
		if r.Bits() == 0 {
			d.table = p.Table
		}
		list = append(list, d)
	}
	return list
}

func familyOf(p netip.Prefix) int {
	if p.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
