package engine

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
)

// What explain says a key is made of is what it is made of: the same parts, the same key, and no other.
func TestAnExplainedKeyIsTheKey(t *testing.T) {
	rules := map[string]string{"office": "package vendor.office\n\ndeny contains {\"code\": \"closed\", \"message\": \"Closed.\"} if {\n\tinput.resource.tag == \"nosuch\"\n\tinput.request.method == \"GET\"\n}\n"}
	w := rapid.Custom(func(rt *rapid.T) *world { return drawer{rt}.world(t) }).Example(1)
	for name, text := range rules {
		w.rule(name, text)
	}
	gate := authz.NewGate(authz.GateConfig{Engine: w.start(t, Config{}), Clock: clockAt(now)})
	keys, parts := map[string][32]byte{}, map[[32]byte]string{}
	read := map[string]bool{}
	for _, r := range requests() {
		if r.Kind == authz.KindCatalog {
			continue
		}
		_, x, err := gate.Explain(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, asked := range x.Asked {
			k := asked.Kept
			if k == nil || k.Uncacheable != "" {
				t.Fatalf("%+v: %+v", r, k)
			}
			text := fmt.Sprintf("%q", k.Parts)
			if old, ok := keys[text]; ok && old != k.Key {
				t.Errorf("two keys of %s", text)
			}
			if old, ok := parts[k.Key]; ok && old != text {
				t.Errorf("one key of %s and %s", text, old)
			}
			keys[text], parts[k.Key] = k.Key, text
			for _, p := range k.Parts {
				read[p.Name] = true
			}
			if k.Until <= now || k.Until > now+60 || k.Because == "" {
				t.Errorf("until %+d because of %q", k.Until-now, k.Because)
			}
		}
	}
	if len(keys) < 10 || !read["resource.tag"] || !read["request.method"] || read["request.path"] {
		t.Errorf("%d keys, of %v", len(keys), read)
	}
}

func TestWhatReadsAllIsNotKept(t *testing.T) {
	w := shop(t)
	w.rule("all", "package vendor.all\n\n# METADATA\n# custom: {uncacheable: true}\nwarn contains {\"code\": \"all\", \"message\": \"All.\"} if count(input.request) > 3\n")
	gate := authz.NewGate(authz.GateConfig{Engine: w.start(t, Config{}), Clock: clockAt(now)})
	_, x, err := gate.Explain(context.Background(), request("bakery", authz.KindManifest, "acme/app", digestOfName("image140")))
	if err != nil {
		t.Fatal(err)
	}
	if k := x.Asked[0].Kept; k == nil || k.Uncacheable != "a rule reads input.request as a whole" || len(k.Parts) > 0 {
		t.Errorf("%+v", k)
	}
}
