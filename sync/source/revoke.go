package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// Revoke writes a revocation into the file that has the document, as a person would: one value is
// written or replaced and everything else stays byte for byte. It returns the file's name, and false
// when it said so before. The files must be good, and what comes of the edit must mean exactly what was
// to be; else nothing is written, and the error names the place to edit by hand. The file is replaced
// whole, and keeps its owner and mode. Of several at a time each waits for the one before; what somebody
// else writes meanwhile is not overwritten, but is an error.
func (d Dir) Revoke(ctx context.Context, r Revocation) (file string, changed bool, err error) {
	unlock, err := d.lock(ctx)
	if err != nil {
		return "", false, err
	}
	defer unlock()
	snap, err := d.Load(ctx)
	if err != nil {
		return "", false, fmt.Errorf("the license files have mistakes, which must be mended first:\n%w", err)
	}
	pos, done, err := r.place(snap.Set)
	if err != nil || done {
		return pos.File, false, err
	}
	byHand := func(err error) (string, bool, error) {
		return pos.File, false, fmt.Errorf("%s: edit it by hand (%s): %w", pos, r.advice(), err)
	}
	path := filepath.Join(d.Path, filepath.FromSlash(pos.File))
	if link := swapped(filepath.Dir(path)); link != "" {
		return pos.File, false, fmt.Errorf("%s is behind the symbolic link %s; one that git-sync or Kubernetes swaps takes what is written there with it: "+
			"revoke where the files come from, or, if nothing swaps it, name the directory itself", pos.File, link)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return pos.File, false, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return byHand(errors.New("it is a symbolic link, which something else puts there"))
	}
	if info.Mode()&0o200 == 0 {
		return byHand(errors.New("its owner may not write it"))
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return pos.File, false, err
	}
	text, err := r.edit(old)
	if err != nil {
		return byHand(err)
	}
	if err := d.proves(ctx, r, pos.File, text); err != nil {
		return byHand(err)
	}
	if err := replace(path, old, text, info); err != nil {
		return pos.File, false, err
	}
	return pos.File, true, nil
}

// swapped returns the symbolic link on the way to a directory that looks like one of those that are
// swapped for another state, "" for none: git-sync's and Kubernetes' point at a neighbour. Those in the
// root directory belong to the system.
func swapped(dir string) string {
	at, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for up := filepath.Dir(at); up != filepath.Dir(up); at, up = up, filepath.Dir(up) {
		if to, err := os.Readlink(at); err == nil && !filepath.IsAbs(to) {
			return at
		}
	}
	return ""
}

// place is where the document is that has to be edited, and whether it says so already.
func (r *Revocation) place(set *license.Set) (pos license.Position, done bool, err error) {
	switch r.Kind {
	case RevokeCustomer:
		if c := set.Customer(r.ID); c != nil {
			return c.Pos, c.Banned, nil
		}
		return pos, false, noSuch("customer", r.ID)
	case RevokeLicense:
		if l := set.License(r.ID); l != nil {
			if l.Revoked != nil && l.Revoked.At > r.At.Unix() {
				return l.Pos, false, fmt.Errorf("%s: license %s is revoked from %s on: change that instant by hand", l.Pos, l.ID, time.Unix(l.Revoked.At, 0).UTC().Format(time.RFC3339))
			}
			return l.Pos, l.Revoked != nil, nil
		}
		return pos, false, noSuch("license", r.ID)
	case RevokeKey:
		c := set.Customer(r.Customer)
		if c == nil {
			return pos, false, noSuch("customer", r.Customer)
		}
		if !slices.ContainsFunc(c.Keys, func(k license.Key) bool { return k.ID == r.Key }) {
			return c.Pos, false, noSuch("key", r.Customer+"/"+r.Key)
		}
		return c.Pos, false, nil
	case RevokeDigest:
		reg := set.Registry(r.Registry)
		if reg == nil {
			return pos, false, noSuch("registry", r.Registry)
		}
		has := slices.ContainsFunc(reg.RevokedDigests, func(d license.RevokedDigest) bool {
			return d.Repository == r.Repository && d.Digest == r.Digest && d.At <= r.At.Unix()
		})
		return reg.Pos, has, nil
	}
	return pos, false, fmt.Errorf("%q cannot be revoked", r.Kind)
}

