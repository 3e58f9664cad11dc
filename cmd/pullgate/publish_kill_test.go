package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// A publisher that is killed at any moment leaves a whole bundle or none, and goes on with higher
// serials; who follows its directory meanwhile never sees anything that must be refused.
func TestPublisherKilledWhileItWrites(t *testing.T) {
	v := newVendor(t)
	// Larger files take longer to write: a thousand customers.
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "---\nkind: Customer\nid: customer-%d\n", i)
	}
	v.write("licenses/many.yaml", many.String(), 0o644)
	config := v.configurePublish("max_loss: 100%\nout: " + v.path("out") + "\n")
	file := v.path("out/default.tar.gz")
	var sidecar *served
	var last int64
	ring := func() *bundle.KeyRing {
		r, err := bundle.ParseKeyRing(v.read("release.pub"))
		v.must(err)
		return r
	}()
	killed := 0
	for round := range 12 {
		cmd := exec.Command("pullgate", "publish", "--config", config)
		log := newLines()
		cmd.Stderr = log
		v.must(cmd.Start())
		deadline := time.Now().Add(patience)
		for !strings.Contains(log.String(), "bundle published") {
			if time.Now().After(deadline) {
				t.Fatalf("nothing is published in round %d\n%s", round, log)
			}
			time.Sleep(2 * time.Millisecond)
		}
		for end := time.Now().Add(rand.N(400 * time.Millisecond)); time.Now().Before(end); time.Sleep(rand.N(30 * time.Millisecond)) {
			v.write("licenses/license.yaml", grants([]string{">=1.0.0 <2.0.0", ">=1.0.0 <3.0.0"}[rand.N(2)]), 0o644)
		}
		v.must(cmd.Process.Kill())
		_ = cmd.Wait()
		killed++

		f, err := os.Open(file)
		if os.IsNotExist(err) {
			continue
		}
		v.must(err)
		b, err := bundle.Read(f, ring, bundle.ReadOptions{Name: "default", MinSerial: last})
		f.Close()
		if err != nil {
			t.Fatalf("after round %d: %v", round, err)
		}
		last = b.Serial()
		if sidecar == nil {
			sidecar = v.followFile(file)
		}
		if got := sidecar.pull("1.4.0"); got.Status != http.StatusOK {
			t.Errorf("after round %d: %+v", round, got)
		}
	}
	if sidecar == nil {
		t.Fatalf("killed %d times before anything was written: the test shows nothing", killed)
	}
	if log := sidecar.log.String(); strings.Contains(log, "refused") {
		t.Errorf("the sidecar refused something:\n%s", log)
	}
	sidecar.await("the last bundle is in use", 10*time.Second, func() bool { return strings.Contains(sidecar.log.String(), "bundle active") })
}

// followFile starts a sidecar that follows a bundle file.
func (v *vendor) followFile(file string) *served {
	v.Helper()
	v.write("follow.yaml", "bundle_url: [file://"+file+"]\nbundle_key_file: ["+v.path("release.pub")+"]\ndata: "+v.path("sidecar")+"\ncredentials: {main: {username: "+registryUser+", password_file: "+v.path("registry-password")+", attach: false}}\n", 0o600)
	s := v.serveAs(v.path("follow.yaml"))
	s.awaitReady()
	return s
}
