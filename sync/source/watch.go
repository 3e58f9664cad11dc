package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pullgate/pullgate/bundle/license"
)

// maxSettle bounds how long a directory that never rests keeps an edit waiting.
const maxSettle = 3 * time.Second

// Watch loads the directory, calls report with the outcome, and then again after every edit that
// changes it, until ctx is done; then it returns nil. A Snapshot is reported when its content
// differs from the one reported before, or when an error was reported in between; an error when
// its text differs from the one reported before, or it is Refused and states something else: report is
// called with exactly one of the two, and never concurrently. After an error the last Snapshot is still the one to use.
//
// An edit is read once nothing has changed for Settle, and what changed while it was read is not
// reported but read again, so that a checkout in the middle is never a Snapshot; nothing that changed
// is read while Git holds the lock of its index. Where the file
// system gives no notice of changes, Poll finds them.
func (d Dir) Watch(ctx context.Context, report func(*Snapshot, error)) error {
	w := watcher{dir: d, notices: newNotices(d.deaf)}
	defer w.notices.close()
	r := Reporter{Report: report}
	seen := w.look()
	seen, snap, err := w.read(ctx, seen)
	if err != nil { // it may be in the making
		seen, snap, err = w.read(ctx, w.rest(ctx, seen))
	}
	for ctx.Err() == nil {
		r.Tell(snap, err)
		if seen = w.await(ctx, seen); ctx.Err() == nil {
			seen, snap, err = w.read(ctx, seen)
		}
	}
	return nil
}

// watcher is one Watch.
type watcher struct {
	dir     Dir
	notices *notices
	kept    kept
}

// look looks at everything, and follows the notices of what it sees.
func (w *watcher) look() look {
	w.notices.noticed() // what came until now is seen
	l := w.dir.look()
	w.notices.follow(l)
	return l
}

// again is what the directory looks like now: at the paths that notices named since seen, or, when
// there are none to rely on, everywhere.
func (w *watcher) again(seen look, noticed bool) look {
	if noticed {
		if paths, all := w.notices.noticed(); !all {
			if now, ok := seen.touched(paths); ok {
				return now
			}
		}
	}
	return w.look()
}

// read loads the directory until it looks the same after as before, which it returns too.
func (w *watcher) read(ctx context.Context, before look) (look, *Snapshot, error) {
	for end := (time.Time{}); ; {
		snap, err := w.kept.load(ctx, w.dir, before)
		err = w.dir.refused(err)
		if end.IsZero() {
			end = time.Now().Add(maxSettle)
		}
		after := w.again(before, before.byNotice)
		if after.same(&before) || time.Now().After(end) && !checkingOut(w.dir.Path) || ctx.Err() != nil {
			return before, snap, err
		}
		before = w.rest(ctx, after)
	}
}

// refused adds to an error what files with mistakes take back.
func (d Dir) refused(err error) error {
	if _, ok := errors.AsType[license.Errors](err); !ok {
		return err
	}
	real, wrong := filepath.EvalSymlinks(d.Path)
	if wrong != nil {
		return err
	}
	return &Refused{Err: err, Stated: license.Stated(os.DirFS(real))}
}

// await returns what the directory looks like once it looks different from seen and has come to
// rest, or has to be read again all the same, or when ctx is done.
func (w *watcher) await(ctx context.Context, seen look) look {
	for {
		noticed := false
		timer := time.NewTimer(max(w.dir.poll(), min(10*seen.took, 2*time.Second)))
		select {
		case <-ctx.Done():
		case <-w.notices.wake:
			noticed = true
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return seen
		}
		now := w.again(seen, noticed)
		if !now.same(&seen) {
			return w.rest(ctx, now)
		}
		seen = now
		if w.kept.due(now.at) {
			return now
		}
	}
}

// rest waits until the directory has looked the same for Settle, but not for ever, and until Git has
// ended what it does to it.
func (w *watcher) rest(ctx context.Context, was look) look {
	busy := checkingOut(w.dir.Path)
	for end := time.Now().Add(maxSettle); ; {
		timer := time.NewTimer(w.dir.settle())
		select {
		case <-ctx.Done():
			timer.Stop()
			return was
		case <-timer.C:
		}
		now := w.again(was, was.byNotice)
		if !busy && (now.same(&was) || time.Now().After(end)) {
			return now
		}
		was, busy = now, checkingOut(w.dir.Path)
	}
}

