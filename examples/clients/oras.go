package main

func oras(c *content) []scene {
	const refused = `Error response from registry: failed to perform "FetchReference" on source: `
	copied := func(s *seat, ref string, flags ...string) []string {
		return append([]string{"oras", "copy", "--no-tty", ref, "--to-oci-layout", s.path("out") + ":pulled"}, flags...)
	}
	all := imageClient{
		pull:  func(s *seat, ref string) []string { return copied(s, ref) },
		check: layout,
		login: func(s *seat) []string {
			return []string{"oras", "login", "-u", "customer", "--password-stdin", s.host}
		},
		pulled: "Digest: DIGEST(1.5.0)",
		byTag:  refused + "denied: " + saysRange,
		// A 404 is its own word, whatever the answer says.
		byDigest: refused + "HOST/demo/app@DIGEST(2.0.0): not found",
		expired:  refused + "denied: " + saysExpired,
		wrongKey: refused + "unauthorized: " + saysWrongKey,
		// It gives up at the challenge, before it reads the answer.
		anonymous:    `Error: failed to perform "FetchReference" on source: basic credential not found`,
		loggedIn:     "Login Succeeded",
		loginRefused: "failed to validate the credentials for HOST: unauthorized: " + saysWrongKey,
		exit:         1,
	}.scenes(c)
	discover := func(tail string) func(s *seat) []string {
		return func(s *seat) []string { return []string{"oras", "discover", s.ref(appRepository, tail)} }
	}
	sbom := func(version string) func(s *seat) []string {
		return func(s *seat) []string { return copied(s, s.ref(appRepository, "@"+c.sbom[version].root.digest())) }
	}
	return append(
		all,
		one("referrers of :1.5.0", allowed, 1, "DIGEST(sbom of 1.5.0)", discover(":1.5.0")),
		// discover asks with HEAD, whose answer has no text.
		one("referrers of :2.0.0", "version_not_granted", 1, `HEAD "https://HOST/v2/demo/app/manifests/2.0.0": response status code 403: Forbidden`, discover(":2.0.0")),
		one("referrers of @2.0.0", "unknown_reference", 1, "HOST/demo/app@DIGEST(2.0.0): not found", discover("@"+c.app["2.0.0"].root.digest())),
		one("pull :1.5.0 and referrers", allowed, 1, "Digest: DIGEST(1.5.0)", func(s *seat) []string {
			return copied(s, s.ref(appRepository, ":1.5.0"), "-r")
		}).checking(layoutOf(c.app["1.5.0"], c.sbom["1.5.0"])),
		// What has a subject is copied with it.
		one("sbom of 1.5.0", allowed, 1, "Digest: DIGEST(sbom of 1.5.0)", sbom("1.5.0")).checking(layoutOf(c.app["1.5.0"], c.sbom["1.5.0"])),
		one("sbom of 2.0.0", "unknown_reference", 1, "DIGEST(sbom of 2.0.0): not found", sbom("2.0.0")),
	)
}
