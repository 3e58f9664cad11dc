package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// An authority signs certificates of a test.
type authority struct {
	*vendor
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// authority writes NAME.crt.
func (v *vendor) authority(name string) *authority {
	v.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	v.must(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	v.must(err)
	cert, err = x509.ParseCertificate(der)
	v.must(err)
	v.writePEM(name+".crt", "CERTIFICATE", der)
	return &authority{vendor: v, file: v.path(name + ".crt"), cert: cert, key: key}
}

func (v *vendor) writePEM(name, kind string, der []byte) {
	v.Helper()
	v.write(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), 0o600)
}

// issue writes NAME.crt and NAME.key for an address, a URI or a DNS name.
func (a *authority) issue(name, san string) (cert, key string) {
	a.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(san); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else if u, err := url.Parse(san); err == nil && u.Scheme != "" {
		c.URIs = []*url.URL{u}
	} else {
		c.DNSNames = []string{san}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, private.Public(), a.key)
	a.must(err)
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	a.must(err)
	a.writePEM(name+".crt", "CERTIFICATE", der)
	a.writePEM(name+".key", "PRIVATE KEY", privateDER)
	return a.path(name + ".crt"), a.path(name + ".key")
}

// Sidecars show certificates in place of tokens. Whoever has none, or one with a name or of an authority
// that is not listed, gets nothing, and both sides say why.
func TestSidecarsShowCertificates(t *testing.T) {
	v := newVendor(t)
	ca, other := v.authority("ca"), v.authority("other-ca")
	cert, key := ca.issue("server", "127.0.0.1")
	p := v.publish(fmt.Sprintf("max_loss: 100%%\nbundle_cert: %q\nbundle_cert_key: %q\nbundle_client_ca: %q\nbundles:\n  default: {client_sans: [spiffe://example.com/sidecar]}\n  plant-7: {customers: [acme], client_sans: [plant-7.example.com]}\n", cert, key, ca.file))
	if !strings.HasPrefix(p.bundles, "https://") {
		t.Fatal(p.bundles)
	}
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	follow := func(name, ca, more string) *served {
		return v.follow(p, name, fmt.Sprintf("bundle_ca: %q\ncredentials:\n  main: {username: %s, password_file: %q}\n", ca, registryUser, v.path("registry-password"))+more)
	}
	shows := func(cert, key string) string {
		return fmt.Sprintf("bundle_client_cert: %q\nbundle_client_key: %q\n", cert, key)
	}
	good := follow("good", ca.file, shows(ca.issue("sidecar", "spiffe://example.com/sidecar")))
	good.awaitReady()
	if a := good.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}

	for _, c := range []struct {
		name, ca, shows string
		health, reason  string // of the sidecar
		log             string // of the publisher
	}{
		{"no-certificate", ca.file, "", "answered 401 Unauthorized to a request with neither token nor client certificate", "unauthorized", `with="neither token nor client certificate"`},
		{"another-name", ca.file, shows(ca.issue("another", "spiffe://example.com/other")), "answered 401 Unauthorized to a request with a client certificate", "unauthorized", `with="the client certificate of spiffe://example.com/other"`},
		{"another-bundle", ca.file, shows(ca.issue("plant", "plant-7.example.com")), "answered 404 Not Found", "not_found", "those for it: plant-7"},
		{"another-authority", ca.file, shows(other.issue("foreign", "spiffe://example.com/sidecar")), "remote error: tls: unknown certificate authority; check the token or the client certificate", "unauthorized", `msg="connection refused" from=127.0.0.1 error="TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority`},
		{"another-publisher", other.file, "", "x509: certificate signed by unknown authority", "unreachable", `error="TLS: remote error: tls: bad certificate"`},
	} {
		s := follow(c.name, c.ca, c.shows)
		s.await(c.name+": health says why", 20*time.Second, func() bool { _, text := s.get("/healthz"); return strings.Contains(text, c.health) })
		if _, text := s.get("/metrics"); strings.Contains(text, fmt.Sprintf("pullgate_bundle_pulls_total{result=%q} 0\n", c.reason)) || !strings.Contains(text, `pullgate_bundle_pulls_total{result="new"} 0`) {
			t.Errorf("%s: not counted as %s:\n%s", c.name, c.reason, text)
		}
		if code, _ := s.get("/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("%s: /readyz %d", c.name, code)
		}
		p.await(c.name+": the publisher's log says so", 10*time.Second, func() bool { return strings.Contains(p.log.String(), c.log) })
		s.stop()
	}

	// A certificate that is replaced on the sidecar's machine counts with the next request; what the
	// publisher answers to the one under way, which has just begun, still counts.
	v.write("licenses/license.yaml", grants(">=1.0.0 <3.0.0"), 0o644)
	good.await("an edit", 10*time.Second, func() bool { return good.pull("2.0.0").Status == http.StatusOK })
	p.await("the sidecar waits", 10*time.Second, func() bool { return p.gauge("pullgate_bundle_waiting") == "1" })
	other.issue("sidecar", "spiffe://example.com/sidecar")
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	good.await("the edit", 10*time.Second, func() bool { return good.pull("1.4.0").Status == http.StatusForbidden })
	good.await("the replaced certificate is refused", 20*time.Second, func() bool {
		_, text := good.get("/healthz")
		return strings.Contains(text, "unknown certificate authority")
	})
	if a := good.pull("2.0.0"); a.Status != http.StatusOK {
		t.Errorf("the last good bundle is not in use: %+v", a)
	}
	ca.issue("sidecar", "spiffe://example.com/sidecar")
	good.await("the right one is taken", 20*time.Second, func() bool { _, text := good.get("/healthz"); return text == "ok\n" })
}
