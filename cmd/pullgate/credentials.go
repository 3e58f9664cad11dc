package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/authz/upstream"
	"github.com/pullgate/pullgate/sync/catalog"
)

type credentialSettings struct {
	Username     string   `yaml:"username"`
	PasswordFile string   `yaml:"password_file"` // not readable by others
	PasswordEnv  string   `yaml:"password_env"`  // name of an environment variable
	Realms       []string `yaml:"realms"`        // origins of token servers that may be given the credential
	Redirects    []string `yaml:"redirects"`     // origins that the crawler may be redirected to for content, without the credential
	Insecure     bool     `yaml:"insecure"`      // allow an http:// upstream off loopback
	// Upstream is where the registry is, for a sidecar that follows a publisher; by default what the
	// bundle says. With it the credential goes nowhere else, whatever is signed.
	Upstream string `yaml:"upstream"`
	// Attach false: pullgate only removes the customer's key, and Envoy's credential_injector
	// adds the registry's. The secret then never passes the gRPC port.
	Attach *bool `yaml:"attach"`
}

// validateCredentials says what is wrong with the credentials as they are written.
func (s *settings) validateCredentials() (errs []error) {
	for _, id := range slices.Sorted(maps.Keys(s.Credentials)) {
		c := s.Credentials[id]
		anonymous := c.Username == "" && c.PasswordFile == "" && c.PasswordEnv == "" && c.Attach == nil && (len(c.Redirects) > 0 || c.Insecure)
		if !anonymous && (c.Username == "" || (c.PasswordFile == "") == (c.PasswordEnv == "")) {
			errs = append(errs, fmt.Errorf("credentials.%s: want username and one of password_file and password_env; only redirects and insecure may stand alone, for a registry that is read by nobody in particular", id))
		}
		for _, o := range slices.Concat(c.Realms, c.Redirects) {
			if err := catalog.CheckOrigin(o, c.Insecure); err != nil {
				errs = append(errs, fmt.Errorf("credentials.%s: realms, redirects: %q: %w", id, o, err))
			}
		}
		if u := c.Upstream; u != "" && !s.follows() {
			errs = append(errs, s.placed("credentials."+id, "credentials.%s: upstream: the license files say where the registry is: leave it out without bundle-url", id))
		} else if parsed, err := url.Parse(u); u != "" && (err != nil || parsed.Host == "" || parsed.User != nil || parsed.Scheme != "https" && parsed.Scheme != "http") {
			errs = append(errs, s.placed("credentials."+id, "credentials.%s: upstream: want https://HOST, as in the Registry document", id))
		}
	}
	return errs
}

// checkCredentialFiles checks what they point to.
func (s *settings) checkCredentialFiles() (errs []error) {
	for _, id := range slices.Sorted(maps.Keys(s.Credentials)) {
		if c := s.Credentials[id]; c.PasswordFile != "" {
			if _, err := readSecretFile(c.PasswordFile); err != nil {
				errs = append(errs, fmt.Errorf("credentials.%s: %w", id, err))
			}
		} else if c.PasswordEnv == "" {
			continue
		} else if _, ok := os.LookupEnv(c.PasswordEnv); !ok {
			errs = append(errs, fmt.Errorf("credentials.%s: environment variable %s is not set", id, c.PasswordEnv))
		}
	}
	return errs
}

// upstreamCredentials are those that pullgate puts on requests itself.
func (s *settings) upstreamCredentials(log *slog.Logger, reg prometheus.Registerer) (*upstream.Credentials, error) {
	cfg := upstream.Config{Credentials: map[string]upstream.Credential{}, Logger: log, Registerer: reg}
	for id, c := range s.Credentials {
		if c.Username == "" || c.Attach != nil && !*c.Attach {
			continue
		}
		cfg.Credentials[id] = upstream.Credential{
			Username: c.Username, PasswordFile: c.PasswordFile, PasswordEnv: c.PasswordEnv, Realms: c.Realms, Insecure: c.Insecure,
		}
	}
	return upstream.New(cfg)
}
