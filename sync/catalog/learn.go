package catalog

import (
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// load returns what is known of a digest; nil for nothing.
func (s *Store) load(digest string) (rec *record, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		var r record
		ok, err := get(tx.Bucket(bucketManifests), []byte(digest), &r)
		if ok {
			rec = &r
		}
		return err
	})
	return rec, err
}

// learn keeps a manifest for ever.
func (s *Store) learn(digest string, rec *record) error {
	return s.update(func(tx *bolt.Tx) error {
		return put(tx.Bucket(bucketManifests), []byte(digest), rec)
	})
}

// configDate returns the date of an image config; false when it was never fetched.
func (s *Store) configDate(digest string) (at int64, known bool, err error) {
	err = s.view(func(tx *bolt.Tx) (err error) {
		known, err = get(tx.Bucket(bucketConfigs), []byte(digest), &at)
		return err
	})
	return at, known, err
}

func (s *Store) learnConfig(digest string, at int64) error {
	return s.update(func(tx *bolt.Tx) error {
		return put(tx.Bucket(bucketConfigs), []byte(digest), at)
	})
}

// repositories returns what is known of the named repositories; without names, of all that were
// ever crawled.
func (s *Store) repositories(names ...string) (map[string]*knownRepository, error) {
	out := map[string]*knownRepository{}
	err := s.view(func(tx *bolt.Tx) error {
		repos := tx.Bucket(bucketRepositories)
		return each(repos, names, func(name []byte) (err error) {
			out[string(name)], err = readKnown(repos.Bucket(name))
			return err
		})
	})
	return out, err
}

// taking is what a crawl learned of a repository's tags.
type taking struct {
	name    string
	tags    map[string]string // those that the registry has, by digest
	unknown map[string]bool   // those that are left as they were; with part all others are, too
	part    bool              // only tags were asked for, not the list of them
	reread  bool
	now     int64
}

// take replaces what a repository's tags name. What a tag leaves goes to its history, until now.
// The manifests of every digest in tags have been learned; their dates are frozen here. What was
// read again while a crawl was under way is newer than what that crawl asked, and stays.
func (s *Store) take(t taking) error {
	return s.inRepository(t.name, func(tx *bolt.Tx, b *bolt.Bucket) error {
		k, err := readKnown(b)
		if err != nil {
			return err
		}
		newer := s.newer(t, k)
		tagBucket, historyBucket := b.Bucket(bucketTags), b.Bucket(bucketHistory)
		for tag, was := range k.tags {
			if _, asked := t.tags[tag]; was.Digest == "" || t.unknown[tag] || t.part && !asked || newer[tag] || t.tags[tag] == was.Digest {
				continue
			}
			past := append(k.history[tag], Past{Digest: was.Digest, Until: t.now})
			if err := put(historyBucket, []byte(tag), past); err != nil {
				return err
			}
			if err := put(tagBucket, []byte(tag), tagRecord{Digest: t.tags[tag], Seen: was.Seen}); err != nil {
				return err
			}
		}
		for _, tag := range slices.Sorted(maps.Keys(t.tags)) {
			if newer[tag] {
				continue
			}
			was, seen := k.tags[tag]
			if !seen {
				was.Seen = t.now
			}
			if was.Digest == "" {
				if err := put(tagBucket, []byte(tag), tagRecord{Digest: t.tags[tag], Seen: was.Seen}); err != nil {
					return err
				}
			}
			if err := freeze(tx, b.Bucket(bucketDates), t.tags[tag], t.now); err != nil {
				return err
			}
		}
		if t.part {
			return nil
		}
		return put(b, keyState, State{Succeeded: t.now})
	})
}

// newer notes what is taken by a reading again while a crawl is under way, and returns to that
// crawl what was: tags, and subjects of referrers by digest.
func (s *Store) newer(t taking, k *knownRepository) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.reread {
		return s.moved[t.name]
	}
	if s.moved != nil {
		moved := s.moved[t.name]
		if moved == nil {
			moved = map[string]bool{}
			s.moved[t.name] = moved
		}
		for tag := range t.tags {
			moved[tag] = true
		}
		for tag := range k.tags {
			moved[tag] = moved[tag] || !t.part
		}
	}
	return nil
}

// crawling begins a crawl, and ends it with the function that is returned.
func (s *Store) crawling() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = map[string]map[string]bool{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.moved = nil
	}
}

