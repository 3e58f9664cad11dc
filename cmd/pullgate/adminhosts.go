package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
)

func addAdminHosts(f *pflag.FlagSet, s *settings) {
	f.StringSliceVar(&s.AdminHosts, "admin-host", nil, "name by which the admin port may be asked, beside addresses and localhost; repeatable (admin_hosts in the file)")
}

// validateAdminHosts says which names could never be those of a request.
func (s *settings) validateAdminHosts() (errs []error) {
	for _, name := range s.AdminHosts {
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			errs = append(errs, fmt.Errorf("admin_hosts %q: want a name without a port, like pullgate.internal", name))
		}
	}
	return errs
}

// adminNames are the names by which the admin port may be asked.
func (s *settings) adminNames() map[string]bool {
	names := map[string]bool{"localhost": true}
	if host, _, err := net.SplitHostPort(s.AdminAddr); err == nil {
		names[plainName(host)] = true
	}
	for _, name := range s.AdminHosts {
		names[plainName(name)] = true
	}
	return names
}

// plainName is a name as it is compared.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// byName passes on requests for an address or for one of names. A page that somebody's browser shows can have its own
// name lead here (DNS rebinding) and read every answer; that name is then in Host. A request without one, as HTTP/1.0
// allows, is no browser's.
func byName(names map[string]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if _, err := netip.ParseAddr(host); err != nil && r.Host != "" && !names[plainName(host)] {
			writeText(w, http.StatusMisdirectedRequest, "this name is not one of the admin port: ask it by its address, or list the name in admin_hosts (--admin-host)\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
