package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	bundleserve "github.com/pullgate/pullgate/bundle/serve"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/spf13/pflag"
)

// publishSettings are the settings that only `pullgate publish` has. Every field but Bundles has a
// flag of the same name.
type publishSettings struct {
	SigningKey string   // private key (PEM, 0600) that signs
	KeyFile    []string // further public keys (PEM): those that signed what was published earlier

	BundleAddr     string   // HTTP bundle endpoint; "" for none
	BundleHosts    []string // (--bundle-host) names by which it may be asked for bundles that anybody may have
	BundleCert     string   // its certificate (PEM)
	BundleCertKey  string   // and private key
	BundleClientCA string   // CA (PEM) of client certificates

	Out         string // directory that gets NAME.tar.gz
	OCI         string // repository that gets the tag NAME: HOST/REPOSITORY
	OCIUser     string
	OCIPassword string // file
	OCIInsecure bool   // http, off loopback too

	Test    []string      // directories of the vendor's own tests
	MaxLoss string        // share of customers, such as 5%
	Term    time.Duration // (--leader-term) how long a leader may be silent; with a database
	Once    bool          // end when everything is published once

	// Bundles by name: whom they serve and who may fetch them.
	Bundles map[string]bundleSettings

	share float64 // MaxLoss
}

type bundleSettings struct {
	Customers  []string `yaml:"customers"`   // ids; without them all
	TokenFile  string   `yaml:"token_file"`  // bearer tokens, a line each; not readable by others
	ClientSANs []string `yaml:"client_sans"` // URI or DNS names of client certificates
}

// leastToken is the shortest bearer token of a bundle, in bytes.
const leastToken = 16

func addPublishFlags(f *pflag.FlagSet, s *settings) {
	p := &publishSettings{}
	s.publish = p
	addCompileFlags(f, s)
	addRedisFlags(f, &s.redis, "through which sidecars are told of revocations before the bundle")
	addLogFlags(f, s)
	f.StringVar(&s.Data, "data", defaultDataDir()+"-publish", "directory for state: catalog, bundles; not that of a pullgate serve")
	f.StringVar(&s.AdminAddr, "admin-addr", "127.0.0.1:9194", "address of /metrics /healthz /readyz /v1/status")
	addAdminHosts(f, s)
	f.StringVar(&p.SigningKey, "signing-key", "", "`file` with the private key (PEM, 0600) of pullgate bundle keygen")
	f.StringSliceVar(&p.KeyFile, "key-file", nil, "further public key (PEM) that earlier bundles were signed with, after the signing key was changed; repeatable")
	f.StringVar(&p.BundleAddr, "bundle-addr", "127.0.0.1:9193", "address of the bundles, /bundles/NAME; off loopback with --bundle-cert; empty for none")
	f.StringSliceVar(&p.BundleHosts, "bundle-host", nil, "name by which --bundle-addr may be asked for a bundle without token or client_sans, beside addresses and localhost; repeatable (bundle_hosts in the file)")
	f.StringVar(&p.BundleCert, "bundle-cert", "", "certificate (PEM) of --bundle-addr")
	f.StringVar(&p.BundleCertKey, "bundle-cert-key", "", "private key (PEM) of --bundle-addr")
	f.StringVar(&p.BundleClientCA, "bundle-client-ca", "", "CA (PEM) that client certificates must come from; client_sans of each bundle say whose")
	f.StringVar(&p.Out, "out", "", "`directory` that gets NAME.tar.gz, too")
	f.StringVar(&p.OCI, "oci", "", "`repository` (HOST/NAME) that gets an OCI artifact with the bundle's name as its tag, too")
	f.StringVar(&p.OCIUser, "oci-user", "", "user name for --oci")
	f.StringVar(&p.OCIPassword, "oci-password-file", "", "`file` with the password for --oci")
	f.BoolVar(&p.OCIInsecure, "oci-insecure", false, "talk http to --oci, off loopback too")
	f.StringSliceVar(&p.Test, "test", nil, "`directory` of decision scripts and Rego tests that must pass before anything is published; repeatable")
	f.StringVar(&p.MaxLoss, "max-loss", "5%", "share of the customers that may lose something by an edit; more is held back until it is accepted")
	f.DurationVar(&p.Term, "leader-term", 12*time.Second, "with a database: how long the publisher that leads may be silent before another is elected")
	f.BoolVar(&p.Once, "once", false, "end when everything has been published once")
}

