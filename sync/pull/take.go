package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// ask asks one source, takes what is new, and returns how long to pause.
func (p *Puller) ask(ctx context.Context, s *asked) (pause time.Duration, err error) {
	tag := s.tag
	if tag == "" && p.active != nil {
		tag = `"` + p.active.Sum + `"` // what pullgate's own publisher calls it
	}
	wait := p.cfg.Wait
	if !p.heard { // first whether what is in use is the newest, which ends a stale state at once
		wait = 0
	}
	started := time.Now()
	a, err := s.ask(ctx, tag, wait)
	if err != nil {
		return 0, err
	}
	fresh := false
	if a.unchanged {
		err = p.refreshed()
	} else {
		defer a.body.Close()
		fresh, err = p.read(ctx, s, a)
	}
	if err != nil {
		return 0, err
	}
	result := "unchanged"
	if fresh {
		result = "new"
	}
	p.metrics.pulls.WithLabelValues(result).Inc()
	first := !p.heard
	p.heard = true
	_, isFile := s.source.(*fileSource)
	switch {
	case isFile:
		return filePoll, nil
	case first && p.cfg.Wait > 0, a.waits && fresh:
		return 0, nil
	case a.waits && a.unchanged: // at once, unless it did not wait after all
		return max(0, time.Second-time.Since(started)), nil
	}
	return p.cfg.Poll - p.cfg.Poll/20 + time.Duration(rand.N(int64(p.cfg.Poll/10)+1)), nil
}

// read verifies what a source has sent, and takes it if it is new.
func (p *Puller) read(ctx context.Context, s *asked, a *answer) (fresh bool, err error) {
	sp := p.store.spool()
	body := &noted{Reader: a.body}
	b, err := bundle.Read(io.TeeReader(body, sp), p.cfg.Ring, p.options())
	v := version{Sum: sp.sum()}
	switch {
	case errors.Is(body.err, errSlow), errors.Is(body.err, bundle.ErrTooLarge):
		err = body.err
	case body.err != nil && !errors.Is(body.err, io.EOF):
		err = fmt.Errorf("the answer broke off: %w", body.err)
	case err != nil:
		if strings.HasPrefix(a.kind, "text/") || a.kind == "application/json" {
			err = fmt.Errorf("%w (it is sent as %q)", err, a.kind)
		}
	default:
		v.Serial = b.Serial()
		err = p.judge(b, v)
	}
	switch {
	case err != nil:
	case p.active != nil && p.active.version == v:
		err = p.refreshed()
	default:
		if err = p.take(ctx, b, v, sp, p.now()); err == nil {
			s.tag = a.tag
		}
		return err == nil, err
	}
	sp.discard()
	if err == nil {
		s.tag = a.tag
	}
	return false, err
}

// options are what every bundle must be, whatever its signature says.
func (p *Puller) options() bundle.ReadOptions {
	return bundle.ReadOptions{Name: p.cfg.Name, MinSerial: max(p.cfg.MinSerial, p.state.Highest.Serial), MaxBytes: p.cfg.MaxBytes, Like: p.like, Dense: dense, GiveWay: p.cfg.GiveWay}
}

// noted is a reader that keeps its error: bundle.Read calls a source that breaks off a file that ends early.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	if err != nil {
		n.err = err
	}
	return k, err
}

// judge says whether a verified bundle may be used now.
func (p *Puller) judge(b *bundle.Bundle, v version) error {
	if h := p.state.Highest; v.Serial == h.Serial && v.Sum != h.Sum {
		return fmt.Errorf("%w: serial %d", errChanged, v.Serial)
	}
	return p.judgeAge(b.IssuedAt(), b.NotAfter())
}

func (p *Puller) judgeAge(issuedAt, notAfter int64) error {
	now := p.cfg.Clock.Now()
	switch {
	case issuedAt > now.Add(ahead).Unix():
		return fmt.Errorf("%w: at %s, when it is %s here", errFuture, instant(issuedAt), instant(now.Unix()))
	case notAfter <= now.Unix():
		return fmt.Errorf("%w: %s, when it is %s here", errExpired, instant(notAfter), instant(now.Unix()))
	}
	return nil
}

