package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// writeLicenses writes what a vendor would keep in Git: one registry, one product, three
// customers with keys made by `pullgate key new`.
func (s *stage) writeLicenses(ctx context.Context) error {
	if err := os.Mkdir(s.path("licenses"), 0o755); err != nil {
		return err
	}
	vendor := fmt.Sprintf(`kind: Registry
id: main
hosts: [127.0.0.1]
upstream: http://%s
---
kind: Product
id: app
name: Demo App
repositories: [demo/app]
`, s.registry.Addr)
	today := time.Now().UTC()
	day := func(days int) string { return today.AddDate(0, 0, days).Format("2006-01-02") }
	// The images are minutes old; these say when the versions came out.
	for _, r := range []struct{ version, released string }{{"1.4.0", day(-90)}, {"1.5.0", day(-60)}, {"2.0.0", day(-30)}} {
		vendor += fmt.Sprintf("---\nkind: Release\nid: app-%[1]s\nproduct: app\nversion: %[1]s\nreleased: %[2]s\n", r.version, r.released)
	}
	if err := s.save("vendor.yaml", vendor); err != nil {
		return err
	}
	for _, c := range []struct{ id, starts, ends, versions string }{
		{"acme", day(-100), day(200), ">=1.0.0 <2.0.0"},
		{"globex", day(-100), day(200), "all"},
		{"initech", day(-400), day(-35), ">=1.0.0 <2.0.0"},
	} {
		key, err := s.newKey(ctx, c.id)
		if err != nil {
			return err
		}
		if err := s.save(c.id+".yaml", license(c.id, key, c.starts, c.ends, c.versions)); err != nil {
			return err
		}
	}
	// A key with the right form that nobody was ever given.
	s.keys["stranger"] = "stranger:pg_" + rand.Text()
	out, err := exec.CommandContext(ctx, s.pullgate, "check", s.path("licenses"), "--data", s.path("data")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pullgate check: %w\n%s", err, out)
	}
	say("license files of acme, globex and initech: %s", strings.TrimSpace(string(out)))
	return nil
}

func license(customer, key, starts, ends, versions string) string {
	return fmt.Sprintf(`kind: Customer
id: %[1]s
keys:
%[2]s
---
kind: License
id: %[1]s-app
customer: %[1]s
type: subscription
starts: %[3]s
ends: %[4]s
grants:
  - {product: app, versions: "%[5]s"}
`, customer, key, starts, ends, versions)
}

// save writes a license file the way editors do: aside, then renamed.
func (s *stage) save(name, text string) error {
	tmp := filepath.Join(s.dir, name+".tmp")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(s.path("licenses"), name))
}

var (
	secretLine = regexp.MustCompile(`(?m)^pg_\S+$`)
	yamlLine   = regexp.MustCompile(`(?m)^  - \{id: .*$`)
)

// newKey makes a key with the command a vendor uses, and keeps its secret for the client.
func (s *stage) newKey(ctx context.Context, customer string) (yaml string, err error) {
	out, err := exec.CommandContext(ctx, s.pullgate, "key", "new", "--customer", customer, "--id", "ci").Output()
	if err != nil {
		return "", fmt.Errorf("pullgate key new: %w", err)
	}
	secret, yaml := secretLine.FindString(string(out)), yamlLine.FindString(string(out))
	if secret == "" || yaml == "" {
		return "", fmt.Errorf("pullgate key new printed something else:\n%s", out)
	}
	s.keys[customer] = customer + ":" + secret
	return yaml, nil
}

// shorten ends acme's license yesterday, in the file, while everything runs.
func (s *stage) shorten(ctx context.Context) error {
	path := filepath.Join(s.path("licenses"), "acme.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format("2006-01-02")
	text := regexp.MustCompile(`(?m)^ends: .*$`).ReplaceAllString(string(data), "ends: "+yesterday)
	before := strings.Count(s.sidecar.Output(), "bundle active")
	started := time.Now()
	if err := s.save("acme.yaml", text); err != nil {
		return err
	}
	for strings.Count(s.sidecar.Output(), "bundle active") == before {
		if time.Since(started) > 30*time.Second {
			return fmt.Errorf("an edit of acme.yaml is not active after 30s:\n%s", s.sidecar.Output())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	say("acme.yaml now says `ends: %s`; in use %s after it was saved", yesterday, time.Since(started).Round(time.Millisecond))
	return nil
}
