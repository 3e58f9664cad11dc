package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

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
