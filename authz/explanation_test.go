package authz

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// explaining is a generation that explains whatever verdict it is told to.
type explaining struct {
	*fakeGeneration
	explain func(*Input, error) (*Reasoning, error)
}

func (g *explaining) Generation() Generation { return g }

func (g *explaining) Explain(_ context.Context, in *Input, failed error) (*Reasoning, error) {
	return g.explain(in, failed)
}

func (g *explaining) ExplainKey(*Input) ([]KeyPart, string) {
	if g.uncacheable {
		return nil, "all is read"
	}
	return []KeyPart{{"policy", "p"}}, ""
}

// same explains the verdict that the fake generation gives.
func same(g *fakeGeneration) func(*Input, error) (*Reasoning, error) {
	return func(in *Input, failed error) (*Reasoning, error) {
		if failed != nil {
			return &Reasoning{Failure: failed.Error()}, nil
		}
		v, err := g.Evaluate(context.Background(), in)
		return &Reasoning{Verdict: v, Licenses: 3}, err
	}
}

func newExplaining(change ...func(*fakeGeneration)) *explaining {
	g := newGeneration()
	for _, c := range change {
		c(g)
	}
	return &explaining{g, same(g)}
}

func engineOf(e Engine) func(*GateConfig) { return func(c *GateConfig) { c.Engine = e } }

func TestExplainRecordsNothingAndAsksNoCache(t *testing.T) {
	g, cache := newExplaining(), mapCache{}
	b := newBench(g.fakeGeneration, engineOf(g), withCache(cache))
	b.Decide(t.Context(), pull())
	records, entries, evaluations := len(b.records), len(cache), g.evaluations.Load()
	d, x, err := b.Explain(t.Context(), pull())
	if err != nil {
		t.Fatal(err)
	}
	expect(t, d, OutcomeAllow, 200, CodeOK)
	if d.ID != "" || d.Cached != "none" || len(b.records) != records || len(cache) != entries {
		t.Errorf("id %q, cached %s, %d records, %d entries", d.ID, d.Cached, len(b.records)-records, len(cache)-entries)
	}
	if g.evaluations.Load() == evaluations {
		t.Error("the answer came from the cache")
	}
	if len(x.Asked) != 1 || x.Asked[0].Licenses != 3 || x.Asked[0].Repository != "acme/app" || x.Asked[0].Verdict.License != "acme-app" {
		t.Errorf("asked %+v", x.Asked)
	}
	if x.Caller != (Subject{Customer: "acme", Key: "ci", Via: "key"}) || !x.Repository || !x.Reference || !x.Named || x.KeyExpires != Never {
		t.Errorf("explanation %+v", x)
	}
}

func TestExplainOfEveryKind(t *testing.T) {
	g := newExplaining(func(g *fakeGeneration) { g.repositories = []string{"a", "b"} })
	b := newBench(g.fakeGeneration, engineOf(g))
	for _, k := range askedKinds {
		d, x, err := b.Explain(t.Context(), with(kind(k)))
		want := 1
		if k == KindCatalog {
			want = 2
		}
		if err != nil || d.Outcome != OutcomeAllow && d.Outcome != OutcomeAnswer || len(x.Asked) != want {
			t.Errorf("%s: %v, outcome %d, asked %+v", k, err, d.Outcome, x.Asked)
		}
		if k == KindCatalog && (x.Asked[1].Repository != "b" || x.Asked[1].Licenses != 0) {
			t.Errorf("catalog: %+v", x.Asked)
		}
	}
}

// A tag with several candidates is one tag.
func TestExplainCountsTags(t *testing.T) {
	g := newExplaining(func(g *fakeGeneration) {
		g.target = func(*Request) Target {
			return Target{Repository: true, Candidates: make([]Candidate, 4), Names: []string{"1.4", "1.4", "1.4.0", "latest"}}
		}
	})
	_, x, err := newBench(g.fakeGeneration, engineOf(g)).Explain(t.Context(), with(kind(KindTags)))
	if err != nil || x.Tags != 3 || x.Asked[0].Candidates != nil {
		t.Errorf("%v, %+v", err, x)
	}
}

