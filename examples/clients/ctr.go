package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// ctr16 shows the status alone for what is asked for by tag: it asks with HEAD, whose answer has no text.
func ctr16(c *content) []scene {
	const refused = "pulling from host HOST failed with status code "
	return ctr("ctr-1.6", imageClient{
		byTag:     refused + "[manifests 2.0.0]: 403 Forbidden",
		byDigest:  `failed to resolve reference "HOST/demo/app@DIGEST(2.0.0)": HOST/demo/app@DIGEST(2.0.0): not found`,
		expired:   refused + "[manifests 1.4.0]: 403 Forbidden",
		wrongKey:  refused + "[manifests 1.4.0]: 401 Unauthorized",
		anonymous: refused + "[manifests 1.4.0]: 401 Unauthorized",
	}).scenes(c)
}

// ctr2 asks again with GET after a 403, for the text.
func ctr2(c *content) []scene {
	const refused = "unexpected status from HEAD request to https://HOST/v2/demo/app/manifests/"
	return ctr("ctr", imageClient{
		byTag:     refused + "2.0.0: 403 Forbidden\ndenied: " + saysRange,
		byDigest:  `failed to resolve reference "HOST/demo/app@DIGEST(2.0.0)": HOST/demo/app@DIGEST(2.0.0): not found`,
		expired:   refused + "1.4.0: 403 Forbidden\ndenied: " + saysExpired,
		wrongKey:  refused + "1.4.0: 401 Unauthorized",
		anonymous: "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
	}).scenes(c)
}

// ctr is containerd's own client, of any version: `ctr content fetch` fetches everything of an
// image without unpacking it, and so without mounts. It takes a key only as --user.
func ctr(program string, ic imageClient) imageClient {
	ic.exit, ic.pulled = 1, "index-DIGEST(1.5.0): done"
	ic.pull = func(s *seat, ref string) []string {
		args := []string{program, "-a", s.daemon.socket, "-n", s.address, "content", "fetch", "--all-platforms", "--hosts-dir", s.path("hosts")}
		if s.key != "" {
			args = append(args, "--user", "customer:"+s.key)
		}
		return append(args, ref)
	}
	ic.prepare = func(s *seat) error {
		// Without it ctr speaks plain HTTP with loopback.
		dir := filepath.Join(s.path("hosts"), s.host)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		text := fmt.Sprintf("server = \"https://%[1]s\"\n[host.\"https://%[1]s\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = %[2]q\n", s.host, s.ca)
		return os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600)
	}
	ic.check = func(ctx context.Context, s *seat, o *object) error {
		out, exit, err := s.run(ctx, "", s.programs[program], "-a", s.daemon.socket, "-n", s.address, "content", "ls", "-q")
		if err != nil || exit != 0 {
			return fmt.Errorf("ctr content ls: exit %d, %w: %s", exit, err, out)
		}
		got := strings.Fields(out)
		for _, d := range got {
			if err := holds(filepath.Join(s.daemon.blobs, strings.TrimPrefix(d, "sha256:")), d); err != nil {
				return err
			}
		}
		return sameDigests(got, o.digests())
	}
	return ic
}

// containerd keeps what ctr fetches: the requests to the registry are ctr's own.
type containerd struct {
	*peers.Process
	socket string
	blobs  string // folder of what it keeps, by hex digest
}

// startContainerd runs a containerd that shares nothing with one of the system. Nothing is
// unpacked or mounted. Namespaces do not share content: each scene fetches everything itself.
func startContainerd(ctx context.Context, path, dir string) (*containerd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &containerd{socket: filepath.Join(dir, "containerd.sock"), blobs: filepath.Join(dir, "root/io.containerd.content.v1.content/blobs/sha256")}
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
[ttrpc]
  address = %q
[plugins."io.containerd.metadata.v1.bolt"]
  content_sharing_policy = "isolated"
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), c.socket, c.socket+".ttrpc")
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	var err error
	if c.Process, err = peers.Start(path, "--config", file); err != nil {
		return nil, err
	}
	for {
		conn, err := net.Dial("unix", c.socket)
		if err == nil {
			return c, conn.Close()
		}
		select {
		case <-c.Done():
			return nil, fmt.Errorf("containerd ended:\n%s", c.Output())
		case <-ctx.Done():
			_ = c.Close()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
