package main

import "os"

func skopeo(c *content) []scene {
	return imageClient{
		pull: func(s *seat, ref string) []string {
			return []string{"skopeo", "--insecure-policy", "copy", "--all", "docker://" + ref, "oci:" + s.path("out") + ":pulled"}
		},
		check: layout,
		login: func(s *seat) []string {
			return []string{"skopeo", "login", "-u", "customer", "--password-stdin", s.host}
		},
		pulled:    "Storing list signatures",
		byTag:     "reading manifest 2.0.0 in HOST/demo/app: denied: " + saysRange,
		byDigest:  "reading manifest DIGEST(2.0.0) in HOST/demo/app: manifest unknown: " + saysDigest,
		expired:   "reading manifest 1.4.0 in HOST/demo/app: denied: " + saysExpired,
		wrongKey:  "reading manifest 1.4.0 in HOST/demo/app: unauthorized: " + saysWrongKey,
		anonymous: "reading manifest 1.4.0 in HOST/demo/app: unauthorized: " + saysAnonymous,
		loggedIn:  "Login Succeeded!",
		// It does not show what the answer says.
		loginRefused: `logging into \"HOST\": invalid username/password`,
		exit:         1,
	}.scenes(c)
}

// buildah is podman's and skopeo's library, with their storage.
func buildah(c *content) []scene {
	return imageClient{
		pull: func(s *seat, ref string) []string {
			return []string{
				"buildah", "--root", s.path("root"), "--runroot", s.path("run"), "--storage-driver", "vfs",
				"pull", "--policy", "always", "--arch", "amd64", "--signature-policy", s.path("policy.json"), ref,
			}
		},
		prepare: func(s *seat) error {
			return os.WriteFile(s.path("policy.json"), []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600)
		},
		check: storage,
		login: func(s *seat) []string {
			return []string{"buildah", "login", "-u", "customer", "--password-stdin", s.host}
		},
		pulled:       "Storing signatures",
		byTag:        "reading manifest 2.0.0 in HOST/demo/app: denied: " + saysRange,
		byDigest:     "reading manifest DIGEST(2.0.0) in HOST/demo/app: manifest unknown: " + saysDigest,
		expired:      "reading manifest 1.4.0 in HOST/demo/app: denied: " + saysExpired,
		wrongKey:     "reading manifest 1.4.0 in HOST/demo/app: unauthorized: " + saysWrongKey,
		anonymous:    "reading manifest 1.4.0 in HOST/demo/app: unauthorized: " + saysAnonymous,
		loggedIn:     "Login Succeeded!",
		loginRefused: `logging into "HOST": invalid username/password`,
		exit:         125,
	}.scenes(c)
}
