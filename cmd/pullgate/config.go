package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/token"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settings is the configuration of a running pullgate. Every field but Credentials, Webhooks,
// ClientAddress and Bearer has a flag of the same name; a flag wins over PULLGATE_NAME in the
// environment, which wins over the file. Nothing is reloaded but the license directory,
// which is watched, and password files and that of Redis' secret, which are read again when they change.
type settings struct {
	Licenses string // directory of license files, watched (required)
	Data     string // state: catalog, bundles, decisions; 0700, one pullgate at a time

	GRPCAddr      string        // ext_authz and gRPC health; loopback or unix: unless mTLS is configured
	AdminAddr     string        // /metrics /healthz /readyz /v1/status /v1/decisions, read-only; webhooks without WebhookAddr
	AdminHosts    []string      // (--admin-host) names by which the admin port may be asked, beside addresses and localhost
	WebhookAddr   string        // a port for nothing but webhooks; loopback unless it has a certificate
	WebhookCert   string        // certificate (PEM) of the webhook port
	WebhookKey    string        // its private key
	GRPCCert      string        // certificate (PEM) of the gRPC port
	GRPCKey       string        // its private key
	GRPCClientCA  string        // CA (PEM) that client certificates must come from
	GRPCClientSAN []string      // DNS or URI SANs, one of which a client certificate must have
	GRPCAge       time.Duration // after which Envoy's connections are renewed; 0: never

	CrawlEvery time.Duration // between two full readings of the registry
	Validity   time.Duration // how long a bundle may be used; re-issued at half of that
	Instance   string        // name of this process in records

	BadKeysPerMinute int // of one IPv4 address or IPv6 /64 before it is answered with 429; 0: no limit

	DecisionsMaxBytes int64    // bound of all decision files together; the oldest go first
	CacheBytes        int64    // bound of the decision cache in memory
	CacheAudit        share    // of the decisions from a cache that are made again and compared
	ShadowBundle      string   // file with a candidate bundle, asked beside the active one
	ShadowKeyFile     []string // public keys (PEM) that it is signed with
	LogFormat         string   // text or json
	LogLevel          string   // debug, info, warn, error

	// Credentials of registries, by registry id. They are used for crawling and, unless
	// attach is false, put on upstream requests in place of the customer's key.
	Credentials map[string]credentialSettings
	// Webhooks are registries that tell of pushes, by registry id.
	Webhooks map[string]webhookSettings
	// ClientAddress says where the client's address is found when Envoy is not the first proxy.
	ClientAddress clientAddressSettings
	// Bearer lets clients log in for a token instead of sending their key with every request.
	Bearer bearerSettings

	places map[string]string // where keys of the last four are written, for messages
	strays []error           // variables of the environment that nothing reads

	RevocationKeyFile []string // public keys (PEM) that vouch for tombstones, with Licenses

	redis   redisSettings
	shared  sharedSettings
	follow  followSettings   // of a sidecar that follows a publisher
	publish *publishSettings // of `pullgate publish`; nil for `pullgate serve`
}

type clientAddressSettings struct {
	Header      string `yaml:"header"`       // e.g. x-forwarded-for, read from the right
	TrustedHops int    `yaml:"trusted_hops"` // how many entries from the right are addresses of proxies
}

