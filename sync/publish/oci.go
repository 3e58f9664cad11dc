package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/pullgate/pullgate/bundle"
)

// PusherConfig says where bundles are pushed to. Repository is required.
type PusherConfig struct {
	Repository string // HOST/NAME
	Insecure   bool   // http, off loopback too
	Ring       *bundle.KeyRing
	// Credentials returns user name and password, "" for none. It is asked for every push.
	Credentials func() (username, password string, err error)
}

// Pusher is the Place in a repository of a registry. It pushes bundles, each under its name as the tag: an image of one
// gzipped layer, as OPA's services of type "oci" download it (OPA, management-bundles, "OCI").
type Pusher struct {
	cfg  PusherConfig
	repo name.Repository

	mu   sync.Mutex
	made map[string]*artifact // by name: of the last bundle
}

// artifact is what a bundle is in a registry: the same bytes for the same bundle.
type artifact struct {
	issue  *Issue
	image  v1.Image
	digest v1.Hash
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

// Put pushes layer, configuration and manifest, and then the tag, within move: who follows the tag
// never finds a part.
func (p *Pusher) Put(ctx context.Context, issue *Issue, move Move) error {
	a, opts, done, err := p.visit(issue)
	if err != nil {
		return err
	}
	defer done()
	if err := p.look(ctx, a, opts); !errors.Is(err, ErrMissing) {
		return err
	}
	if err := remote.Write(p.repo.Digest(a.digest.String()), a.image, append(opts, remote.WithContext(ctx))...); err != nil {
		return fmt.Errorf("push %s: %w", p.repo.Digest(a.digest.String()), err)
	}
	tag := p.repo.Tag(issue.Bundle.Name())
	err = move(ctx, func(ctx context.Context) error {
		return remote.Tag(tag, a.image, append(opts, remote.WithContext(ctx))...)
	})
	if err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	return p.look(ctx, a, opts)
}

// Look asks what the tag names. A serial that is found there is that of an annotation, which nobody
// has signed.
func (p *Pusher) Look(ctx context.Context, issue *Issue) error {
	a, opts, done, err := p.visit(issue)
	if err != nil {
		return err
	}
	defer done()
	return p.look(ctx, a, opts)
}

// Find reads the only layer of what the tag names.
func (p *Pusher) Find(ctx context.Context, name string) (_ *bundle.Bundle, err error) {
	opts, done, err := p.options()
	if err != nil {
		return nil, err
	}
	defer done()
	tag := p.repo.Tag(name)
	image, err := remote.Image(tag, append(opts, remote.WithContext(ctx))...)
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != 1 {
		return nil, fmt.Errorf("%s: %d layers; a bundle is one", tag, len(layers))
	}
	text, err := layers[0].Compressed()
	if err != nil {
		return nil, err
	}
	defer text.Close()
	b, err := bundle.Read(text, p.cfg.Ring, bundle.ReadOptions{Name: name})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tag, err)
	}
	return b, nil
}

func (p *Pusher) look(ctx context.Context, a *artifact, opts []remote.Option) error {
	found, err := remote.Get(p.repo.Tag(a.issue.Bundle.Name()), append(opts, remote.WithContext(ctx))...)
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return ErrMissing
	}
	if err != nil {
		return err
	}
	if found.Digest == a.digest {
		return nil
	}
	var manifest v1.Manifest
	if json.Unmarshal(found.Manifest, &manifest) != nil {
		return ErrMissing
	}
	if format, _ := strconv.Atoi(manifest.Annotations[formatAnnotation]); format > bundle.Format {
		return errTakenByNewer(fmt.Errorf("%w: format %d, this program reads format %d", bundle.ErrNewer, format, bundle.Format))
	}
	serial, err := strconv.ParseInt(manifest.Annotations[serialAnnotation], 10, 64)
	if err != nil {
		serial = 0
	}
	return compare(serial, a.issue.Bundle)
}

const (
	serialAnnotation = "org.opencontainers.image.version"
	// formatAnnotation is of bundles after format 1, whose artifacts stay as they always were.
	formatAnnotation = "io.github.pullgate.bundle.format"
)

func (p *Pusher) artifact(issue *Issue) (*artifact, error) {
	b := issue.Bundle
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.made[b.Name()]; a != nil && a.issue == issue {
		return a, nil
	}
	layer := static.NewLayer(issue.File, types.OCILayer)
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	created := time.Unix(b.IssuedAt(), 0).UTC()
	if image, err = mutate.CreatedAt(image, v1.Time{Time: created}); err != nil {
		return nil, err
	}
	annotations := map[string]string{
		"org.opencontainers.image.created":  created.Format(time.RFC3339),
		"org.opencontainers.image.revision": b.Revision(),
		serialAnnotation:                    strconv.FormatInt(b.Serial(), 10),
	}
	if b.Format() > 1 {
		annotations[formatAnnotation] = strconv.Itoa(b.Format())
	}
	a := &artifact{issue: issue, image: mutate.Annotations(image, annotations).(v1.Image)}
	if a.digest, err = a.image.Digest(); err != nil {
		return nil, err
	}
	if p.made == nil {
		p.made = map[string]*artifact{}
	}
	p.made[b.Name()] = a
	return a, nil
}

// visit is what a visit for a bundle needs. done ends it.
func (p *Pusher) visit(issue *Issue) (a *artifact, opts []remote.Option, done func(), err error) {
	if a, err = p.artifact(issue); err == nil {
		opts, done, err = p.options()
	}
	return a, opts, done, err
}

// options are those of one visit, which done ends.
func (p *Pusher) options() (opts []remote.Option, done func(), err error) {
	if p.cfg.Credentials != nil {
		username, password, err := p.cfg.Credentials()
		if err != nil {
			return nil, nil, err
		}
		if username != "" {
			opts = append(opts, remote.WithAuth(&authn.Basic{Username: username, Password: password}))
		}
	}
	t := remote.DefaultTransport.(*http.Transport).Clone()
	// Whoever pushes tries again, with longer pauses, and says so meanwhile.
	opts = append(opts, remote.WithTransport(t), remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 2}))
	return opts, t.CloseIdleConnections, nil // the next visit is a while away
}
