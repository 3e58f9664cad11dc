// Package upstream holds the credentials for the registries behind the gate. A credential is
// attached to an allowed request after everything that is cached or recorded, and nothing here
// prints one.
package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Credential says where the credential of one registry comes from. Exactly one of
// PasswordFile and PasswordEnv is set.
type Credential struct {
	// Username may not hold a colon (RFC 7617, 2).
	Username string
	// PasswordFile holds the password; one line end behind it is no part of it. The file may not
	// be readable by others. A change counts from the next request on.
	PasswordFile string
	// PasswordEnv names an environment variable, read once at start.
	PasswordEnv string
}

// Config is the input of New. Only Credentials is required.
type Config struct {
	Credentials map[string]Credential // by registry id
	Getenv      func(string) string   // os.Getenv
	Clock       func() time.Time      // time.Now
	Logger      *slog.Logger          // slog.Default; told once of each file that cannot be read any more
}

// Credentials are ready to attach. They are safe for concurrent use.
type Credentials struct {
	basic map[string]*basic
}

// New reads every credential once, so that a missing or unprotected secret is an error at start.
// It returns every problem at once; each names the registry and never a secret.
func New(cfg Config) (*Credentials, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Credentials{basic: make(map[string]*basic, len(cfg.Credentials))}
	var problems []error
	for id, from := range cfg.Credentials {
		b, err := newBasic(id, from, &cfg)
		if err != nil {
			problems = append(problems, fmt.Errorf("credentials of registry %s: %w", id, err))
			continue
		}
		c.basic[id] = b
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// Authorization returns the value of the Authorization header for a registry, as of now, or ""
// when it has no credential: the header is then removed. The value is a secret: it belongs
// into the message to the proxy and nowhere else. A nil Credentials has none.
func (c *Credentials) Authorization(registry string) string {
	if c == nil {
		return ""
	}
	b, ok := c.basic[registry]
	if !ok {
		return ""
	}
	return b.authorization().reveal()
}

// basic is a credential for the Basic scheme.
type basic struct {
	registry string
	username string
	file     string // "" when the password came from the environment
	clock    func() time.Time
	logger   *slog.Logger

	mu      sync.Mutex
	current secret
	seen    stamp
	problem complained
}

// complained is the last problem that was logged, so that a broken file is logged once.
type complained string

func newBasic(id string, from Credential, cfg *Config) (*basic, error) {
	b := &basic{registry: id, username: from.Username, file: from.PasswordFile, clock: cfg.Clock, logger: cfg.Logger}
	switch {
	case from.Username == "":
		return nil, errors.New("username is missing")
	case strings.Contains(from.Username, ":") || !printable(from.Username):
		return nil, errors.New("username holds a colon or a control character")
	case from.PasswordFile != "" && from.PasswordEnv != "":
		return nil, errors.New("password_file and password_env exclude each other: set one")
	case from.PasswordFile != "":
		return b, b.read()
	case from.PasswordEnv != "":
		password := cfg.Getenv(from.PasswordEnv)
		if password == "" {
			return nil, fmt.Errorf("environment variable %s is empty: set it, or use password_file", from.PasswordEnv)
		}
		return b, b.set(password)
	default:
		return nil, errors.New("set password_file or password_env")
	}
}

// authorization returns the newest credential that could be read. A file that vanished or
// broke keeps the last good one: a rotation is not atomic for everybody.
func (b *basic) authorization() secret {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == "" {
		return b.current
	}
	if err := b.refresh(); err != nil {
		if complained(err.Error()) != b.problem {
			b.problem = complained(err.Error())
			b.logger.Error("registry credential cannot be read, the last good one stays in use", "registry", b.registry, "error", err)
		}
	} else {
		b.problem = ""
	}
	return b.current
}

// set makes the header value.
func (b *basic) set(password string) error {
	password = strings.TrimSuffix(strings.TrimSuffix(password, "\n"), "\r")
	if password == "" {
		return errors.New("the password is empty")
	}
	if !printable(password) {
		return errors.New("the password holds a control character or a second line")
	}
	b.current = secret{"Basic " + base64.StdEncoding.EncodeToString([]byte(b.username+":"+password))}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}
