package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
)

// hosts finds the registry that answers for an authority (design §3): one listed with a port
// answers on that port only, one listed without on any. Nothing else is answered.
type hosts struct {
	exact   map[string]authz.Registry // "host:port"
	anyPort map[string]authz.Registry // host; an IPv6 literal without brackets
}

// registryDoc is data.pullgate.registries[id].
type registryDoc struct {
	Hosts    []string `json:"hosts"`
	Listed   bool     `json:"listed"`
	Upstream string   `json:"upstream"`
}

// Upstreams returns where the registries of a bundle are, by id. Bundles of before this was in
// them have none.
func Upstreams(b *bundle.Bundle) (map[string]string, error) {
	data := b.File(registriesDir + "/" + dataFile)
	if data == nil {
		return nil, nil
	}
	var docs map[string]registryDoc
	if err := json.Unmarshal(data, &docs); err != nil {
		return nil, fmt.Errorf("read registries: %w", err)
	}
	out := map[string]string{}
	for id, doc := range docs {
		if doc.Upstream != "" {
			out[id] = doc.Upstream
		}
	}
	return out, nil
}

// readRegistries reads data.pullgate.registries.
func readRegistries(data *bundle.Object) (*hosts, error) {
	h := &hosts{exact: map[string]authz.Registry{}, anyPort: map[string]authz.Registry{}}
	if data == nil {
		return h, nil
	}
	var docs map[string]registryDoc
	if err := json.Unmarshal(data.Bytes(), &docs); err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		reg := authz.Registry{ID: id, Listed: docs[id].Listed}
		for _, authority := range docs[id].Hosts {
			name, port, ok := splitAuthority(authority)
			if !ok {
				return nil, fmt.Errorf("registry %s: %q is no host", id, authority)
			}
			at, key := h.anyPort, name
			if port != "" {
				at, key = h.exact, name+":"+port
			}
			if other, taken := at[key]; taken && other.ID != id {
				return nil, fmt.Errorf("registries %s and %s both answer for %q", other.ID, id, authority)
			}
			at[key] = reg
		}
	}
	return h, nil
}

func (h *hosts) registry(authority string) (authz.Registry, bool) {
	name, port, ok := splitAuthority(authority)
	if !ok {
		return authz.Registry{}, false
	}
	if port != "" {
		if reg, ok := h.exact[name+":"+port]; ok {
			return reg, true
		}
	}
	reg, ok := h.anyPort[name]
	return reg, ok
}

// splitAuthority splits a host name or address from its port. Names are compared in lower
// case, IPv6 literals in their one canonical text, with or without brackets.
func splitAuthority(authority string) (host, port string, ok bool) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		if _, err := netip.ParseAddr(authority); err != nil { // not a bare IPv6 literal
			host, port = authority[:i], authority[i+1:]
			if !isPort(port) {
				return "", "", false
			}
		}
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); !found || err != nil || !a.Is6() {
			return "", "", false
		}
		host = inner
	}
	if strings.IndexByte(host, ':') >= 0 {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return "", "", false
		}
		return a.String(), port, true
	}
	return strings.ToLower(host), port, host != ""
}

// isPort reports whether s is a port, 1 to 65535, in decimal without leading zeros.
func isPort(s string) bool {
	if len(s) == 0 || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n <= 65535
}