// addServeFlags declares one flag per setting of `pullgate serve`. The help text is the
// documentation of both.
func addServeFlags(f *pflag.FlagSet, s *settings) {
	addCompileFlags(f, s)
	addFollowFlags(f, &s.follow)
	addRedisFlags(f, &s.redis, "that revocations come through before the bundle, and through which sidecars share verdicts")
	addSharedFlags(f, &s.shared)
	f.StringSliceVar(&s.RevocationKeyFile, "revocation-key-file", nil, "with --licenses and --redis: public key (PEM) that revocations are signed with; repeatable")
	addLogFlags(f, s)
	f.StringVar(&s.Data, "data", defaultDataDir(), "directory for state: catalog, bundles, decisions")
	f.StringVar(&s.GRPCAddr, "grpc-addr", "127.0.0.1:9191", "address of ext_authz and gRPC health: HOST:PORT or unix:PATH")
	f.StringVar(&s.AdminAddr, "admin-addr", "127.0.0.1:9192", "address of /metrics /healthz /readyz /v1/status /v1/decisions")
	addAdminHosts(f, s)
	f.StringVar(&s.GRPCCert, "grpc-cert", "", "certificate (PEM) of the gRPC port; with --grpc-key, --grpc-client-ca and --grpc-client-san any address is allowed")
	f.StringVar(&s.GRPCKey, "grpc-key", "", "private key (PEM) of the gRPC port")
	f.StringVar(&s.GRPCClientCA, "grpc-client-ca", "", "CA (PEM) that client certificates must come from")
	f.StringSliceVar(&s.GRPCClientSAN, "grpc-client-san", nil, "DNS or URI SAN that a client certificate must have; repeatable")
	f.DurationVar(&s.GRPCAge, "grpc-connection-age", 30*time.Minute, "time after which a connection of Envoy's is given up for a new one, give or take a tenth; 0 is never")
	f.StringVar(&s.Instance, "instance", defaultInstance(), "name of this process in decision records")
	f.IntVar(&s.BadKeysPerMinute, "bad-keys-per-minute", 20, "bad keys that one IPv4 address or IPv6 /64 may try within a minute before it gets 429; 0 is no limit")
	f.Int64Var(&s.DecisionsMaxBytes, "decisions-max-bytes", 1<<30, "bound of all decision files together; the oldest go first")
	f.StringVar(&s.ShadowBundle, "shadow-bundle", "", "`file` with a candidate bundle: after each answer it is asked what it would have answered; /v1/shadow lists the differences")
	f.StringSliceVar(&s.ShadowKeyFile, "shadow-key-file", nil, "public key (PEM) that the candidate is signed with; repeatable")
	f.Int64Var(&s.CacheBytes, "cache-bytes", 64<<20, "bound of the decision cache in memory; 0 for none")
	s.CacheAudit = 0.001
	f.Var(&s.CacheAudit, "cache-audit", "share of the decisions from a cache that are made again beside the requests and compared; 0 for none")
}

// addCompileFlags declares those of gathering and compiling.
func addCompileFlags(f *pflag.FlagSet, s *settings) {
	f.StringVar(&s.Licenses, "licenses", "", "directory of license files, or URL of a PostgreSQL database; edits count within a second")
	f.StringVar(&s.WebhookAddr, "webhook-addr", "", "address for registries' notifications alone (default: the admin port takes them); off loopback with --webhook-cert")
	f.StringVar(&s.WebhookCert, "webhook-cert", "", "certificate (PEM) of --webhook-addr")
	f.StringVar(&s.WebhookKey, "webhook-key", "", "private key (PEM) of --webhook-addr")
	f.DurationVar(&s.CrawlEvery, "crawl-every", 10*time.Minute, "time between two readings of the registry")
	f.DurationVar(&s.Validity, "validity", publish.DefaultValidity, "how long a compiled bundle may be used; re-issued at half of that")
}

func addLogFlags(f *pflag.FlagSet, s *settings) {
	f.StringVar(&s.LogFormat, "log-format", "text", "text or json")
	f.StringVar(&s.LogLevel, "log-level", "info", "debug, info, warn or error")
}

func defaultInstance() string {
	host, err := os.Hostname()
	if err != nil {
		return "pullgate"
	}
	return host
}

// defaultDataDir is the user's state directory (XDG Base Directory Specification).
func defaultDataDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "pullgate")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ".pullgate"
	}
	return filepath.Join(home, ".local", "state", "pullgate")
}

// origin says where the value of a setting came from.
type origin map[string]string

// loadSettings fills what no flag has set from the environment and from the file, if any.
func loadSettings(f *pflag.FlagSet, s *settings, file string) (origin, error) {
	values, err := readConfigFile(f, s, file)
	if err != nil {
		return nil, err
	}
	from := origin{}
	var errs []error
	f.VisitAll(func(fl *pflag.Flag) {
		key := settingKey(fl)
		if key == "" {
			return
		}
		env := envName(key)
		if fl.Changed {
			from[fl.Name] = "--" + fl.Name
			return
		}
		from[fl.Name] = "default"
		text, set := os.LookupEnv(env)
		where := env
		if v, ok := values[fl.Name]; !set && ok {
			text, set, where = v.text, true, v.where
		}
		if !set {
			return
		}
		if err := fl.Value.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", where, fl.Name, err))
			return
		}
		from[fl.Name] = where
	})
	s.strays = s.strayVariables(f, os.Environ())
	if len(errs) == 0 { // a value that cannot be read is not judged as well
		errs = s.validate()
	}
	return from, errors.Join(errs...)
}

