package main

import "context"

func helm(c *content) []scene {
	const refused = `Error: failed to perform "FetchReference" on source: `
	get := func(version string) string {
		return `GET "https://HOST/v2/demo/charts/app/manifests/` + version + `": response status code `
	}
	pull := func(args ...string) func(s *seat) []string {
		return func(s *seat) []string {
			return append([]string{"helm", "pull", "oci://" + s.ref(chartRepository, "")}, args...)
		}
	}
	got := func(name, version string, args ...string) scene {
		return one(name, allowed, 1, "Digest: DIGEST(chart "+version+")", pull(args...)).checking(chart(c.chart[version]))
	}
	exact := got("pull 1.2.3", "1.2.3", "--version", "1.2.3")
	all := []scene{
		exact,
		got("pull 1.3.0+build.1", "1.3.0+build.1", "--version", "1.3.0+build.1"),
		got("pull >=1.2", "1.3.0+build.1", "--version", ">=1.2"), // newest of the tags that it is shown
		got("pull ~1.2.0", "1.2.3", "--version", "~1.2.0"),
		got("pull without version", "1.3.0+build.1"),
		one("pull @1.2.3", allowed, 1, "Digest: DIGEST(chart 1.2.3)", func(s *seat) []string {
			return []string{"helm", "pull", "oci://" + s.ref(chartRepository, "@"+c.chart["1.2.3"].root.digest())}
		}),
		one("pull @2.0.0", "unknown_reference", 1, "", func(s *seat) []string {
			return []string{"helm", "pull", "oci://" + s.ref(chartRepository, "@"+c.chart["2.0.0"].root.digest())}
		}),
		one("pull 2.0.0", "version_not_granted", 1,
			refused+get("2.0.0")+"403: denied: chart 2.0.0: license acme-app covers >=1.0.0 <2.0.0. Ask for a version in that range, or for a wider license; decision ID",
			pull("--version", "2.0.0")),
		// Nothing is refused: the list has no such version.
		one("pull >=2", allowed, 1, "Error: could not locate a version matching provided version string >=2", pull("--version", ">=2")).exits(1).answered(),
		one("pull 1.2.3, license expired", "expired", 1,
			refused+get("1.2.3")+"403: denied: chart 1.2.3: license initech-app ended after DATE. Renew the license; decision ID",
			pull("--version", "1.2.3")).as(expired),
		one("pull without version, license expired", "expired", 1,
			`Error: GET "https://HOST/v2/demo/charts/app/tags/list": response status code 403: denied: demo/charts/app: license initech-app ended after DATE. Renew the license; decision ID`,
			pull()).as(expired),
		one("pull 1.2.3, wrong key", "unknown_key", 1, refused+get("1.2.3")+"401: unauthorized: "+saysWrongKey, pull("--version", "1.2.3")).as(stranger),
		// It gives up at the challenge, before it reads the answer.
		one("pull 1.2.3, not logged in", "anonymous", 1,
			refused+`GET "https://HOST/v2/demo/charts/app/manifests/1.2.3": basic credential not found`,
			pull("--version", "1.2.3")).as(nobody),
	}
	all = append(all, withTokens(all[0], all[5], all[7], all[6])...)
	login := func(s *seat) []string {
		return []string{"helm", "registry", "login", s.host, "-u", "customer", "--password-stdin"}
	}
	in := logins(login, false, 1, "Login Succeeded", "", exact)
	return append(append(all, in...), withTokens(in[0])...)
}

// chart checks the archive that helm pull leaves.
func chart(o *object) func(context.Context, *seat) error {
	return func(_ context.Context, s *seat) error {
		return holds(s.path("app-"+o.version+".tgz"), o.blobs[1].digest())
	}
}
