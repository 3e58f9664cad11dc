package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/load/drive"
	"github.com/pullgate/pullgate/examples/peers"
)

// What is sold: products of versions 1.0.0, 1.1.0 and so on, of which licenses cover the first half.
const (
	host     = "registry.example"
	products = 10
	versions = 40
	licenses = 3 // of a customer
)

// A vendor is a made set of licenses. One more customer has a license that changes with every bundle: it covers
// the first half of the versions, and with the next serial the second.
type vendor struct {
	pullgate  string
	dir       string
	customers int
	keys      []string // of the customers; of the one that changes the last
	serial    int
}

func (v *vendor) make(ctx context.Context) error {
	if err := os.MkdirAll(v.path("licenses"), 0o755); err != nil {
		return err
	}
	var shop, customers, catalog strings.Builder
	fmt.Fprintf(&shop, "kind: Registry\nid: main\nhosts: [%s]\nupstream: http://127.0.0.1:1\n", host)
	catalog.WriteString("kind: Catalog\nrepositories:\n")
	for p := range products {
		fmt.Fprintf(&shop, "---\nkind: Product\nid: p%d\nrepositories: [acme/p%d]\n", p, p)
		fmt.Fprintf(&catalog, "  acme/p%d:\n    tags:\n", p)
		for n := range versions {
			fmt.Fprintf(&catalog, "      1.%d.0: I%dv%d\n", n, p, n)
		}
		catalog.WriteString("    manifests:\n")
		for n := range versions {
			fmt.Fprintf(&catalog, "      I%[1]dv%[2]d: {config: C%[1]dv%[2]d, layers: [B%[1]d, L%[1]dv%[2]d]}\n", p, n)
		}
	}
	random := rand.NewChaCha8([32]byte{1})
	for c := range v.customers {
		key, hash := license.NewKey(random)
		v.keys = append(v.keys, key)
		fmt.Fprintf(&customers, "---\nkind: Customer\nid: c%d\nkeys: [{id: ci, hash: \"%s\"}]\n", c, hash)
		for i, p := range has(c) {
			fmt.Fprintf(&customers, "---\nkind: License\nid: c%d-l%d\ncustomer: c%d\ntype: subscription\nstarts: 2025-01-01\nends: 2099-12-31\ngrants: [{product: p%d, versions: \">=1.0.0 <1.%d.0\"}]\n", c, i, c, p, versions/2)
		}
	}
	key, hash := license.NewKey(random)
	v.keys = append(v.keys, key)
	fmt.Fprintf(&customers, "---\nkind: Customer\nid: changes\nkeys: [{id: ci, hash: \"%s\"}]\n", hash)
	for name, text := range map[string]string{
		"licenses/vendor.yaml": shop.String(), "licenses/customers.yaml": strings.TrimPrefix(customers.String(), "---\n"), "catalog.yaml": catalog.String(),
		"redis-secret": "the-secret-that-seals-verdicts-of-this-run\n",
	} {
		if err := os.WriteFile(v.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := v.run(ctx, "bundle", "keygen", "--out", v.path("release")); err != nil {
		return err
	}
	return v.publish(ctx)
}

// has is the products of a customer, all different.
func has(customer int) [licenses]int {
	return [licenses]int{customer % products, (customer + 3) % products, (customer + 6) % products}
}

// firstHalf says which versions the license that changes covers with a serial.
func firstHalf(serial int) bool { return serial%2 == 0 }

// publish puts the next bundle in place of the last.
func (v *vendor) publish(ctx context.Context) error {
	v.serial++
	covers := fmt.Sprintf(">=1.0.0 <1.%d.0", versions/2)
	if !firstHalf(v.serial) {
		covers = fmt.Sprintf(">=1.%d.0 <2.0.0", versions/2)
	}
	text := fmt.Sprintf("kind: License\nid: changes-l0\ncustomer: changes\ntype: subscription\nstarts: 2025-01-01\nends: 2099-12-31\ngrants: [{product: p0, versions: \"%s\"}]\n", covers)
	if err := os.WriteFile(v.path("licenses/changes.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	err := v.run(ctx, "bundle", "build", "--licenses", v.path("licenses"), "--catalog", v.path("catalog.yaml"), "--signing-key", v.path("release.key"), "--serial", fmt.Sprint(v.serial), "--out", v.path("next.tar.gz"))
	if err != nil {
		return err
	}
	return os.Rename(v.path("next.tar.gz"), v.path("bundle.tar.gz"))
}

func (v *vendor) run(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, v.pullgate, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("pullgate %s: %w\n%s", strings.Join(args[:2], " "), err, out)
	}
	return nil
}

// serve starts a sidecar. Every hit may be audited.
func (v *vendor) serve(ctx context.Context, redis, name string) (*peers.PullgateProcess, error) {
	text := fmt.Sprintf("bundle_url: [\"file://%s\"]\nbundle_key_file: [%q]\ngrpc_addr: 127.0.0.1:0\nadmin_addr: 127.0.0.1:0\ndata: %q\nlog_level: warn\n"+
		"cache_audit: 100%%\ncache_bytes: 4194304\ndecisions_max_bytes: 16777216\ngrpc_connection_age: 5s\nbad_keys_per_minute: 0\nredis: [\"redis://%s\"]\nredis_secret_file: %q\nredis_cache: always\n",
		v.path("bundle.tar.gz"), v.path("release.pub"), v.path(name), redis, v.path("redis-secret"))
	config := v.path(name + ".yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := peers.StartPullgate(ctx, v.pullgate, config)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, p.Output()), p.Close())
	}
	return p, nil
}

// manifests are the manifests by tag of a product, of the versions that licenses cover or of the others.
func manifests(product int, first bool) (list []drive.Target) {
	from := 0
	if !first {
		from = versions / 2
	}
	for n := range versions / 2 {
		list = append(list, drive.Target{Method: "GET", Path: fmt.Sprintf("/v2/acme/p%d/manifests/1.%d.0", product, from+n)})
	}
	return list
}
