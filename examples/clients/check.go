package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// layoutBlobs returns the digests of what is in an OCI image layout. Each blob must have the
// content of its name.
func layoutBlobs(dir string) ([]string, error) {
	var got []string
	err := filepath.WalkDir(filepath.Join(dir, "blobs", "sha256"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := "sha256:" + d.Name()
		got = append(got, name)
		return holds(path, name)
	})
	return got, err
}

// holds: the file has the content of the digest.
func holds(file, digest string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if got := (blob{"", data}).digest(); got != digest {
		return fmt.Errorf("%s holds %s, want %s", filepath.Base(file), got, digest)
	}
	return nil
}

// digestsOf all objects.
func digestsOf(objects ...*object) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.digests()...)
	}
	return all
}

// sameDigests says what is missing and what is more than was wanted.
func sameDigests(got, want []string) error {
	var errs []error
	for _, d := range want {
		if !slices.Contains(got, d) {
			errs = append(errs, fmt.Errorf("%s was not pulled", d))
		}
	}
	for _, d := range got {
		if !slices.Contains(want, d) {
			errs = append(errs, fmt.Errorf("%s was pulled too", d))
		}
	}
	return errors.Join(errs...)
}

// layout checks what a client left as an OCI image layout: exactly what was pushed.
func layout(ctx context.Context, s *seat, o *object) error { return layoutOf(o)(ctx, s) }

// layoutOf does so for several objects.
func layoutOf(objects ...*object) func(context.Context, *seat) error {
	return func(_ context.Context, s *seat) error {
		got, err := layoutBlobs(s.path("out"))
		if err != nil {
			return err
		}
		return sameDigests(got, digestsOf(objects...))
	}
}

// layoutWith is for clients that add something of their own: everything of the objects is there.
func layoutWith(objects ...*object) func(context.Context, *seat) error {
	return func(_ context.Context, s *seat) error {
		got, err := layoutBlobs(s.path("out"))
		if err != nil {
			return err
		}
		want := digestsOf(objects...)
		return sameDigests(slices.DeleteFunc(got, func(d string) bool { return !slices.Contains(want, d) }), want)
	}
}

// storage checks what buildah and its like keep: manifests and configs as files, whose names
// are "=" and the base64 of what they are, layers unpacked, with the digest they came with.
func storage(_ context.Context, s *seat, o *object) error {
	var got []string
	files, err := filepath.Glob(s.path("root/vfs-images/*/=*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		name, err := base64.StdEncoding.DecodeString(filepath.Base(file)[1:])
		if err != nil {
			return err
		}
		want := digest.FindString(string(name))
		if want == "" {
			continue // signatures
		}
		if err := holds(file, want); err != nil {
			return err
		}
		got = append(got, want)
	}
	data, err := os.ReadFile(s.path("root/vfs-layers/layers.json"))
	if err != nil {
		return err
	}
	var layers []struct {
		Digest string `json:"compressed-diff-digest"`
	}
	if err := json.Unmarshal(data, &layers); err != nil {
		return err
	}
	for _, l := range layers {
		got = append(got, l.Digest)
	}
	return sameDigests(got, o.amd64)
}