func (s *settings) validate() []error {
	var errs []error
	if s.LogFormat != "text" && s.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log-format %q: want text or json", s.LogFormat))
	}
	if _, err := newLogger(io.Discard, s.LogFormat, s.LogLevel); err != nil {
		errs = append(errs, err)
	}
	if s.CrawlEvery < time.Second {
		errs = append(errs, fmt.Errorf("crawl-every %s: want at least 1s", s.CrawlEvery))
	}
	if s.Validity < time.Minute {
		errs = append(errs, fmt.Errorf("validity %s: want at least 1m", s.Validity))
	}
	errs = append(errs, checkHosts("admin_hosts", s.AdminHosts)...)
	errs = append(errs, s.redis.validate()...)
	if s.publish != nil {
		errs = append(errs, s.publish.validate(s.placed)...)
	} else {
		errs = append(errs, s.validateServe()...)
	}
	errs = append(errs, s.validateCredentials()...)
	return append(errs, s.validateWebhooks()...)
}

// validateServe says what is wrong with the settings that only `pullgate serve` has.
func (s *settings) validateServe() (errs []error) {
	if s.BadKeysPerMinute < 0 || s.BadKeysPerMinute > 1<<20 {
		errs = append(errs, fmt.Errorf("bad-keys-per-minute %d: want 1 to 1048576, or 0 for no limit", s.BadKeysPerMinute))
	}
	if s.GRPCAge != 0 && s.GRPCAge < time.Second {
		errs = append(errs, fmt.Errorf("grpc-connection-age %s: want at least 1s, or 0 for never", s.GRPCAge))
	}
	if s.CacheBytes != 0 && s.CacheBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("cache-bytes %d: want at least 1048576, or 0 for none", s.CacheBytes))
	}
	if s.DecisionsMaxBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("decisions-max-bytes %d: want at least 1048576", s.DecisionsMaxBytes))
	}
	if s.ClientAddress.TrustedHops < 0 || s.ClientAddress.Header == "" && s.ClientAddress.TrustedHops != 0 {
		errs = append(errs, errors.New("client_address: trusted_hops counts entries of header: name the header too"))
	}
	errs = append(errs, s.validateShadow()...)
	switch {
	case len(s.RevocationKeyFile) > 0 && (s.follows() || !s.redis.has()):
		errs = append(errs, errors.New("revocation-key-file: it is for redis beside licenses; beside bundle-url the keys are those of bundle-key-file"))
	case s.redis.has() && !s.sharesVerdicts() && !s.follows() && len(s.RevocationKeyFile) == 0:
		errs = append(errs, errors.New("redis: name the public key that revocations are signed with, by revocation-key-file; without it, and with redis-cache: off, nothing in Redis counts"))
	}
	errs = append(errs, s.validateShared()...)
	return append(append(errs, s.validateFollow()...), s.validateBearer()...)
}

// readSecretFile reads a secret that others may not read; its group may.
func readSecretFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s: readable by others (%s); chmod o= it", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s: empty", path)
	}
	return secret, nil
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check configurations", Args: cobra.NoArgs}
	cmd.AddCommand(configCommands("pullgate serve", addServeFlags)...)
	ofPublish := &cobra.Command{Use: "publish", Short: "Show and check the configuration of `pullgate publish`", Args: cobra.NoArgs}
	ofPublish.AddCommand(configCommands("pullgate publish", addPublishFlags)...)
	cmd.AddCommand(ofPublish)
	return cmd
}

