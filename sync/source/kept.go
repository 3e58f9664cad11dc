package source

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// grain is how coarse the times of files may be: one that was changed less than this before it was
// looked at may have been changed again without looking any different.
const grain = 2 * time.Second

// kept is the last good reading of a directory, so that the next one costs what has changed: files
// that look the same are not read again.
type kept struct {
	look  look         // of before the reading: what it does not know of looks different later
	set   *license.Set // nil: everything is to be read
	sums  sums         // of all that was read
	names []string     // of sums, sorted
	rules []string     // those of rules
	fresh []changedFile
}

// load reads what looks different in l; everything when that is not enough to tell, as for what
// is wrong: errors are always those of Load. On success k is what was read.
func (k *kept) load(ctx context.Context, d Dir, l look) (*Snapshot, error) {
	diff := l.since(&k.look)
	first := k.set == nil
	snap, err := k.edited(ctx, l, diff)
	if snap == nil && err == nil {
		snap, err = k.whole(ctx, d, l)
	}
	if err == nil && !first && diff.saved != 0 {
		snap.Saved = time.Unix(0, diff.saved)
	}
	return snap, err
}

// whole reads everything.
func (k *kept) whole(ctx context.Context, d Dir, l look) (*Snapshot, error) {
	snap, files, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	*k = kept{look: l, set: snap.Set, sums: sums{}}
	k.took(files.sums, nil)
	seen := l.since(&look{}).changed
	k.age(seen)
	if len(seen)+len(k.rules) != len(k.sums) || !k.has(seen) {
		k.set = nil // it changed meanwhile
	}
	return snap, nil
}

func (k *kept) has(files []changedFile) bool {
	for _, f := range files {
		if _, ok := k.sums[f.name]; !ok {
			return false
		}
	}
	return true
}

// edited reads what differs; nil when everything has to be read.
func (k *kept) edited(ctx context.Context, l look, diff difference) (*Snapshot, error) {
	if k.set == nil || l.err != "" || l.odd {
		return nil, ctx.Err()
	}
	files := record(l.real)
	rules, err := loadRules(files)
	if err != nil {
		return nil, ctx.Err()
	}
	read, names := diff.changed, diff.names()
	for _, f := range k.fresh {
		if !names[f.name] {
			read = append(read, f)
		}
	}
	var parts []license.Part
	for _, f := range read {
		text, err := files.read(f.name)
		if err != nil {
			return nil, ctx.Err()
		}
		if sum, known := k.sums[f.name]; !known || sum != sha256.Sum256(text) {
			parts = append(parts, license.FilePart(f.name, text))
		}
	}
	set := k.set
	if len(parts)+len(diff.gone) > 0 {
		if set = k.set.Edited(parts, diff.gone); set == nil {
			return nil, ctx.Err()
		}
	}
	k.look, k.set = l, set
	k.took(files.sums, diff.gone)
	k.age(read)
	return &Snapshot{Set: set, Rules: rules, Hash: k.sums.hash(k.names)}, ctx.Err()
}

// took takes in the hashes of what was read, all rules among it, and that files are gone.
func (k *kept) took(read sums, gone []string) {
	count := len(k.sums)
	for _, name := range gone {
		delete(k.sums, name)
	}
	for _, name := range k.rules {
		delete(k.sums, name)
	}
	other := len(gone) > 0
	rules := k.rules
	k.rules = nil
	for name, sum := range read {
		if !isLicense(name) {
			k.rules = append(k.rules, name)
		} else if _, known := k.sums[name]; !known {
			other = true
		}
		k.sums[name] = sum
	}
	if other || len(rules)+len(k.rules) > 0 || len(k.sums) != count {
		k.names = k.sums.names()
	}
}

// age notes which of the files that were read have changed so short a time before that they have
// to be read again.
func (k *kept) age(read []changedFile) {
	k.fresh = nil
	for _, f := range read {
		if k.look.at.Sub(time.Unix(0, f.saved)).Abs() < grain {
			k.fresh = append(k.fresh, f)
		}
	}
}

// due says whether there are files to read again although they look the same, and that it is time.
func (k *kept) due(now time.Time) bool {
	return len(k.fresh) > 0 && now.Sub(k.look.at) > grain
}
