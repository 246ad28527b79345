package route

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addDefault makes the rules for a default route of a family, unless they were made
// already. The rules carry in their protocol number whether the sysctl is to be set
// back, and are made before it is set and removed after it is set back, so that a
// run killed at any point leaves behind what CleanStale needs to know.
func (a *Applied) addDefault(family int, plan Plan) error {
	if len(a.rules[family]) > 0 {
		return nil
	}
	stale, err := ownRules(a.netlink, family, plan.Mark)
	if err != nil {
		return err
	}
	if len(stale) > 0 {
		return &advice{ErrConflict, fmt.Sprintf("interface %q: rules for fwmark %#x exist already: another tunnel uses it; give this one another name", plan.Interface, plan.Mark)}
	}
	set, number := false, protocol
	if family == unix.AF_INET {
		if set, err = needsSysctl(); err != nil {
			return err
		}
		if set {
			number = protocolSysctl
		}
	}
	for _, rule := range defaultRules(family, plan, number) {
		if err := a.netlink.RuleAdd(&rule); err != nil {
			return explain(fmt.Sprintf("add rule for the default route by interface %q", plan.Interface), err)
		}
		a.rules[family] = append(a.rules[family], rule)
	}
	if set {
		if err := writeSysctl("1"); err != nil {
			return err
		}
		a.sysctl = true
	}
	return nil
}

// removeDefault removes the rules of a family and sets the sysctl back.
func (a *Applied) removeDefault(family int) error {
	if family == unix.AF_INET && a.sysctl {
		if err := restoreSysctl(a.netlink); err != nil {
			return err
		}
		a.sysctl = false
	}
	rules := a.rules[family]
	for len(rules) > 0 {
		last := len(rules) - 1
		if err := a.netlink.RuleDel(&rules[last]); err != nil && !isGone(err) {
			return explain(fmt.Sprintf("remove rule for the default route by interface %q", a.plan.Interface), err)
		}
		rules = rules[:last]
		a.rules[family] = rules
	}
	delete(a.rules, family)
	return nil
}

// defaultRules are the rules for a default route, in the order of their priority.
func defaultRules(family int, plan Plan, number int) []netlink.Rule {
	rule := func(priority, table int) netlink.Rule {
		r := *netlink.NewRule()
		r.Family, r.Priority, r.Table = family, priority, table
		r.Mark, r.Protocol = plan.Mark, uint8(number)
		return r
	}
	var rules []netlink.Rule
	if family == unix.AF_INET && plan.Port != 0 {
		// The reverse path filter asks for the way back of a datagram that came to
		// the tunnel's port, which bears no mark: outside, not into the tunnel. The
		// mask of zero lets the rule match any mark; the mark tells whose it is.
		r := rule(priorityPort, unix.RT_TABLE_MAIN)
		r.Mask = new(uint32)
		r.IPProto, r.Sport = unix.IPPROTO_UDP, netlink.NewRulePortRange(plan.Port, plan.Port)
		rules = append(rules, r)
	}
	// Routes of the main table other than its default route come first: the LAN, and
	// the tunnel's narrower routes. Marked datagrams come to the same table later.
	r := rule(prioritySuppress, unix.RT_TABLE_MAIN)
	r.Invert, r.SuppressPrefixlen = true, 0
	rules = append(rules, r)
	r = rule(priorityTunnel, plan.Table)
	r.Invert = true
	return append(rules, r)
}

// ownRules lists the rules that this package made for a mark.
func ownRules(h *netlink.Handle, family int, mark uint32) ([]netlink.Rule, error) {
	return listRules(h, family, func(r netlink.Rule) bool {
		return (int(r.Protocol) == protocol || int(r.Protocol) == protocolSysctl) && r.Mark == mark
	})
}

func listRules(h *netlink.Handle, family int, match func(netlink.Rule) bool) ([]netlink.Rule, error) {
	var found []netlink.Rule
	err := dump(func() error {
		found = nil
		list, err := h.RuleList(family)
		for _, r := range list {
			if match(r) {
				found = append(found, r)
			}
		}
		return err
	})
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // a host without IPv6 has no rules for it
	}
	if err != nil {
		return nil, explain("list rules", err)
	}
	return found, nil
}

// CleanStale removes the rules for a mark and table that a killed run left behind,
// and sets back the sysctl that it had set (T-4). The rules of a run that is alive
// stay: its default route still stands in the table, while the routes of a dead one
// went with its interface. Without anything stale it does nothing.
func CleanStale(mark uint32, table int) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	for _, family := range families {
		if err := cleanFamily(h, family, mark, table); err != nil {
			return err
		}
	}
	return nil
}

func cleanFamily(h *netlink.Handle, family int, mark uint32, table int) error {
	rules, err := ownRules(h, family, mark)
	rules = slices.DeleteFunc(rules, func(r netlink.Rule) bool {
		return r.Table != table && r.Table != unix.RT_TABLE_MAIN
	})
	if err != nil || len(rules) == 0 {
		return err
	}
	alive := false
	err = dump(func() error {
		return listRoutes(h, family, table, func(r netlink.Route) {
			alive = alive || int(r.Protocol) == protocol
		})
	})
	if err != nil || alive {
		return explain("list routes", err)
	}
	for _, r := range rules {
		if int(r.Protocol) == protocolSysctl {
			if err := restoreSysctl(h); err != nil {
				return err
			}
			break
		}
	}
	for i := range rules {
		rules[i].Family = family
		if err := h.RuleDel(&rules[i]); err != nil && !isGone(err) {
			return explain("remove a rule left by a killed run", err)
		}
	}
	return nil
}

// needsSysctl tells whether src_valid_mark, which lets the reverse path filter see
// marks, is off.
func needsSysctl() (bool, error) {
	b, err := os.ReadFile(sysctlPath)
	if err != nil {
		return false, explain("read sysctl "+sysctlName, err)
	}
	return strings.TrimSpace(string(b)) == "0", nil
}

func writeSysctl(value string) error {
	if err := os.WriteFile(sysctlPath, []byte(value), 0); err != nil {
		return &advice{ErrPrivilege, fmt.Sprintf("setting sysctl %s=%s is not allowed (%v): run with CAP_NET_ADMIN; in a container, set it when the container starts", sysctlName, value, errors.Unwrap(err))}
	}
	return nil
}

// restoreSysctl sets src_valid_mark back to 0, but not while rules of others send
// traffic by its mark: they need it as well.
func restoreSysctl(h *netlink.Handle) error {
	others, err := listRules(h, unix.AF_INET, func(r netlink.Rule) bool {
		return r.Invert && r.Mark != 0 && int(r.Protocol) != protocolSysctl
	})
	if err != nil || len(others) > 0 {
		return err
	}
	return writeSysctl("0")
}
