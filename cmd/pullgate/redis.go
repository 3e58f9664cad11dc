package main

import (
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/spf13/pflag"
)

// redisSettings say which Redis. Every field has a flag of the same name.
type redisSettings struct {
	Redis                     []string // URLs
	RedisPasswordFile         string   // read with each connection
	RedisSentinelPasswordFile string
	RedisCA                   string // CAs (PEM) in place of the system's
	RedisCert                 string // client certificate (PEM)
	RedisKey                  string // its private key
	RedisInsecure             bool   // redis:// off loopback
}

func addRedisFlags(f *pflag.FlagSet, s *redisSettings, what string) {
	f.StringSliceVar(&s.Redis, "redis", nil, "`URL` of a Redis "+what+": redis://[USER@]HOST[:PORT][/DB], redis+sentinel://HOST/NAME for each Sentinel, redis+cluster://HOST for some nodes; rediss for TLS")
	f.StringVar(&s.RedisPasswordFile, "redis-password-file", "", "`file` with the password for --redis; not readable by others")
	f.StringVar(&s.RedisSentinelPasswordFile, "redis-sentinel-password-file", "", "`file` with the password of the Sentinels")
	f.StringVar(&s.RedisCA, "redis-ca", "", "CA (PEM) to trust for --redis, in place of the system's")
	f.StringVar(&s.RedisCert, "redis-cert", "", "client certificate (PEM) for --redis")
	f.StringVar(&s.RedisKey, "redis-key", "", "private key (PEM) of --redis-cert")
	f.BoolVar(&s.RedisInsecure, "redis-insecure", false, "allow --redis without TLS off loopback")
}

func (s *redisSettings) has() bool { return len(s.Redis) > 0 }

func (s *redisSettings) config() redisstore.Config {
	return redisstore.Config{
		URLs: s.Redis, PasswordFile: s.RedisPasswordFile, SentinelPasswordFile: s.RedisSentinelPasswordFile,
		CAFile: s.RedisCA, CertFile: s.RedisCert, KeyFile: s.RedisKey, Insecure: s.RedisInsecure, Secret: readSecretFile,
	}
}

// validate says what is wrong with the settings.
func (s *redisSettings) validate() (errs []error) {
	if !s.has() {
		if s.RedisPasswordFile != "" || s.RedisSentinelPasswordFile != "" || s.RedisCA != "" || s.RedisCert != "" || s.RedisKey != "" {
			errs = append(errs, fmt.Errorf("redis-password-file, redis-sentinel-password-file, redis-ca, redis-cert, redis-key: they are those of redis: name it, too"))
		}
		return errs
	}
	cfg := s.config()
	if err := cfg.Check(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			errs = append(errs, fmt.Errorf("redis: %s", line))
		}
	}
	return errs
}

// checkFiles checks what the settings point to.
func (s *redisSettings) checkFiles() []error {
	if !s.has() {
		return nil
	}
	store, err := redisstore.Open(s.config())
	if err != nil {
		return []error{err}
	}
	if err := store.Close(); err != nil {
		return []error{err}
	}
	return nil
}