func TestExplainWithoutAPolicy(t *testing.T) {
	g := newExplaining()
	for name, tt := range map[string]struct {
		engine Engine
		r      *Request
		code   Code
	}{
		"malformed":     {g, with(kind(KindMalformed)), CodeMalformed},
		"unsupported":   {g, with(kind(KindUnsupported)), CodeUnsupported},
		"another host":  {g, with(func(r *Request) { r.Host = "elsewhere.example" }), CodeUnknownRepository},
		"no bundle":     {witnessed{}, pull(), CodeNotReady},
		"an old bundle": {newExplaining(func(g *fakeGeneration) { g.notAfter = noon }), pull(), CodeStale},
	} {
		d, x, err := newBench(g.fakeGeneration, engineOf(tt.engine)).Explain(t.Context(), tt.r)
		if err != nil || d.Code != tt.code || x == nil || len(x.Asked) != 0 {
			t.Errorf("%s: %v, %s, %+v", name, err, d.Code, x)
		}
	}
}

func failing(context.Context, *Input) (Verdict, error) { return Verdict{}, errors.New("boom") }

// Why there is no decision is explained too, and what was asked instead.
func TestExplainOfAFailure(t *testing.T) {
	forNobody := func(ctx context.Context, in *Input) (Verdict, error) {
		if in.Subject.Customer != "" {
			return failing(ctx, in)
		}
		return Verdict{Code: CodeAnonymous, Until: Never, Ends: Never}, nil
	}
	stranger := func(g *fakeGeneration) { g.evaluate, g.named = forNobody, false }
	for name, tt := range map[string]struct {
		gen     func(*fakeGeneration)
		kind    Kind
		code    Code
		asked   int
		failure string
	}{
		"a rule":        {func(g *fakeGeneration) { g.evaluate = failing }, KindManifest, CodeInternalError, 1, "boom"},
		"no verdict":    {func(g *fakeGeneration) { g.evaluate = denying("") }, KindManifest, CodeInternalError, 1, errNoVerdict.Error()},
		"its own code":  {func(g *fakeGeneration) { g.evaluate = denying(CodeInternalError) }, KindBlob, CodeInternalError, 1, errNoVerdict.Error()},
		"hidden":        {stranger, KindManifest, CodeUnknownRepository, 2, "boom"},
		"a list hidden": {stranger, KindTags, CodeUnknownRepository, 2, "boom"},
		"a catalog":     {func(g *fakeGeneration) { g.evaluate, g.repositories = failing, []string{"a", "b"} }, KindCatalog, CodeInternalError, 1, "boom"},
	} {
		g := newExplaining(tt.gen)
		d, x, err := newBench(g.fakeGeneration, engineOf(g)).Explain(t.Context(), with(kind(tt.kind)))
		if err != nil || d.Code != tt.code || len(x.Asked) != tt.asked {
			t.Errorf("%s: %v, %s, %+v", name, err, d.Code, x.Asked)
			continue
		}
		if re := &x.Asked[0]; re.Failure != tt.failure || re.Verdict.Allow || re.Verdict.Code != CodeInternalError || re.Verdict.Until != Never || re.Subject.Customer != "acme" {
			t.Errorf("%s: %+v", name, re)
		}
		if last := &x.Asked[tt.asked-1]; tt.asked == 2 && (last.Failure != "" || last.Verdict.Code != CodeAnonymous || last.Subject.Customer != "") {
			t.Errorf("%s: asked again %+v", name, last)
		}
	}
}

// blind is a generation that cannot tell what is visible.
type blind struct{ *explaining }

func (g blind) Generation() Generation { return g }

func (blind) Visible(context.Context, *Input) ([]int, int64, error) {
	return nil, 0, errors.New("boom")
}

func TestExplainOfAListThatFails(t *testing.T) {
	g := blind{newExplaining(func(g *fakeGeneration) {
		g.target = func(*Request) Target {
			return Target{Repository: true, Candidates: make([]Candidate, 1), Names: []string{"1.4"}}
		}
	})}
	d, x, err := newBench(g.fakeGeneration, engineOf(g)).Explain(t.Context(), with(kind(KindTags)))
	if err != nil || d.Code != CodeInternalError || len(x.Asked) != 1 || x.Asked[0].Failure != "boom" || x.Asked[0].Verdict.Allow {
		t.Errorf("%v, %s, %+v", err, d.Code, x.Asked)
	}
}

