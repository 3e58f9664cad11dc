package pull

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestURLsThatAreRefused(t *testing.T) {
	tests := []struct {
		url      string
		token    string
		insecure bool
		want     string // "" is taken
	}{
		{"https://bundles.example/bundles/default", "", false, ""},
		{"https://bundles.example/bundles/default", "t", false, ""},
		{"http://127.0.0.1:80/b", "t", false, ""},
		{"http://[::1]:80/b", "t", false, ""},
		{"http://localhost/b", "t", false, ""},
		{"http://bundles.example/b", "", false, "bundles name customers: want https://"},
		{"http://bundles.example/b", "", true, ""},
		{"http://bundles.example/b", "t", true, "a token must not cross a network in the open"},
		{"http://127.0.0.1.example/b", "t", true, "a token must not cross"},
		{"https://user:hunter2@bundles.example/b", "", false, "want scheme, host and path only"},
		{"https://bundles.example/b?sig=hunter2", "", false, "want scheme, host and path only"},
		{"https://bundles.example/b?", "", false, "want scheme, host and path only"},
		{"https://bundles.example/b#x", "", false, "want scheme, host and path only"},
		{"https://user:hunter2@bundles\x7f.example/b", "", false, "is no URL"},
		{"https:///b", "", false, "want https://HOST/PATH"},
		{"bundles.example/b", "", false, "want https://HOST/PATH"},
		{"ftp://bundles.example/b", "", false, "want https://HOST/PATH"},
		{"file:///var/bundles", "", false, ""},
		{"file://localhost/var/bundles", "", false, ""},
		{"file://host/var/bundles", "", false, "want file:///ABSOLUTE/PATH"},
		{"file:bundles", "", false, "want file:///ABSOLUTE/PATH"},
	}
	for _, tt := range tests {
		r := newRig(t, tt.url)
		r.cfg.TokenFile, r.cfg.Insecure = tt.token, tt.insecure
		r.cfg.Clock = OpenClock("", r.machine.read)
		_, err := New(r.cfg)
		switch {
		case err == nil && tt.want == "":
		case err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want):
			t.Errorf("%q: %v, want %q", tt.url, err, tt.want)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error has the secret: %v", tt.url, err)
		}
	}
	r := newRig(t)
	for _, want := range []string{"want at least one URL and one public key", "a client certificate and its key belong together"} {
		if _, err := New(r.cfg); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		r.cfg.CertFile = "x"
	}
}

// The token goes to its publisher with each request, as it is then, and nowhere else.
func TestToken(t *testing.T) {
	pub, other := newPublisher(t), newPublisher(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	good := "first"
	pub.says(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+good {
			w.WriteHeader(401)
			return
		}
		_, _ = w.Write(made(t, 5))
	})
	r := newRig(t, pub.URL)
	r.cfg.TokenFile = file
	r.open()
	r.expect(Unprepared, 0)
	write("first\n", 0o600)
	r.expect("", 5)
	good = "second"
	r.expect(Unauthorized, 5)
	write("second", 0o640)
	r.expect("", 5)
	for text, want := range map[string]string{"": "one line with a token", "a b": "one line", "a\nb": "one line", "sécret": "one line", strings.Repeat("x", 70000): "at most 65536 bytes"} {
		write(text, 0o600)
		r.expect(Unprepared, 5)
		if got := r.Status().Failure.Error(); !strings.Contains(got, want) || !strings.Contains(got, "mend the file") {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	write("second", 0o604)
	r.expect(Unprepared, 5)
	r.says("readable by others")
	write("second", 0o600)
	for _, to := range []string{other.URL, strings.Replace(pub.URL, "http:", "https:", 1), strings.Replace(pub.URL, "127.0.0.1", "localhost", 1)} {
		pub.says(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) })
		r.expect(Redirected, 5)
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("another origin was asked %d times", n)
	}
	if text := r.log.String() + strings.Join(r.Status().Problems, ""); strings.Contains(text, "second") || strings.Contains(text, "first") {
		t.Errorf("the token is written:\n%s", text)
	}
}

// pair writes a certificate and its key, signed by itself or by ca.
func pair(t *testing.T, dir, name string, ca *tls.Certificate) (certFile, keyFile string, cert tls.Certificate) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	key := keys()[1]
	parent, signer := tmpl, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".pem")
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for file, data := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	caFile, _, ca := pair(t, dir, "ca", nil)
	_, _, server := pair(t, dir, "server", &ca)
	certFile, keyFile, _ := pair(t, dir, "client", &ca)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	pub := &publisher{}
	pub.has(made(t, 5))
	pub.Server = httptest.NewUnstartedServer(pub)
	pub.Config.ErrorLog = log.New(io.Discard, "", 0)
	pub.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	pub.StartTLS()
	t.Cleanup(pub.Close)

	r := newRig(t, pub.URL).open()
	r.expect(Unreachable, 0) // an unknown CA
	r.cfg.CAFile = filepath.Join(dir, "other.crt")
	r.open()
	r.expect(Unprepared, 0) // none yet
	data, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.cfg.CAFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.expect(Unprepared, 0)
	if err := os.WriteFile(r.cfg.CAFile, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r.expect(Unauthorized, 0) // the server wants a certificate
	r.says("tls: certificate required")
	r.cfg.CertFile, r.cfg.KeyFile = certFile, keyFile
	r.open()
	r.expect("", 5)
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	r.expect(Unprepared, 5)
	if err := os.Chmod(keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	// A certificate that is changed counts from the next request on.
	pair(t, dir, "client", nil)
	r.expect(Unauthorized, 5)
	r.says("tls: unknown certificate authority")
	pair(t, dir, "client", &ca)
	r.expect("", 5)
}

func TestErrorsAreOneLineWithoutControls(t *testing.T) {
	got := line(fmt.Errorf("a\x1b[31mb\xff %s\nsecond line", strings.Repeat("x", 400)))
	if strings.ContainsAny(got, "\x1b\n") || !utf8.ValidString(got) || !strings.HasPrefix(got, "a?[31mb") || len(got) > 310 {
		t.Errorf("%q", got)
	}
}
