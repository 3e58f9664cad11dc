package upstream

import (
	"fmt"
	"log/slog"
)

// secret is a header value that prints as "[redacted]" whichever way it is printed.
type secret struct{ value string }

const redacted = "[redacted]"

// reveal returns the value itself.
func (s secret) reveal() string { return s.value }

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// String names no secret.
func (c *Credentials) String() string {
	if c == nil {
		return "no credentials"
	}
	return fmt.Sprintf("credentials of %d registries", len(c.registries))
}

// GoString is String.
func (c *Credentials) GoString() string { return c.String() }

// Format prints String for every verb, so that no verb reaches into the fields.
func (c *Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue is String.
func (c *Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String.
func (c *Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
