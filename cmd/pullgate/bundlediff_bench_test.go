package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
)

// manyCustomers is a vendor with customers who have three licenses each, of dates and versions of
// their own, for three of five products. Two repositories of a product have 60 versions each.
type manyCustomers struct {
	customers int
	seed      uint64 // of what customers have
	upTo      int    // no license names a later version than 1.upTo.0
	releases  int    // how many there are
	next      int    // how many of these are in the licenses of everybody
	rules     map[string][]byte
}

const benchProducts = 5

func (m *manyCustomers) vendor() string {
	var b strings.Builder
	b.WriteString("kind: Registry\nid: main\nhosts: [registry.acme.example]\nupstream: https://upstream.example\n")
	for p := range benchProducts {
		fmt.Fprintf(&b, "---\nkind: Product\nid: app%d\nrepositories: [acme/app%d, {name: acme/charts/app%d, type: chart}]\n", p, p, p)
	}
	return b.String()
}

// licenses are those that customers have copies of: of each kind some, a kind after the other.
func (m *manyCustomers) licenses() (kinds [3][]license.License, err error) {
	const each = 2000
	text := m.vendor() + "---\nkind: Customer\nid: model\n"
	random := rand.New(rand.NewPCG(m.seed, 0))
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(from, to int) string { return start.AddDate(0, 0, from+random.IntN(to-from)).Format(time.DateOnly) }
	for i := range each {
		for k := range kinds {
			text += fmt.Sprintf("---\nkind: License\nid: m%d-%d\ncustomer: model\nstarts: %s\n", i, k, day(0, 365))
			below := min(1+random.IntN(60), m.upTo)
			switch k {
			case 0:
				text += fmt.Sprintf("type: subscription\nends: %s\ngrace: P14D\ngrants: [{product: app%d, versions: \">=1.0.0 <=1.%d.0\"}]\n", day(400, 1100), i%benchProducts, below)
			case 1:
				text += fmt.Sprintf("type: perpetual\nends: never\nupdates: {until: %s}\ngrants: [{product: app%d, versions: \"<=1.%d.0\"}]\n", day(400, 1100), (i+1)%benchProducts, below)
			case 2:
				text += fmt.Sprintf("type: subscription\nends: %s\ngrace: P30D\ngrants: [{repository: acme/charts/app%d, tags: [\"1.%d.*\", \"1.%d.0\"]}]\n", day(400, 1100), (i+2)%benchProducts, below, random.IntN(60))
			}
		}
	}
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
	if err != nil {
		return kinds, err
	}
	for i, l := range set.Licenses {
		kinds[i%3] = append(kinds[i%3], l)
	}
	return kinds, nil
}

// set is the whole set.
func (m *manyCustomers) set() (*license.Set, error) {
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(m.vendor())})
	if err != nil {
		return nil, err
	}
	kinds, err := m.licenses()
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(m.seed, 1))
	for i := range m.customers {
		c := license.Customer{ID: fmt.Sprintf("customer-%06d", i), Name: "Customer", Labels: map[string]any{"region": []string{"eu", "us", "moon"}[i%3]}, Keys: []license.Key{{ID: "ci", Hash: fmt.Sprintf("sha256:%064x", i), Expires: license.Never}}}
		set.Customers = append(set.Customers, c)
		of := random.IntN(len(kinds[0]))
		for k := range kinds {
			l := kinds[k][(of+benchProducts*random.IntN(len(kinds[0])/benchProducts))%len(kinds[0])]
			l.ID, l.Customer = fmt.Sprintf("%s-%d", c.ID, k), c.ID
			set.Licenses = append(set.Licenses, l)
		}
	}
	return set, nil
}

// write writes the bundle.
func (m *manyCustomers) write(path string, serial int64, edit func(*license.Set)) error {
	set, err := m.set()
	if err != nil {
		return err
	}
	if edit != nil {
		edit(set)
	}
	c := &catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{}}
	for p := range benchProducts {
		for _, name := range []string{"acme/app%d", "acme/charts/app%d"} {
			repo := &catalog.Repository{Tags: map[string]catalog.Tag{}, Manifests: map[string]*catalog.Manifest{}}
			for v := range m.releases {
				d := catalog.DigestOf(fmt.Sprintf(name+" %d", p, v))
				tag := fmt.Sprintf("1.%d.0", v)
				if v >= m.releases-m.next {
					tag = fmt.Sprintf("1.0.%d", v)
				}
				repo.Tags[tag] = catalog.Tag{Digest: d, Seen: catalog.Always}
				repo.Manifests[d] = &catalog.Manifest{Created: time.Date(2023, 9, 1+15*(v%60), 0, 0, 0, 0, time.UTC).Unix()}
			}
			c.Repositories[fmt.Sprintf(name, p)] = repo
		}
	}
	repositories, err := publish.Repositories([]*catalog.Catalog{c}, set)
	if err != nil {
		return err
	}
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: repositories, Modules: policies.Modules(), Rules: m.rules,
		Name: bundle.DefaultName, Serial: serial, IssuedAt: agreeStart.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		return err
	}
	signer, _, err := ownKey()
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = bundle.Write(f, content, signer)
	return errors.Join(err, f.Close())
}

// BenchmarkDiff compares bundles of many customers as people do it: seconds and memory are those of
// a process, which reads both bundles.
func BenchmarkDiff(b *testing.B) {
	const customers = 100_000
	dir := b.TempDir()
	before := manyCustomers{customers: customers, seed: 1, upTo: 60, releases: 60}
	files := [2]string{filepath.Join(dir, "before.tar.gz"), filepath.Join(dir, "after.tar.gz")}
	if err := before.write(files[0], 1, nil); err != nil {
		b.Fatal(err)
	}
	rule := []byte("package vendor.region\n\ndeny contains {\"code\": \"embargo\", \"message\": \"Not there.\"} if {\n" +
		"\tinput.resource.product == \"app1\"\n\tdata.pullgate.customer.labels.region == \"moon\"\n}\n")
	for _, edit := range []struct {
		name string
		make func(*manyCustomers)
		edit func(*license.Set)
	}{
		{"one-customer", func(*manyCustomers) {}, func(set *license.Set) { set.Licenses[3*customers/2].Grants = nil }},
		{"release", func(m *manyCustomers) { m.releases++; m.next = 1 }, nil},
		{"versions-of-all", func(m *manyCustomers) { m.upTo = 20 }, nil},
		{"rule", func(m *manyCustomers) { m.rules = map[string][]byte{"region.rego": rule} }, nil},
		{"everything", func(m *manyCustomers) { m.seed, m.releases = 2, 70 }, nil},
	} {
		b.Run(fmt.Sprintf("customers=%dk/edit=%s", customers/1000, edit.name), func(b *testing.B) {
			after := before
			edit.make(&after)
			if err := after.write(files[1], 2, edit.edit); err != nil {
				b.Fatal(err)
			}
			peak := int64(0)
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
				cmd := exec.CommandContext(ctx, "pullgate", "bundle", "diff", "-o", "markdown", "--at", "2026-03-01T00:00:00Z", files[0], files[1])
				out, err := cmd.CombinedOutput()
				cancel()
				if cmd.ProcessState.ExitCode() != exitNo {
					b.Fatalf("%v: %.2000s", err, out)
				}
				b.Logf("%.300s", out)
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
		})
	}
}
