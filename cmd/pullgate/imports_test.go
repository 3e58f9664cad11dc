package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pullgate/pullgate/"

// mayImport says which packages of ours each package of ours may import: data flows one way,
// the two sides share data and not code, transports reach no store and stores no transport.
// A package that is not here fails the test: give it a row when it comes.
var mayImport = map[string][]string{
	"policies/version": nil,
	"policies":         nil,
	"bundle":           nil,
	"bundle/index":     nil,
	"authz":            nil,
	"sync/catalog":     nil,
	"sync/durable":     nil,

	"bundle/license": {"policies/version"},
	"bundle/compile": {"bundle", "bundle/index", "bundle/license", "policies", "policies/version"},
	"bundle/serve":   {"bundle"},
	"sync/pull":      {"bundle", "sync/durable"},
	"sync/tombstone": {"bundle", "bundle/index"},
	"sync/source":    {"bundle/license", "sync/durable"},
	"sync/postgres":  {"bundle/license", "sync/source"},
	"sync/publish":   {"bundle", "bundle/compile", "bundle/index", "bundle/license", "bundle/serve", "policies", "policies/version", "sync/catalog", "sync/durable", "sync/source"},

	"authz/classify":   {"authz"},
	"authz/reply":      {"authz"},
	"authz/audit":      {"authz"},
	"authz/plan":       nil,
	"authz/engine":     {"authz", "authz/plan", "bundle", "bundle/index", "policies", "policies/version"},
	"authz/redisstore": {"authz"}, // sync/tombstone says what its tombstones are
	"authz/memstore":   {"authz"},
	"authz/upstream":   {"authz"},
	"authz/token":      {"authz", "authz/classify", "authz/reply"},
	"authz/envoy":      {"authz", "authz/classify", "authz/reply"},
	"authz/forward":    {"authz", "authz/classify", "authz/reply"},
	"authz/shadow":     {"authz"},
	"authz/console":    {"authz", "authz/audit"},
	// Both sides, levels 1 and 2; doors are handed in. Only tests and `pullgate test` use it.
	"authz/authztest": {
		"authz", "authz/audit", "authz/classify", "authz/engine", "authz/reply",
		"bundle", "bundle/compile", "bundle/index", "bundle/license", "policies", "policies/version", "sync/catalog", "sync/source",
	},

	"cmd/pullgate": {
		"authz", "authz/audit", "authz/authztest", "authz/classify", "authz/console", "authz/engine", "authz/envoy", "authz/forward",
		"authz/memstore", "authz/redisstore", "authz/reply", "authz/shadow", "authz/token", "authz/upstream",
		"bundle", "bundle/compile", "bundle/index", "bundle/license", "bundle/serve", "policies", "policies/version",
		"sync/catalog", "sync/postgres", "sync/publish", "sync/pull", "sync/source", "sync/tombstone",
	},

	"examples/leaktest": nil, // of tests only
	"examples/peers":    nil,
	"examples/envoy":    nil,
	"examples/rules":    nil,
	"examples/demo":     {"examples/envoy", "examples/peers"},
	"examples/split":    {"examples/envoy", "examples/peers"},
	"examples/clients":  {"examples/envoy", "examples/peers"},

	"examples/soak":       {"bundle/license", "examples/load/drive", "examples/peers"},
	"examples/load/drive": nil,
	"examples/load":       {"examples/load/drive"},
	"examples/bench": {
		"bundle", "bundle/compile", "bundle/index", "bundle/license", "policies", "sync/catalog", "sync/publish", // to make large bundles
		"examples/envoy", "examples/load/drive", "examples/peers",
	},
}

// doors says which packages of ours may reach a heavy dependency other than through one
// another. A path ending in /... stands for all packages below it.
var doors = map[string][]string{
	"github.com/open-policy-agent/opa/...":           {"policies", "bundle", "bundle/compile", "authz/engine", "authz/plan", "cmd/pullgate"},
	"github.com/envoyproxy/go-control-plane/...":     {"authz/envoy", "examples/load/drive"},
	"google.golang.org/grpc/...":                     {"authz/envoy", "examples/load/drive"},
	"github.com/Masterminds/semver/...":              {"policies/version"},
	"github.com/spf13/cobra/...":                     {"cmd/pullgate"},
	"github.com/maypok86/otter/...":                  {"authz/memstore"},
	"github.com/redis/go-redis/...":                  {"authz/redisstore"},
	"github.com/klauspost/compress/s2":               {"bundle"},
	"go.etcd.io/bbolt/...":                           {"sync/catalog"},
	"github.com/jackc/pgx/...":                       {"sync/postgres"},
	"github.com/google/go-containerregistry/...":     {"sync/catalog", "sync/publish"},
	"github.com/fsnotify/fsnotify/...":               {"sync/source"},
	"github.com/parquet-go/parquet-go/...":           {"authz/audit"},
	"github.com/transparency-dev/tessera/...":        {"authz/audit"},
	"github.com/open-policy-agent/opa/v1/runtime":    nil, // hundreds of packages that pullgate has its own of
	"github.com/open-policy-agent/opa/v1/sdk":        nil,
	"github.com/open-policy-agent/opa/v1/server":     nil,
	"pgregory.net/rapid/...":                         nil, // tests only
	"go.uber.org/goleak/...":                         {"examples/leaktest"},
	"github.com/google/go-cmp/...":                   nil,
	"github.com/rogpeppe/go-internal/testscript/...": nil,
}

// onlyThirdParty lists the packages whose readers should need to know nothing else: what they
// import directly from outside.
var onlyThirdParty = map[string][]string{
	"policies/version": {"github.com/Masterminds/semver/v3"},
	"bundle/index":     nil,
	"authz":            {"github.com/prometheus/client_golang/prometheus", "github.com/google/uuid"},
	"authz/classify":   nil,
	"authz/reply":      nil,
}

