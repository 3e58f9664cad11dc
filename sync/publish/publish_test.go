package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// An engine stands for what takes bundles; it refuses while refuse is set.
type engine struct {
	mu     sync.Mutex
	got    []*bundle.Bundle
	refuse error
}

func (e *engine) take(_ context.Context, issue *Issue) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse == nil {
		e.got = append(e.got, issue.Bundle)
	}
	return e.refuse
}

func newPublisher(t *testing.T, change ...func(*Config)) (*Publisher, *engine) {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := bundle.NewKeyRing(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{}
	cfg := Config{Signer: signer, Ring: ring, Bundles: []Bundle{{Deliver: e.take}}}
	for _, f := range change {
		f(&cfg)
	}
	return New(cfg), e
}

// licenses are of acme, for a range of versions; more products have no repository anywhere.
func licenses(t *testing.T, versions string, more int) *license.Set {
	t.Helper()
	text := "kind: Registry\nid: main\nhosts: [registry.example]\nupstream: https://upstream.example\n" +
		"---\nkind: Product\nid: app\nrepositories: [acme/app]\n---\nkind: Customer\nid: acme\n" +
		"---\nkind: License\nid: acme-app\ncustomer: acme\ntype: perpetual\nstarts: 2020-01-01\nends: never\nupdates: forever\n" +
		"grants: [{product: app, versions: \"" + versions + "\"}]\n"
	for i := range more {
		text += fmt.Sprintf("---\nkind: Product\nid: more%d\nrepositories: [acme/more%d]\n", i, i)
	}
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// tagged is a catalog with one repository and tags of it.
func tagged(tags ...string) *catalog.Catalog {
	r := &catalog.Repository{Tags: map[string]catalog.Tag{}, Manifests: map[string]*catalog.Manifest{}}
	for _, tag := range tags {
		d := catalog.DigestOf(tag)
		r.Tags[tag] = catalog.Tag{Digest: d, Seen: catalog.Always}
		r.Manifests[d] = &catalog.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Created: catalog.Always}
	}
	return &catalog.Catalog{Repositories: map[string]*catalog.Repository{"acme/app": r}}
}

func (e *engine) last(t *testing.T, n int) *bundle.Bundle {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.got) != n {
		t.Fatalf("%d bundles delivered, want %d", len(e.got), n)
	}
	return e.got[n-1]
}

func TestCatalogWaitsForLicenses(t *testing.T) {
	p, e := newPublisher(t)
	if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0")); err != nil || len(e.got) != 0 {
		t.Fatal(err, len(e.got))
	}
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	e.last(t, 1)
}

func TestTheSameContentIsDeliveredOnce(t *testing.T) {
	p, e := newPublisher(t)
	for range 3 {
		if err := errors.Join(p.SetCatalog(t.Context(), "main", tagged("1.0.0")), p.SetLicenses(t.Context(), licenses(t, "all", 0), nil)); err != nil {
			t.Fatal(err)
		}
	}
	first := e.last(t, 1)
	if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0")); err != nil {
		t.Fatal(err)
	}
	if second := e.last(t, 2); second.Revision() == first.Revision() || second.Serial() <= first.Serial() {
		t.Fatalf("%s %d after %s %d", second.Revision(), second.Serial(), first.Revision(), first.Serial())
	}
}

