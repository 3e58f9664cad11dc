package main

func crane(c *content) []scene {
	all := imageClient{
		pull: func(s *seat, ref string) []string {
			return []string{"crane", "pull", "--format", "oci", ref, s.path("out")}
		},
		check: layout,
		login: func(s *seat) []string {
			return []string{"crane", "auth", "login", s.host, "-u", "customer", "--password-stdin"}
		},
		storesOnly: true,
		loggedIn:   "logged in via DIR/config.json",
		byTag:      "DENIED: " + saysRange,
		byDigest:   "MANIFEST_UNKNOWN: " + saysDigest,
		expired:    "DENIED: " + saysExpired,
		wrongKey:   "UNAUTHORIZED: " + saysWrongKey,
		anonymous:  "UNAUTHORIZED: " + saysAnonymous,
		exit:       1,
	}.scenes(c)
	// A signature lies under a tag that is the digest of what it signs.
	signature := func(version string) func(s *seat) []string {
		return func(s *seat) []string {
			return []string{"crane", "pull", "--format", "oci", s.ref(appRepository, ":"+tagOf(c.app[version].root, ".sig")), s.path("out")}
		}
	}
	return append(
		all,
		one("list tags", allowed, 1, "1.3.0\n1.4.0\n1.5\n1.5.0", func(s *seat) []string {
			return []string{"crane", "ls", s.ref(appRepository, "")}
		}).answered(),
		one("signature of 1.4.0", allowed, 1, "", signature("1.4.0")).checking(layoutOf(c.sig["1.4.0"])),
		one("signature of 2.0.0", "unknown_reference", 1, "MANIFEST_UNKNOWN: "+saysDigest, signature("2.0.0")),
	)
}