// A graph holds the imports of every package but the standard library's; ours without the
// module's path.
type graph map[string][]string

func TestImportsFollowTheTable(t *testing.T) {
	for _, v := range violations(load(t)) {
		t.Error(v)
	}
}

// A test that cannot fail is a defect: each of these edges must be found, and named with its path.
func TestPlantedImportsAreFound(t *testing.T) {
	real := load(t)
	tests := []struct{ from, to, want string }{
		{"authz", "bundle/license", "authz → bundle/license: authz may import none of ours"},
		{"authz/classify", "bundle", "authz/classify → bundle: authz/classify may import only authz"},
		{"authz/memstore", "authz/envoy", "authz/memstore → authz/envoy"},
		{"bundle/compile", "sync/catalog", "bundle/compile → sync/catalog"},
		{"sync/catalog", "cmd/pullgate", "sync/catalog → cmd/pullgate"},
		{"authz/engine", "authz/authztest", "authz/engine → authz/authztest"},
		{"authz/reply", "google.golang.org/grpc/codes", "authz/reply → google.golang.org/grpc/codes: only authz/envoy, examples/load/drive may reach google.golang.org/grpc/..."},
		{"bundle/license", "github.com/Masterminds/semver/v3", "bundle/license → github.com/Masterminds/semver/v3"},
		{"authz/engine", "github.com/open-policy-agent/opa/v1/sdk", "authz/engine → github.com/open-policy-agent/opa/v1/sdk: nobody may reach"},
		// Through a third party.
		{"go.yaml.in/yaml/v4", "github.com/open-policy-agent/opa/v1/ast", "bundle/license → go.yaml.in/yaml/v4 → github.com/open-policy-agent/opa/v1/ast"},
		{"bundle/index", "golang.org/x/sync/errgroup", "bundle/index → golang.org/x/sync/errgroup: bundle/index may import nothing from outside"},
		{"authz/helpers", "authz", "authz/helpers has no row"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			g := maps.Clone(real)
			g[tt.from] = append(slices.Clone(g[tt.from]), tt.to)
			if _, ok := g[tt.to]; !ok {
				g[tt.to] = nil
			}
			got := violations(g)
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, tt.want) }) {
				t.Errorf("not found: %q in\n%s", tt.want, strings.Join(got, "\n"))
			}
		})
	}
}

// The same with a real file, to prove that what is checked is what the compiler sees.
func TestPlantedFileIsFound(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "planted.go")
	if err := os.WriteFile(file, []byte("package authz\n\nimport _ \""+module+"bundle/license\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "authz", "planted.go"): file}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	got := violations(load(t, "-overlay", list))
	if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, "authz → bundle/license") }) {
		t.Errorf("not found: %q", got)
	}
}

// load asks the go command, for the build that is shipped.
func load(t *testing.T, flags ...string) graph {
	t.Helper()
	args := slices.Concat([]string{"list", "-deps", "-tags=grpcnotrace", "-json=ImportPath,Imports,Standard"}, flags, []string{"./..."})
	cmd := exec.Command("go", args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, &errs)
	}
	g, standard := graph{}, map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
			Standard   bool
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Standard {
			standard[p.ImportPath] = true
			continue
		}
		var imports []string
		for _, i := range p.Imports {
			if !standard[i] { // -deps lists a package after what it imports
				imports = append(imports, strings.TrimPrefix(i, module))
			}
		}
		g[strings.TrimPrefix(p.ImportPath, module)] = imports
	}
	if len(g) < 50 || g["cmd/pullgate"] == nil {
		t.Fatalf("only %d packages: this cannot be the whole program", len(g))
	}
	return g
}

func ours(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

// violations returns each breach of the tables with the path that leads to it.
func violations(g graph) []string {
	var all []string
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		if !ours(pkg) {
			continue
		}
		allowed, known := mayImport[pkg]
		if !known {
			all = append(all, pkg+" has no row in mayImport: say what it may import")
		}
		for _, i := range g[pkg] {
			if ours(i) && known && !slices.Contains(allowed, i) {
				all = append(all, fmt.Sprintf("%s → %s: %s may import %s", pkg, i, pkg, only(allowed, "none of ours")))
			}
			if outside, ok := onlyThirdParty[pkg]; ok && !ours(i) && !slices.Contains(outside, i) {
				all = append(all, fmt.Sprintf("%s → %s: %s may import %s", pkg, i, pkg, only(outside, "nothing from outside")))
			}
		}
		all = append(all, heavy(g, pkg)...)
	}
	return all
}

// heavy follows a package's imports outside the module and finds heavy dependencies for which
// it is no door. What it reaches through another package of ours is that one's affair.
func heavy(g graph, pkg string) []string {
	var all []string
	from := map[string]string{pkg: ""}
	said := map[string]bool{}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for door, packages := range doors {
			if at != pkg && matches(door, at) && !slices.Contains(packages, pkg) && !said[door] {
				said[door] = true
				path := at
				for p := from[at]; p != ""; p = from[p] {
					path = p + " → " + path
				}
				who := "nobody"
				if len(packages) > 0 {
					who = "only " + strings.Join(packages, ", ")
				}
				all = append(all, fmt.Sprintf("%s: %s may reach %s", path, who, door))
			}
		}
		for _, i := range g[at] {
			if _, seen := from[i]; !seen && !ours(i) {
				from[i] = at
				queue = append(queue, i)
			}
		}
	}
	slices.Sort(all)
	return all
}

func matches(pattern, pkg string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return pkg == prefix || below && strings.HasPrefix(pkg, prefix+"/")
}

func only(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return "only " + strings.Join(list, ", ")
}
