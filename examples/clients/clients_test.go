package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// TestMatrix plays every scene of every client against every registry with a pullgate built
// from this tree, and then scenes that claim the opposite, which must be found out.
func TestMatrix(t *testing.T) {
	if runtime.GOOS != "linux" {
		const why = "every scene has a loopback address of its own, which only Linux has"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	peers.Envoy(t)
	m := &matrix{find: peers.Path, dir: t.TempDir(), pullgate: filepath.Join(t.TempDir(), "pullgate")}
	// With CI=true a missing peer fails here; elsewhere it is installed, or what needs it is skipped.
	for _, r := range registries {
		t.Run("peer of "+r.name, func(t *testing.T) {
			peers.Find(t, r.peer)
			m.registries = append(m.registries, r)
		})
	}
	for _, c := range clients {
		if c.extra && os.Getenv("COSIGN") == "" {
			t.Logf("building %s takes long: played with COSIGN=1", c.name)
			continue
		}
		t.Run("peers of "+c.name, func(t *testing.T) {
			err := c.usable(t.Context(), func(_ context.Context, name string) (string, error) { return peers.Find(t, name), nil })
			if err != nil && os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			if err != nil {
				t.Skip(err)
			}
			m.clients = append(m.clients, c)
		})
	}
	honest := len(m.clients)
	m.clients = append(m.clients, client{name: "liar", peers: []string{"crane"}, scenes: lies})
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", m.pullgate, "../../cmd/pullgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	all, err := m.play(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.clients[:honest] {
		t.Run(c.name, func(t *testing.T) {
			if len(m.registries) == len(registries) {
				pageIsTrue(t, c.name, all)
			}
			for _, p := range all {
				if p.client != c.name {
					continue
				}
				t.Run(p.name+" "+p.registry, func(t *testing.T) {
					for _, text := range p.wrong {
						t.Error(text)
					}
					for _, o := range p.outcomes {
						if t.Failed() {
							t.Logf("exit %d\n%s", o.gotExit, o.said)
						}
					}
				})
			}
		})
	}
	liars := 0
	for _, p := range all {
		if p.client != "liar" {
			continue
		}
		liars++
		got := strings.Join(p.wrong, "\n")
		for text := range strings.SplitSeq(p.name, "; ") {
			if !strings.Contains(got, text) {
				t.Errorf("%s: a lie was not found out: %s\nfound: %s", p.registry, text, got)
			}
		}
	}
	if liars != 4*len(m.registries) {
		t.Errorf("%d lies were told", liars)
	}
	if testing.Verbose() {
		print(os.Stdout, all, false)
	}
}

// lies are scenes whose names are what must be found wrong with them.
func lies(c *content) []scene {
	pull := func(tail string) func(s *seat) []string {
		return func(s *seat) []string {
			return []string{"crane", "pull", "--format", "oci", s.ref(appRepository, tail), s.path("out")}
		}
	}
	other := c.app["1.4.0"].digests()
	return []scene{
		one(`exit code 1, want 0; refusals on record are ["version_not_granted"], want []; 0 requests arrived`, allowed, 1, "", pull(":2.0.0")),
		one(`exit code 0, want 1; did not print "denied: no decision ID"; refusals on record are [], want ["expired"]; no id of a decision was shown; requests arrived`,
			"expired", 1, "denied: no decision ID", pull(":1.5.0")),
		one(fmt.Sprintf("%s was not pulled; was pulled too", other[len(other)-1]), allowed, 1, "", pull(":1.5.0")).checking(layoutOf(c.app["1.4.0"])),
		one("decisions are on record", unasked, 1, "", pull(":1.5.0")),
	}
}

// What arrives as something else than was judged, or with another credential, is found out too.
func TestArrivalsAreJudged(t *testing.T) {
	p := &played{scene: scene{code: allowed, who: entitled}}
	p.judge([]record{{Verdict: "allow", Code: "ok"}}, []arrival{
		{path: "/v2/demo/app/manifests/sha256:00", credented: true},
		{path: "/v2/demo/app/manifests/1.5.0", credented: true},
		{path: "/v2/demo/app/blobs/sha256:00"},
	})
	if len(p.wrong) != 2 || !strings.Contains(p.wrong[0], "a tag arrived") || !strings.Contains(p.wrong[1], "without the registry's own credential") {
		t.Errorf("found %q", p.wrong)
	}
}

// So is a client that pulls with its key where there are tokens, or with a token where there are none.
func TestTokensAreJudged(t *testing.T) {
	made := func(via, action string) record {
		r := record{Action: action, Verdict: "allow", Code: "ok"}
		r.Subject.Via = via
		return r
	}
	login, byKey, byToken := made("key", "ping"), made("key", "pull"), made("token", "pull")
	for _, c := range []struct {
		token   bool
		records []record
		wrong   int
	}{
		{true, []record{login, byToken, byToken}, 0},
		{true, []record{login}, 1},
		{true, []record{login, byKey}, 2},
		{true, []record{login, byKey, byToken}, 1},
		{false, []record{login, byKey}, 0},
		{false, []record{login, byKey, byToken}, 1},
	} {
		p := &played{scene: scene{code: allowed, who: entitled, token: c.token}}
		if p.judgeTokens(c.records); len(p.wrong) != c.wrong {
			t.Errorf("%+v: found %q", c, p.wrong)
		}
	}
}
