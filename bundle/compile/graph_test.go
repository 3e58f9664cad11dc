package compile

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type (
	tags      = map[string]Tag
	history   = map[string][]Past
	manifests = map[string]*Manifest
)

func image(layers ...string) *Manifest   { return &Manifest{Created: always, Layers: layers} }
func list4(children ...string) *Manifest { return &Manifest{Created: always, Index: children} }
func about(subject string, layers ...string) *Manifest {
	return &Manifest{Created: always, Subject: subject, Layers: layers}
}

const always = -62135596800

func TestCandidatesFollowTheGraph(t *testing.T) {
	revoked := func(what string) string {
		return fmt.Sprintf("\nrevoked_digests: [{repository: acme/app, digest: %q, at: 2026-03-01T00:00:00Z, reason: leak}]", digest(what))
	}
	const plain = "---\nkind: Registry\nid: main\nhosts: [r.example]\nupstream: https://r.internal\nhistory: P30D"
	tests := []struct {
		name     string
		registry string // more lines of the Registry document
		repo     Repository
		want     map[string]string
	}{
		{
			name: "an index reaches its children, configs and layers; a shared layer has every tag",
			repo: Repository{
				Tags: tags{"1.0.0": at("I1"), "2.0.0": at("M2")},
				Manifests: manifests{
					"I1": list4("M1", "Gone"), "M1": {Created: always, Config: "C1", Layers: []string{"Base", "L1"}},
					"M2": image("Base", "L2"), "Unused": image("LX"),
				},
			},
			want: map[string]string{
				"I1": "1.0.0=1.0.0", "M1": "1.0.0=1.0.0", "Gone": "1.0.0=1.0.0", "C1*": "1.0.0=1.0.0", "L1*": "1.0.0=1.0.0",
				"M2": "2.0.0=2.0.0", "L2*": "2.0.0=2.0.0", "Base*": "1.0.0=1.0.0, 2.0.0=2.0.0",
			},
		},
		{
			name: "four index levels, and nothing at the fifth, whatever it is",
			repo: Repository{
				Tags: tags{"1.0.0": at("I1")},
				Manifests: manifests{
					"I1": list4("I2"), "I2": list4("I3"), "I3": list4("I4", "M4"), "I4": list4("I5", "M5", "Gone5"),
					"M4": image("L4"), "I5": list4("M6"), "M5": image("L5"),
				},
			},
			want: map[string]string{
				"I1": "1.0.0=1.0.0", "I2": "1.0.0=1.0.0", "I3": "1.0.0=1.0.0", "I4": "1.0.0=1.0.0", "M4": "1.0.0=1.0.0", "L4*": "1.0.0=1.0.0",
			},
		},
		{
			name: "a shorter way counts, and a tag starts at the first level",
			repo: Repository{
				Tags:      tags{"1.0.0": at("I1"), "2.0.0": at("I4")},
				Manifests: manifests{"I1": list4("I2", "I4"), "I2": list4("I3"), "I3": list4("I4"), "I4": list4("M5"), "M5": image("L5")},
			},
			want: map[string]string{
				"I1": "1.0.0=1.0.0", "I2": "1.0.0=1.0.0", "I3": "1.0.0=1.0.0", "I4": "1.0.0=1.0.0, 2.0.0=2.0.0",
				"M5": "1.0.0=1.0.0, 2.0.0=2.0.0", "L5*": "1.0.0=1.0.0, 2.0.0=2.0.0",
			},
		},
		{
			name: "cycles end",
			repo: Repository{
				Tags:      tags{"1.0.0": at("I1")},
				Manifests: manifests{"I1": list4("I2", "I1"), "I2": list4("I1", "M1"), "M1": about("I1", "L1")},
			},
			want: map[string]string{"I1": "1.0.0=1.0.0", "I2": "1.0.0=1.0.0", "M1": "1.0.0=1.0.0", "L1*": "1.0.0=1.0.0"},
		},
		{
			name: "referrers follow their subject three deep, at any level, with their blobs",
			repo: Repository{
				Tags: tags{"1.0.0": at("I1")},
				Manifests: manifests{
					"I1": list4("M1"), "M1": image("L1"), "R1": about("M1", "B1"), "R2": about("R1", "B2"), "R3": about("R2", "B3"),
					"R4": about("R3", "B4"), "S1": about("Gone", "B5"),
				},
			},
			want: map[string]string{
				"I1": "1.0.0=1.0.0", "M1": "1.0.0=1.0.0", "L1*": "1.0.0=1.0.0", "R1": "1.0.0=1.0.0", "B1*": "1.0.0=1.0.0",
				"R2": "1.0.0=1.0.0", "B2*": "1.0.0=1.0.0", "R3": "1.0.0=1.0.0", "B3*": "1.0.0=1.0.0",
			},
		},
		{
			name: "digest-like tags follow the digest they name, signatures of signatures too",
			repo: Repository{
				Tags: tags{
					"1.0.0": at("M1"), "sha256-@M1.sig": at("S1"), "sha256-@S1.sig": at("S2"), "sha256-@L1.att": at("A1"),
					"sha256-@Gone.sig": at("S3"), "sha256-@M1": at("F1"),
				},
				Manifests: manifests{
					"M1": image("L1"), "S1": image("P1"), "S2": image("P2"), "S3": image("P3"), "A1": image("P4"),
					"F1": list4("R1"), "R1": image("P5"),
				},
			},
			want: map[string]string{
				"M1": "1.0.0=1.0.0", "L1*": "1.0.0=1.0.0", "S1": "1.0.0=1.0.0", "P1*": "1.0.0=1.0.0", "S2": "1.0.0=1.0.0", "P2*": "1.0.0=1.0.0",
				"A1": "1.0.0=1.0.0", "P4*": "1.0.0=1.0.0", "F1": "1.0.0=1.0.0", "R1": "1.0.0=1.0.0", "P5*": "1.0.0=1.0.0",
			},
		},
		{
			name: "history: a digest stays what it was for the registry's period; earlier signatures too",
			repo: Repository{
				Tags: tags{"1.0.0": at("New"), "sha256-@New.sig": at("S2")},
				History: history{
					"1.0.0":           {{"Old", day(3, 1)}, {"New", day(1, 1)}},
					"2.0.0":           {{"Deleted", day(2, 1)}},
					"sha256-@New.sig": {{"S1", day(3, 2)}},
					"sha256-@Old.sig": {{"S0", day(2, 1)}},
				},
				Manifests: manifests{"New": image("Base", "L2"), "Old": image("Base", "L1"), "Deleted": image("L3"), "S1": image("P"), "S2": image("P"), "S0": image("P0")},
			},
			want: map[string]string{
				"New": "1.0.0=1.0.0", "L2*": "1.0.0=1.0.0", "Base*": "1.0.0=1.0.0",
				"Old": "1.0.0=1.0.0 retires 03-31", "L1*": "1.0.0=1.0.0 retires 03-31",
				"Deleted": "2.0.0=2.0.0 retires 03-03", "L3*": "2.0.0=2.0.0 retires 03-03",
				"S1": "1.0.0=1.0.0 retires 04-01", "S2": "1.0.0=1.0.0", "P*": "1.0.0=1.0.0",
				"S0": "1.0.0=1.0.0 retires 03-03", "P0*": "1.0.0=1.0.0 retires 03-03",
			},
		},
		{
			name: "floating tags stand for the versions of their digest now, never for other floating tags",
			repo: Repository{
				Tags: tags{
					"1.9.0": at("Bridge"), "2.9.0": at("Bridge"), "v2.9.0": at("Bridge"), "latest": at("Bridge"),
					"edge": at("Edge"), "main": at("Edge"), "preview": at("Preview"),
				},
				History: history{"3.0.0": {{"Edge", day(3, 1)}}},
				Manifests: manifests{
					"Bridge": image(), "Edge": image(),
					"Preview": {Created: always, Annotations: map[string]string{annotationVersion: "1.7.0+b1"}},
				},
			},
			want: map[string]string{
				"Bridge": "1.9.0=1.9.0, 2.9.0=2.9.0, latest=1.9.0, latest=2.9.0, v2.9.0=2.9.0",
				"Edge":   "3.0.0=3.0.0 retires 03-31, edge, main", "Preview": "preview=1.7.0",
			},
		},
		{
			name: "a floating tag that left a digest stands for its versions, then and now",
			repo: Repository{
				Tags:      tags{"2.0.0": at("New"), "stable": at("New"), "1.5.0": at("Old")},
				History:   history{"stable": {{"Old", day(3, 1)}, {"None", day(3, 1)}}, "1.4.0": {{"Old", day(2, 1)}}},
				Manifests: manifests{"New": image(), "Old": image(), "None": image()},
			},
			want: map[string]string{
				"New":  "2.0.0=2.0.0, stable=2.0.0",
				"Old":  "1.4.0=1.4.0 retires 03-03, 1.5.0=1.5.0, stable=1.4.0 retires 03-31, stable=1.5.0 retires 03-31",
				"None": "stable retires 03-31",
			},
		},
		{
			name: "variants count as their base version",
			repo: Repository{
				Tags:      tags{"1.4.0-alpine3.20": at("A"), "1.4.0-slim-rc": at("B")},
				Manifests: manifests{"A": image(), "B": image()},
			},
			want: map[string]string{"A": "1.4.0-alpine3.20=1.4.0", "B": "1.4.0-slim-rc=1.4.0-slim-rc"},
		},
		{
			name:     "revoked: what only the digest reaches goes with it, signatures and referrers too",
			registry: revoked("Bad"),
			repo: Repository{
				Tags: tags{"1.5.0": at("Bad"), "1.5.1": at("Good"), "sha256-@Bad.sig": at("Sig")},
				Manifests: manifests{
					"Bad": list4("BadArm", "Amd"), "BadArm": image("Base", "L"), "Amd": image("Base", "Shared"), "Good": list4("Amd"),
					"Sbom": about("Bad", "Parts"), "Sig": image("Payload"),
				},
			},
			want: map[string]string{
				"Bad": "1.5.0=1.5.0 revoked 03-01", "BadArm": "1.5.0=1.5.0 revoked 03-01", "L*": "1.5.0=1.5.0 revoked 03-01",
				"Good": "1.5.1=1.5.1", "Amd": "1.5.0=1.5.0 revoked 03-01, 1.5.1=1.5.1", "Shared*": "1.5.0=1.5.0 revoked 03-01, 1.5.1=1.5.1",
				"Base*": "1.5.0=1.5.0 revoked 03-01, 1.5.1=1.5.1", "Sbom": "1.5.0=1.5.0 revoked 03-01", "Parts*": "1.5.0=1.5.0 revoked 03-01",
				"Sig": "1.5.0=1.5.0 revoked 03-01", "Payload*": "1.5.0=1.5.0 revoked 03-01",
			},
		},
		{
			name:     "revoked: a clean way within one image keeps what it reaches",
			registry: revoked("Arm"),
			repo: Repository{
				Tags:      tags{"1.5.0": at("I")},
				Manifests: manifests{"I": list4("Arm", "Amd"), "Arm": image("Base", "L"), "Amd": image("Base")},
			},
			want: map[string]string{
				"I": "1.5.0=1.5.0", "Amd": "1.5.0=1.5.0", "Base*": "1.5.0=1.5.0",
				"Arm": "1.5.0=1.5.0 revoked 03-01", "L*": "1.5.0=1.5.0 revoked 03-01",
			},
		},
		{
			name:     "revoked and retired: what each way leaves stays apart",
			registry: revoked("New"),
			repo: Repository{
				Tags:      tags{"1.5.0": at("New")},
				History:   history{"1.5.0": {{"Old", day(2, 20)}}},
				Manifests: manifests{"New": image("Base"), "Old": image("Base")},
			},
			want: map[string]string{
				"New": "1.5.0=1.5.0 revoked 03-01", "Old": "1.5.0=1.5.0 retires 03-22",
				"Base*": "1.5.0=1.5.0 retires 03-22, 1.5.0=1.5.0 revoked 03-01",
			},
		},
		{
			name: "a digest that is a manifest and a layer is a manifest",
			repo: Repository{
				Tags:      tags{"1.5.0": at("M"), "1.6.0": at("N")},
				Manifests: manifests{"M": image("N"), "N": image("L")},
			},
			want: map[string]string{"M": "1.5.0=1.5.0", "N": "1.5.0=1.5.0, 1.6.0=1.6.0", "L*": "1.6.0=1.6.0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.repo.Name = "acme/app"
			x, _ := compileIndex(t, plain+tt.registry+"\n---\nkind: Product\nid: app\nrepositories: [acme/app]\nvariants: [alpine*, slim]\n", tt.repo)
			if diff := cmp.Diff(tt.want, nodes(t, x, "acme/app", namesIn(tt.repo)...)); diff != "" {
				t.Errorf("candidates by node (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTagsHaveTheirOwnCandidates(t *testing.T) {
	repo := Repository{
		Name: "acme/app",
		Tags: tags{
			"1.5.0": at("A"), "1.5": at("A"), "v1.5.0": at("A"), "odd": at("B"), "sha256-@A.sig": at("S"), "sha256-@Gone.sig": at("T"),
			"2.0.0-alpine": at("C"),
		},
		Manifests: manifests{"A": image("L"), "B": image("L"), "S": image(), "T": image(), "C": image()},
	}
	x, _ := compileIndex(t, vendor+"---\nkind: Release\nid: app-1.5.0\nproduct: app\nversion: 1.5.0\nreleased: 2026-02-01\n", repo)
	r, _ := x.Repository("main", "acme/app")
	got := map[string]string{}
	for tag := range r.Tags() {
		name := tag.Name
		if tag.Hidden {
			name = name[len(name)-4:] + " hidden " + name[7:11]
		}
		got[name] = showAll(x.Set(tag.Set))
	}
	want := map[string]string{
		"1.5.0": "1.5.0=1.5.0 released 02-01", "v1.5.0": "v1.5.0=1.5.0 released 02-01", "1.5": "1.5=1.5.0 released 02-01", "odd": "odd",
		"2.0.0-alpine":                        "2.0.0-alpine=2.0.0",
		".sig hidden " + digest("A")[7:11]:    "1.5.0=1.5.0 released 02-01, 1.5=1.5.0 released 02-01, v1.5.0=1.5.0 released 02-01",
		".sig hidden " + digest("Gone")[7:11]: "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("candidates by tag (-want +got):\n%s", diff)
	}
}