func TestExplainOfSomebodyWithoutARight(t *testing.T) {
	g := newExplaining(func(g *fakeGeneration) { g.evaluate = denying(CodeNotGranted); g.named = false })
	b := newBench(g.fakeGeneration, engineOf(g))
	d, x, err := b.Explain(t.Context(), pull())
	expect(t, d, OutcomeDeny, 404, CodeUnknownRepository)
	if err != nil || x.Named || d.PolicyCode != CodeNotGranted || x.Asked[0].Verdict.Code != CodeNotGranted {
		t.Errorf("%v, %+v", err, x)
	}
	if d, x, _ := b.Explain(t.Context(), with(nobody)); d.Status != 401 || x.Refusal != CodeAnonymous || x.Named {
		t.Errorf("nobody: %+v", x)
	}
}

func TestExplainMustExplainTheVerdict(t *testing.T) {
	base := Verdict{Allow: true, Code: CodeOK, License: "a", Grant: "a/0", Until: 7}
	for name, change := range map[string]func(*Verdict){
		"another answer":  func(v *Verdict) { v.Allow = false },
		"another code":    func(v *Verdict) { v.Code = CodeGrace },
		"another license": func(v *Verdict) { v.License = "b" },
		"another grant":   func(v *Verdict) { v.Grant = "a/1" },
		"another until":   func(v *Verdict) { v.Until = 8 },
	} {
		g := newExplaining(func(g *fakeGeneration) { g.evaluate = answering(base) })
		g.explain = func(*Input, error) (*Reasoning, error) {
			v := base
			change(&v)
			return &Reasoning{Verdict: v}, nil
		}
		d, x, err := newBench(g.fakeGeneration, engineOf(g)).Explain(t.Context(), pull())
		if !errors.Is(err, ErrNotExplained) || d.Code != CodeOK || len(x.Asked) != 0 {
			t.Errorf("%s: %v, %s, %+v", name, err, d.Code, x.Asked)
		}
	}
	b := newBench(newGeneration())
	if d, _, err := b.Explain(t.Context(), pull()); !errors.Is(err, ErrNotExplained) || d.Code != CodeOK {
		t.Errorf("a generation that explains nothing: %v, %s", err, d.Code)
	}
}

// What is told of caches is what they would do.
func TestExplainSaysHowAnAnswerIsKept(t *testing.T) {
	for want, v := range map[string]Verdict{
		"cap 60":      {Allow: true, Code: CodeOK, Until: Never, Ends: Never, ExpiringFrom: Never},
		"cap 5":       {Code: CodeExpired, Until: noon + 50, Ends: Never, ExpiringFrom: Never},
		"boundary 50": {Allow: true, Code: CodeOK, Until: noon + 50, Ends: Never, ExpiringFrom: Never},
		"warning 20":  {Allow: true, Code: CodeOK, Until: noon + 50, Ends: Never, ExpiringFrom: noon + 20},
	} {
		g := newExplaining(func(g *fakeGeneration) { g.evaluate = answering(v) })
		gen := g.fakeGeneration
		b := newBench(gen, engineOf(g))
		_, x, err := b.Explain(context.Background(), pull())
		if err != nil {
			t.Fatal(err)
		}
		k := x.Asked[0].Kept
		if key, _ := gen.Key(&gen.inputs[0]); k == nil || k.Because+" "+fmt.Sprint(k.Until-noon) != want || k.Key != key {
			t.Errorf("%s: %+v", want, k)
		}
		gen.uncacheable = true
		if _, x, err = b.Explain(context.Background(), pull()); err != nil || x.Asked[0].Kept.Uncacheable == "" {
			t.Errorf("%v, %+v", err, x.Asked[0].Kept)
		}
	}
}

// Of a list caches keep what it shows, too, and no longer than that holds.
func TestExplainSaysWhatIsKeptOfAList(t *testing.T) {
	g := newExplaining(func(g *fakeGeneration) {
		g.evaluate = answering(Verdict{Allow: true, Code: CodeOK, Until: Never, Ends: Never, ExpiringFrom: Never})
		g.visible = []int{0}
	})
	g.target = func(*Request) Target {
		return Target{Names: []string{"1.4.0"}, Candidates: []Candidate{{Tag: "1.4.0", Released: Always, WithdrawnAt: noon + 30, RetiresAt: Never, RevokedAt: Never}}}
	}
	b := newBench(g.fakeGeneration, engineOf(g))
	_, x, err := b.Explain(context.Background(), with(kind(KindTags)))
	if err != nil {
		t.Fatal(err)
	}
	k := x.Asked[0].Kept
	if k == nil || len(k.Entry.Visible) != 1 || k.Entry.From != noon || k.Entry.Until != noon+30 || k.Until != k.Entry.Until || !k.Entry.Verdict.Allow {
		t.Errorf("%+v", k)
	}
}