// missed notes that a crawl of a repository failed; nothing else changes.
func (s *Store) missed(name, why string, now int64) error {
	return s.inRepository(name, func(_ *bolt.Tx, b *bolt.Bucket) error {
		var st State
		if _, err := get(b, keyState, &st); err != nil {
			return err
		}
		st.Failed, st.Failure = now, why
		return put(b, keyState, st)
	})
}

// below returns the digests of the manifests that can be reached from roots, four manifests deep,
// sorted.
func (s *Store) below(roots map[string]bool) ([]string, error) {
	seen := map[string]bool{}
	err := s.view(func(tx *bolt.Tx) error {
		manifests := tx.Bucket(bucketManifests)
		level := slices.Collect(maps.Keys(roots))
		for depth := 1; depth <= maxDepth; depth++ {
			var next []string
			for _, d := range level {
				var rec record
				if seen[d] {
					continue
				}
				if ok, err := get(manifests, []byte(d), &rec); err != nil {
					return err
				} else if !ok || rec.Skip != "" {
					continue
				}
				seen[d] = true
				for _, c := range rec.Children {
					if c.isManifest() {
						next = append(next, c.Digest)
					}
				}
			}
			level = next
		}
		return nil
	})
	return slices.Sorted(maps.Keys(seen)), err
}

// learnReferrers keeps answers of the referrers API, by subject, unless they were read again in
// the meantime.
func (s *Store) learnReferrers(name string, answers map[string]referrersRecord, reread bool) error {
	subjects := map[string]string{}
	for subject := range answers {
		subjects[subject] = ""
	}
	return s.inRepository(name, func(_ *bolt.Tx, b *bolt.Bucket) error {
		referrers := b.Bucket(bucketReferrers)
		newer := s.newer(taking{name: name, tags: subjects, part: true, reread: reread}, &knownRepository{})
		for _, subject := range slices.Sorted(maps.Keys(answers)) {
			if newer[subject] {
				continue
			}
			if err := put(referrers, []byte(subject), answers[subject]); err != nil {
				return err
			}
		}
		return nil
	})
}

// hasReferrersAPI reports whether the registry answered a request for referrers in the last crawl.
func (s *Store) hasReferrersAPI() (has bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		_, err := get(tx.Bucket(bucketMeta), []byte("referrers"), &has)
		return err
	})
	return has, err
}

// finish notes the end of a crawl. With it the file's two headers both lead to everything that was
// taken, so that damage to one of them loses nothing.
func (s *Store) finish(now int64, referrersAPI bool) error {
	return s.update(func(tx *bolt.Tx) error {
		if err := put(tx.Bucket(bucketMeta), []byte("referrers"), referrersAPI); err != nil {
			return err
		}
		return put(tx.Bucket(bucketMeta), []byte("crawled"), now)
	})
}

func (s *Store) inRepository(name string, f func(tx *bolt.Tx, b *bolt.Bucket) error) error {
	return s.update(func(tx *bolt.Tx) error {
		b, err := tx.Bucket(bucketRepositories).CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		for _, sub := range [][]byte{bucketTags, bucketHistory, bucketDates, bucketReferrers} {
			if _, err := b.CreateBucketIfNotExists(sub); err != nil {
				return err
			}
		}
		return f(tx, b)
	})
}

// freeze writes the date of a digest that a tag names, once.
func freeze(tx *bolt.Tx, dates *bolt.Bucket, digest string, now int64) error {
	if dates.Get([]byte(digest)) != nil {
		return nil
	}
	at, dated, err := latestDate(tx, digest, maxDepth, map[string]bool{})
	if err != nil {
		return err
	}
	if !dated {
		at = now
	}
	return put(dates, []byte(digest), at)
}

// latestDate is a manifest's own date, else the latest of its children's: an index cannot be
// older than what it lists.
func latestDate(tx *bolt.Tx, digest string, depth int, done map[string]bool) (latest int64, dated bool, err error) {
	var rec record
	if ok, err := get(tx.Bucket(bucketManifests), []byte(digest), &rec); err != nil || !ok || depth == 0 || done[digest] {
		return 0, false, err
	}
	done[digest] = true
	if at, ok, err := ownDate(tx, &rec); err != nil || ok {
		return at, ok, err
	}
	for _, c := range rec.Children {
		at, ok, err := latestDate(tx, c.Digest, depth-1, done)
		if err != nil {
			return 0, false, err
		}
		if ok && (!dated || at > latest) {
			latest, dated = at, true
		}
	}
	return latest, dated, nil
}
