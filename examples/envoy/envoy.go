// Package envoy holds the Envoy configuration that pullgate ships, envoy.yaml, and renders
// that same file for tests and the demo, so that what is documented is what runs.
package envoy

import (
	"cmp"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed envoy.yaml
var shipped string

//go:embed registry-credential.yaml
var shippedCredential string

// ListenerName is the name of the listener for customers.
const ListenerName = "customers"

// Options are what a reader of envoy.yaml would change. All are required unless the comment
// says what "" means.
type Options struct {
	Listen string   // host:port for customers; "" is 127.0.0.1:0, a port that the system chooses
	Admin  string   // host:port; "" is 127.0.0.1:0
	Hosts  []string // names or addresses customers use, without ports
	// Cert and Key are PEM files for Hosts.
	Cert, Key string
	// Pullgate is host:port or unix:PATH of the gRPC server.
	Pullgate string
	// Registry is host:port of the registry; RegistryCA is the PEM file of who signed its
	// certificate, "" for a registry without TLS.
	Registry, RegistryCA string
	// Credential is the file of WriteCredential. "" takes the credential injector out: pullgate
	// then sets the credential.
	Credential string
	AccessLog  string // "" is /dev/stdout
}

// Render returns envoy.yaml with the values in place. The error names a value that is
// missing or a place that envoy.yaml no longer has.
func Render(o Options) ([]byte, error) {
	if len(o.Hosts) == 0 || o.Cert == "" || o.Key == "" {
		return nil, errors.New("envoy: Hosts, Cert and Key are required")
	}
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:0")
	o.Admin = cmp.Or(o.Admin, "127.0.0.1:0")
	o.AccessLog = cmp.Or(o.AccessLog, "/dev/stdout")
	var hosts []string
	for _, h := range o.Hosts {
		hosts = append(hosts, strconv.Quote(h))
	}
	t := text{s: shipped}
	t.replace("{address: 127.0.0.1, port_value: 9901}", t.socket("Admin", o.Admin))
	t.replace("{address: 0.0.0.0, port_value: 443}", t.socket("Listen", o.Listen))
	t.replace("/etc/envoy/tls.crt", strconv.Quote(o.Cert))
	t.replace("/etc/envoy/tls.key", strconv.Quote(o.Key))
	t.replace(`domains: ["registry.acme.example"]`, "domains: ["+strings.Join(hosts, ", ")+"]")
	t.replace("path: /dev/stdout", "path: "+strconv.Quote(o.AccessLog))

	pullgate := "{socket_address: {address: 127.0.0.1, port_value: 9191}}"
	if path, ok := strings.CutPrefix(o.Pullgate, "unix:"); ok {
		t.replace(pullgate, "{pipe: {path: "+strconv.Quote(path)+"}}")
	} else {
		t.replace(pullgate, "{socket_address: "+t.socket("Pullgate", o.Pullgate)+"}")
	}

	if o.Credential == "" {
		t.cut("credential injector")
	} else {
		t.replace("/etc/envoy/registry-credential.yaml", strconv.Quote(o.Credential))
	}
	registry, _, _ := net.SplitHostPort(o.Registry)
	t.replace("{address: harbor.internal, port_value: 443}", t.socket("Registry", o.Registry))
	t.replace("host_rewrite_literal: harbor.internal", "host_rewrite_literal: "+strconv.Quote(o.Registry))
	if o.RegistryCA == "" {
		t.cut("TLS to the registry")
	} else {
		t.replace("/etc/ssl/certs/ca-certificates.crt", strconv.Quote(o.RegistryCA))
		if net.ParseIP(registry) != nil { // an IP address is no SNI, and another kind of SAN
			t.replace("        sni: harbor.internal # CHANGE\n", "")
			t.replace("{san_type: DNS, matcher: {exact: harbor.internal}}", "{san_type: IP_ADDRESS, matcher: {exact: "+strconv.Quote(registry)+"}}")
		} else {
			t.replace("sni: harbor.internal", "sni: "+registry)
			t.replace("exact: harbor.internal", "exact: "+registry)
		}
	}
	return []byte(t.s), errors.Join(t.errs...)
}

// text is a file being edited. Every edit must find its place exactly once.
type text struct {
	s    string
	errs []error
}

func (t *text) replace(old, with string) {
	if n := strings.Count(t.s, old); n != 1 {
		t.errs = append(t.errs, fmt.Errorf("envoy.yaml has %q %d times, want once", old, n))
		return
	}
	t.s = strings.Replace(t.s, old, with, 1)
}

// cut takes out the lines from BEGIN to END of a block, both included.
func (t *text) cut(block string) {
	before, rest, ok := strings.Cut(t.s, "# BEGIN "+block+"\n")
	_, after, ok2 := strings.Cut(rest, "# END "+block+"\n")
	if !ok || !ok2 {
		t.errs = append(t.errs, fmt.Errorf("envoy.yaml has no block %q", block))
		return
	}
	t.s = strings.TrimRight(before, " ") + after
}

func (t *text) socket(field, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		t.errs = append(t.errs, fmt.Errorf("envoy: %s %q is not host:port", field, addr))
	}
	return fmt.Sprintf("{address: %q, port_value: %s}", host, port)
}

// WriteCredential writes the registry's Basic credential as a file for Options.Credential,
// 0600, by a rename: a running Envoy picks it up.
func WriteCredential(file, user, password string) error {
	t := text{s: shippedCredential}
	t.replace("VVNFUjpQQVNTV09SRA==", base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	if err := errors.Join(t.errs...); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".credential-*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(t.s)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
