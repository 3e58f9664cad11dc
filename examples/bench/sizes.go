package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/examples/load/drive"
)

// sizes measures what does not come as a ratio.
func (b *bench) sizes(ctx context.Context) (*result, error) {
	var rows []row
	for _, measure := range []func(context.Context) ([]row, error){b.licenseSize, b.indexSize, b.lists, b.binarySize} {
		more, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return &result{rows: rows, note: fmt.Sprintf("%d customers with %d licenses each, %d of them warm; %d digests; medians of %d.",
		b.o.crowd, licenses, min(b.o.customers, b.o.crowd), b.o.digests, b.o.rounds)}, nil
}

// weight is the memory of a sidecar that has answered customers, and has been left alone since.
type weight struct{ rss, live float64 }

// weigh follows a bundle and lets a number of its customers ask.
func (b *bench) weigh(ctx context.Context, c *crowd, dir string, warm int) (w weight, err error) {
	s, err := startFollowing(ctx, b.o.pullgate, dir, "file://"+c.bundle(0), c.publicKey(), "")
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	mix := drive.Mix{Host: host, Who: c.who(warm), For: func(n int) []drive.Target { return allowed(n, n) }}
	x, err := newSide("a customer", s, "ok", mix, 2*warm, 2*b.o.customers, 16)
	if err != nil {
		return w, err
	}
	defer x.driver.Close()
	for range 3 { // the collector has seen what is live at least once
		if err := x.turn(ctx, false); err != nil {
			return w, err
		}
	}
	time.Sleep(b.o.spell) // memory that is free goes back to the system
	if w.rss, err = memory(s.pids[0], "VmRSS"); err != nil {
		return w, err
	}
	next, err := s.value(ctx, "go_memstats_next_gc_bytes")
	if err != nil {
		return w, err
	}
	percent, err := s.value(ctx, "go_gc_gogc_percent")
	w.live = next / (1 + percent/100)
	return w, err
}

// licenseSize is what a license takes, beyond what pullgate takes with hardly any.
func (b *bench) licenseSize(ctx context.Context) ([]row, error) {
	many := &crowd{Dir: b.dir + "/many", Customers: b.o.crowd, Bundles: 1}
	few := &crowd{Dir: b.dir + "/few", Customers: asked, Bundles: 1}
	b.say("%d customers are made, compiled and signed", many.Customers)
	if err := errors.Join(b.make(ctx, many), b.make(ctx, few)); err != nil {
		return nil, err
	}
	rss := row{what: "memory a license (RSS)", against: "hardly any licenses", unit: " B", must: 250, aim: 180}
	live := row{what: "live heap a license", against: "hardly any licenses", unit: " B", must: 250, aim: 180}
	warm := min(b.o.customers, b.o.crowd)
	of := float64((many.Customers - few.Customers) * licenses)
	for n := range min(b.o.rounds, 3) {
		all, err := b.weigh(ctx, many, fmt.Sprintf("%s/follows-%d", many.Dir, n), warm)
		if err != nil {
			return nil, err
		}
		none, err := b.weigh(ctx, few, fmt.Sprintf("%s/follows-%d", few.Dir, n), asked)
		if err != nil {
			return nil, err
		}
		rss.samples = append(rss.samples, (all.rss-none.rss)/of)
		live.samples = append(live.samples, (all.live-none.live)/of)
		b.say("memory %.0f MB, live %.0f MB; with %d customers %.0f MB, live %.0f MB", all.rss/mb, all.live/mb, few.Customers, none.rss/mb, none.live/mb)
	}
	return []row{rss, live}, nil
}

// indexSize measures an index by itself, in this process.
func (b *bench) indexSize(ctx context.Context) ([]row, error) {
	c := &crowd{Dir: b.dir + "/index", Customers: asked, Digests: b.o.digests, Bundles: 1}
	b.say("%d digests are made", c.Digests)
	if err := b.make(ctx, c); err != nil {
		return nil, err
	}
	data, err := c.index()
	if err != nil {
		return nil, err
	}
	type question struct {
		repository string
		digest     index.Digest
	}
	var questions []question
	for name, r := range c.catalog(0).Repositories {
		for manifest, m := range r.Manifests {
			for _, text := range append([]string{manifest, m.Config}, m.Layers...) {
				if text == "" { // an index has no config
					continue
				}
				var d index.Digest
				if _, err := hex.Decode(d[:], []byte(strings.TrimPrefix(text, "sha256:"))); err != nil {
					return nil, err
				}
				questions = append(questions, question{name, d})
			}
		}
	}
	rand.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	before := liveHere()
	x, err := index.Open(data)
	if err != nil {
		return nil, err
	}
	size := row{what: "index, a digest", unit: " B", must: 60, aim: 40, samples: []float64{(float64(len(data)) + liveHere() - before) / float64(len(questions))}}
	lookup := row{what: "a look-up of a random digest", unit: " ns", must: 1000, aim: 300}
	for range b.o.rounds {
		began := time.Now()
		for i := range questions {
			r, _ := x.Repository("main", questions[i].repository)
			if _, ok := r.Node(questions[i].digest); !ok {
				return nil, fmt.Errorf("%s: %x is not in the index", questions[i].repository, questions[i].digest)
			}
		}
		lookup.samples = append(lookup.samples, float64(time.Since(began).Nanoseconds())/float64(len(questions)))
	}
	return []row{size, lookup}, nil
}

// index is that of the first bundle.
func (c *crowd) index() ([]byte, error) {
	text, err := os.ReadFile(c.publicKey())
	if err != nil {
		return nil, err
	}
	keys, err := bundle.ParsePublic(text)
	if err != nil {
		return nil, err
	}
	ring, err := bundle.NewKeyRing(keys...)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(c.bundle(0))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	signed, err := bundle.Read(f, ring, bundle.ReadOptions{})
	if err != nil {
		return nil, err
	}
	return signed.File(bundle.IndexPath), nil
}

// lists measures the first answer of tag lists, over gRPC: every one is evaluated.
func (b *bench) lists(ctx context.Context) (rows []row, err error) {
	v, err := newVendor(ctx, b.o.pullgate, b.dir+"/lists", asked, nil)
	if err != nil {
		return nil, err
	}
	// A product's versions again, up to the number: customers have those below 1.40.0 of each thousand.
	var catalog, vendorFile strings.Builder
	fmt.Fprintf(&vendorFile, "kind: Registry\nid: main\nhosts: [%s]\nupstream: http://127.0.0.1:1\n", host)
	fmt.Fprint(&catalog, "kind: Catalog\nrepositories:\n")
	for p, n := range b.o.tags {
		fmt.Fprintf(&vendorFile, "---\nkind: Product\nid: p%d\nrepositories: [acme/p%d]\n", p, p)
		fmt.Fprintf(&catalog, "  acme/p%d:\n    tags:\n", p)
		for i := range n {
			fmt.Fprintf(&catalog, "      1.%d.%d: I\n", i%(2*granted), i)
		}
		fmt.Fprint(&catalog, "    manifests:\n      I: {config: C, layers: [L]}\n")
	}
	for p := len(b.o.tags); p < products; p++ {
		fmt.Fprintf(&vendorFile, "---\nkind: Product\nid: p%d\nrepositories: [acme/p%d]\n", p, p)
	}
	if err := errors.Join(os.WriteFile(v.path("licenses/vendor.yaml"), []byte(vendorFile.String()), 0o644), os.WriteFile(v.path("catalog.yaml"), []byte(catalog.String()), 0o644), v.build(ctx, b.o.pullgate)); err != nil {
		return nil, err
	}
	s, err := startPullgate(ctx, b.o.pullgate, v, "lists", "cache_bytes: 0\n")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	budgets := [][2]float64{{5, 2}, {50, 20}}
	for p, n := range b.o.tags {
		r := row{what: fmt.Sprintf("the list of %d tags, half of them visible, evaluated", n), unit: " ms", must: budgets[p][0], aim: budgets[p][1]}
		mix := drive.Mix{Host: host, Who: v.who(p + 1)[p:], What: []drive.Target{{Method: "GET", Path: fmt.Sprintf("/v2/acme/p%d/tags/list", p)}}}
		x, err := newSide(r.what, s, "denied 200", mix, 10, 10, 1)
		if err != nil {
			return nil, err
		}
		for round := range b.o.rounds + 1 {
			if err = x.turn(ctx, round > 0); err != nil {
				break
			}
		}
		if err = errors.Join(err, x.driver.Close()); err != nil {
			return nil, err
		}
		r.samples = x.p50
		rows = append(rows, r)
		b.say("%s: %.1f ms", r.what, median(r.samples))
	}
	return rows, nil
}

func (b *bench) binarySize(context.Context) ([]row, error) {
	info, err := os.Stat(b.o.pullgate)
	if err != nil {
		return nil, err
	}
	return []row{{what: "the program, stripped", unit: " MB", must: 45, aim: 35, samples: []float64{float64(info.Size()) / 1e6}}}, nil
}
