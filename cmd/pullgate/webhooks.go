package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pullgate/pullgate/sync/catalog"
)

// webhookSettings are those of one registry's notifications. The secret is what the registry
// sends as Authorization: alone, after Bearer, or as the password of Basic.
type webhookSettings struct {
	SecretFile string `yaml:"secret_file"` // not readable by others; a second line is a second secret, while they are changed
	SecretEnv  string `yaml:"secret_env"`  // name of an environment variable
}

// leastSecret is the shortest secret of a webhook, in bytes.
const leastSecret = 16

// webhookError is an error about a registry's webhook, with its place.
func (s *settings) webhookError(id string, format string, args ...any) error {
	return s.placed("webhooks."+id, "webhooks.%s: %w", id, fmt.Errorf(format, args...))
}

// validateWebhooks says what is wrong with the webhooks as they are written.
func (s *settings) validateWebhooks() (errs []error) {
	for _, id := range slices.Sorted(maps.Keys(s.Webhooks)) {
		if w := s.Webhooks[id]; (w.SecretFile == "") == (w.SecretEnv == "") {
			errs = append(errs, s.webhookError(id, "want one of secret_file and secret_env: the secret that the registry sends as Authorization"))
		}
	}
	switch {
	case (s.WebhookCert == "") != (s.WebhookKey == ""):
		errs = append(errs, errors.New("webhook-cert, webhook-key: want both or none"))
	case s.WebhookAddr == "" && s.WebhookCert != "":
		errs = append(errs, errors.New("webhook-cert, webhook-key: they are those of webhook-addr: name it, too"))
	case s.WebhookAddr != "" && s.WebhookCert == "" && !onLoopback(s.WebhookAddr):
		errs = append(errs, fmt.Errorf("webhook-addr %q: not a loopback address, and secrets would cross the network in the open: set webhook-cert and webhook-key", s.WebhookAddr))
	}
	return errs
}

func onLoopback(addr string) bool {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	return err == nil && resolved.IP.IsLoopback() // no IP means every address
}

// checkWebhookFiles checks what the settings of webhooks point to.
func (s *settings) checkWebhookFiles() (errs []error) {
	for _, id := range slices.Sorted(maps.Keys(s.Webhooks)) {
		if _, err := s.webhookSecrets(id); err != nil {
			errs = append(errs, s.webhookError(id, "%w", err))
		}
	}
	if s.WebhookCert != "" {
		if _, err := tls.LoadX509KeyPair(s.WebhookCert, s.WebhookKey); err != nil {
			errs = append(errs, fmt.Errorf("webhook-cert, webhook-key: %w", err))
		}
	}
	return errs
}

// webhookSecrets reads the secrets of a registry's webhook: none when it has none, else one or two.
func (s *settings) webhookSecrets(id string) ([]string, error) {
	w, ok := s.Webhooks[id]
	if !ok {
		return nil, nil
	}
	text := os.Getenv(w.SecretEnv)
	if w.SecretFile != "" {
		var err error
		if text, err = readSecretFile(w.SecretFile); err != nil {
			return nil, err
		}
	} else if text == "" {
		return nil, fmt.Errorf("environment variable %s is not set", w.SecretEnv)
	}
	secrets := strings.Fields(text)
	if len(secrets) > 2 {
		return nil, fmt.Errorf("%d secrets; want one, or two while they are changed, one a line and without spaces", len(secrets))
	}
	for _, secret := range secrets {
		if len(secret) < leastSecret {
			return nil, fmt.Errorf("a secret of %d bytes; want at least %d, as `openssl rand -hex 32` prints", len(secret), leastSecret)
		}
	}
	return secrets, nil
}

// webhookHandler receives notifications. A secret that cannot be read refuses them, and is logged
// once a minute.
func (c *compileSide) webhookHandler() (http.Handler, error) {
	var mu sync.Mutex
	var logged time.Time
	secrets := func(id string) ([]string, error) {
		secrets, err := c.cfg.webhookSecrets(id)
		mu.Lock()
		defer mu.Unlock()
		if err != nil && time.Since(logged) > time.Minute {
			logged = time.Now()
			c.log.Error("notifications are refused: their secret cannot be read", "webhook", id, "error", err)
		}
		return secrets, err
	}
	h, err := catalog.NewWebhook(secrets, c.crawls.hint, c.registry)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/webhooks/{registry}", h)
	return mux, nil
}

// listenWebhooks opens the port of webhook-addr; nil without one.
func (s *settings) listenWebhooks() (net.Listener, error) {
	if s.WebhookAddr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", s.WebhookAddr)
	if err != nil {
		return nil, fmt.Errorf("--webhook-addr: %w", portHint(err))
	}
	if s.WebhookCert == "" {
		return l, nil
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // read again when it is renewed
			cert, err := tls.LoadX509KeyPair(s.WebhookCert, s.WebhookKey)
			return &cert, err
		},
	}), nil
}

// serveWebhooks serves the port of webhook-addr, if there is one, until ctx is done.
func (c *compileSide) serveWebhooks(ctx context.Context) error {
	if c.webhooks == nil {
		return nil
	}
	return c.serve(ctx, c.webhooks, c.webhook)
}
