package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// Who pulls.
const (
	entitled = "acme"     // has a license for app and chart below 2.0.0
	expired  = "initech"  // had the same, until a month ago
	stranger = "stranger" // has a key that nobody knows
	nobody   = ""         // has not logged in
)

// A vendor is what all registries of the matrix share: license files but for the address of
// the registry, and the keys of its customers.
type vendor struct {
	pullgate  string            // the program
	customers string            // license files of the customers
	keys      map[string]string // by who
}

// newVendor writes the customers' license files with keys made by `pullgate key new`.
func newVendor(ctx context.Context, pullgate string) (*vendor, error) {
	v := &vendor{pullgate: pullgate, keys: map[string]string{}}
	today := time.Now().UTC()
	day := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
	for _, c := range []struct{ id, starts, ends string }{{entitled, day(-100), day(200)}, {expired, day(-400), day(-35)}} {
		secret, yaml, err := v.newKey(ctx, c.id)
		if err != nil {
			return nil, err
		}
		v.keys[c.id] = secret
		v.customers += fmt.Sprintf(`---
kind: Customer
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
  - {product: app, versions: ">=1.0.0 <2.0.0"}
  - {product: chart, versions: ">=1.0.0 <2.0.0"}
`, c.id, yaml, c.starts, c.ends)
	}
	secret, _, err := v.newKey(ctx, stranger)
	v.keys[stranger] = secret // in no license file
	return v, err
}

var (
	secretLine = regexp.MustCompile(`(?m)^pg_\S+$`)
	yamlLine   = regexp.MustCompile(`(?m)^  - \{id: .*$`)
)

func (v *vendor) newKey(ctx context.Context, customer string) (secret, yaml string, err error) {
	out, err := exec.CommandContext(ctx, v.pullgate, "key", "new", "--customer", customer, "--id", "ci").Output()
	if err != nil {
		return "", "", fmt.Errorf("pullgate key new: %w", err)
	}
	secret, yaml = secretLine.FindString(string(out)), yamlLine.FindString(string(out))
	if secret == "" || yaml == "" {
		return "", "", fmt.Errorf("pullgate key new printed something else:\n%s", out)
	}
	return secret, yaml, nil
}

// write writes the license files for a registry.
func (v *vendor) write(dir, upstream string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf(`kind: Registry
id: main
hosts: [127.0.0.1]
upstream: http://%s
---
kind: Product
id: app
repositories: [%s]
---
kind: Product
id: chart
repositories: [{name: %s, type: chart}]
`, upstream, appRepository, chartRepository)
	// The content was pushed a moment ago; its versions came out when the licenses held.
	released := time.Now().UTC().AddDate(0, 0, -90).Format(time.DateOnly)
	for product, versions := range map[string][]string{"app": {"1.3.0", "1.4.0", "1.5.0", "2.0.0"}, "chart": {"1.2.3", "1.3.0+build.1", "2.0.0"}} {
		for i, version := range versions {
			text += fmt.Sprintf("---\nkind: Release\nid: %s-%d\nproduct: %s\nversion: %s\nreleased: %s\n", product, i, product, version, released)
		}
	}
	return os.WriteFile(filepath.Join(dir, "licenses.yaml"), []byte(text+v.customers), 0o644)
}
