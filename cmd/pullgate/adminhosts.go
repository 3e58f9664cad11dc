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

// checkHosts says which names of a setting could never be those of a request.
func checkHosts(setting string, hosts []string) (errs []error) {
	for _, name := range hosts {
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			errs = append(errs, fmt.Errorf("%s %q: want a name without a port, like pullgate.internal", setting, name))
		}
	}
	return errs
}

// portNames are the names by which a port may be asked: those that are listed, and that of its address.
func portNames(addr string, listed []string) map[string]bool {
	names := map[string]bool{"localhost": true}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		names[plainName(host)] = true
	}
	for _, name := range listed {
		names[plainName(name)] = true
	}
	return names
}

// plainName is a name as it is compared.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// foreign reports whether a request is for neither an address nor one of names. A page that somebody's browser shows can
// have its own name lead here (DNS rebinding) and read every answer; that name is then in Host. A request without one, as
// HTTP/1.0 allows, is no browser's.
func foreign(names map[string]bool, host string) bool {
	if host == "" {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err := netip.ParseAddr(host)
	return err != nil && !names[plainName(host)]
}

// byName passes on requests to the admin port that are not foreign.
func byName(names map[string]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if foreign(names, r.Host) {
			writeText(w, http.StatusMisdirectedRequest, "this name is not one of the admin port: ask it by its address, or list the name in admin_hosts (--admin-host)\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}
