package authztest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// World is what a script's questions are asked of: its files, compiled for one instant.
type World struct {
	Bundle *bundle.Bundle // verified
	Clock  time.Time
	// Host is the first host of the only registry, for requests without one.
	Host string
	// RuleFiles are the files of vendor rules that lie in a directory, by their path in the bundle.
	RuleFiles map[string]string
}

// sources is a script's files, parsed.
type sources struct {
	set     *license.Set
	catalog []compile.Repository
	shared  *Shared
	rules   map[string][]byte
	files   map[string]string // World.RuleFiles
	host    string
	secrets map[string]string // of each speaker: CUSTOMER or CUSTOMER/KEY
	signer  *bundle.Signer
	ring    *bundle.KeyRing
}

// CatalogReader parses a kind: Catalog document for the compiler. It is handed in, because
// the packages that know both the catalog and the compiler lie above this one.
type CatalogReader func(data []byte, set *license.Set) ([]compile.Repository, error)

// load parses the files of a script and makes a key for each speaker.
func (s *Script) load(readCatalog CatalogReader, shared *Shared) (*sources, error) {
	set, err := license.Parse(s.Licenses)
	if err != nil {
		return nil, err
	}
	src := &sources{set: set, shared: shared, rules: s.Rules, files: map[string]string{}, secrets: map[string]string{}}
	for name, file := range s.RuleFiles {
		src.files[policies.RulesDir+name] = file
	}
	if len(set.Registries) > 0 {
		src.host = set.Registries[0].Hosts[0]
	}
	if s.Catalog != nil {
		if src.catalog, err = readCatalog(s.Catalog, set); err != nil {
			return nil, err
		}
	}
	var unknown []error
	for _, who := range slices.SortedFunc(maps.Keys(s.Keys), func(a, b string) int { return s.Keys[a] - s.Keys[b] }) {
		secret, hash := license.NewKey(rand.Reader)
		if err := addKey(set, who, hash); err != nil {
			unknown = append(unknown, &ParseError{s.Path, s.Keys[who], err.Error()})
		}
		src.secrets[who] = secret
	}
	if unknown != nil {
		return nil, errors.Join(unknown...)
	}
	key, err := bundle.GenerateKey()
	if err != nil {
		return nil, err
	}
	if src.signer, err = bundle.NewSigner(key); err != nil {
		return nil, err
	}
	src.ring, err = bundle.NewKeyRing(src.signer.Public())
	return src, err
}

// addKey adds a key made for the script: without limits for a customer, with those of the
// named key for CUSTOMER/KEY.
func addKey(set *license.Set, who, hash string) error {
	id, keyID, named := strings.Cut(who, "/")
	c := set.Customer(id)
	if c == nil {
		return fmt.Errorf("the script speaks as %q, and no file has such a customer; there are: %s", id, orNone(strings.Join(customers(set), ", ")))
	}
	key := license.Key{ID: "script", Hash: hash, Expires: license.Never}
	if named {
		i := slices.IndexFunc(c.Keys, func(k license.Key) bool { return k.ID == keyID })
		if i < 0 {
			return fmt.Errorf("the script speaks as key %q, and customer %s has no key %q; give it one in its file, or speak `as %s`", who, id, keyID, id)
		}
		key = c.Keys[i]
		key.Hash = hash
	}
	c.Keys = append(c.Keys, key)
	return nil
}

// customers returns the first ids of customers.
func customers(set *license.Set) []string {
	var ids []string
	for _, c := range set.Customers {
		if len(ids) == 10 {
			return append(ids, "…")
		}
		ids = append(ids, c.ID)
	}
	return ids
}

// world compiles the sources for an instant. It is also issued_at of the bundle, which
// never goes stale.
func (src *sources) world(ctx context.Context, at time.Time) (*World, error) {
	content, err := src.shared.compile(ctx, &compile.Input{
		Set: src.set, Catalog: src.catalog, Modules: policies.Modules(), Rules: src.rules,
		Name: bundle.DefaultName, Serial: 1, IssuedAt: at.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if _, err := bundle.Write(&buf, content, src.signer); err != nil {
		return nil, err
	}
	b, err := bundle.Read(&buf, src.ring, bundle.ReadOptions{Name: bundle.DefaultName})
	if err != nil {
		return nil, err
	}
	return &World{Bundle: b, Clock: at, Host: src.host, RuleFiles: src.files}, ctx.Err()
}
