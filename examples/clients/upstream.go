package main

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// An upstream stands between Envoy and a registry and writes down what arrives. pullgate's
// own reading of the registry does not pass here.
type upstream struct {
	*httptest.Server
	credential string // what Authorization must be

	mu      sync.Mutex
	arrived map[string][]arrival // by the customer's address
}

// An arrival is a request that Envoy has let through.
type arrival struct {
	path      string
	agent     string
	credented bool // it carried the registry's credential and no other
}

func newUpstream(registry, user, password string) *upstream {
	u := &upstream{
		credential: "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)),
		arrived:    map[string][]arrival{},
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Envoy (use_remote_address) appends the address of the connection.
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		customer := strings.TrimSpace(hops[len(hops)-1])
		auth := r.Header.Values("Authorization")
		u.mu.Lock()
		u.arrived[customer] = append(u.arrived[customer], arrival{
			path: r.URL.RequestURI(), agent: r.UserAgent(), credented: len(auth) == 1 && auth[0] == u.credential,
		})
		u.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	return u
}

func (u *upstream) addr() string { return u.Listener.Addr().(*net.TCPAddr).String() }

// from returns what has arrived from a customer's address.
func (u *upstream) from(customer string) []arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrived[customer]
}
