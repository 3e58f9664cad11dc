package envoy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
)

// TLS says how the server proves itself and who may connect. All fields are required.
// The files are read again for each connection, so that renewed ones count; one that cannot
// be read fails that connection.
type TLS struct {
	CertFile, KeyFile string
	ClientCAFile      string   // PEM certificates that sign clients
	ClientSANs        []string // a client's certificate must have one of these as URI or DNS name, compared as whole strings
}

// server returns the configuration, after reading the files once.
func (t *TLS) server() (*tls.Config, error) {
	if t.CertFile == "" || t.KeyFile == "" || t.ClientCAFile == "" || len(t.ClientSANs) == 0 || slices.Contains(t.ClientSANs, "") {
		return nil, errors.New("mTLS of the gRPC port needs all of certificate, key, client CA and at least one client SAN")
	}
	if _, err := t.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.load() },
	}, nil
}

func (t *TLS) load() (*tls.Config, error) {
	if info, err := os.Stat(t.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o): run chmod 0600 on it", t.KeyFile, info.Mode().Perm())
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the gRPC port: %w", err)
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("client CA of the gRPC port: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client CA of the gRPC port: %s holds no PEM certificate", t.ClientCAFile)
	}
	return &tls.Config{
		MinVersion:       tls.VersionTLS12,
		NextProtos:       []string{"h2"},
		Certificates:     []tls.Certificate{cert},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        pool,
		VerifyConnection: t.verify, // also called for a resumed session
	}, nil
}

// verify refuses a client whose certificate names none of ClientSANs.
func (t *TLS) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	leaf := state.PeerCertificates[0]
	for _, uri := range leaf.URIs {
		if slices.Contains(t.ClientSANs, uri.String()) {
			return nil
		}
	}
	for _, name := range leaf.DNSNames {
		if slices.Contains(t.ClientSANs, name) {
			return nil
		}
	}
	return errors.New("the client certificate names none of the allowed SANs")
}