func instant(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// take makes a bundle that was judged the active one. Its bytes are on disk, and after them that
// nothing older may follow, before it is active. What the disk does not take is held in memory and
// said: not to use a bundle because of a full disk would make a revocation wait for whoever mends it.
// sp is nil for the bundle that was kept, and r is when it was known to be the newest.
func (p *Puller) take(ctx context.Context, b *bundle.Bundle, v version, sp *spool, r refresh) error {
	p.cfg.Clock.Raise(b.IssuedAt())
	_ = p.cfg.Clock.Save() // Clock.Problem has it
	p.disk.Lock()
	if sp != nil {
		_ = sp.flush() // tried again below
	}
	p.mu.Lock()
	if v.Serial >= p.state.Highest.Serial {
		p.state.Highest, p.state.Good = v, version{}
	}
	p.mu.Unlock()
	err := p.save()
	p.disk.Unlock()
	if err != nil {
		p.cfg.Logger.Error("the serial of a bundle is not kept before it is made active", "serial", v.Serial, "error", err)
	}

	if err := p.cfg.Deliver(ctx, b); err != nil {
		sp.discard()
		p.unused(v)
		return fmt.Errorf("%w: serial %d: %w", errRefused, v.Serial, err)
	}
	p.disk.Lock()
	defer p.disk.Unlock()
	p.mu.Lock()
	p.active, p.kept, p.refresh = &used{v, b.IssuedAt(), b.NotAfter()}, nil, r
	if sp != nil {
		p.unkept.discard()
		p.unkept, p.lost = sp, ""
	}
	p.mu.Unlock()
	p.like = b.Objects()
	for _, s := range p.sources {
		s.tag = ""
	}
	p.keep()
	p.climb()
	return nil
}

// unused notes that a bundle could not be made active: the one on disk is still good at a start.
func (p *Puller) unused(v version) {
	p.disk.Lock()
	defer p.disk.Unlock()
	p.mu.Lock()
	if p.unkept == nil && p.onDisk != v {
		p.state.Good = p.onDisk
	}
	p.mu.Unlock()
	_ = p.save() // without it a start waits for the publisher
}

// refreshed notes that the active bundle is the newest, which counts for as long as it is good.
func (p *Puller) refreshed() error {
	if err := p.judgeAge(p.active.issuedAt, p.active.notAfter); err != nil {
		return fmt.Errorf("%w; the publisher has no newer one", err)
	}
	p.mu.Lock()
	p.refresh = p.now()
	p.lost = ""
	p.mu.Unlock()
	p.climb()
	return nil
}

// open reads what an earlier process has kept. What is wrong with it is said and not used; the
// publisher has another.
func (p *Puller) open() {
	st, stateErr := p.store.load(p.cfg.Name)
	p.state = state{Format: 1, Name: p.cfg.Name}
	if stateErr == nil {
		p.state = st
	}
	p.store.recover(p.state.Highest.Sum)
	path := p.store.path(bundleFile)
	b, v, err := p.readKept(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if stateErr == nil && st.Highest.Serial > 0 {
			p.kept = &kept{err: failed(path, err)}
		}
	case err == nil && stateErr != nil:
		p.state.Highest = v // the best that is known
	case err == nil:
		err = p.state.admits(v)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.kept = &kept{err: failed(path, err)}
	}
	if err == nil {
		p.kept, p.onDisk = &kept{bundle: b, file: v}, v
		if stateErr == nil {
			p.kept.refreshed = st.Refreshed
		}
	}
	if stateErr != nil && !(errors.Is(stateErr, os.ErrNotExist) && p.kept == nil) {
		p.lost = fmt.Sprintf("bundle: %s: %s; ", p.store.path(stateFile), line(stateErr))
		if p.lost += "the highest serial is not known"; v.Serial > 0 {
			p.lost += fmt.Sprintf(", %d of the kept bundle is the lowest that is taken", v.Serial)
		}
		p.cfg.Logger.Error("the state of the bundle is lost", "error", p.lost)
	}
	if p.kept != nil && p.kept.err != nil {
		p.cfg.Logger.Error("the kept bundle is not used", "error", p.kept.err)
	}
}

// readKept verifies the bundle on disk.
func (p *Puller) readKept(path string) (*bundle.Bundle, version, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, version{}, err
	}
	defer f.Close()
	h := sha256.New()
	b, err := bundle.Read(io.TeeReader(f, h), p.cfg.Ring, bundle.ReadOptions{Name: p.cfg.Name, MinSerial: p.cfg.MinSerial, MaxBytes: p.cfg.MaxBytes, Dense: dense})
	if err != nil {
		return nil, version{}, err
	}
	return b, version{b.Serial(), hex.EncodeToString(h.Sum(nil))}, nil
}

// useKept makes the kept bundle active when it can be: at the start, or once the clock allows.
func (p *Puller) useKept(ctx context.Context) {
	k := p.kept
	if k == nil || k.bundle == nil || p.active != nil || ctx.Err() != nil {
		return
	}
	err := p.judgeAge(k.bundle.IssuedAt(), k.bundle.NotAfter())
	if err == nil {
		err = p.take(ctx, k.bundle, k.file, nil, p.since(k))
	}
	if err != nil && ctx.Err() == nil {
		p.mu.Lock()
		k.err = failed(p.store.path(bundleFile), err)
		p.mu.Unlock()
	}
}
