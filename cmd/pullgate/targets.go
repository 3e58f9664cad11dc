package main

import (
	"os"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	versions "github.com/pullgate/pullgate/policies/version"
	"github.com/pullgate/pullgate/sync/catalog"
)

// targets are what the license files name in a registry.
func targets(set *license.Set, registry string) catalog.Targets {
	seen := map[string]bool{}
	var t catalog.Targets
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if strings.Contains(name, "*") {
			t.Patterns = append(t.Patterns, name)
			return
		}
		t.Repositories = append(t.Repositories, name)
	}
	for i := range set.Products {
		p := &set.Products[i]
		if p.Registry != registry {
			continue
		}
		for _, r := range p.Repositories {
			add(r.Name)
		}
	}
	for i := range set.Licenses {
		for j := range set.Licenses[i].Grants {
			if g := &set.Licenses[i].Grants[j]; g.Repository != "" && !g.Empty() {
				add(g.Repository)
			}
		}
	}
	for i := range set.Public {
		for _, name := range set.Public[i].Repositories {
			add(name)
		}
	}
	slices.Sort(t.Repositories)
	slices.Sort(t.Patterns)
	return t
}

// crawlConfig is how a registry is crawled, with the configured credentials.
func (s *settings) crawlConfig(reg *license.Registry) catalog.Config {
	c := s.Credentials[reg.ID]
	cfg := catalog.Config{
		Registry: reg.ID, Upstream: reg.Upstream, Match: versions.MatchRepository,
		Insecure: c.Insecure, Realms: c.Realms, Storage: c.Redirects,
	}
	if c.Username != "" {
		cfg.Credentials = func() (string, string, error) {
			if c.PasswordEnv != "" {
				return c.Username, os.Getenv(c.PasswordEnv), nil
			}
			password, err := readSecretFile(c.PasswordFile)
			return c.Username, password, err
		}
	}
	return cfg
}
