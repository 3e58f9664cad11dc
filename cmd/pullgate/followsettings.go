package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/pull"
	"github.com/spf13/pflag"
)

// followSettings are those of a sidecar that follows a publisher instead of compiling license files
// itself. Every field has a flag of the same name.
type followSettings struct {
	BundleURL        []string // of one bundle, at a publisher and its replicas; excludes Licenses
	BundleName       string   // of the bundle
	BundleKeyFile    []string // public keys (PEM) that may vouch for it
	BundleTokenFile  string   // bearer token; read with each request
	BundleClientCert string   // client certificate (PEM); read with each request
	BundleClientKey  string   // its private key
	BundleCA         string   // CAs (PEM) in place of the system's; read with each request
	BundleInsecure   bool     // http off loopback
	BundleMinSerial  int64    // lowest serial that is taken
	BundleMaxBytes   int64    // of a bundle, unpacked
	BundleWait       time.Duration
	BundlePoll       time.Duration

	DegradedAfter time.Duration // age of the last refresh that health calls degraded
	StaleAfter    time.Duration // and from which every request is refused; 0: only the bundle's not_after counts
}

func addFollowFlags(f *pflag.FlagSet, s *followSettings) {
	f.StringSliceVar(&s.BundleURL, "bundle-url", nil, "`URL` of the bundle to follow, in place of --licenses: https://, http:// on loopback, or file://; repeatable for replicas")
	f.StringVar(&s.BundleName, "bundle-name", bundle.DefaultName, "`name` of the bundle to follow")
	f.StringSliceVar(&s.BundleKeyFile, "bundle-key-file", nil, "public key (PEM) that may vouch for the bundle; repeatable, while the publisher changes its key")
	f.StringVar(&s.BundleTokenFile, "bundle-token-file", "", "`file` with the bearer token for --bundle-url; not readable by others")
	f.StringVar(&s.BundleClientCert, "bundle-client-cert", "", "client certificate (PEM) for --bundle-url")
	f.StringVar(&s.BundleClientKey, "bundle-client-key", "", "private key (PEM) of --bundle-client-cert; not readable by others")
	f.StringVar(&s.BundleCA, "bundle-ca", "", "CA (PEM) to trust for --bundle-url, in place of the system's")
	f.BoolVar(&s.BundleInsecure, "bundle-insecure", false, "allow http:// for --bundle-url off loopback, without a token")
	f.Int64Var(&s.BundleMinSerial, "bundle-min-serial", 0, "lowest serial that is taken, for when the state directory was lost")
	f.Int64Var(&s.BundleMaxBytes, "bundle-max-bytes", bundle.MaxBytes, "bound of a bundle, unpacked")
	f.DurationVar(&s.BundleWait, "bundle-wait", pull.DefaultWait, "how long the publisher is asked to hold a request back until there is a new bundle; 0 to poll only")
	f.DurationVar(&s.BundlePoll, "bundle-poll", pull.DefaultPoll, "time between two requests to who does not hold them back")
	f.DurationVar(&s.DegradedAfter, "degraded-after", pull.DefaultDegradedAfter, "time without the publisher after which health says degraded")
	f.DurationVar(&s.StaleAfter, "stale-after", 0, "time without the publisher after which every request is refused; 0: when the bundle is past its not_after")
}

// follows says that bundles come from a publisher.
func (s *settings) follows() bool { return len(s.follow.BundleURL) > 0 }

