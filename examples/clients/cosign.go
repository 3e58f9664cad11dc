package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A signer signs with cosign and a key of one run, without a transparency log: everything
// stays on this machine.
type signer struct {
	cosign string // the program
	dir    string // cosign.key and cosign.pub
}

func newSigner(ctx context.Context, cosign, dir string) (*signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &signer{cosign, dir}
	return s, s.run(ctx, "generate-key-pair")
}

// sign signs 1.3.0 and 2.0.0 in a registry: with a bundle that the image is the subject of, as
// cosign does now, and 1.3.0 also with a .sig tag, as it long did.
func (s *signer) sign(ctx context.Context, p pusher, c *content) error {
	sign := func(version string, flags ...string) error {
		args := []string{"sign", "--yes", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", "--registry-username", p.user, "--registry-password", p.password}
		args = append(args, flags...)
		return s.run(ctx, append(args, p.addr+"/"+appRepository+"@"+c.app[version].root.digest())...)
	}
	return errors.Join(sign("1.3.0"), sign("1.3.0", "--new-bundle-format=false"), sign("2.0.0"))
}

func (s *signer) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, s.cosign, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "COSIGN_PASSWORD=for one run", "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cosign %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func (s *signer) pub() string { return filepath.Join(s.dir, "cosign.pub") }

func cosign(c *content) []scene {
	const verified = "The signatures were verified against the specified public key"
	verify := func(tail string, flags ...string) func(s *seat) []string {
		return func(s *seat) []string {
			args := append([]string{"cosign", "verify", "--key", s.signer.pub(), "--insecure-ignore-tlog=true"}, flags...)
			return append(args, s.ref(appRepository, tail))
		}
	}
	at := func(version string) string { return "@" + c.app[version].root.digest() }
	good := one("verify :1.3.0", allowed, 1, verified, verify(":1.3.0"))
	all := []scene{
		good,
		one("verify @1.3.0", allowed, 1, verified, verify(at("1.3.0"))),
		one("verify :1.3.0 by its .sig tag", allowed, 1, verified, verify(":1.3.0", "--new-bundle-format=false")),
		// A signature that is not there is 404, so that this is what it says.
		one("verify :1.5.0, which nobody signed", allowed, 1, "no signatures found", verify(":1.5.0")).missing().exits(10),
		one("save :1.3.0", allowed, 1, "", func(s *seat) []string {
			return []string{"cosign", "save", "--dir", s.path("out"), s.ref(appRepository, ":1.3.0")}
		}).missing().checking(layoutWith(c.app["1.3.0"])), // also asks for attestations
		one("verify :2.0.0", "version_not_granted", 1, "DENIED: "+saysRange, verify(":2.0.0")),
		// With a digest it asks for the signature alone, which is as absent as the image.
		one("verify @2.0.0", "unknown_reference", 10, "no signatures found", verify(at("2.0.0"))),
		one("verify :1.3.0, license expired", "expired", 1, "DENIED: "+strings.Replace(saysExpired, "1.4.0", "1.3.0", 1), verify(":1.3.0")).as(expired),
		one("verify :1.3.0, wrong key", "unknown_key", 1, "UNAUTHORIZED: "+saysWrongKey, verify(":1.3.0")).as(stranger),
		one("verify :1.3.0, not logged in", "anonymous", 1, "UNAUTHORIZED: "+saysAnonymous, verify(":1.3.0")).as(nobody),
	}
	all = append(all, withTokens(all[0], all[1], all[5], all[6])...)
	login := func(s *seat) []string {
		return []string{"cosign", "login", s.host, "-u", "customer", "--password-stdin"}
	}
	in := logins(login, true, 1, "logged in via DIR/config.json", "", good)
	return append(append(all, in...), withTokens(in[0])...)
}
