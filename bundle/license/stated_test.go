package license

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// What files with mistakes take back is read where it can be read, with the dates in the zones that they
// have in a set without mistakes.
func TestStated(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"no-yaml.yaml": "kind: Customer\nid: lost\nstatus: banned\nkeys: [\n",
		"registry.yaml": "kind: Registry\nid: main\nhosts: nonsense\nrevoked_digests:\n" +
			"  - {repository: acme/app, digest: \"" + digest + "\", at: 2026-03-01}\n  - {repository: acme/app, digest: \"sha256:1\", at: 2026-03-01}\n  - {repository: acme/app, digest: \"" + digest + "\", at: soon}\n",
		"customers.yaml": "kind: Customer\nid: acme\nzone: Europe/Berlin\nkeys: [{id: ci}]\n---\nkind: Customer\nid: mill\nstatus: banned\nlabels: 7\n" +
			"---\nkind: Customer\nid: bakery\nstatus: ban\n---\n{kind: Customer, id: dairy, status: active}\n",
		"plan.yaml": "kind: Plan\nid: gold\nzone: America/New_York\n",
		"licenses.yaml": `kind: License
id: of-customer
customer: acme
grants: [{product: nothing, versions: all}]
status: {revoked: {at: 2026-03-01, public_reason: please call us}}
---
{kind: License, id: of-plan, customer: acme, plan: gold, status: {revoked: {at: 2026-03-01}}}
---
{kind: License, id: own, customer: lost, zone: Asia/Tokyo, status: {revoked: {at: 2026-03-01}}}
---
{kind: License, id: undated, customer: acme, status: {revoked: {}}}
---
{kind: License, id: suspended, customer: acme, status: {suspended: {at: 2026-03-01}}}
---
{kind: License, id: misspelt, customer: acme, status: {revoked: {at: 2026-03-01, reson: x}}}
---
{kind: License, id: fine, customer: acme}
`,
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if _, err := Load(files); err == nil {
		t.Fatal("there are no mistakes")
	}
	s := Stated(files)
	var got []string
	for _, c := range s.Customers {
		got = append(got, fmt.Sprint(c.ID, " ", c.Banned, " ", len(c.Keys)))
	}
	for _, l := range s.Licenses {
		got = append(got, fmt.Sprint(l.Customer, " ", l.ID, " ", *l.Revoked))
	}
	for _, r := range s.Registries {
		got = append(got, fmt.Sprint(r.ID, " ", r.RevokedDigests))
	}
	want := []string{
		"mill true 0",
		"acme of-customer {1772319600  please call us}",
		"acme of-plan {1772341200  }",
		"lost own {1772290800  }",
		"main [{acme/app " + digest + " 1772323200 }]",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
