package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
)

// A random vendor: license files as a vendor writes them and a registry as a crawl finds it,
// with everything inside ten weeks of 2026, so that what they say meets.
type randomVendor struct {
	t       *rapid.T
	text    strings.Builder
	files   map[string]string // besides the license files: rules
	catalog []compile.Repository
	digests map[string][]string // names of manifests, by repository
	history int                 // days
}

const (
	agreeDays = 60
	agreeHost = "registry.acme.example"
)

var (
	agreeStart    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	agreeVersions = []string{"1.0.0", "1.1.0", "1.1.0-rc.1", "1.2.0", "1.2.0-slim", "2.0.0"}
	// agreeRepositories are what the licenses speak of; acme/absent is in no registry.
	agreeRepositories = []string{"acme/app", "acme/charts/app", "acme/nightly", "acme/lib", "acme/docs", "acme/absent"}
)

func (v *randomVendor) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(v.t, label)
}

func (v *randomVendor) number(label string, from, to int) int {
	return rapid.IntRange(from, to).Draw(v.t, label)
}

// sometimes is true one time in n.
func (v *randomVendor) sometimes(n int, label string) bool { return v.number(label, 1, n) == n }

// day is a date so many days after the start.
func (v *randomVendor) day(n int) string { return agreeStart.AddDate(0, 0, n).Format(time.DateOnly) }

// date is a date or an instant between two days.
func (v *randomVendor) date(label string, from, to int) string {
	n := v.number(label, from, to)
	if v.sometimes(4, label+" is an instant") {
		return agreeStart.AddDate(0, 0, n).Add(time.Duration(v.number(label+" hour", 0, 23)) * time.Hour).Format(time.RFC3339)
	}
	return v.day(n)
}

func (v *randomVendor) line(format string, args ...any) { fmt.Fprintf(&v.text, format+"\n", args...) }

// document begins a document.
func (v *randomVendor) document(kind, id string) { v.line("---\nkind: %s\nid: %s", kind, id) }

func (v *randomVendor) zone() string {
	return v.pick("zone", "UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu")
}

