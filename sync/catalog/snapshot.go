package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Snapshot returns everything the store knows now, of the named repositories or of all: those of
// which a crawl ever succeeded and that are not absent without a trace. Errors: *CorruptError.
func (s *Store) Snapshot(names ...string) (*Catalog, error) {
	c := &Catalog{Registry: s.registry, Repositories: map[string]*Repository{}}
	err := s.view(func(tx *bolt.Tx) error {
		repos := tx.Bucket(bucketRepositories)
		return each(repos, names, func(name []byte) error {
			k, err := readKnown(repos.Bucket(name))
			if err != nil {
				return &CorruptError{Path: s.path, Err: fmt.Errorf("%s: %w", name, err)}
			}
			if len(k.tags)+len(k.history) == 0 {
				return nil
			}
			repo, err := k.repository(tx)
			if err != nil {
				return &CorruptError{Path: s.path, Err: fmt.Errorf("%s: %w", name, err)}
			}
			c.Repositories[string(name)] = repo
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// each calls f with the name of every bucket in b, or of the named ones that exist.
func each(b *bolt.Bucket, names []string, f func(name []byte) error) error {
	if len(names) == 0 {
		return b.ForEachBucket(f)
	}
	for _, name := range names {
		if b.Bucket([]byte(name)) == nil {
			continue
		}
		if err := f([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

// States returns how the crawls of every repository went, by name, also of those that never
// succeeded.
func (s *Store) States() (map[string]State, error) {
	out := map[string]State{}
	err := s.view(func(tx *bolt.Tx) error {
		repos := tx.Bucket(bucketRepositories)
		return repos.ForEachBucket(func(name []byte) error {
			var st State
			_, err := get(repos.Bucket(name), keyState, &st)
			out[string(name)] = st
			return err
		})
	})
	return out, err
}

// knownRepository is what the store knows of one repository.
type knownRepository struct {
	tags    map[string]tagRecord // also those that are gone
	history map[string][]Past
	dates   map[string]int64
	state   State

	referrers map[string]referrersRecord // by subject
}

// present counts the tags that exist.
func (k *knownRepository) present() int {
	n := 0
	for _, t := range k.tags {
		if t.Digest != "" {
			n++
		}
	}
	return n
}

// readKnown reads a repository's bucket; a nil one is a repository never heard of.
func readKnown(b *bolt.Bucket) (*knownRepository, error) {
	k := &knownRepository{tags: map[string]tagRecord{}, history: map[string][]Past{}, dates: map[string]int64{}, referrers: map[string]referrersRecord{}}
	if b == nil {
		return k, nil
	}
	if _, err := get(b, keyState, &k.state); err != nil {
		return nil, err
	}
	return k, cmp.Or(
		readAll(b.Bucket(bucketTags), k.tags), readAll(b.Bucket(bucketHistory), k.history),
		readAll(b.Bucket(bucketDates), k.dates), readAll(b.Bucket(bucketReferrers), k.referrers))
}

func readAll[T any](b *bolt.Bucket, into map[string]T) error {
	if b == nil {
		return nil
	}
	return b.ForEach(func(key, _ []byte) error {
		var v T
		_, err := get(b, key, &v)
		into[string(key)] = v
		return err
	})
}

// repository builds the model: the tags, the graph below every digest that a tag names or named,
// four manifests deep, and what refers to it, with the graph below that. A child's date is its
// own, else that of the oldest tagged manifest above it; a referrer's is its own, else its
// subject's.
func (k *knownRepository) repository(tx *bolt.Tx) (*Repository, error) {
	m := &modeler{
		tx: tx, known: k, date: maps.Clone(k.dates),
		out: &Repository{Read: k.state.Succeeded, Tags: map[string]Tag{}, History: k.history, Manifests: map[string]*Manifest{}},
	}
	roots := map[string]bool{}
	for tag, t := range k.tags {
		if t.Digest != "" {
			m.out.Tags[tag] = Tag(t)
			roots[t.Digest] = true
		}
	}
	for _, past := range k.history {
		for _, p := range past {
			roots[p.Digest] = true
		}
	}
	added, err := m.below(slices.SortedFunc(maps.Keys(roots), func(a, b string) int {
		return cmp.Or(cmp.Compare(k.dates[a], k.dates[b]), cmp.Compare(a, b))
	}))
	for depth := 1; depth <= maxReferrerDepth && len(added) > 0 && err == nil; depth++ {
		added, err = m.below(m.referrers(added))
	}
	for subject, rec := range k.referrers {
		for _, d := range rec.Digests {
			if r := m.out.Manifests[d]; r != nil && r.Subject == "" && m.out.Manifests[subject] != nil {
				m.listed(subject, d)
			}
		}
	}
	return m.out, err
}

// modeler builds the model of one repository.
type modeler struct {
	tx    *bolt.Tx
	known *knownRepository
	date  map[string]int64 // by digest, of those without one of their own
	out   *Repository
}

// below adds manifests and what is below them, and returns the digests of all that are new.
func (m *modeler) below(level []string) (added []string, err error) {
	for depth := 1; depth <= maxDepth; depth++ {
		var next []string
		for _, d := range level {
			if m.out.Manifests[d] != nil {
				continue
			}
			var rec record
			if ok, err := get(m.tx.Bucket(bucketManifests), []byte(d), &rec); err != nil {
				return nil, err
			} else if !ok || rec.Skip != "" {
				continue
			}
			created, dated, err := ownDate(m.tx, &rec)
			if err != nil {
				return nil, err
			}
			if frozen, ok := m.known.dates[d]; ok {
				created = frozen
			} else if !dated {
				created = m.date[d]
			}
			m.out.Manifests[d] = rec.manifest(created)
			added = append(added, d)
			for _, c := range rec.Children {
				m.dateLike(c.Digest, created)
				if c.isManifest() {
					next = append(next, c.Digest)
				}
			}
		}
		level = next
	}
	return added, nil
}

func (m *modeler) dateLike(digest string, created int64) {
	if _, ok := m.date[digest]; !ok {
		m.date[digest] = created
	}
}

// referrers notes what the registry lists for subjects, and returns it.
func (m *modeler) referrers(subjects []string) (found []string) {
	for _, subject := range subjects {
		for _, d := range m.known.referrers[subject].Digests {
			m.dateLike(d, m.out.Manifests[subject].Created)
			found = append(found, d)
		}
	}
	return found
}

// listed notes a referrer that does not name its subject itself.
func (m *modeler) listed(subject, referrer string) {
	if m.out.Referrers == nil {
		m.out.Referrers = map[string][]string{}
	}
	m.out.Referrers[subject] = append(m.out.Referrers[subject], referrer)
}

// ownDate is the date in a manifest's annotations or image config; false without one.
func ownDate(tx *bolt.Tx, rec *record) (int64, bool, error) {
	if at, ok := rec.annotated(); ok {
		return at, true, nil
	}
	if !rec.datedByConfig() {
		return 0, false, nil
	}
	var at int64
	_, err := get(tx.Bucket(bucketConfigs), []byte(rec.Config), &at)
	return at, at != 0, err
}
