package upstream_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz/upstream"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// authorization is what a request to a repository is given.
func authorization(t *testing.T, c *upstream.Credentials, registry string) string {
	t.Helper()
	value, err := c.Authorization(t.Context(), registry, "acme/app")
	if err != nil {
		t.Error(err)
	}
	return value
}

func TestAuthorizationComesFromFileOrEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "from:file\r\n", 0o600)
	c, err := upstream.New(upstream.Config{
		Credentials: map[string]upstream.Credential{
			"main":  {Username: "robot", PasswordFile: file},
			"other": {Username: "robot$x", PasswordEnv: "PW"},
		},
		Getenv: func(name string) string { return map[string]string{"PW": "from env"}[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"main": basic("robot", "from:file"), "other": basic("robot$x", "from env"), "third": "", "": ""} {
		if got := authorization(t, c, id); got != want {
			t.Errorf("Authorization(%q) = %q, want %q", id, got, want)
		}
	}
	if got := authorization(t, nil, "main"); got != "" {
		t.Errorf("nil Credentials: %q", got)
	}
}

func TestRotatedFileCountsAtOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	write(t, file, "one", 0o600)
	var log bytes.Buffer
	now := time.Now()
	c, err := upstream.New(upstream.Config{
		Credentials: map[string]upstream.Credential{"main": {Username: "u", PasswordFile: file}},
		Clock:       func() time.Time { return now },
		Logger:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(step, password string) {
		t.Helper()
		if got := authorization(t, c, "main"); got != basic("u", password) {
			t.Errorf("%s: got %q, want the password %q", step, got, password)
		}
	}
	expect("start", "one")
	write(t, file, "two", 0o600) // same size, perhaps the same time stamp
	expect("in place", "two")

	next := filepath.Join(dir, "next")
	write(t, next, "six", 0o600)
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	expect("rename", "six")

	now = now.Add(time.Hour)
	expect("settled", "six")
	expect("settled, unchanged", "six")

	write(t, filepath.Join(dir, "ten"), "ten", 0o600)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect("deleted: the last good one stays", "six")
	expect("deleted", "six")
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &log)
	}
	if err := os.Symlink("ten", file); err != nil {
		t.Fatal(err)
	}
	expect("symlink", "ten")
	write(t, filepath.Join(dir, "ten"), "open", 0o644)
	expect("opened to others: not read", "ten")
	if !strings.Contains(log.String(), "chmod 0600") {
		t.Errorf("no remedy in the log:\n%s", &log)
	}
	write(t, filepath.Join(dir, "ten"), "", 0o600)
	expect("emptied: not used", "ten")
	if s := log.String(); strings.Contains(s, base64.StdEncoding.EncodeToString([]byte("u:ten"))) || strings.Contains(s, "open\n") {
		t.Errorf("a secret was logged:\n%s", s)
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	readable := filepath.Join(dir, "readable")
	write(t, readable, "s3cret", 0o644)
	empty := filepath.Join(dir, "empty")
	write(t, empty, "\n", 0o600)
	lines := filepath.Join(dir, "lines")
	write(t, lines, "s3cret\nx", 0o600)
	long := filepath.Join(dir, "long")
	write(t, long, strings.Repeat("s3cret", 1000), 0o600)
	for name, tc := range map[string]struct {
		from upstream.Credential
		want string
	}{
		"nothing":         {upstream.Credential{Username: "u"}, "set password_file or password_env"},
		"both":            {upstream.Credential{Username: "u", PasswordFile: empty, PasswordEnv: "X"}, "exclude each other"},
		"no user":         {upstream.Credential{PasswordEnv: "SET"}, "username is missing"},
		"colon in user":   {upstream.Credential{Username: "a:b", PasswordEnv: "SET"}, "colon"},
		"newline in user": {upstream.Credential{Username: "a\nb", PasswordEnv: "SET"}, "control character"},
		"unset variable":  {upstream.Credential{Username: "u", PasswordEnv: "UNSET"}, "UNSET is empty"},
		"absent file":     {upstream.Credential{Username: "u", PasswordFile: filepath.Join(dir, "absent")}, "no such file"},
		"directory":       {upstream.Credential{Username: "u", PasswordFile: dir}, "no regular file"},
		"readable":        {upstream.Credential{Username: "u", PasswordFile: readable}, "chmod 0600"},
		"empty file":      {upstream.Credential{Username: "u", PasswordFile: empty}, "empty"},
		"two lines":       {upstream.Credential{Username: "u", PasswordFile: lines}, "second line"},
		"too long":        {upstream.Credential{Username: "u", PasswordFile: long}, "one password"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := upstream.New(upstream.Config{
				Credentials: map[string]upstream.Credential{"main": tc.from},
				Getenv:      func(n string) string { return map[string]string{"SET": "s3cret"}[n] },
			})
			if err == nil || c != nil {
				t.Fatalf("New = %v, %v", c, err)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "registry main") {
				t.Errorf("error %q, want registry main and %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error holds the secret: %q", err)
			}
		})
	}
}

func TestCredentialsNeverPrint(t *testing.T) {
	c, err := upstream.New(upstream.Config{
		Credentials: map[string]upstream.Credential{"main": {Username: "u", PasswordEnv: "X"}},
		Getenv:      func(string) string { return "s3cret" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c)
	text, _ := json.Marshal(c)
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", c)
		fmt.Fprintf(&b, verb+"\n", struct{ C *upstream.Credentials }{c})
	}
	all := log.String() + string(text) + b.String()
	for _, leak := range []string{"s3cret", "733363726574", base64.StdEncoding.EncodeToString([]byte("u:s3cret"))} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is printed:\n%s", leak, all)
		}
	}
}