// What is refused leaves the sources as they were: the next publication is made of the good ones.
func TestRefusedSourcesAreTakenBack(t *testing.T) {
	good := licenses(t, ">=1.0.0", 0)
	for name, spoil := range map[string]func(p *Publisher, e *engine) error{
		"licenses that are not activated": func(p *Publisher, e *engine) error {
			e.refuse = errors.New("no")
			return p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil)
		},
		"rules that are not compiled": func(p *Publisher, _ *engine) error {
			return p.SetLicenses(t.Context(), good, map[string][]byte{"x.rego": []byte("not rego")})
		},
		"a catalog that is not activated": func(p *Publisher, e *engine) error {
			e.refuse = errors.New("no")
			return p.SetCatalog(t.Context(), "main", tagged("1.0.0", "9.0.0"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := newPublisher(t)
			if err := errors.Join(p.SetCatalog(t.Context(), "main", tagged("1.0.0")), p.SetLicenses(t.Context(), good, nil)); err != nil {
				t.Fatal(err)
			}
			before := e.last(t, 1)
			if err := spoil(p, e); err == nil {
				t.Fatal("taken")
			}
			e.refuse = nil
			if p.Set() != good {
				t.Error("the refused set is in use")
			}
			p.mu.Lock()
			_, err := p.publish(t.Context(), true)
			p.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			if after := e.last(t, 2); after.Revision() != before.Revision() {
				t.Errorf("revision %s after %s", after.Revision(), before.Revision())
			}
		})
	}
	t.Run("a first catalog", func(t *testing.T) {
		p, e := newPublisher(t)
		if err := p.SetLicenses(t.Context(), good, nil); err != nil {
			t.Fatal(err)
		}
		e.refuse = errors.New("no")
		if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0")); err == nil || len(p.catalogs) != 0 {
			t.Fatal(err, p.catalogs)
		}
	})
}

func TestRunIssuesAgainAtHalfOfTheValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, e := newPublisher(t, func(c *Config) { c.Validity = 10 * time.Hour })
		if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
			t.Fatal(err)
		}
		first := e.last(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		<-time.After(5*time.Hour - time.Second)
		synctest.Wait()
		e.last(t, 1)
		<-time.After(2 * time.Second)
		synctest.Wait()
		second := e.last(t, 2)
		if second.Revision() != first.Revision() || second.Serial() <= first.Serial() || second.NotAfter() != first.NotAfter()+5*3600 {
			t.Errorf("serial %d until %d after serial %d until %d", second.Serial(), second.NotAfter(), first.Serial(), first.NotAfter())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWarningsAreLoggedOnceAndBounded(t *testing.T) {
	var log bytes.Buffer
	p, _ := newPublisher(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	set := licenses(t, "all", 50)
	err := errors.Join(p.SetCatalog(t.Context(), "main", tagged("1.0.0")), p.SetLicenses(t.Context(), set, nil), p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0")))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "msg=licenses warning="); n != mostWarnings || strings.Count(log.String(), "more=30") != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
}

// What is published for an edit says when that was made, also under a serial that somebody else hands
// out; what is published for another reason, or later, does not.
func TestWhatIsPublishedForAnEditSaysWhenThatWasMade(t *testing.T) {
	var edited []time.Time
	held := false
	p, _ := newPublisher(t, func(c *Config) {
		b := &c.Bundles[0]
		b.NextSerial = func(_ context.Context, atLeast int64) (int64, error) { return atLeast + 1, nil }
		b.Deliver = func(_ context.Context, issue *Issue) error {
			edited = append(edited, issue.Edited)
			return nil
		}
		b.Approve = func(context.Context, *license.Set, *bundle.Bundle, *bundle.Bundle) error {
			if held {
				return errors.New("somebody has to look at it")
			}
			return nil
		}
	})
	at := time.Unix(1_780_000_000, 0)
	for i, step := range []struct {
		do   func() error
		want time.Time
	}{
		{func() error { return p.SetLicenses(t.Context(), licenses(t, "all", 0), nil) }, time.Time{}},
		{func() error { return p.SetEdit(t.Context(), licenses(t, ">=1.0.0", 0), nil, at) }, at},
		{func() error { return p.SetCatalog(t.Context(), "main", tagged("1.0.0")) }, time.Time{}},
		{func() error {
			held = true
			err := p.SetEdit(t.Context(), licenses(t, ">=2.0.0", 0), nil, at)
			return errors.Join(err, p.Accept(t.Context(), "", p.Held()[0].Revision))
		}, time.Time{}},
	} {
		if err := step.do(); err != nil || len(edited) != i+1 {
			t.Fatalf("step %d: %v, %d published", i, err, len(edited))
		}
		if !edited[i].Equal(step.want) {
			t.Errorf("step %d: edited at %v, want %v", i, edited[i], step.want)
		}
	}
}
