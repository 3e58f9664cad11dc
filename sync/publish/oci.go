package publish

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PusherConfig says where bundles are pushed to. Repository is required.
type PusherConfig struct {
	Repository string // HOST/NAME
	Insecure   bool   // http, off loopback too
	// Credentials returns user name and password, "" for none. It is asked for every push.
	Credentials func() (username, password string, err error)
}

// Pusher pushes bundles to a repository of a registry, each under its name as the tag: an image of one
// gzipped layer, as OPA's services of type "oci" download it (OPA, management-bundles, "OCI").
type Pusher struct {
	cfg  PusherConfig
	repo name.Repository
}

// NewPusher returns a Pusher, or what is wrong with the name of the repository.
func NewPusher(cfg PusherConfig) (*Pusher, error) {
	opts := []name.Option{name.StrictValidation}
	if cfg.Insecure {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(cfg.Repository, opts...)
	if err != nil {
		return nil, err
	}
	return &Pusher{cfg: cfg, repo: repo}, nil
}

// Push pushes the layer, then the manifest, then the tag: who follows the tag never finds a part.
func (p *Pusher) Push(ctx context.Context, issue *Issue) error {
	b := issue.Bundle
	layer := static.NewLayer(issue.File, types.OCILayer)
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return err
	}
	created := time.Unix(b.IssuedAt(), 0).UTC()
	if image, err = mutate.CreatedAt(image, v1.Time{Time: created}); err != nil {
		return err
	}
	image = mutate.Annotations(image, map[string]string{
		"org.opencontainers.image.created":  created.Format(time.RFC3339),
		"org.opencontainers.image.revision": b.Revision(),
		"org.opencontainers.image.version":  strconv.FormatInt(b.Serial(), 10),
	}).(v1.Image)
	opts := []remote.Option{remote.WithContext(ctx)}
	if p.cfg.Credentials != nil {
		username, password, err := p.cfg.Credentials()
		if err != nil {
			return err
		}
		if username != "" {
			opts = append(opts, remote.WithAuth(&authn.Basic{Username: username, Password: password}))
		}
	}
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections() // the next push is hours away
	opts = append(opts, remote.WithTransport(transport))
	if err := remote.Write(p.repo.Tag(b.Name()), image, opts...); err != nil {
		return fmt.Errorf("push %s: %w", p.repo.Tag(b.Name()), err)
	}
	return nil
}
