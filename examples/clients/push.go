package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A pusher puts objects into a registry with the registry's own account, over the OCI
// distribution API, so that no client has a hand in what it is later held against.
type pusher struct {
	addr           string // of the registry
	user, password string
}

// push puts everything of an object, what is below first.
func (p pusher) push(ctx context.Context, o *object) error {
	for _, b := range o.blobs {
		if err := p.blob(ctx, o.repository, b); err != nil {
			return err
		}
	}
	for _, m := range o.manifests {
		if _, err := p.manifest(ctx, o.repository, m.digest(), m); err != nil {
			return err
		}
	}
	references := o.tags
	if len(references) == 0 {
		references = []string{o.root.digest()}
	}
	for _, ref := range references {
		if _, err := p.manifest(ctx, o.repository, ref, o.root); err != nil {
			return err
		}
	}
	return nil
}

// referrer pushes an artifact with a subject. A registry that does not say it has understood
// the subject gets the list of referrers under the subject's tag, as the OCI distribution
// specification asks of clients (Referrers Tag Schema).
func (p pusher) referrer(ctx context.Context, o *object, subject blob) error {
	for _, b := range o.blobs {
		if err := p.blob(ctx, o.repository, b); err != nil {
			return err
		}
	}
	header, err := p.manifest(ctx, o.repository, o.root.digest(), o.root)
	if err != nil || header.Get("OCI-Subject") != "" {
		return err
	}
	d := o.root.descriptor()
	d.ArtifactType = mediaSBOM
	list := manifest{MediaType: mediaIndex, Manifests: []descriptor{d}}.blob()
	_, err = p.manifest(ctx, o.repository, tagOf(subject, ""), list)
	return err
}

func (p pusher) manifest(ctx context.Context, repository, reference string, m blob) (http.Header, error) {
	return p.send(ctx, http.MethodPut, "http://"+p.addr+"/v2/"+repository+"/manifests/"+reference, m)
}

func (p pusher) blob(ctx context.Context, repository string, b blob) error {
	header, err := p.send(ctx, http.MethodPost, "http://"+p.addr+"/v2/"+repository+"/blobs/uploads/", blob{})
	if err != nil {
		return err
	}
	base := &url.URL{Scheme: "http", Host: p.addr}
	upload, err := base.Parse(header.Get("Location"))
	if err != nil {
		return err
	}
	q := upload.Query()
	q.Set("digest", b.digest())
	upload.RawQuery = q.Encode()
	_, err = p.send(ctx, http.MethodPut, upload.String(), blob{"application/octet-stream", b.data})
	return err
}

func (p pusher) send(ctx context.Context, method, target string, b blob) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(b.data))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(p.user, p.password)
	if b.mediaType != "" {
		req.Header.Set("Content-Type", b.mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("%s %s: %s: %s", method, target, resp.Status, text)
	}
	return resp.Header, nil
}
