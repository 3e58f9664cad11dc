package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/load/drive"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
)

// A crowd is a vendor too large for files: its bundles are compiled from what license files would
// be read as. Products and customers are those of a vendor; further repositories fill the index.
type crowd struct {
	Dir       string // bundles and keys are written here
	Customers int
	Digests   int // in the index at least, those that customers ask for counted
	// Bundles is how many are written, with ascending serials. Each differs from the one before in
	// every section of its customers, every sixteenth of its keys and every repository, but in nothing
	// that the first asked customers ask for: verdicts about those stay in the cache, as they do when
	// a publisher delivers the edits of a day.
	Bundles int
}

const (
	asked       = 64  // customers who ask
	bulk        = 100 // repositories nobody asks for
	bulkLayers  = 6   // of each of two images
	bulkVersion = 2*(2+bulkLayers) + 1
	editedEvery = 16 // customers, of which a section has some fifty
)

func (c *crowd) bundle(n int) string { return filepath.Join(c.Dir, fmt.Sprintf("bundle-%d.tar.gz", n)) }

func (c *crowd) publicKey() string { return filepath.Join(c.Dir, "release.pub") }

// keyID names the key that signed, as OPA wants to be told.
func (c *crowd) keyID() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "key-id"))
	return string(text), err
}

// who are the Authorization values of the asked customers.
func (c *crowd) who(n int) (values []string) {
	random := rand.NewChaCha8([32]byte{1})
	for range min(n, c.Customers) {
		key, _ := license.NewKey(random)
		values = append(values, basic(key))
	}
	return values
}

// warm is what the asked customers pull, each its most frequent most often.
func (c *crowd) warm() drive.Mix {
	return drive.Mix{Host: host, Who: c.who(asked), Zipf: 1.2, For: func(customer int) []drive.Target { return allowed(customer, customer) }}
}

// make writes the bundles.
func (c *crowd) make() error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	key, err := bundle.GenerateKey()
	if err != nil {
		return err
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		return err
	}
	public, err := bundle.MarshalPublic(signer.Public())
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(c.publicKey(), public, 0o644), os.WriteFile(filepath.Join(c.Dir, "key-id"), []byte(signer.KeyID()), 0o644)); err != nil {
		return err
	}
	var contents [2]*bundle.Content
	for n := range c.Bundles {
		content := contents[n%2]
		if content == nil {
			if content, err = c.content(n); err != nil {
				return err
			}
			contents[n] = content
		}
		content.Serial = int64(n + 1)
		if err := write(c.bundle(n), content, signer); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, content *bundle.Content, signer *bundle.Signer) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = bundle.Write(f, content, signer)
	return errors.Join(err, f.Close())
}

// content compiles an edition.
func (c *crowd) content(edition int) (*bundle.Content, error) {
	set, err := c.set(edition)
	if err != nil {
		return nil, err
	}
	repositories, err := publish.Repositories([]*catalog.Catalog{c.catalog(edition)}, set)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: repositories, Modules: policies.Modules(),
		Name: bundle.DefaultName, IssuedAt: now.Unix() - 60, NotAfter: now.Add(72 * time.Hour).Unix(),
	})
	return content, err
}

