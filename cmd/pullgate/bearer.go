package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/token"
	"github.com/spf13/cobra"
)

// defaultTokenPath is where bearer tokens are asked for unless the configuration says otherwise.
const defaultTokenPath = "/pullgate/token"

// bearerSettings say whether clients may log in for a bearer token.
type bearerSettings struct {
	Enabled bool          `yaml:"enabled"` // default false: clients send their key with every request
	Keys    []string      `yaml:"keys"`    // files of `pullgate token keygen`; the first signs, all are believed; not readable by others
	TTL     time.Duration `yaml:"ttl"`     // how long a token is good; default 5m, from 1m to 1h
	Path    string        `yaml:"path"`    // of the token route on the registry's host; default /pullgate/token
}

// path is the token route, "" when there is none.
func (b *bearerSettings) path() string {
	switch {
	case !b.Enabled:
		return ""
	case b.Path == "":
		return defaultTokenPath
	}
	return b.Path
}

// validateBearer says what is wrong with the settings of tokens as they are written.
func (s *settings) validateBearer() []error {
	b := &s.Bearer
	var errs []error
	if b.Enabled && len(b.Keys) == 0 {
		errs = append(errs, s.placed("bearer.keys", "bearer.keys: want at least one file; `pullgate token keygen` makes one"))
	}
	if b.TTL != 0 && (b.TTL < token.MinTTL || b.TTL > token.MaxTTL || b.TTL%time.Second != 0) {
		errs = append(errs, s.placed("bearer.ttl", "bearer.ttl %s: want whole seconds from %s to %s", b.TTL, token.MinTTL, token.MaxTTL))
	}
	if p := b.Path; p != "" {
		plain := strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == ""
		switch {
		case !plain || p[0] != '/' || p == "/" || strings.HasSuffix(p, "/") || strings.Contains(p, "//") || strings.Contains(p, "/.") || p == "/v2" || strings.HasPrefix(p, "/v2/"):
			errs = append(errs, s.placed("bearer.path", "bearer.path %q: want a plain path that is no registry route, like %s", p, defaultTokenPath))
		case isAdminPath(p):
			errs = append(errs, s.placed("bearer.path", "bearer.path %q: the admin port has this path for something else; want another one, like %s", p, defaultTokenPath))
		}
	}
	return errs
}

// issuer makes what makes and reads tokens, or nil when there are none.
func (b *bearerSettings) issuer(reg prometheus.Registerer) (*token.Issuer, error) {
	if !b.Enabled {
		return nil, nil
	}
	cfg := token.Config{TTL: b.TTL, Registerer: reg}
	var errs []error
	for _, path := range b.Keys {
		key, err := readTokenKey(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("bearer.keys: %w", err))
			continue
		}
		cfg.Keys = append(cfg.Keys, key)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	issuer, err := token.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("bearer: %w", err)
	}
	return issuer, nil
}

func readTokenKey(path string) (ed25519.PrivateKey, error) {
	text, err := readSecretFile(path)
	if err != nil {
		return nil, err
	}
	key, err := token.ParseKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// classifier makes requests of messages as the settings say.
func (s *settings) classifier(issuer *token.Issuer) *classify.Classifier {
	c := &classify.Classifier{ClientAddress: classify.ClientAddress{Header: strings.ToLower(s.ClientAddress.Header), TrustedHops: s.ClientAddress.TrustedHops}}
	if issuer != nil {
		c.TokenPath, c.Tokens = s.Bearer.path(), issuer
	}
	return c
}

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make keys to sign bearer tokens with", Args: cobra.NoArgs}
	cmd.AddCommand(tokenKeygenCommand())
	return cmd
}

func tokenKeygenCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen --out NAME",
		Short: "Make a key for bearer tokens: NAME.key (private, 0600)",
		Long: `Makes an Ed25519 key that pullgate serve signs bearer tokens with. Name the file in pullgate.yaml:

  bearer:
    enabled: true
    keys: [NAME.key]

The first key signs and all of them are believed. To replace a key without a refusal, in every process:
add the new one as the second, then put it first, and take the old one out when its last token
has ended (bearer.ttl).`,
		Example: "  pullgate token keygen --out tokens-2026",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := token.GenerateKey()
			if err != nil {
				return err
			}
			pem, err := token.MarshalKey(key)
			if err != nil {
				return err
			}
			id, err := token.KeyID(key.Public().(ed25519.PublicKey))
			if err != nil {
				return err
			}
			if err := writeNew(out+".key", pem, 0o600); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s.key  private: for bearer.keys of pullgate.yaml; key id %s\n", out, id)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "name of the file without ending")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}
