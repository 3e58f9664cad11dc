package engine

import (
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
)

// A program is what random worlds have of vendor rules. There are few, because compiling one takes as long
// as asking a thousand questions; what they do differs with the labels of customers too.
type program struct {
	reads   []string          // which fields of a request decide, for one rule each at least; none without rules
	modules map[string]string // by name of the package
	turns   []int64           // instants at which a rule's answer changes
}

// readable are the fields that rules read here, beside the time.
var readable = []string{"address", "tag", "path", "digest", "method", "label"}

// contributions are the kinds of rules.
var contributions = []string{"deny", "grant", "warn", "header"}

// programs are the seed's: one without rules, and some of which each reads two of the fields, all together
// every one and with rules of every kind.
func programs(seed int) []*program {
	return rapid.Custom(func(rt *rapid.T) []*program {
		d, all := drawer{rt}, []*program{{}}
		fields := rapid.Permutation(readable).Draw(rt, "fields")
		kinds := rapid.Permutation(append([]string{"deny", "warn"}, contributions...)).Draw(rt, "kinds")
		for i := 0; i < len(fields); i += 2 {
			all = append(all, d.program(fields[i:i+2], kinds[i:i+2]))
		}
		return all
	}).Example(seed)
}

// program draws one to three modules, of which the first has a rule for each of the fields and kinds.
func (d drawer) program(fields, kinds []string) *program {
	p := &program{reads: fields, modules: map[string]string{}}
	p.modules["r0"] = d.rules(p, "r0", fields, kinds)
	for n := range rapid.IntRange(0, 2).Draw(d.t, "more modules") {
		name := fmt.Sprintf("r%d", n+1)
		p.modules[name] = d.rules(p, name, []string{rapid.SampledFrom(readable).Draw(d.t, "field")}, []string{rapid.SampledFrom(contributions).Draw(d.t, "kind")})
	}
	return p
}

// rules draws a module with a rule for each of the fields and kinds.
func (d drawer) rules(p *program, name string, fields, kinds []string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "package vendor.%s\n", name)
	for i, field := range fields {
		condition := d.condition(field)
		if d.rarely("by label too") {
			condition += "\n\t" + d.condition("label")
		}
		fmt.Fprintf(&text, "\n_holds%d if {\n\t%s\n}\n", i, condition)
		holds := fmt.Sprintf("_holds%d", i)
		if rapid.Bool().Draw(d.t, "negated") {
			holds = "not " + holds
		}
		if rapid.Bool().Draw(d.t, "for a time") {
			turn := "data.pullgate.customer.labels.turn"
			if rapid.Bool().Draw(d.t, "written") {
				p.turns = append(p.turns, d.near("turn"))
				turn = fmt.Sprint(p.turns[len(p.turns)-1])
			}
			where := d.pick("boundary", "", " if "+holds).(string)
			fmt.Fprintf(&text, "\nboundary contains %s%s\n", turn, where)
			holds += "\n\t" + d.pick("turn", "input.time < "+turn, turn+" <= input.time").(string)
		}
		gives := map[string]string{
			"deny": fmt.Sprintf(`{"code": "c%d", "message": "Not this way."}`, i), "grant": fmt.Sprintf(`{"code": "c%d"}`, i),
			"warn":   fmt.Sprintf(`{"code": "c%d", "message": "Mind."}`, i),
			"header": fmt.Sprintf(`{"name": "X-C%d-%s", "value": "yes", "to": "upstream"}`, i, name),
		}[kinds[i]]
		fmt.Fprintf(&text, "\n%s contains %s if {\n\t%s\n}\n", kinds[i], gives, holds)
	}
	return text.String()
}

// condition draws one about a field that holds for some of what is asked.
func (d drawer) condition(field string) string {
	switch field {
	case "address":
		return d.pick("address", `net.cidr_contains("10.0.0.0/8", input.request.address)`, `input.request.address == "192.0.2.7"`).(string)
	case "tag":
		return d.pick("tag", `startswith(input.resource.tag, "1.")`, `input.resource.tag in {"1.4", "2.0.0"}`, `input.resource.tag`).(string)
	case "path":
		return d.pick("path", `contains(input.request.path, "?")`, `endswith(input.resource.path, "ns=mirror")`).(string)
	case "digest":
		digits := rapid.Permutation([]byte("0123456789abcdef")).Draw(d.t, "digits")[:8]
		return fmt.Sprintf("contains(%q, substring(input.resource.digest, 7, 1))", digits)
	case "method":
		return `input.request.method == "HEAD"`
	default:
		return `data.pullgate.customer.labels.tier == "gold"`
	}
}

// labels draws those of a customer, which rules read.
func (d drawer) labels() object {
	return object{"tier": d.pick("tier", "gold", "tin"), "turn": d.near("label's turn")}
}

// add gives a world the rules.
func (p *program) add(w *world) {
	for name, text := range p.modules {
		w.rule(name, text)
	}
}

// changed is a request that differs in a field only, itself where there is no other.
func changed(r *authz.Request, field string) *authz.Request {
	other := *r
	switch field {
	case "address":
		other.Address = netip.MustParseAddr("192.0.2.7")
	case "method":
		other.Method = "HEAD"
	case "path":
		other.Path += "?ns=mirror"
	case "tag", "digest": // what is reached through the same versions and tags
		switch {
		case r.Tag != "":
			other.Tag, other.Digest = "", digestOfName(r.Repository+r.Tag+"/child")
		case r.Digest == digestOfName("base"):
			other.Digest = digestOfName("base/more")
		case r.Digest != "":
			other.Digest = attached[r.Digest]
		}
	}
	return &other
}

