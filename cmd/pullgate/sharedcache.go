package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/spf13/pflag"
)

// sharedSettings say whether verdicts are kept in Redis, too.
type sharedSettings struct {
	RedisCache      string // auto, always or off
	RedisSecretFile string // one secret, or two while it is being changed; read again when it changes
}

func addSharedFlags(f *pflag.FlagSet, s *sharedSettings) {
	f.StringVar(&s.RedisCache, "redis-cache", "auto", "share verdicts through --redis: `WHEN` it is faster than evaluating (auto), always, or off")
	f.StringVar(&s.RedisSecretFile, "redis-secret-file", "", "`file` with the secret that verdicts in Redis are sealed with, the same for all that share them (a second line: the one before); not readable by others")
}

// sharesVerdicts says whether Redis is used as a cache.
func (s *settings) sharesVerdicts() bool {
	return s.publish == nil && s.redis.has() && s.shared.RedisCache != "off"
}

// validateShared says what is wrong with the settings.
func (s *settings) validateShared() (errs []error) {
	switch c := s.shared.RedisCache; c {
	case "auto", "always", "off":
	default:
		return []error{fmt.Errorf("redis-cache %q: want auto, always or off", c)}
	}
	switch {
	case s.shared.RedisSecretFile != "" && !s.redis.has():
		errs = append(errs, errors.New("redis-secret-file: it is for redis: name it, too"))
	case s.sharesVerdicts() && s.shared.RedisSecretFile == "":
		errs = append(errs, errors.New("redis: name the file with the secret that seals verdicts in it, by redis-secret-file (`openssl rand -base64 32` makes one); or keep no verdicts there, with redis-cache: off"))
	}
	return errs
}

// secrets are those of the file.
func (s *sharedSettings) secrets() ([]string, error) {
	text, err := readSecretFile(s.RedisSecretFile)
	if err != nil {
		return nil, fmt.Errorf("redis-secret-file: %w", err)
	}
	all, err := redisstore.ParseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("redis-secret-file: %s: %w", s.RedisSecretFile, err)
	}
	return all, nil
}

// checkSharedFiles checks what the settings point to.
func (s *settings) checkSharedFiles() []error {
	if !s.sharesVerdicts() {
		return nil
	}
	if _, err := s.shared.secrets(); err != nil {
		return []error{err}
	}
	return nil
}

// shareVerdicts makes the cache that several sidecars share, nil when there is none.
func (sc *sidecar) shareVerdicts() (authz.SharedCache, error) {
	if !sc.cfg.sharesVerdicts() {
		return nil, nil
	}
	secrets, err := sc.cfg.shared.secrets()
	if err != nil {
		return nil, err
	}
	sc.secrets = secrets
	sc.shared, err = redisstore.OpenVerdicts(sc.cfg.redis.config(), redisstore.VerdictsConfig{
		Secrets: secrets, Program: verdictsMadeBy(), Clock: sc.clock.Now, Logger: sc.log, Registerer: sc.registry,
	})
	if err != nil {
		return nil, err
	}
	return sc.shared, nil
}

// verdictsMadeBy names what verdicts depend on besides bundles.
func verdictsMadeBy() string {
	v := build()
	return "pullgate " + v["version"] + ", OPA " + v["opa"]
}

// runShared writes verdicts, and follows the file of the secret, until ctx is done.
func (sc *sidecar) runShared(ctx context.Context) error {
	if sc.shared == nil {
		return nil
	}
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		sc.cfg.shared.followSecrets(ctx, secretEvery, sc.secrets, sc.shared.SetSecrets, sc.log)
	})
	return sc.shared.Run(ctx)
}

// secretEvery is the time between two looks at the file of the secret.
const secretEvery = time.Second

// followSecrets has what is in the file count when it is no more what counts already. What cannot be used is logged once, and the
// secrets before stay.
func (s *sharedSettings) followSecrets(ctx context.Context, every time.Duration, last []string, set func([]string) error, log *slog.Logger) {
	problem := ""
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.secrets()
		if err == nil && !slices.Equal(now, last) {
			if err = set(now); err == nil {
				last = now
				log.Info("verdicts in redis are sealed with the changed secret", "file", s.RedisSecretFile, "secrets", len(now))
			}
		}
		switch {
		case err == nil:
			problem = ""
		case err.Error() != problem:
			problem = err.Error()
			log.Error("the secret of verdicts in redis stays what it was", "error", err)
		}
	}
}

// closeShared closes a cache that may not have been opened.
func (sc *sidecar) closeShared() error {
	if sc.shared == nil {
		return nil
	}
	return sc.shared.Close()
}
