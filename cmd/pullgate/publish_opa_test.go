package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
)

// publishedOPA is a stock OPA that gets its bundle from a publisher, with its own configuration of
// services and nothing else of pullgate's.
func (v *vendor) publishedOPA(service map[string]any, resource string) *opaServer {
	v.Helper()
	pem := v.read("release.pub")
	keys, err := bundle.ParsePublic(pem)
	v.must(err)
	id, err := bundle.KeyID(keys[0])
	v.must(err)
	type object = map[string]any
	config, err := json.Marshal(object{
		"services":              object{"publisher": service},
		"persistence_directory": v.path("opa"),
		"keys":                  object{id: object{"algorithm": "ES256", "key": string(pem), "scope": bundle.DefaultName}},
		"bundles": object{"default": object{
			"service": "publisher", "resource": resource, "signing": object{"keyid": id},
			"polling": object{"long_polling_timeout_seconds": 60, "min_delay_seconds": 1, "max_delay_seconds": 1},
		}},
	})
	v.must(err)
	v.write("opa.json", string(config), 0o600)
	o := startOPA(v.T, "--config-file", v.path("opa.json"))
	v.must(o.ready(v.Context()))
	return o
}

// allows asks OPA for a version of the product, as the customer.
func (o *opaServer) allows(t *testing.T, version string) bool {
	t.Helper()
	input := fmt.Sprintf(`{"time":%d,"subject":{"customer":"acme","key":"ci","via":"key","claims":{}},"action":"pull",
		"resource":{"kind":"manifest","registry":"main","repository":"acme/app","product":"app","tag":%q,
		"candidates":[{"product":"app","version":%[2]q,"order":[%[3]s,{}],"tag":%[2]q,"channel":"stable","released":0,"counts_from":0,
		"withdrawn_at":"never","retires_at":"never","revoked_at":"never","boundaries":[]}]},
		"request":{"method":"GET","host":"registry.acme.example","path":"/","via":"ext_authz","address":"203.0.113.9"}}`,
		time.Now().Unix(), version, strings.ReplaceAll(version, ".", ","))
	got, err := o.value(t.Context(), policies.Entrypoint, json.RawMessage(input))
	if err != nil {
		t.Fatal(err)
	}
	d, _ := got.(map[string]any)
	return d["allow"] == true
}

func TestStockOPAFollowsThePublisher(t *testing.T) {
	v := newVendor(t)
	v.write("sidecars", "token-of-the-sidecars\n", 0o600)
	p := v.publish(fmt.Sprintf("max_loss: 100%%\nbundles: {default: {token_file: %q}}\n", v.path("sidecars")))
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	o := v.publishedOPA(map[string]any{
		"url": strings.TrimSuffix(p.bundles, "/bundles/"), "response_header_timeout_seconds": 90,
		"credentials": map[string]any{"bearer": map[string]any{"token": "token-of-the-sidecars"}},
	}, "bundles/default")
	p.await("OPA has the bundle", 20*time.Second, func() bool { return o.allows(t, "1.4.0") })
	p.await("OPA waits for the next", 20*time.Second, func() bool { return p.gauge("pullgate_bundle_waiting") == "1" })
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	took := p.await("OPA has the next", 20*time.Second, func() bool { return !o.allows(t, "1.4.0") && o.allows(t, "2.0.0") })
	t.Logf("edit → different answer of a stock OPA: %s", took.Round(time.Millisecond))
}

func TestStockOPAFollowsTheArtifact(t *testing.T) {
	v := newVendor(t)
	repository := v.registry.Addr + "/vendor/bundles"
	p := v.publish(fmt.Sprintf("max_loss: 100%%\noci: %q\noci_user: %s\noci_password_file: %q\n", repository, registryUser, v.path("registry-password")))
	p.await("pushed", 20*time.Second, func() bool { return strings.Contains(p.log.String(), "bundle written") })
	o := v.publishedOPA(map[string]any{
		"url": "http://" + v.registry.Addr, "type": "oci",
		"credentials": map[string]any{"bearer": map[string]any{"scheme": "Basic", "token": registryUser + ":" + registryPassword}},
	}, repository+":default")
	p.await("OPA has the bundle", 20*time.Second, func() bool { return o.allows(t, "1.4.0") })
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	p.await("OPA has the next", 30*time.Second, func() bool { return !o.allows(t, "1.4.0") && o.allows(t, "2.0.0") })
}