// attached are the digests that are reached as an image is, by that of the image.
var attached = func() map[string]string {
	all := map[string]string{}
	for _, r := range requests() {
		if r.Tag != "" {
			all[digestOfName(r.Repository+r.Tag)] = digestOfName(r.Repository + r.Tag + "/attached")
		}
	}
	return all
}()

// drawPair draws two requests that differ in one field, most often one that a program's rules read.
func (d drawer) drawPair(p *program, questions []*authz.Request) (one, other *authz.Request, field string) {
	fields := p.reads
	if len(fields) == 0 || d.rarely("another field") {
		fields = readable
	}
	field = rapid.SampledFrom(fields).Draw(d.t, "differs in")
	if among := alike[field]; among != nil && !d.rarely("anything") { // few others reach the same by two names
		questions = among
	}
	one = rapid.SampledFrom(questions).Draw(d.t, "request")
	return one, changed(one, field), field
}

// alike are the requests for which there are others that differ in the field and reach the same.
var alike = func() map[string][]*authz.Request {
	all := map[string][]*authz.Request{}
	for _, r := range requests() {
		switch _, is := attached[r.Digest]; {
		case r.Tag != "" && slices.Contains([]string{"1.4.0", "1.4", "2.0.0", "stable"}, r.Tag):
			all["tag"] = append(all["tag"], r)
		case is || r.Kind == authz.KindBlob:
			all["digest"] = append(all["digest"], r)
		}
	}
	return all
}()

// ruled counts what vendor rules did to answers.
type ruled struct {
	answers map[string]int // that a rule decided, by kind of rule
	cached  int            // of these, from a cache
	turning int            // that are true until a rule's instant
	told    map[string]int // requests that got different answers because of one field
}

func newRuled() *ruled { return &ruled{answers: map[string]int{}, told: map[string]int{}} }

// of says what rules did to an answer.
func (*ruled) of(d *authz.Decision) (kinds []string) {
	isRule := func(code string) bool { return strings.HasPrefix(code, "vendor.") }
	v := &d.Verdict
	if isRule(string(v.Code)) {
		kinds = append(kinds, map[bool]string{true: "grant", false: "deny"}[v.Allow])
	}
	if slices.ContainsFunc(v.Warnings, func(w authz.Warning) bool { return isRule(w.Code) }) {
		kinds = append(kinds, "warn")
	}
	if slices.ContainsFunc(v.Headers, func(h authz.Header) bool { return h.Value == "yes" }) {
		kinds = append(kinds, "header")
	}
	return kinds
}

// note counts an answer.
func (a *ruled) note(d *authz.Decision, p *program, w *world) {
	kinds := a.of(d)
	for _, kind := range kinds {
		a.answers[kind]++
	}
	if len(kinds) > 0 && d.Cached != "none" {
		a.cached++
	}
	if slices.Contains(p.turns, d.Verdict.Until) {
		a.turning++
	} else if c, ok := w.customers[d.Subject.Customer].(object); ok && len(p.modules) > 0 && c["labels"].(object)["turn"] == d.Verdict.Until {
		a.turning++
	}
}

// contrast counts that two requests that differ in a field got answers of rules that differ.
func (a *ruled) contrast(field string, x, y *authz.Decision) {
	if x != nil && y != nil && reflect.DeepEqual(x.Candidates, y.Candidates) && (x.Verdict.Code != y.Verdict.Code || !slices.Equal(a.of(x), a.of(y))) {
		a.told[field]++
	}
}

// little says what rules have hardly done, "" when they have done enough to show something: answers in all,
// and of each kind of rule so many.
func (a *ruled) little(all, each int) string {
	total := 0
	for _, kind := range contributions {
		if total += a.answers[kind]; a.answers[kind] < each {
			return fmt.Sprintf("%d answers of a rule that is a %s", a.answers[kind], kind)
		}
	}
	for _, field := range []string{"address", "tag", "path", "digest", "method"} {
		if a.told[field] == 0 {
			return "no pair of requests that rules tell apart by the " + field
		}
	}
	if total < all || a.cached < all/10 || a.turning < all/10 {
		return fmt.Sprintf("%d answers of rules, %d from a cache, %d until a rule's instant", total, a.cached, a.turning)
	}
	return ""
}

func (a *ruled) String() string {
	return fmt.Sprintf("rules decided %v (%d from a cache), %d until a rule's instant; told apart by %v", a.answers, a.cached, a.turning, a.told)
}

// seeds are some numbers, each of which is all that what is drawn depends on, within checks and outside. The
// first is another in each run, unless -rapid.seed says it.
func seeds(t *testing.T) iter.Seq[int] {
	return func(yield func(int) bool) {
		f := flag.Lookup("rapid.seed")
		before := f.Value.String()
		n, err := strconv.Atoi(before)
		if err != nil || n == 0 {
			n = 1 + rand.IntN(1<<40)
		}
		set := func(text string) {
			if err := flag.Set(f.Name, text); err != nil {
				t.Fatal(err)
			}
		}
		defer set(before)
		for range 10 {
			if set(strconv.Itoa(n)); !yield(n) {
				break
			}
			n += 1 << 20
		}
		if t.Failed() {
			t.Logf("-rapid.seed=%d draws the same rules and worlds", n)
		}
	}
}

// String is the text of all rules.
func (p *program) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.modules)) {
		b.WriteString(p.modules[name])
	}
	return b.String()
}
