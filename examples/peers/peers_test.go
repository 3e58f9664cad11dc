package peers_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/examples/peers"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestPeersAreTheseVersions(t *testing.T) {
	for _, tt := range []struct {
		path string
		args []string
		want string
	}{
		{peers.Envoy(t), []string{"--version"}, "/1.40.0/"},
		{peers.OPA(t), []string{"version"}, "Version: 1.22.2"},
		{peers.Crane(t), []string{"version"}, ""},
		{peers.Registry(t), []string{"--help"}, "registry"},
	} {
		out, err := exec.Command(tt.path, tt.args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s %v: %v\n%s", tt.path, tt.args, err, out)
		}
	}
}

func TestMissingPeerNamesTheCommand(t *testing.T) {
	_, err := peers.Path(t.Context(), "no-such-peer")
	if err == nil || !strings.Contains(err.Error(), `no peer is called "no-such-peer"`) {
		t.Errorf("error %v", err)
	}
}

const trivialEnvoy = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

func TestEnvoyStartsOnPortsOfItsOwnAndEnds(t *testing.T) {
	ctx := within(t, time.Minute)
	path := peers.Envoy(t)
	if err := peers.ValidateEnvoy(ctx, path, []byte(trivialEnvoy)); err != nil {
		t.Fatal(err)
	}
	e, err := peers.StartEnvoy(ctx, path, []byte(trivialEnvoy))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	addr, err := e.Listener(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %s", resp.Status)
	}
	if _, err := e.Listener(ctx, "other"); err == nil || !strings.Contains(err.Error(), `no listener "other"`) {
		t.Errorf("error %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-e.Done():
	default:
		t.Error("still running after Close")
	}
}

func TestBrokenConfigurationIsExplained(t *testing.T) {
	ctx := within(t, time.Minute)
	path := peers.Envoy(t)
	broken := []byte(strings.Replace(trivialEnvoy, "stat_prefix", "stat_perfix", 1))
	if err := peers.ValidateEnvoy(ctx, path, broken); err == nil || !strings.Contains(err.Error(), "stat_perfix") {
		t.Errorf("validate: %v", err)
	}
	e, err := peers.StartEnvoy(ctx, path, broken)
	if err == nil {
		e.Close()
		t.Fatal("started")
	}
	if !strings.Contains(err.Error(), "stat_perfix") {
		t.Errorf("start: %v", err)
	}
}

func TestRegistryAsksForAPasswordAndLogsEveryRequest(t *testing.T) {
	ctx := within(t, time.Minute)
	dir := t.TempDir()
	r, err := peers.StartRegistry(ctx, peers.Registry(t), dir, map[string]string{"gate": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	get := func(user, password string) int {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+"/v2/_catalog?n=5", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", `a "quoted" client`)
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := []int{get("", ""), get("gate", "wrong"), get("gate", "secret")}; !cmp.Equal(got, []int{401, 401, 200}) {
		t.Errorf("status without, with a wrong, with the right password: %v", got)
	}
	got, err := r.Requests(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []peers.LoggedRequest{
		{Method: "GET", Path: "/v2/_catalog?n=5", Status: 401, Agent: `a \"quoted\" client`},
		{Method: "GET", Path: "/v2/_catalog?n=5", Status: 401, Agent: `a \"quoted\" client`},
		{Method: "GET", Path: "/v2/_catalog?n=5", Status: 200, Agent: `a \"quoted\" client`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access log (-want +got):\n%s", diff)
	}

	// A second registry in the same folder goes on with the log.
	r.Kill()
	again, err := peers.StartRegistry(ctx, peers.Registry(t), dir, map[string]string{"gate": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Requests(ctx); err != nil || len(got) != len(want) {
		t.Errorf("%d requests, %v", len(got), err)
	}
}

// The children must not outlive a test binary that is killed, nor end early because the
// thread that started them did. The helper process starts one and waits to be killed.
func TestChildEndsWithItsParentAndNotBefore(t *testing.T) {
	if os.Getenv("PEERS_HELPER") != "" {
		p, err := peers.Start("/bin/sleep", "600")
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("child " + strconv.Itoa(p.PID()) + "\n")
		<-p.Done()
		t.Fatal("the child ended by itself")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildEndsWithItsParentAndNotBefore$")
	cmd.Env = append(os.Environ(), "PEERS_HELPER=1")
	out := &firstLine{got: make(chan string, 1)}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	select {
	case line := <-out.got:
		pid = strings.TrimPrefix(line, "child ")
	case <-time.After(time.Minute):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if pid == "" {
		t.Fatal("the helper started no child")
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %s outlived its parent", pid)
		}
	}
}

// firstLine hands out the first line written to it.
type firstLine struct {
	buf bytes.Buffer
	got chan string
}

func (f *firstLine) Write(p []byte) (int, error) {
	n, err := f.buf.Write(p)
	if line, _, ok := strings.Cut(f.buf.String(), "\n"); ok {
		select {
		case f.got <- line:
		default:
		}
	}
	return n, err
}

func TestProcessThatEndsIsReported(t *testing.T) {
	p, err := peers.Start("/bin/sh", "-c", "echo why; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := p.Output(); got != "why\n" {
		t.Errorf("output %q", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := peers.Start("/no/such/program"); err == nil {
		t.Error("started a program that does not exist")
	}
}