// validateFollow says what is wrong with the settings of where bundles come from.
func (s *settings) validateFollow() (errs []error) {
	f := &s.follow
	if !s.follows() {
		if len(f.BundleKeyFile) > 0 || f.BundleTokenFile != "" || f.BundleClientCert != "" || f.BundleClientKey != "" || f.BundleCA != "" || f.BundleMinSerial != 0 || f.StaleAfter != 0 {
			errs = append(errs, errors.New("bundle-key-file, bundle-token-file, bundle-client-cert, bundle-client-key, bundle-ca, bundle-min-serial, stale-after: they are those of bundle-url: name it, too"))
		}
		return errs
	}
	if s.Licenses != "" {
		errs = append(errs, errors.New("licenses, bundle-url: a sidecar compiles its own bundles or follows a publisher: leave one of the two out"))
	}
	if len(s.Webhooks) > 0 || s.WebhookAddr != "" {
		errs = append(errs, errors.New("webhooks, webhook-addr: registries tell the publisher, which reads them: leave them out beside bundle-url, and name them there"))
	}
	if !bundle.ValidName(f.BundleName) {
		errs = append(errs, fmt.Errorf("bundle-name %q: want a name of lower-case letters, digits, '.', '_' and '-'", f.BundleName))
	}
	if len(f.BundleKeyFile) == 0 {
		errs = append(errs, errors.New("no --bundle-key-file: name the publisher's public key, as `pullgate bundle keygen` writes it"))
	}
	if f.BundleWait < 0 || f.BundleWait > 5*time.Minute || f.BundleWait%time.Second != 0 {
		errs = append(errs, fmt.Errorf("bundle-wait %s: want whole seconds up to 5m, or 0 to poll only", f.BundleWait))
	}
	if f.BundlePoll < time.Second {
		errs = append(errs, fmt.Errorf("bundle-poll %s: want at least 1s", f.BundlePoll))
	}
	if f.BundleMaxBytes < 1<<20 || f.BundleMaxBytes > bundle.MaxBytes {
		errs = append(errs, fmt.Errorf("bundle-max-bytes %d: want 1048576 to %d", f.BundleMaxBytes, bundle.MaxBytes))
	}
	if f.DegradedAfter < time.Second {
		errs = append(errs, fmt.Errorf("degraded-after %s: want at least 1s", f.DegradedAfter))
	}
	if least := max(time.Minute, 2*f.BundleWait, 2*f.BundlePoll); f.StaleAfter != 0 && f.StaleAfter < least {
		errs = append(errs, fmt.Errorf("stale-after %s: want at least %s (twice bundle-wait and bundle-poll), or 0", f.StaleAfter, least))
	}
	cfg := f.config("")
	if err := cfg.Check(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			errs = append(errs, fmt.Errorf("bundle-url: %s", line))
		}
	}
	return errs
}

// checkFollowFiles checks what the settings point to.
func (s *settings) checkFollowFiles() (errs []error) {
	if !s.follows() {
		return nil
	}
	if _, err := s.follow.ring(); err != nil {
		errs = append(errs, err)
	}
	for _, file := range []struct{ name, path string }{{"bundle-token-file", s.follow.BundleTokenFile}, {"bundle-client-key", s.follow.BundleClientKey}} {
		if file.path == "" {
			continue
		}
		if _, err := readSecretFile(file.path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file.name, err))
		}
	}
	for _, file := range []struct{ name, path string }{{"bundle-client-cert", s.follow.BundleClientCert}, {"bundle-ca", s.follow.BundleCA}} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file.name, err))
		}
	}
	return errs
}

// ring holds the keys that may vouch for bundles.
func (f *followSettings) ring() (*bundle.KeyRing, error) {
	return ringOf("bundle-key-file", f.BundleKeyFile)
}

// config is how the publisher is followed, with state below a directory.
func (f *followSettings) config(data string) pull.Config {
	cfg := pull.Config{
		URLs: f.BundleURL, Name: f.BundleName, Dir: bundleDir(data, f.BundleName), MinSerial: f.BundleMinSerial, MaxBytes: f.BundleMaxBytes,
		TokenFile: f.BundleTokenFile, CertFile: f.BundleClientCert, KeyFile: f.BundleClientKey, CAFile: f.BundleCA, Insecure: f.BundleInsecure,
		Wait: f.BundleWait, Poll: f.BundlePoll, DegradedAfter: f.DegradedAfter, StaleAfter: f.StaleAfter,
	}
	if cfg.Wait == 0 {
		cfg.Wait = -1
	}
	return cfg
}
