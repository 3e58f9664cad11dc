package main

func regctl(c *content) []scene {
	const refused = "failed to get manifest HOST/demo/app"
	pull := func(s *seat, ref string, flags ...string) []string {
		return append([]string{"regctl", "image", "copy", ref, "ocidir://" + s.path("out") + ":pulled"}, flags...)
	}
	all := imageClient{
		pull:  func(s *seat, ref string) []string { return pull(s, ref) },
		check: layout,
		login: func(s *seat) []string {
			return []string{"regctl", "registry", "login", s.host, "-u", "customer", "--pass-stdin"}
		},
		pulled: "ocidir://DIR/out:pulled",
		// It prints the body as it is.
		byTag:    refused + `:2.0.0: request failed: unauthorized [http 403]: {"errors":[{"code":"DENIED","message":"` + saysRange + `"}]}`,
		byDigest: refused + `@DIGEST(2.0.0): request failed: not found [http 404]: {"errors":[{"code":"MANIFEST_UNKNOWN","message":"` + saysDigest + `"}]}`,
		expired:  refused + `:1.4.0: request failed: unauthorized [http 403]: {"errors":[{"code":"DENIED","message":"` + saysExpired + `"}]}`,
		// But not that of a 401.
		wrongKey:     refused + ":1.4.0: unauthorized",
		anonymous:    refused + ":1.4.0: no credentials available: unauthorized",
		loginRefused: "failed to ping registry HOST: unauthorized",
		exit:         1,
	}.scenes(c)
	artifact := func(verb, tail string) func(s *seat) []string {
		return func(s *seat) []string { return []string{"regctl", "artifact", verb, s.ref(appRepository, tail)} }
	}
	return append(
		all,
		one("list tags", allowed, 1, "1.3.0\n1.4.0\n1.5\n1.5.0", func(s *seat) []string {
			return []string{"regctl", "tag", "ls", s.ref(appRepository, "")}
		}).answered(),
		one("referrers of :1.5.0", allowed, 1, "Digest: DIGEST(sbom of 1.5.0)", artifact("list", ":1.5.0")),
		// list asks with HEAD, whose answer has no text.
		one("referrers of :2.0.0", "version_not_granted", 1, "failed to request manifest head HOST/demo/app:2.0.0: request failed: unauthorized [http 403]:", artifact("list", ":2.0.0")),
		// With a digest list asks for the referrers alone, and to it a 404 means that there are none.
		one("referrers of @2.0.0", "unknown_reference", 0, "Referrers:", artifact("list", "@"+c.app["2.0.0"].root.digest())),
		one("pull :1.5.0 and referrers", allowed, 1, "ocidir://DIR/out:pulled", func(s *seat) []string {
			return pull(s, s.ref(appRepository, ":1.5.0"), "--referrers")
		}).checking(layoutWith(c.app["1.5.0"], c.sbom["1.5.0"])), // and its own list of referrers
		one("sbom of 1.5.0", allowed, 1, "parts of app 1.5.0", artifact("get", "@"+c.sbom["1.5.0"].root.digest())),
		one("sbom of 2.0.0", "unknown_reference", 1, refused+"@DIGEST(sbom of 2.0.0): request failed: not found [http 404]: ", artifact("get", "@"+c.sbom["2.0.0"].root.digest())),
	)
}
