package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// git runs Git in a directory of the vendor; its exit code must be that.
func (v *vendor) git(code int, dir string, args ...string) {
	v.Helper()
	cmd := exec.Command("git", append([]string{"-C", v.path(dir), "-c", "user.name=v", "-c", "user.email=v@vendor.example", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		v.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// The licenses are a checkout of Git: a pull of many files is one publication; a merge that has
// conflicts is no edit.
func TestCheckoutOfGitIsPublished(t *testing.T) {
	v := newVendor(t)
	v.git(0, ".", "init", "-q", "licenses")
	v.git(0, "licenses", "add", ".")
	v.git(0, "licenses", "commit", "-qm", "first")
	v.git(0, ".", "clone", "-q", v.path("licenses"), v.path("checkout"))
	p := v.publish("max_loss: 100%\n", "--licenses", v.path("checkout"))
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })

	const customers = 300
	for i := range customers {
		v.write(fmt.Sprintf("licenses/customer-%d.yaml", i), fmt.Sprintf("kind: Customer\nid: customer-%d\n", i), 0o644)
	}
	v.write("licenses/license.yaml", grants(">=1.0.0 <3.0.0"), 0o644)
	v.git(0, "licenses", "add", ".")
	v.git(0, "licenses", "commit", "-qm", "many")
	before := p.edits()
	v.git(0, "checkout", "pull", "-q", "--ff-only")
	has := func(text string) bool {
		b, _ := p.bundle("default")
		return strings.Contains(string(b.File("pullgate/customers/data.json")), text)
	}
	p.await("the pull is published", 20*time.Second, func() bool { return p.edits() > before })
	if n := p.edits() - before; n != 1 || !has(`"customer-0"`) || !has(fmt.Sprintf("%q", fmt.Sprintf("customer-%d", customers-1))) {
		t.Errorf("%d publications of one pull", n)
	}

	// The same line is edited on both sides.
	good, _ := p.bundle("default")
	v.write("licenses/license.yaml", grants(">=1.0.0 <4.0.0"), 0o644)
	v.git(0, "licenses", "commit", "-qam", "theirs")
	v.git(0, "checkout", "fetch", "-q")
	v.write("checkout/license.yaml", grants(">=1.0.0 <5.0.0"), 0o644)
	v.git(0, "checkout", "commit", "-qam", "ours")
	p.await("ours is published", 20*time.Second, func() bool { b, _ := p.bundle("default"); return b.Serial() > good.Serial() })
	good, _ = p.bundle("default")
	v.git(1, "checkout", "merge", "-q", "origin/main")
	p.await("health names the file", 20*time.Second, func() bool { _, text := p.get("/healthz"); return strings.Contains(text, "license.yaml:") })
	if b, _ := p.bundle("default"); b.Serial() != good.Serial() {
		t.Error("something of a merge with conflicts was published")
	}
	v.git(0, "checkout", "checkout", "-q", "--theirs", "license.yaml")
	v.git(0, "checkout", "commit", "-qam", "merged")
	p.await("the merge is published", 20*time.Second, func() bool { b, _ := p.bundle("default"); return b.Serial() > good.Serial() })
	p.await("health is fine again", 20*time.Second, func() bool { _, text := p.get("/healthz"); return text == "ok\n" })
}
