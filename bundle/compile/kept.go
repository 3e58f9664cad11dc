package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"

	"github.com/pullgate/pullgate/bundle/index"
)

// Kept is what a Compile made of customers, repositories and index, for the next one: what has not changed is
// not made again. It changes nothing in the result. The zero value is empty, and so is what a Compile
// that fails leaves. For one Compile at a time; it holds on to the keys and the Set that it was given,
// which must not change.
type Kept struct {
	repositories map[keptName]*keptRepository

	// The last index, and what it was made of beside the repositories.
	products []index.Product
	releases []index.Release
	bytes    []byte

	customers keptCustomers
}

type keptName struct{ registry, name string }

// keptRepository is a repository as it was compiled from what key stands for, by rules.
type keptRepository struct {
	key      any
	rules    [32]byte
	compiled index.Repository
	warnings []Warning
}

// compiled compiles a repository, or returns what was kept of it (again). facts is its content
// hash of what the license files say about it.
func (c *compiler) compiled(r *repository, facts [32]byte) (_ *keptRepository, again bool) {
	name := keptName{r.registry.ID, r.Name}
	// A date is all of the license files that facts do not have: the end of the history.
	rules := sha256.Sum256(binary.AppendVarint(facts[:], r.retires(0)))
	if k := c.kept.repositories[name]; k != nil && r.Key != nil && k.key == r.Key && k.rules == rules {
		return k, true
	}
	b := newBuilder(r)
	k := &keptRepository{key: r.Key, rules: rules, compiled: b.build()}
	k.compiled.Facts = facts
	before := len(c.warnings)
	c.warnRepository(b)
	k.warnings = c.warnings[before:]
	c.warnings = c.warnings[:before:before]
	return k, false
}

// build makes index.bin of products, releases and repositories, all of which may be those of the
// last time (again).
func (k *Kept) build(products []index.Product, releases []index.Release, repositories map[keptName]*keptRepository, again bool) (_ []byte, same bool, _ error) {
	again = again && k.bytes != nil && len(repositories) == len(k.repositories)
	if again && reflect.DeepEqual(products, k.products) && reflect.DeepEqual(releases, k.releases) {
		return k.bytes, true, nil
	}
	var out index.Builder
	for _, p := range products {
		out.AddProduct(p)
	}
	for _, r := range releases {
		out.AddRelease(r)
	}
	for _, r := range repositories {
		out.AddRepository(r.compiled)
	}
	text, err := out.Bytes()
	if err == nil {
		k.repositories, k.products, k.releases, k.bytes = repositories, products, releases, text
	}
	return text, false, err
}
