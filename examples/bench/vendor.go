package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/load/drive"
)

// What every vendor of the benchmarks sells.
const (
	host     = "registry.example"
	products = 20
	versions = 50 // of a product, each an index of two images
	shared   = 6  // base layers of a product, in every version
	own      = 2  // layers of one image
	licenses = 3  // of a customer, each for one product, versions below 1.40.0
	granted  = 40
)

// A vendor is a made set of license files, compiled and signed.
type vendor struct {
	dir       string
	customers int
	tags      int      // of a product, beyond one for each of its versions
	keys      []string // one for each customer
}

// newVendor makes a vendor below dir with the pullgate at a path; rules are texts of further
// rule modules by file name.
func newVendor(ctx context.Context, pullgate, dir string, customers int, rules map[string]string) (*vendor, error) {
	v := &vendor{dir: dir, customers: customers}
	return v, v.make(ctx, pullgate, rules)
}

func (v *vendor) make(ctx context.Context, pullgate string, rules map[string]string) error {
	if err := os.MkdirAll(filepath.Join(v.path("licenses"), "rules"), 0o755); err != nil {
		return err
	}
	for name, text := range rules {
		if err := os.WriteFile(filepath.Join(v.path("licenses"), "rules", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := v.write("licenses/vendor.yaml", v.products); err != nil {
		return err
	}
	if err := v.write("licenses/customers.yaml", v.licenses); err != nil {
		return err
	}
	if err := v.write("catalog.yaml", v.catalog); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, pullgate, "bundle", "keygen", "--out", v.path("release")).CombinedOutput(); err != nil {
		return fmt.Errorf("pullgate bundle keygen: %w\n%s", err, out)
	}
	return v.build(ctx, pullgate)
}

// build compiles and signs what is there.
func (v *vendor) build(ctx context.Context, pullgate string) error {
	out, err := exec.CommandContext(ctx, pullgate, "bundle", "build", "--licenses", v.path("licenses"), "--catalog", v.path("catalog.yaml"), "--signing-key", v.path("release.key"), "--out", v.path("bundle.tar.gz")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pullgate bundle build: %w\n%s", err, out)
	}
	return nil
}

func (v *vendor) path(name string) string { return filepath.Join(v.dir, name) }

func (v *vendor) write(name string, fill func(w *bufio.Writer)) error {
	f, err := os.Create(v.path(name))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fill(w)
	if err := w.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (v *vendor) products(w *bufio.Writer) {
	fmt.Fprintf(w, "kind: Registry\nid: main\nhosts: [%s]\nupstream: http://127.0.0.1:1\n", host)
	for p := range products {
		fmt.Fprintf(w, "---\nkind: Product\nid: p%d\nrepositories: [acme/p%d]\n", p, p)
	}
}

// has is the products of a customer, all different.
func has(customer int) [licenses]int {
	return [licenses]int{customer % products, (customer + 7) % products, (customer + 13) % products}
}

func (v *vendor) licenses(w *bufio.Writer) {
	random := rand.NewChaCha8([32]byte{1})
	for c := range v.customers {
		key, hash := license.NewKey(random)
		v.keys = append(v.keys, key)
		if c > 0 {
			fmt.Fprintln(w, "---")
		}
		fmt.Fprintf(w, "kind: Customer\nid: c%d\nlabels: {region: eu}\nkeys: [{id: ci, hash: \"%s\"}]\n", c, hash)
		for i, p := range has(c) {
			fmt.Fprintf(w, "---\nkind: License\nid: c%d-l%d\ncustomer: c%d\ntype: subscription\nstarts: 2025-01-01\nends: 2099-12-31\nfeatures: {sso: true, nodes: 10}\n"+
				"grants: [{product: p%d, versions: \">=1.0.0 <1.%d.0\"}]\n", c, i, c, p, granted)
		}
	}
}

func (v *vendor) catalog(w *bufio.Writer) {
	fmt.Fprint(w, "kind: Catalog\nrepositories:\n")
	for p := range products {
		fmt.Fprintf(w, "  acme/p%d:\n    tags:\n", p)
		for n := range versions {
			fmt.Fprintf(w, "      1.%d.0: I%dv%d\n", n, p, n)
		}
		for n := range v.tags {
			fmt.Fprintf(w, "      1.%d.%d: I%d\n", n%(2*granted), n+1, p)
		}
		fmt.Fprint(w, "    manifests:\n")
		if v.tags > 0 {
			fmt.Fprintf(w, "      I%[1]d: {config: C%[1]d, layers: [L%[1]d]}\n", p)
		}
		for n := range versions {
			fmt.Fprintf(w, "      I%[1]dv%[2]d: {index: [M%[1]dv%[2]da, M%[1]dv%[2]db]}\n", p, n)
			for _, platform := range []string{"a", "b"} {
				image := fmt.Sprintf("%dv%d%s", p, n, platform)
				fmt.Fprintf(w, "      M%[1]s: {config: C%[1]s, layers: [%[2]s]}\n", image, strings.Join(layers(p, image), ", "))
			}
		}
	}
}

func layers(product int, image string) (names []string) {
	for i := range shared {
		names = append(names, fmt.Sprintf("B%dx%d", product, i))
	}
	for i := range own {
		names = append(names, fmt.Sprintf("L%sx%d", image, i))
	}
	return names
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// image is what one pull of a version of a product asks for, the tag first.
func image(product, version int) []drive.Target {
	repository := fmt.Sprintf("/v2/acme/p%d", product)
	targets := []drive.Target{
		{Method: "GET", Path: fmt.Sprintf("%s/manifests/1.%d.0", repository, version)},
		{Method: "GET", Path: repository + "/manifests/" + digest(fmt.Sprintf("I%dv%d", product, version))},
		{Method: "GET", Path: repository + "/manifests/" + digest(fmt.Sprintf("M%dv%da", product, version))},
		{Method: "GET", Path: repository + "/blobs/" + digest(fmt.Sprintf("C%dv%da", product, version))},
	}
	for _, l := range layers(product, fmt.Sprintf("%dv%da", product, version)) {
		targets = append(targets, drive.Target{Method: "GET", Path: repository + "/blobs/" + digest(l)})
	}
	return targets
}

// granted digests of a customer: manifests, configs and layers of versions that it may have.
func allowed(customer, version int) (targets []drive.Target) {
	for _, p := range has(customer) {
		targets = append(targets, image(p, version%granted)...)
	}
	return targets
}

func basic(key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("load:"+key))
}

// who are the Authorization values of the first customers.
func (v *vendor) who(n int) (values []string) {
	for _, key := range v.keys[:n] {
		values = append(values, basic(key))
	}
	return values
}

// unknown are Authorization values of keys that are well made and nobody's.
func (v *vendor) unknown(n int) (values []string) {
	random := rand.NewChaCha8([32]byte{2})
	for range n {
		key, _ := license.NewKey(random)
		values = append(values, basic(key))
	}
	return values
}