// set is every license document.
func (c *crowd) set(edition int) (*license.Set, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "kind: Registry\nid: main\nhosts: [%s]\nupstream: http://127.0.0.1:1\n---\nkind: Customer\nid: model\n", host)
	var names []string
	for n := range bulk {
		names = append(names, fmt.Sprintf("acme/bulk%d", n))
	}
	fmt.Fprintf(&b, "---\nkind: Product\nid: bulk\nrepositories: [%s]\n", strings.Join(names, ", "))
	for p := range products {
		fmt.Fprintf(&b, "---\nkind: Product\nid: p%d\nrepositories: [acme/p%d]\n", p, p)
		for e := range 2 { // what an edit changes is the end
			fmt.Fprintf(&b, "---\nkind: License\nid: m%02d-%d\ncustomer: model\ntype: subscription\nstarts: 2025-01-01\nends: 2099-12-3%d\nfeatures: {sso: true, nodes: 10}\n"+
				"grants: [{product: p%d, versions: \">=1.0.0 <1.%d.0\"}]\n", p, e, 1-e, p, granted)
		}
	}
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(b.String())})
	if err != nil {
		return nil, err
	}
	models := map[string]license.License{}
	for _, l := range set.Licenses {
		models[l.ID] = l
	}
	set.Customers, set.Licenses = nil, nil
	random := rand.NewChaCha8([32]byte{1})
	for n := range c.Customers {
		_, hash := license.NewKey(random)
		edited := edition
		if n < asked || n%editedEvery != 0 {
			edited = 0
		}
		id := fmt.Sprintf("c%d", n)
		keys := []license.Key{{ID: "ci", Hash: hash, Expires: license.Never}}
		if edited != 0 {
			keys[0].ID = "deploy"
		}
		set.Customers = append(set.Customers, license.Customer{ID: id, Labels: map[string]any{"region": "eu"}, Keys: keys})
		for i, p := range has(n) {
			l := models[fmt.Sprintf("m%02d-%d", p, edited)]
			l.ID, l.Customer = fmt.Sprintf("%s-l%d", id, i), id
			set.Licenses = append(set.Licenses, l)
		}
	}
	return set, nil
}

// catalog is what the registry has: the images of a vendor, and more that nobody asks for.
func (c *crowd) catalog(edition int) *catalog.Catalog {
	out := &catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{}}
	for p := range products {
		repo := newRepository(out, fmt.Sprintf("acme/p%d", p))
		for n := range versions {
			repo.add(n, func(platform string) []string { return layers(p, fmt.Sprintf("%dv%d%s", p, n, platform)) }, p)
		}
		if edition > 0 { // beyond what anybody has
			repo.add(versions+edition, func(platform string) []string { return nil }, p)
		}
	}
	each := max(1, (c.Digests-products*versions*(5+2*own))/(bulk*bulkVersion))
	if c.Digests == 0 {
		return out
	}
	for r := range bulk {
		repo := newRepository(out, fmt.Sprintf("acme/bulk%d", r))
		for n := range each + edition {
			repo.add(n, func(platform string) (names []string) {
				for l := range bulkLayers {
					names = append(names, fmt.Sprintf("bulk %d %d %s %d", r, n, platform, l))
				}
				return names
			}, products+r)
		}
	}
	return out
}

type repository struct{ *catalog.Repository }

func newRepository(c *catalog.Catalog, name string) repository {
	r := &catalog.Repository{Tags: map[string]catalog.Tag{}, Manifests: map[string]*catalog.Manifest{}}
	c.Repositories[name] = r
	return repository{r}
}

// add adds version n as an index of two images, named as those of a vendor.
func (r repository) add(n int, layers func(platform string) []string, id int) {
	index := &catalog.Manifest{Created: catalog.Always}
	for _, platform := range []string{"a", "b"} {
		m := &catalog.Manifest{Created: catalog.Always, Config: digest(fmt.Sprintf("C%dv%d%s", id, n, platform))}
		for _, l := range layers(platform) {
			m.Layers = append(m.Layers, digest(l))
		}
		name := digest(fmt.Sprintf("M%dv%d%s", id, n, platform))
		r.Manifests[name] = m
		index.Index = append(index.Index, name)
	}
	name := digest(fmt.Sprintf("I%dv%d", id, n))
	r.Manifests[name] = index
	r.Tags[fmt.Sprintf("1.%d.0", n)] = catalog.Tag{Digest: name, Seen: catalog.Always}
}

// makeElsewhere makes a crowd in another process, whose memory and garbage are then not that of
// the load.
func makeElsewhere(ctx context.Context, c *crowd) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return again(ctx, "make", string(text))
}

// makeHere is what that process does.
func makeHere(text string) error {
	var c crowd
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	return c.make()
}