// some is a flow list of some of these.
func (v *randomVendor) some(label string, from ...string) string {
	var out []string
	for _, s := range from {
		if v.sometimes(2, label+" "+s) {
			out = append(out, `"`+s+`"`)
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// draw makes the vendor's registry and files.
func (v *randomVendor) draw() {
	v.digests = map[string][]string{}
	v.registry("acme/app", append(slices.Clone(agreeVersions), "1.1", "latest")...)
	v.registry("acme/charts/app", "1.0.0_b1", "1.1.0")
	v.registry("acme/nightly", "1.0.0", "main")
	v.registry("acme/lib", "1.0.0", "2.0.0", "stable")
	v.registry("acme/docs", "guide", "1.0.0")

	v.history = v.number("history", 1, 30)
	v.line("kind: Registry\nid: main\nhosts: [%s]\nupstream: https://harbor.internal\ncatalog: listed\nhistory: P%dD", agreeHost, v.history)
	var revoked []string
	for _, name := range agreeRepositories {
		for _, d := range v.digests[name] {
			if v.sometimes(8, "revoked "+d) {
				revoked = append(revoked, fmt.Sprintf("{repository: %s, digest: %q, at: %s}", name, authztest.NameDigest(d), v.date("revoked at", 5, 50)))
			}
		}
	}
	v.line("revoked_digests: [%s]", strings.Join(revoked, ", "))
	v.document("Product", "app")
	v.line("repositories: [acme/app, {name: acme/charts/app, type: chart}, {name: acme/nightly, versions: none}]\nvariants: %s\nrequires: %s", v.some("variants", "slim"), v.some("product requires", "sso"))
	v.document("Product", "lib")
	v.line("repositories: [acme/lib]")
	for _, product := range []string{"app", "lib"} {
		for _, version := range agreeVersions {
			if v.sometimes(3, "release") {
				v.release(product, version)
			}
		}
	}
	if v.sometimes(2, "public") {
		v.document("Public", "docs")
		v.line("repositories: %s\ntags: %s", v.pick("opens", "[acme/docs]", "[acme/*]", "[acme/lib, acme/docs]"), v.pick("open tags", "all", `["1.*"]`, "[guide, latest]", "[]"))
	}
	v.document("Customer", "acme")
	v.line("zone: %s\nlabels: {tier: %s}", v.zone(), v.pick("tier", "gold", "iron"))
	if v.sometimes(20, "banned") {
		v.line("status: banned")
	}
	v.line("keys: [{id: ci, hash: %q}, {id: narrow, hash: %q, repositories: %s}]", agreeKey("ci"), agreeKey("narrow"), v.pick("key reaches", "[acme/app]", "[acme/*]", "[]", "[acme/docs, acme/lib]"))
	licenses := v.pick("licenses", "0", "1", "2", "2", "3", "3")
	for i := range int(licenses[0] - '0') {
		v.license(fmt.Sprintf("acme-%d", i), i)
	}
	v.document("Customer", "mill")
	v.line("keys: [{id: ci, hash: %q}]", agreeKey("mill"))
}

// rules draws vendor rules that speak of tags, versions, labels, repositories and the time.
// None reads the action or the kind, which a rule may, and then lists differ as it says.
func (v *randomVendor) rules() {
	v.files = map[string]string{}
	for i := range v.number("rules", 1, 3) {
		name := fmt.Sprintf("r%d", i)
		text := "package vendor." + name + "\n\n"
		for range v.number("entries", 1, 2) {
			condition := v.pick("condition",
				`input.resource.tag == "latest"`,
				`startswith(input.resource.tag, "1.")`,
				`input.resource.repository == "acme/nightly"`,
				`some c in input.resource.candidates; c.version == "1.1.0"`,
				`some c in input.resource.candidates; c.channel == "rc"`,
				`some c in input.resource.candidates; c.tag == "stable"`,
				`data.pullgate.customer.labels.tier == "gold"`,
				`data.pullgate.customer.id == "mill"`,
			)
			if v.sometimes(3, "all of them") {
				condition = `count(input.resource.candidates) > 0; every c in input.resource.candidates { c.version in {"1.0.0", "1.2.0"} }`
			}
			if v.sometimes(3, "for a time") {
				until := agreeStart.AddDate(0, 0, v.number("until", 5, 50)).Unix()
				condition += fmt.Sprintf("; input.time < %d", until)
				text += fmt.Sprintf("boundary contains %d\n\n", until)
			}
			switch code := fmt.Sprintf("c%d", v.number("code", 0, 9)); v.pick("rule", "deny", "deny", "grant", "grant", "warn") {
			case "grant":
				text += fmt.Sprintf("grant contains {\"code\": %q} if { %s }\n\n", code, condition)
			case "deny":
				text += fmt.Sprintf("deny contains {\"code\": %q, \"message\": \"no\"} if { %s }\n\n", code, condition)
			default:
				text += fmt.Sprintf("warn contains {\"code\": %q, \"message\": \"mind\"} if { %s }\n\n", code, condition)
			}
		}
		v.files[name+".rego"] = text
	}
}

func agreeHash(name string) [32]byte { return sha256.Sum256([]byte("key " + name)) }

func agreeKey(name string) string {
	h := agreeHash(name)
	return "sha256:" + hex.EncodeToString(h[:])
}

func (v *randomVendor) release(product, version string) {
	v.document("Release", strings.ToLower(product+"-"+version))
	v.line("product: %s\nversion: %s", product, version)
	if v.sometimes(2, "released") {
		v.line("released: %s", v.date("released", 0, agreeDays))
	}
	if v.sometimes(2, "counts from") {
		v.line("counts_from: %s", v.date("counts from", 0, 40))
	}
	if v.sometimes(4, "channel") {
		v.line("channel: %s", v.pick("channel", "stable", "rc", "lts"))
	}
	if v.sometimes(3, "withdrawn") {
		v.line("withdrawn: {at: %s, except: %s}", v.date("withdrawn", 5, agreeDays), v.some("except", "acme"))
	}
	if v.sometimes(5, "requires") {
		v.line("requires: %s", v.some("release requires", "sso", "beta"))
	}
}

func (v *randomVendor) license(id string, n int) {
	v.document("License", id)
	kind := v.pick("type", "subscription", "subscription", "subscription", "perpetual", "trial")
	v.line("customer: acme\ntype: %s", kind)
	if v.sometimes(3, "own zone") {
		v.line("zone: %s", v.zone())
	}
	start := v.number("starts", 0, 30)
	v.line("starts: %s", v.day(start))
	end := start + v.number("length", 0, 25)
	switch {
	case kind == "perpetual":
		v.line("ends: never\nupdates: %s", v.pick("updates", "forever", "{until: "+v.day(end)+"}", "{period: P20D}"))
	case v.sometimes(3, "term"):
		v.line("term: P%dD", v.number("term", 1, 25))
	default:
		v.line("ends: %s", v.day(end))
	}
	if kind == "subscription" {
		if v.sometimes(2, "grace") {
			v.line("grace: P%dD", v.number("grace", 0, 10))
		}
		if v.sometimes(4, "renews") {
			v.line("renews: {every: P%dD}", v.number("every", 3, 20))
		}
	}
	if kind != "perpetual" {
		if v.sometimes(3, "update window") {
			v.line("updates: %s", v.pick("updates", "forever", "with-term", "{until: "+v.day(start+10)+"}", "{period: P5D}"))
		}
		if v.sometimes(2, "terminates") {
			v.line("terminates: P%dD\nkeep_versions: %v", v.number("terminates", 0, 20), v.sometimes(2, "keep"))
		}
	}
	switch v.number("status", 1, 8) {
	case 1:
		v.line("status: {revoked: {at: %s}}", v.date("revoked", 5, 50))
	case 2:
		at := v.number("suspended", 5, 30)
		v.line("status: {suspended: {at: %s, until: %s}}", v.day(at), v.day(at+v.number("suspended for", 1, 10)))
	}
	if v.sometimes(3, "not enforced") {
		v.line("enforcement: %s", v.pick("enforcement", "warn", "observe"))
	}
	if n > 0 && v.sometimes(4, "replaces") {
		v.line("replaces: acme-%d", n-1)
	}
	v.line("features: {sso: %v, beta: %v}\ngrants:", v.sometimes(2, "sso"), v.sometimes(2, "beta"))
	for range v.number("grants", 1, 3) {
		if v.sometimes(2, "by tag") {
			tags := v.pick("tags", "all", "all", `["1.*"]`, "[latest, stable, main]", "[]", "{current: {as_of: "+v.day(20)+"}}", `["1.1.0", "sha256-*"]`)
			v.line("  - {repository: %s, tags: %s}", v.pick("repository", "acme/app", "acme/app", "acme/*", "acme/nightly", "acme/docs", "acme/**"), tags)
			continue
		}
		versions := v.pick("versions", "all", `">=1.0.0 <2.0.0"`, `"<1.2.0"`, `["1.2.0", "2.0.0"]`, "[]", `">=1.1.0-0"`)
		v.line("  - {product: %s, versions: %s, channels: %s}", v.pick("product", "app", "app", "lib"), versions, v.pick("channels", "[stable]", "[stable]", "[stable, rc, slim]", "[]", "[rc]"))
	}
}

// registry draws a repository: images and indexes that share children, tags that moved or
// went, signatures and other referrers.
func (v *randomVendor) registry(name string, tags ...string) {
	short := strings.ReplaceAll(strings.TrimPrefix(name, "acme/"), "/", "")
	var names []string
	for i := range v.number("manifests of "+name, 2, 6) {
		names = append(names, fmt.Sprintf("%s%d", short, i))
	}
	digest := func(label string) string { return authztest.NameDigest(v.pick(label, names...)) }
	at := func(label string) int64 { return agreeStart.AddDate(0, 0, v.number(label, 0, 45)).Unix() }
	r := compile.Repository{Name: name, Tags: map[string]compile.Tag{}, History: map[string][]compile.Past{}, Manifests: map[string]*compile.Manifest{}}
	for i, n := range names {
		m := &compile.Manifest{Created: license.Always}
		if v.sometimes(2, "created") {
			m.Created = at("created at")
		}
		switch v.number("shape", 1, 5) {
		case 1:
			m.Index = []string{digest("child")}
		case 2:
			if i > 0 { // of an earlier one: no circles here, the compiler's own tests have them
				m.Subject, m.ArtifactType = authztest.NameDigest(names[v.number("subject", 0, i-1)]), "application/vnd.example.sbom"
			}
		}
		if v.sometimes(6, "annotated") {
			m.Annotations = map[string]string{"org.opencontainers.image.version": v.pick("annotation", agreeVersions...)}
		}
		r.Manifests[authztest.NameDigest(n)] = m
	}
	for _, tag := range tags {
		if !v.sometimes(5, "gone") {
			r.Tags[tag] = compile.Tag{Digest: digest("tag " + tag), Seen: at("seen")}
		}
		if v.sometimes(3, "moved") {
			r.History[tag] = []compile.Past{{Digest: digest("past"), Until: at("left")}}
		}
	}
	if v.sometimes(2, "signature") {
		of := digest("signed")
		r.Tags["sha256-"+strings.TrimPrefix(of, "sha256:")+".sig"] = compile.Tag{Digest: digest("signature"), Seen: license.Always}
	}
	v.catalog = append(v.catalog, r)
	v.digests[name] = names
}

// repository is a repository of the drawn registry, or nil.
func (v *randomVendor) repository(name string) *compile.Repository {
	i := slices.IndexFunc(v.catalog, func(r compile.Repository) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &v.catalog[i]
}

// String shows the vendor as the sections of a decision script.
func (v *randomVendor) String() string {
	byDigest := map[string]string{}
	for _, names := range v.digests {
		for _, n := range names {
			byDigest[authztest.NameDigest(n)] = "@" + n
			byDigest["sha256-"+strings.TrimPrefix(authztest.NameDigest(n), "sha256:")] = "sha256-@" + n
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "-- v.yaml --\n%s", v.text.String())
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		fmt.Fprintf(&out, "-- rules/%s --\n%s", name, v.files[name])
	}
	out.WriteString("-- catalog.yaml --\nkind: Catalog\nrepositories:\n")
	instant := func(at int64) string {
		if at == license.Always {
			return "unknown"
		}
		return time.Unix(at, 0).UTC().Format(time.RFC3339)
	}
	for _, r := range v.catalog {
		fmt.Fprintf(&out, "  %s:\n", r.Name)
		for _, tag := range slices.Sorted(maps.Keys(r.Tags)) {
			fmt.Fprintf(&out, "    tag %s: %s seen %s\n", tag, r.Tags[tag].Digest, instant(r.Tags[tag].Seen))
		}
		for _, tag := range slices.Sorted(maps.Keys(r.History)) {
			for _, p := range r.History[tag] {
				fmt.Fprintf(&out, "    history %s: %s until %s\n", tag, p.Digest, instant(p.Until))
			}
		}
		for _, n := range v.digests[r.Name] {
			m := r.Manifests[authztest.NameDigest(n)]
			fmt.Fprintf(&out, "    manifest @%s: created %s index %v subject %s annotations %v\n", n, instant(m.Created), m.Index, m.Subject, m.Annotations)
		}
	}
	text := out.String()
	for digest, name := range byDigest {
		text = strings.ReplaceAll(text, digest, name)
	}
	return text
}
