package license

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

func TestHashKeyKnowsAKeyOfTheCorpus(t *testing.T) {
	const secret = "pg_00khpaqrsmj132rg5rhrs0dg0a6yp5ak0ham6c6ztnh3rvyvbrj0_21fe4785"
	got, err := HashKey(secret)
	if want := "sha256:fee43ec984ebb518ac58296c5d4f55470a799608bd97c08ddefb09c668e6d0a7"; err != nil || got != want {
		t.Fatalf("HashKey = %q, %v, want %q", got, err, want)
	}
}

func TestNewKeysAreKeysAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret, hash := NewKey(rand.Reader)
		if got, err := HashKey(secret); err != nil || got != hash {
			t.Fatalf("HashKey(%q) = %q, %v, want %q", secret, got, err, hash)
		}
		if len(secret) != 64 || seen[secret] {
			t.Fatalf("%q has %d characters, or came twice", secret, len(secret))
		}
		seen[secret] = true
	}
	secret, _ := NewKey(bytes.NewReader(make([]byte, 32)))
	if !strings.HasPrefix(secret, "pg_"+strings.Repeat("0", 52)+"_") {
		t.Errorf("32 zero bytes give %q", secret)
	}
}

func TestHashKeyRefusesWhatIsNoKey(t *testing.T) {
	secret, _ := NewKey(rand.Reader)
	body := secret[:55]
	for name, s := range map[string]string{
		"empty":                 "",
		"prefix alone":          "pg_",
		"no checksum":           body,
		"another prefix":        "gp_" + secret[3:],
		"upper case":            strings.ToUpper(secret),
		"upper-case checksum":   body + "_" + strings.ToUpper("abcdef01"),
		"a space behind":        secret + " ",
		"a line end inside":     secret[:20] + "\n" + secret[20:],
		"a letter short":        secret[:10] + secret[11:],
		"excluded letter":       secret[:10] + "u" + secret[11:],
		"two letters exchanged": swap(secret),
	} {
		if s == secret {
			continue
		}
		if _, err := HashKey(s); !errors.Is(err, ErrNotKey) || s != "" && len(s) > 20 && strings.Contains(err.Error(), s) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// swap exchanges the first two neighbours of the key that differ.
func swap(s string) string {
	for i := 3; i < 50; i++ {
		if s[i] != s[i+1] {
			return s[:i] + s[i+1:i+2] + s[i:i+1] + s[i+2:]
		}
	}
	return s
}
