package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
)

// TestWhatCanAndWhoCanSayWhatDecideSays: in the worlds of the project's own scripts, what-can of
// every customer is what single decisions about every tag allow, and who-can of every tag names
// the customers whose what-can has it.
func TestWhatCanAndWhoCanSayWhatDecideSays(t *testing.T) {
	rows, worlds := 0, 0
	for _, name := range []string{"lists", "vendor-rules", "replaced-licenses", "floating-and-embargo", "two-registries", "public-digest-tags", "revoked-digests", "licenses-and-releases", "versions"} {
		s, err := authztest.ReadScript("../../testdata/decisions/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		door := &canDoor{plainDoor: newPlainDoor(t, nil), t: t, script: name}
		runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
		if _, err := runner.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		rows, worlds = rows+door.rows, worlds+door.worlds
	}
	t.Logf("%d rows in %d worlds", rows, worlds)
	if rows < 100 || worlds < 15 {
		t.Errorf("%d rows in %d worlds are too few", rows, worlds)
	}
}

// canDoor compares in each world that a script enters.
type canDoor struct {
	*plainDoor
	t            *testing.T
	script       string
	rows, worlds int
}

func (d *canDoor) Enter(ctx context.Context, w *authztest.World) error {
	a, err := ask(ctx, w.Bundle, w.Clock)
	if err != nil {
		return err
	}
	defer a.close()
	registries, err := a.registries()
	if err != nil {
		return err
	}
	d.worlds++
	holders := map[string][]string{} // by registry and thing, who has it by a license
	for _, customer := range a.customers {
		got, err := (&whatCan{asked: a, customer: customer, progress: newAsking(&bytes.Buffer{})}).rows(ctx)
		if err != nil {
			return err
		}
		var listed, allowed []string
		for _, row := range got {
			thing := row.Registry + " " + row.Repository + ":" + row.Tag
			listed = append(listed, fmt.Sprint(thing, row.Code, row.License, orNever(row.Until)))
			if !row.Public {
				holders[thing] = append(holders[thing], customer)
			}
		}
		for _, reg := range registries {
			for _, name := range a.gen.Repositories(authz.Registry{ID: reg.id}, customer) {
				t := a.gen.Resolve(authz.Registry{ID: reg.id}, askedFor(customer, reg.host, name, "tags/list"))
				for _, tag := range slices.Compact(slices.Sorted(slices.Values(t.Names))) {
					dec := a.Decide(ctx, askedFor(customer, reg.host, name, "manifests/"+tag))
					if dec.Outcome == authz.OutcomeAllow {
						allowed = append(allowed, fmt.Sprint(reg.id+" "+name+":"+tag, dec.Code, dec.Verdict.License, instantText(dec.Verdict.Until)))
					}
				}
			}
		}
		d.rows += len(listed)
		if !slices.Equal(listed, allowed) {
			d.t.Errorf("%s at %s, %s: what-can %q, decisions %q", d.script, w.Clock, customer, listed, allowed)
		}
	}
	for thing, want := range holders {
		registry, name, _ := strings.Cut(thing, " ")
		req, unknown, err := a.thing(name, registry)
		if err != nil || unknown != "" {
			return fmt.Errorf("%s: %w %s", thing, err, unknown)
		}
		who := &whoCan{asked: a, req: req, progress: newAsking(&bytes.Buffer{})}
		if err := who.run(ctx); err != nil {
			return err
		}
		var got []string
		for _, m := range who.answers {
			if m.Allow && m.Code != authz.CodePublic {
				got = append(got, m.Customer)
			}
		}
		if !slices.Equal(got, want) {
			d.t.Errorf("%s at %s, %s: who-can %q, what-can of %q", d.script, w.Clock, thing, got, want)
		}
	}
	return d.plainDoor.Enter(ctx, w)
}

// Half an answer is none.
func TestWhoCanThatIsInterruptedSaysNothing(t *testing.T) {
	s, err := authztest.ReadScript("../../testdata/decisions/lists.txtar")
	if err != nil {
		t.Fatal(err)
	}
	door := &interruptedDoor{plainDoor: newPlainDoor(t, nil), t: t}
	runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
	if _, err := runner.Run(t.Context(), s); err != nil || !door.entered {
		t.Fatalf("%v, entered %v", err, door.entered)
	}
}

type interruptedDoor struct {
	*plainDoor
	t       *testing.T
	entered bool
}

func (d *interruptedDoor) Enter(ctx context.Context, w *authztest.World) error {
	a, err := ask(ctx, w.Bundle, w.Clock)
	if err != nil {
		return err
	}
	defer a.close()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	d.entered = true
	who := &whoCan{asked: a, req: askedFor("", "", "", ""), progress: newAsking(&bytes.Buffer{})}
	who.req.Kind, who.req.Product, who.req.Version = authz.KindVersion, "app", "1.4.0"
	if err := who.run(ended); err == nil || !strings.Contains(err.Error(), "interrupted") {
		d.t.Errorf("who-can: %v", err)
	}
	return d.plainDoor.Enter(ctx, w)
}