// Reporter calls Report, and leaves out what was reported before: a Snapshot with the hash of the
// last one, unless an error came in between, and an error with the text of the last report that states
// the same (Refused).
type Reporter struct {
	Report func(*Snapshot, error)
	hash   string // of the last Snapshot
	err    string // the last error, "" after a Snapshot
	stated string // with it
}

// Tell takes a Snapshot or an error.
func (r *Reporter) Tell(snap *Snapshot, err error) {
	if err == nil {
		if r.err != "" || snap.Hash != r.hash {
			r.err, r.stated, r.hash = "", "", snap.Hash
			r.Report(snap, nil)
		}
		return
	}
	stated := r.stated
	if refused, ok := errors.AsType[*Refused](err); ok {
		stated = refused.states()
	}
	if err.Error() != r.err || stated != r.stated {
		r.err, r.stated = err.Error(), stated
		r.Report(nil, err)
	}
}

// Refused is that a source has mistakes, and what it takes back all the same: see license.Stated.
type Refused struct {
	Err    error
	Stated *license.Set
}

func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap is what is wrong.
func (r *Refused) Unwrap() error { return r.Err }

// states is a text that differs when it states something else.
func (r *Refused) states() string {
	var b strings.Builder
	for i := range r.Stated.Customers {
		fmt.Fprintln(&b, r.Stated.Customers[i].ID)
	}
	for i := range r.Stated.Licenses {
		l := &r.Stated.Licenses[i]
		fmt.Fprintln(&b, l.Customer, l.ID, *l.Revoked)
	}
	for i := range r.Stated.Registries {
		fmt.Fprintln(&b, r.Stated.Registries[i].ID, r.Stated.Registries[i].RevokedDigests)
	}
	return b.String()
}

// notices are the file system's own; none where it has none or they run out.
type notices struct {
	w    *fsnotify.Watcher
	wake chan struct{} // one is enough for any number of changes

	mu      sync.Mutex
	follows map[string]bool // the folders below the directory
	holders map[string]bool // the folders that hold it
	names   map[string]bool // what counts of those
	changed map[string]bool // paths that notices named
	all     bool            // some notices are lost, or too many to tell apart
}

// mostNoticed is how many paths are told apart.
const mostNoticed = 1000

// noticed returns the paths that notices named since it was last asked, or that it may be any.
func (n *notices) noticed() (paths []string, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	paths, all = slices.Collect(maps.Keys(n.changed)), n.all || n.w == nil
	clear(n.changed)
	n.all = false
	return paths, all
}

// note takes in the path that a notice named; "" when it named none.
func (n *notices) note(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path == "" || len(n.changed) == mostNoticed {
		n.all = true
		return
	}
	n.changed[path] = true
}

func newNotices(deaf bool) *notices {
	n := &notices{wake: make(chan struct{}, 1), follows: map[string]bool{}, holders: map[string]bool{}, changed: map[string]bool{}}
	if deaf {
		return n
	}
	if w, err := fsnotify.NewWatcher(); err == nil {
		n.w = w
		go n.listen()
	}
	return n
}

func (n *notices) listen() {
	for {
		select {
		case e, ok := <-n.w.Events:
			if !ok {
				return
			}
			if !n.matters(e.Name) {
				continue
			}
			n.note(e.Name)
		case _, ok := <-n.w.Errors: // an overflow is news too
			if !ok {
				return
			}
			n.note("")
		}
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// matters leaves out what else goes on in a folder that holds the directory, such as /tmp.
func (n *notices) matters(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	folder := filepath.Dir(name)
	return n.follows[folder] || n.follows[name] || !n.holders[folder] || n.names[name]
}

// follow watches exactly the folders of a look. Adding one again is how a folder that was
// replaced under the same name is found: the file system forgets a watch with its folder.
func (n *notices) follow(l look) {
	if n.w == nil {
		return
	}
	n.mu.Lock()
	was, wasHolders := n.follows, n.holders
	n.follows, n.holders, n.names = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range l.dirs {
		n.follows[d] = true
	}
	for _, p := range l.paths {
		n.names[p], n.holders[filepath.Dir(p)] = true, true
	}
	now := maps.Clone(n.follows)
	maps.Copy(now, n.holders)
	n.mu.Unlock()
	for d := range now {
		_ = n.w.Add(d) // what cannot be watched is still polled
	}
	maps.Copy(was, wasHolders)
	for d := range was {
		if !now[d] {
			_ = n.w.Remove(d)
		}
	}
}

func (n *notices) close() {
	if n.w != nil {
		n.w.Close()
	}
}
