package classify

import (
	"net/netip"
	"strings"
)

// address returns the client's address without zone and with IPv4 never mapped into IPv6.
// With a header configured only that header counts: when it is absent, too short or
// unreadable there, the result is the zero Addr, which is in no network.
func (c *Classifier) address(in *Inbound) netip.Addr {
	if c.ClientAddress.Header == "" {
		return in.Address.Unmap().WithZone("")
	}
	skip := c.ClientAddress.TrustedHops
	for i := len(in.Headers) - 1; i >= 0; i-- {
		if !strings.EqualFold(in.Headers[i].Name, c.ClientAddress.Header) {
			continue
		}
		for rest := in.Headers[i].Value; ; skip-- {
			comma := strings.LastIndexByte(rest, ',')
			if skip <= 0 {
				return parseAddress(strings.Trim(rest[comma+1:], " \t"))
			}
			if comma < 0 {
				break
			}
			rest = rest[:comma]
		}
		skip--
	}
	return netip.Addr{}
}

// parseAddress reads an address with or without a port.
func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		p, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		a = p.Addr()
	}
	return a.Unmap().WithZone("")
}
