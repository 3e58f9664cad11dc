package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
)

// platforms of every sample image.
var platforms = []string{"linux/amd64", "linux/arm64"}

// pushImages pushes multi-platform images with the same client that pulls later: they share
// a base layer, `latest` is 2.0.0 and `1.5` is 1.5.0.
func (s *stage) pushImages(ctx context.Context) error {
	if err := s.layer("base.tar", "base layer of every image\n"); err != nil {
		return err
	}
	s.keys["pusher"] = registryUser + ":" + registryPassword
	repository := s.registry.Addr + "/demo/app"
	for _, version := range []string{"1.4.0", "1.5.0", "2.0.0"} {
		var children []string
		for _, platform := range platforms {
			arch := strings.TrimPrefix(platform, "linux/")
			if err := s.layer(version+arch+".tar", "app "+version+" for "+platform+"\n"); err != nil {
				return err
			}
			child := fmt.Sprintf("%s:build-%s-%s", repository, version, arch)
			if _, err := s.push(ctx, "append", "--platform", platform, "-f", s.path("base.tar"), "-f", s.path(version+arch+".tar"), "-t", child); err != nil {
				return err
			}
			if _, err := s.push(ctx, "mutate", "--set-platform", platform, "-t", child, child); err != nil {
				return err
			}
			children = append(children, "-m", child)
		}
		index := repository + ":" + version
		if _, err := s.push(ctx, append([]string{"index", "append", "-t", index}, children...)...); err != nil {
			return err
		}
		digest, err := s.push(ctx, "digest", index)
		if err != nil {
			return err
		}
		s.app[version] = strings.TrimSpace(digest)
	}
	for tag, version := range map[string]string{"latest": "2.0.0", "1.5": "1.5.0"} {
		if _, err := s.push(ctx, "tag", repository+":"+version, tag); err != nil {
			return err
		}
	}
	say("pushed demo/app 1.4.0, 1.5.0 and 2.0.0 for %s", strings.Join(platforms, " and "))
	return nil
}

func (s *stage) push(ctx context.Context, args ...string) (string, error) {
	out, code, err := s.client(ctx, "pusher", s.registry.Addr, s.crane, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("crane %s: exit %d: %s", strings.Join(args, " "), code, out)
	}
	return out, err
}

// layer writes a tar with one file.
func (s *stage) layer(name, text string) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "app/" + strings.TrimSuffix(name, ".tar") + ".txt", Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(s.path(name), buf.Bytes(), 0o600)
}