// configCommands are print and check, of a command that has the flags that add adds.
func configCommands(of string, add func(*pflag.FlagSet, *settings)) (all []*cobra.Command) {
	for _, sub := range []struct{ use, short string }{
		{"print", "Print every setting of `" + of + "` with its value and where it came from"},
		{"check", "Say what is wrong with the configuration of `" + of + "`"},
	} {
		var s settings
		var file string
		c := &cobra.Command{Use: sub.use, Short: sub.short, Args: cobra.NoArgs}
		add(c.Flags(), &s)
		c.Flags().StringVar(&file, "config", "", "configuration file")
		c.RunE = func(cmd *cobra.Command, _ []string) error {
			if cmd.Name() == "check" {
				return s.check(cmd, file)
			}
			from, err := loadSettings(cmd.Flags(), &s, file)
			if err != nil {
				return err
			}
			return s.print(cmd, from)
		}
		all = append(all, c)
	}
	return all
}

// check prints what is wrong, on standard output like `pullgate check`.
func (s *settings) check(cmd *cobra.Command, file string) error {
	if file != "" {
		if _, err := os.ReadFile(file); err != nil {
			return err
		}
	}
	_, err := loadSettings(cmd.Flags(), s, file)
	if err == nil {
		err = s.checkFiles()
	}
	if err = errors.Join(append([]error{err}, s.strays...)...); err != nil {
		fmt.Fprintln(cmd.OutOrStdout(), err)
		return errNo
	}
	fmt.Fprintln(cmd.OutOrStdout(), "ok")
	return nil
}

// checkFiles checks what the settings point to.
func (s *settings) checkFiles() error {
	var errs []error
	if postgres.IsURL(s.Licenses) {
		if _, err := openLicenses(s.Licenses); err != nil {
			errs = append(errs, fmt.Errorf("licenses: %w", err))
		}
	} else if s.Licenses != "" {
		if _, err := os.ReadDir(s.Licenses); err != nil {
			errs = append(errs, fmt.Errorf("licenses: %w; name the directory of license files, `pullgate init DIR` writes a first one", err))
		}
	}
	errs = append(errs, s.checkCredentialFiles()...)
	if s.publish != nil {
		errs = append(errs, s.publish.checkFiles(s.placed)...)
	}
	errs = append(errs, s.checkFollowFiles()...)
	errs = append(errs, s.redis.checkFiles()...)
	errs = append(errs, s.checkSharedFiles()...)
	if _, err := ringOf("revocation-key-file", s.RevocationKeyFile); err != nil {
		errs = append(errs, err)
	}
	if _, err := s.Bearer.issuer(nil); err != nil {
		errs = append(errs, err)
	}
	for _, path := range []string{s.GRPCCert, s.GRPCKey, s.GRPCClientCA} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.checkWebhookFiles()...)...)
}

func (s *settings) print(cmd *cobra.Command, from origin) error {
	w := newTable(cmd.OutOrStdout())
	cmd.Flags().VisitAll(func(fl *pflag.Flag) {
		if where, ok := from[fl.Name]; ok {
			fmt.Fprintf(w, "%s:\t%s\t# %s\n", settingKey(fl), fl.Value, where)
		}
	})
	for _, id := range slices.Sorted(maps.Keys(s.Credentials)) {
		c := s.Credentials[id]
		source := c.PasswordFile
		if source == "" {
			source = "$" + c.PasswordEnv
		}
		fmt.Fprintf(w, "credentials.%s:\t%s\t# password from %s\n", id, c.Username, source)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Webhooks)) {
		source := s.Webhooks[id].SecretFile
		if source == "" {
			source = "$" + s.Webhooks[id].SecretEnv
		}
		fmt.Fprintf(w, "webhooks.%s:\t\t# secret from %s\n", id, source)
	}
	if s.publish != nil {
		s.publish.print(w)
	}
	if s.ClientAddress.Header != "" {
		fmt.Fprintf(w, "client_address:\t%s\t# %d trusted hops\n", s.ClientAddress.Header, s.ClientAddress.TrustedHops)
	}
	if s.Bearer.Enabled {
		fmt.Fprintf(w, "bearer:\t%s\t# tokens for %s, keys %s\n", s.Bearer.path(), cmp.Or(s.Bearer.TTL, token.DefaultTTL), strings.Join(s.Bearer.Keys, ", "))
	}
	return w.Flush()
}
