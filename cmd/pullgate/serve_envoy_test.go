package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// TestPull lets a real client pull through a real Envoy from a real registry, with the
// registry's credential set by pullgate, and by Envoy.
func TestPull(t *testing.T) {
	for _, attach := range []bool{true, false} {
		name := "credential set by Envoy"
		if attach {
			name = "credential set by pullgate"
		}
		t.Run(name, func(t *testing.T) { testPull(t, attach) })
	}
}

func testPull(t *testing.T, attach bool) {
	v := newVendor(t)
	v.attach = attach
	certs, err := peers.NewCertificates(v.dir, "127.0.0.1")
	v.must(err)
	vendorFile, err := os.ReadFile(v.path("licenses/vendor.yaml"))
	v.must(err)
	v.write("licenses/vendor.yaml", strings.Replace(string(vendorFile), customersHost, "127.0.0.1", 1), 0o644)
	s := v.serve()
	s.awaitReady()
	options := envoyexample.Options{
		Hosts: []string{"127.0.0.1"}, Cert: certs.Cert, Key: certs.Key,
		Pullgate: s.conn.Target(), Registry: v.registry.Addr, AccessLog: v.path("access.log"),
	}
	if !attach {
		options.Credential = v.path("credential.yaml")
		v.must(envoyexample.WriteCredential(options.Credential, registryUser, registryPassword))
	}
	config, err := envoyexample.Render(options)
	v.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	envoy, err := peers.StartEnvoy(ctx, peers.Envoy(t), config)
	v.must(err)
	defer envoy.Close()
	addr, err := envoy.Listener(ctx, envoyexample.ListenerName)
	v.must(err)

	auth, err := json.Marshal(map[string]any{"auths": map[string]any{addr: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("acme:" + v.key))}}})
	v.must(err)
	v.write("config.json", string(auth), 0o600)
	crane := func(args ...string) (string, int) {
		cmd := exec.CommandContext(ctx, peers.Crane(t), args...)
		cmd.Env = []string{"HOME=" + v.dir, "DOCKER_CONFIG=" + v.dir, "SSL_CERT_FILE=" + certs.CA, "TMPDIR=" + v.dir}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return out.String(), exit.ExitCode()
		}
		v.must(err)
		return out.String(), 0
	}
	arrived := func() (paths []string) {
		all, err := v.registry.Requests(ctx)
		v.must(err)
		for _, r := range all {
			if strings.Contains(r.Agent, "crane") {
				if r.Status != http.StatusOK {
					t.Errorf("the registry answered %d to %s", r.Status, r.Path)
				}
				paths = append(paths, r.Path)
			}
		}
		return paths
	}
	app := addr + "/acme/app"
	if out, exit := crane("pull", "--format", "oci", app+":1.4.0", v.path("pulled")); exit != 0 {
		t.Fatalf("crane: exit %d: %s\n%s", exit, out, s.log)
	}
	got := arrived()
	if len(got) < 3 { // manifest, config, layer
		t.Errorf("only %v arrived at the registry", got)
	}
	for _, path := range got {
		if !strings.Contains(path, "/sha256:") {
			t.Errorf("%s arrived at the registry: not the digest that was judged", path)
		}
	}
	out, exit := crane("pull", app+":2.0.0", v.path("refused.tar"))
	if exit == 0 || !strings.Contains(out, "DENIED: ") {
		t.Fatalf("crane: exit %d: %s", exit, out)
	}
	if len(arrived()) != len(got) {
		t.Errorf("a refused request arrived at the registry: %v", arrived()[len(got):])
	}
	// What the customer reads is enough to find the record.
	var id string
	s.await("the record", 5*time.Second, func() bool {
		records := s.decisions("customer=acme&verdict=deny")
		if len(records) > 0 {
			id = records[0]["id"].(string)
		}
		return id != ""
	})
	if !strings.Contains(out, id) {
		t.Errorf("crane does not show the decision's id %s: %s", id, out)
	}
	if code, text, errs := once(t, "decisions", "show", id, "--data", v.path("data"), "-o", "table"); code != exitYes || !strings.Contains(text, "version_not_granted (HTTP 403)") {
		t.Errorf("decisions show: %d %s%s", code, text, errs)
	}
	if out, exit := crane("ls", app); exit != 0 || strings.TrimSpace(out) != "1.4.0" {
		t.Errorf("crane ls: exit %d: %s", exit, out)
	}
}