// validate says what is wrong with the settings of a publisher, and fills in what follows from them.
func (p *publishSettings) validate(placed func(key, format string, args ...any) error) (errs []error) {
	if p.SigningKey == "" {
		errs = append(errs, errors.New("no --signing-key: name the private key that signs bundles; `pullgate bundle keygen --out NAME` makes one"))
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(p.MaxLoss, "%"), 64)
	if err != nil || !strings.HasSuffix(p.MaxLoss, "%") || !(percent >= 0 && percent <= 100) {
		errs = append(errs, fmt.Errorf("max-loss %q: want 0%% to 100%%", p.MaxLoss))
	}
	p.share = percent / 100
	if p.BundleAddr == "" && p.Out == "" && p.OCI == "" {
		errs = append(errs, errors.New("nowhere to publish: name one of bundle-addr, out and oci"))
	}
	if (p.BundleCert == "") != (p.BundleCertKey == "") {
		errs = append(errs, errors.New("bundle-cert, bundle-cert-key: want both or none"))
	}
	if p.BundleClientCA != "" && p.BundleCert == "" {
		errs = append(errs, errors.New("bundle-client-ca: needs bundle-cert and bundle-cert-key: without TLS there are no client certificates"))
	}
	if (p.OCIUser == "") != (p.OCIPassword == "") {
		errs = append(errs, errors.New("oci-user, oci-password-file: want both or none"))
	}
	if len(p.Bundles) == 0 {
		p.Bundles = map[string]bundleSettings{bundle.DefaultName: {}}
	}
	if p.Term < 2*time.Second || p.Term > 5*time.Minute {
		errs = append(errs, fmt.Errorf("leader-term %s: want 2s to 5m", p.Term))
	}
	errs = append(errs, checkHosts("bundle_hosts", p.BundleHosts)...)
	loopback := p.BundleAddr == "" || onLoopback(p.BundleAddr)
	if !loopback && p.BundleCert == "" {
		errs = append(errs, fmt.Errorf("bundle-addr %q: not a loopback address, and tokens and names of customers would cross the network in the open: set bundle-cert and bundle-cert-key", p.BundleAddr))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Bundles)) {
		b := p.Bundles[name]
		if !bundle.ValidName(name) {
			errs = append(errs, placed("bundles."+name, "bundles.%s: want a name of lower-case letters, digits, '.', '_' and '-'", name))
		}
		if !loopback && b.TokenFile == "" && len(b.ClientSANs) == 0 {
			errs = append(errs, placed("bundles."+name, "bundles.%s: bundle-addr %q is not a loopback address: say who may have it by token_file or client_sans", name, p.BundleAddr))
		}
		if len(b.ClientSANs) > 0 && p.BundleClientCA == "" {
			errs = append(errs, placed("bundles."+name, "bundles.%s: client_sans need bundle-client-ca", name))
		}
		if b.Customers != nil && len(b.Customers) == 0 {
			errs = append(errs, placed("bundles."+name, "bundles.%s: customers is empty: leave it out for all, or name one", name))
		}
	}
	return errs
}

// checkFiles checks what the settings point to.
func (p *publishSettings) checkFiles(placed func(key, format string, args ...any) error) (errs []error) {
	if _, _, err := p.keys(); err != nil {
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Bundles)) {
		if file := p.Bundles[name].TokenFile; file != "" {
			if _, err := readTokens(file); err != nil {
				errs = append(errs, placed("bundles."+name, "bundles.%s: %w", name, err))
			}
		}
	}
	if p.OCIPassword != "" {
		if _, err := readSecretFile(p.OCIPassword); err != nil {
			errs = append(errs, fmt.Errorf("oci-password-file: %w", err))
		}
	}
	if p.BundleCert != "" {
		if _, err := p.tls(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// keys are the signer, and the ring that verifies what it and its predecessors have signed.
func (p *publishSettings) keys() (*bundle.Signer, *bundle.KeyRing, error) {
	return signingKeys(p.SigningKey, p.KeyFile)
}

// print tells of the bundles, with names of files in place of secrets.
func (p *publishSettings) print(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(p.Bundles)) {
		b := p.Bundles[name]
		whom, who := "all customers", "anybody who reaches bundle-addr"
		if b.Customers != nil {
			whom = strings.Join(b.Customers, ", ")
		}
		if b.TokenFile != "" || len(b.ClientSANs) > 0 {
			who = strings.Join(append(slices.Clone(b.ClientSANs), b.TokenFile), ", ")
		}
		fmt.Fprintf(w, "bundles.%s:\t%s\t# for %s\n", name, whom, strings.TrimSuffix(who, ", "))
	}
}

// access are the rules of who may fetch which bundle.
func (p *publishSettings) access() map[string]bundleserve.Access {
	all := map[string]bundleserve.Access{}
	for name, b := range p.Bundles {
		a := bundleserve.Access{ClientSANs: b.ClientSANs, Anyone: b.TokenFile == "" && len(b.ClientSANs) == 0}
		if file := b.TokenFile; file != "" {
			a.Tokens = func() ([]string, error) { return readTokens(file) }
		}
		all[name] = a
	}
	return all
}

func readTokens(file string) ([]string, error) {
	text, err := readSecretFile(file)
	if err != nil {
		return nil, err
	}
	tokens := strings.Fields(text)
	for _, t := range tokens {
		if len(t) < leastToken {
			return nil, fmt.Errorf("%s: a token of %d bytes; want at least %d, as `openssl rand -hex 32` prints", file, len(t), leastToken)
		}
	}
	return tokens, nil
}

// tls is the configuration of the bundle endpoint, whose files are read again for each connection.
func (p *publishSettings) tls() (*tls.Config, error) {
	load := func() (*tls.Config, error) {
		cert, err := tls.LoadX509KeyPair(p.BundleCert, p.BundleCertKey)
		if err != nil {
			return nil, fmt.Errorf("bundle-cert, bundle-cert-key: %w", err)
		}
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{cert}}
		if p.BundleClientCA != "" {
			pem, err := os.ReadFile(p.BundleClientCA)
			if err != nil {
				return nil, fmt.Errorf("bundle-client-ca: %w", err)
			}
			cfg.ClientCAs = x509.NewCertPool()
			if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("bundle-client-ca: %s holds no PEM certificate", p.BundleClientCA)
			}
			cfg.ClientAuth = tls.VerifyClientCertIfGiven // others have tokens
		}
		return cfg, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return load() },
	}, nil
}

// outlets are the bundles of the publisher; deliver hands one over.
func (p *publishSettings) outlets(data string, deliver func(name string) publish.Bundle) []publish.Bundle {
	var all []publish.Bundle
	for _, name := range slices.Sorted(maps.Keys(p.Bundles)) {
		b := deliver(name)
		b.Name, b.Customers = name, p.Bundles[name].Customers
		b.History = &publish.History{Dir: bundleDir(data, name)}
		all = append(all, b)
	}
	return all
}

// scheme is how the bundle endpoint is spoken to.
func (p *publishSettings) scheme() string {
	if p.BundleCert != "" {
		return "https"
	}
	return "http"
}