// Done says whether a set has the revocation: what is revoked is so by then, a key is gone.
func (r *Revocation) Done(set *license.Set) bool {
	_, done, err := r.place(set)
	if r.Kind == RevokeKey {
		return errors.Is(err, ErrNoSuch)
	}
	return err == nil && done
}

// advice is what a person would write.
func (r *Revocation) advice() string {
	switch r.Kind {
	case RevokeCustomer:
		return "status: banned"
	case RevokeLicense:
		return "status: " + r.revoked()
	case RevokeKey:
		return "take the key " + r.Key + " out"
	default:
		return "under revoked_digests: " + r.digest()
	}
}

func (r *Revocation) instant() string { return r.At.UTC().Format(time.RFC3339) }

func (r *Revocation) because() string {
	if r.Reason == "" {
		return ""
	}
	return ", reason: " + quote(r.Reason)
}

func (r *Revocation) revoked() string {
	return "{revoked: {at: " + r.instant() + r.because() + "}}"
}

func (r *Revocation) digest() string {
	return "{repository: " + quote(r.Repository) + ", digest: " + quote(r.Digest) + ", at: " + r.instant() + r.because() + "}"
}

// quote writes a text as a YAML string that means it, whatever it is (YAML 1.2.2, section 7.3.2).
func quote(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// edit returns the file's text with the revocation in it.
func (r *Revocation) edit(text []byte) ([]byte, error) {
	e := &textEditor{text: text}
	kind, id := map[RevocationKind]string{RevokeCustomer: "Customer", RevokeLicense: "License", RevokeKey: "Customer", RevokeDigest: "Registry"}[r.Kind], r.ID
	switch r.Kind {
	case RevokeKey:
		id = r.Customer
	case RevokeDigest:
		id = r.Registry
	}
	doc, err := e.document(kind, id)
	if err != nil {
		return nil, err
	}
	switch r.Kind {
	case RevokeCustomer:
		return e.set(doc, "status", "banned")
	case RevokeLicense:
		return e.set(doc, "status", r.revoked())
	case RevokeKey:
		return e.takeOut(doc, "keys", r.Key)
	default:
		return e.add(doc, "revoked_digests", r.digest())
	}
}

// proves reads the directory as it would be and compares what it says with what was to be.
func (d Dir) proves(ctx context.Context, r Revocation, file string, text []byte) error {
	real, err := filepath.EvalSymlinks(d.Path)
	if err != nil {
		return err
	}
	set, err := license.Load(&edited{FS: os.DirFS(real), name: file, text: text})
	if err != nil {
		return fmt.Errorf("the edit would be a mistake: %w", err)
	}
	if !r.Done(set) {
		return errors.New("the edit would not mean what it should")
	}
	before, err := d.Load(ctx)
	if err != nil {
		return err
	}
	return r.only(before.Set, set)
}

// edited is a directory in which one file has another text.
type edited struct {
	fs.FS
	name string
	text []byte
}

func (e *edited) Open(name string) (fs.File, error) {
	f, err := e.FS.Open(name)
	if err != nil || name != e.name {
		return f, err
	}
	return &textFile{File: f, r: bytes.NewReader(e.text)}, nil
}

type textFile struct {
	fs.File
	r io.Reader
}

func (f *textFile) Read(p []byte) (int, error) { return f.r.Read(p) }

// only says what else an edit has changed.
func (r *Revocation) only(before, after *license.Set) error {
	type counts struct{ registries, products, releases, plans, customers, licenses, public, keys int }
	count := func(s *license.Set) (n counts) {
		n = counts{registries: len(s.Registries), products: len(s.Products), releases: len(s.Releases), plans: len(s.Plans), customers: len(s.Customers), licenses: len(s.Licenses), public: len(s.Public)}
		for i := range s.Customers {
			n.keys += len(s.Customers[i].Keys)
		}
		return n
	}
	b, a := count(before), count(after)
	if r.Kind == RevokeKey {
		b.keys--
	}
	if a != b {
		return errors.New("the edit would change something else")
	}
	return nil
}
