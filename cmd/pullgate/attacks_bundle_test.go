package main

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// A35: a bundle that is damaged, unsigned, foreign, older or huge changes nothing, and the last
// good one decides until its time is over. Then nothing gets through, and before the first one
// nothing does. Through Envoy as it is shipped and with everything on.
func TestBadBundlesOpenNothing(t *testing.T) {
	script, err := authztest.ReadScript("../../testdata/decisions/attacks.txtar")
	must(t, err)
	set, err := license.Parse(script.Licenses)
	must(t, err)
	secret, hash := license.NewKey(rand.Reader)
	customer := set.Customer("bakery")
	customer.Keys = append(customer.Keys, license.Key{ID: "ci", Hash: hash, Expires: license.Never})
	repositories, err := readScriptCatalog(script.Catalog, set)
	must(t, err)

	const serial = 7
	issued := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	ends := issued.Add(time.Hour)
	signer, foreign := newSigner(t), newSigner(t)
	ring, err := bundle.NewKeyRing(signer.Public())
	must(t, err)
	made := func(by *bundle.Signer, change func(*compile.Input)) []byte {
		t.Helper()
		in := &compile.Input{
			Set: set, Catalog: repositories, Modules: policies.Modules(),
			Name: bundle.DefaultName, Serial: serial, IssuedAt: issued.Unix(), NotAfter: ends.Unix(),
		}
		if change != nil {
			change(in)
		}
		content, _, err := compile.Compile(in)
		must(t, err)
		var out bytes.Buffer
		_, err = bundle.Write(&out, content, by)
		must(t, err)
		return out.Bytes()
	}
	good := made(signer, nil)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	var huge bytes.Buffer
	gz := gzip.NewWriter(&huge)
	_, err = gz.Write(make([]byte, 32<<20))
	must(t, err, gz.Close())
	read := func(data []byte) (*bundle.Bundle, error) {
		return bundle.Read(bytes.NewReader(data), ring, bundle.ReadOptions{Name: bundle.DefaultName, MinSerial: serial, MaxBytes: 16 << 20})
	}
	b, err := read(good)
	must(t, err)

	for _, door := range []*envoyDoor{newEnvoyDoor(t), everythingOn(t)} {
		t.Run(door.Name(), func(t *testing.T) {
			ask := func(target string, status int) {
				t.Helper()
				a, err := door.Ask(t.Context(), &authztest.Exchange{
					Method: http.MethodGet, Host: "registry.acme.example", Target: target, Address: netip.MustParseAddr("203.0.113.9"),
					Header: []authztest.Header{{Name: "Authorization", Value: basic("bakery", secret)}},
				})
				if err != nil || a.Status != status { // Ask itself fails when something refused arrives
					t.Errorf("%s: %v %+v, want %d", target, err, a, status)
				}
			}
			serves := func() {
				t.Helper()
				ask("/v2/acme/app/manifests/1.5.0", http.StatusOK)
				ask("/v2/acme/app/manifests/2.0.0", http.StatusForbidden)
				ask("/v2/acme/secret/manifests/1.5.0", http.StatusNotFound)
			}
			nothing := func() {
				t.Helper()
				for _, target := range []string{"/v2/", "/v2/acme/app/manifests/1.5.0", "/v2/acme/app/manifests/2.0.0", "/v2/acme/secret/manifests/1.5.0", "/v2/acme/app/tags/list"} {
					ask(target, http.StatusServiceUnavailable)
				}
			}
			nothing()
			enter := func(at time.Time) { must(t, door.Enter(t.Context(), &authztest.World{Bundle: b, Clock: at})) }
			enter(issued)
			serves()
			for name, bad := range map[string]struct {
				data []byte
				is   error // nil: any
			}{
				"empty":             {nil, nil},
				"no bundle":         {[]byte("{}"), nil},
				"a changed bit":     {flipped, nil},
				"half of it":        {good[:len(good)/2], nil},
				"signed by another": {made(foreign, nil), bundle.ErrUnknownKey},
				"unsigned":          {made(nil, nil), bundle.ErrUnsigned},
				"older":             {made(signer, func(in *compile.Input) { in.Serial = serial - 1 }), bundle.ErrRollback},
				"of another name":   {made(signer, func(in *compile.Input) { in.Name = "another" }), bundle.ErrWrongName},
				"huge":              {huge.Bytes(), nil},
			} {
				got, err := read(bad.data)
				if got != nil || err == nil || bad.is != nil && !errors.Is(err, bad.is) {
					t.Errorf("a bundle that is %s is read: %v", name, err)
				}
				serves()
			}
			enter(ends.Add(-time.Second))
			serves()
			_ = door.Enter(t.Context(), &authztest.World{Bundle: b, Clock: ends}) // it may refuse to begin with it
			nothing()
		})
	}
}
