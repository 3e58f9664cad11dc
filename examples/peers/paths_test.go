package peers_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/examples/peers"
)

// stocked is a registry with images that all differ, so that what it serves says what it
// understood.
type stocked struct {
	addr string
	// serves has the digest of each manifest and blob by repository and reference.
	serves map[[2]string]string
	paths  []string // every plain path of what it has
	// sharesBlobs says that a blob is served under any repository's name.
	sharesBlobs bool
}

// account is that of registries that want one.
var account = &authn.Basic{Username: "reader", Password: "reads-paths"}

var stock = map[string][]string{
	"acme/app":          {"1.0.0", "2.0.0", "latest"},
	"acme/secret":       {"1.0.0"},
	"foo":               {"tags", "list"},
	"foo/manifests/bar": {"1.0.0"},
	"foo/blobs":         {"manifests"},
	"foo/tags":          {"list"},
}

func newStocked(t *testing.T, addr string, takes func(repository string) bool) *stocked {
	t.Helper()
	s := &stocked{addr: addr, serves: map[[2]string]string{}}
	for _, repository := range slices.Sorted(maps.Keys(stock)) {
		if !takes(repository) {
			continue
		}
		tags := stock[repository]
		s.paths = append(s.paths, "/v2/"+repository+"/tags/list")
		for _, tag := range tags {
			img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(repository+":"+tag), types.OCILayer))
			if err != nil {
				t.Fatal(err)
			}
			ref, err := name.ParseReference(addr+"/"+repository+":"+tag, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(ref, img, remote.WithContext(t.Context()), remote.WithAuth(account)); err != nil {
				t.Fatal(err)
			}
			s.image(t, repository, tag, img)
		}
	}
	slices.Sort(s.paths)
	return s
}

func (s *stocked) image(t *testing.T, repository, tag string, img v1.Image) {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{tag, digest.String()} {
		s.serves[[2]string{repository, ref}] = digest.String()
		s.paths = append(s.paths, "/v2/"+repository+"/manifests/"+ref)
	}
	for _, blob := range []string{manifest.Config.Digest.String(), manifest.Layers[0].Digest.String()} {
		s.serves[[2]string{repository, blob}] = blob
		s.paths = append(s.paths, "/v2/"+repository+"/blobs/"+blob)
	}
}

// spell writes a path in another way: what clients, proxies and attackers do to paths.
func spell(r *rand.Rand, path string) string {
	at := func() int { return 1 + r.IntN(len(path)-1) }
	for range 1 + r.IntN(3) {
		i := at()
		switch r.IntN(16) {
		case 0, 1, 2:
			path = path[:i] + fmt.Sprintf([]string{"%%%02x", "%%%02X", "%%25%02x"}[r.IntN(3)], path[i]) + path[i+1:]
		case 3:
			slashes := strings.Count(path, "/")
			path = replaceNth(path, "/", []string{"%2f", "%2F", "//", "/./", "\\", "/%2e/", "/x/../", "/x/%2e%2e/", ";/", "/;x/", "%5c"}[r.IntN(11)], 1+r.IntN(slashes))
		case 4:
			path = path[:i] + []string{"/", ".", "..", "%00", "%20", ";", ";x=y", "%0a", "\t", "\x80", "+", "~", "*", ":", "@"}[r.IntN(15)] + path[i:]
		case 5:
			path = path[:i] + strings.ToUpper(path[i:i+1]) + path[i+1:]
		case 6:
			path = path[:i] + path[i+1:]
		case 7:
			path += []string{"/", "?", "?n=1", "?n=1&last=1.0.0", "#x", "/.", "/..", "%2f", ";", ".", "?x=%2f", "?ns=docker.io", "?artifactType=x"}[r.IntN(13)]
		case 8:
			path = replaceNth(path, "/", []string{"/manifests/", "/tags/", "/blobs/", "/list/", "/foo/", "/localhost:5000/", "/../"}[r.IntN(7)], 1+r.IntN(strings.Count(path, "/")))
		case 9:
			path = []string{"/", "//", "/.", "/./", "/x/.."}[r.IntN(5)] + path
		case 10:
			path = strings.Replace(path, "sha256:", []string{"sha256%3A", "SHA256:", "sha256-", "sha256::", "sha512:"}[r.IntN(5)], 1)
		case 11:
			path = strings.Replace(path, "/v2/", []string{"/V2/", "/v2//", "/%762/", "/v2/./", "/v1/../v2/", "/v2/_catalog/../"}[r.IntN(6)], 1)
		case 12:
			path = strings.Replace(path, "acme/", []string{"ACME/", "acme%2f", "acme/./", "acme/x/../", "acme//", "acme"}[r.IntN(6)], 1)
		case 13:
			path = strings.Replace(path, "/manifests/", []string{"/Manifests/", "/manifests//", "/manifests%2f", "/manifests/./", "/blobs/", "/tags/"}[r.IntN(6)], 1)
		case 14:
			path = path[:i] + path[i:i+1] + path[i:]
		case 15: // one that stays as it is, now and then
		}
	}
	return path
}

func replaceNth(s, old, with string, n int) string {
	parts := strings.SplitAfterN(s, old, n+1)
	if len(parts) < 2 || n >= len(parts) {
		return s
	}
	parts[n-1] = strings.TrimSuffix(parts[n-1], old) + with
	return strings.Join(parts, "")
}

// served is what a registry answered: the digest of a manifest or blob, or the repository
// whose tags it listed.
type served struct{ digest, listed string }

// fetch sends the bytes of a target as they are and follows nothing.
func fetch(ctx context.Context, conn *persistent, target string) (served, error) {
	resp, body, err := conn.get(ctx, target)
	if err != nil || resp.StatusCode != http.StatusOK {
		return served{}, err
	}
	if d := resp.Header.Get("Docker-Content-Digest"); d != "" {
		return served{digest: d}, nil
	}
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if json.Unmarshal(body, &list) == nil && list.Tags != nil {
		return served{listed: list.Name}, nil
	}
	if h, _, err := v1.SHA256(strings.NewReader(string(body))); err == nil && len(body) > 0 {
		return served{digest: h.String()}, nil
	}
	return served{}, nil
}

// persistent is a connection that is opened again when the peer closes it.
type persistent struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
}

func (p *persistent) get(ctx context.Context, target string) (*http.Response, []byte, error) {
	for range 2 {
		if p.conn == nil {
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", p.addr)
			if err != nil {
				return nil, nil, err
			}
			p.conn, p.r = conn, bufio.NewReader(conn)
		}
		_ = p.conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := fmt.Fprintf(p.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nAuthorization: Basic %s\r\n\r\n", target, p.addr,
			base64.StdEncoding.EncodeToString([]byte(account.Username+":"+account.Password)))
		if err == nil {
			var resp *http.Response
			if resp, err = http.ReadResponse(p.r, nil); err == nil {
				body, err := io.ReadAll(resp.Body)
				if resp.Close || err != nil {
					p.close()
				}
				return resp, body, err
			}
		}
		p.close()
	}
	return nil, nil, fmt.Errorf("no answer about %q", target)
}

func (p *persistent) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// Nothing that a registry would serve as one thing is taken for another: a path is understood as
// the registry understands it, or refused.
func TestNoRegistryReadsAPathInAnotherWay(t *testing.T) {
	const paths = 4000
	startRegistry := func(t *testing.T, program string) string {
		r, err := peers.StartRegistry(t.Context(), program, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r.Addr
	}
	for name, start := range map[string]func(t *testing.T) string{
		"distribution":     func(t *testing.T) string { return startRegistry(t, peers.Registry(t)) },
		"distribution 2.8": func(t *testing.T) string { return startRegistry(t, peers.Find(t, "registry-2.8")) },
		"olareg": func(t *testing.T) string {
			o, err := peers.StartOlareg(t.Context(), peers.Find(t, "olareg"), t.TempDir(), map[string]string{account.Username: account.Password})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { o.Close() })
			return o.Addr
		},
		"go-containerregistry": func(t *testing.T) string {
			s := httptest.NewServer(gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0))))
			t.Cleanup(s.Close)
			return strings.TrimPrefix(s.URL, "http://")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStocked(t, start(t), func(repository string) bool {
				return name != "olareg" || !strings.HasPrefix(repository, "foo/") // it has no names with route words
			})
			s.sharesBlobs = name == "go-containerregistry"
			conn := &persistent{addr: s.addr}
			defer conn.close()
			r := rand.New(rand.NewPCG(1, 2))
			var classifier classify.Classifier
			bySpelling, plain, refusedAlike := 0, 0, 0
			for i := range paths + len(s.paths) {
				var target string
				if i < len(s.paths) {
					target = s.paths[i]
				} else {
					target = spell(r, s.paths[r.IntN(len(s.paths))])
				}
				if strings.ContainsAny(target, " \r\n") {
					continue // ends the request's first line
				}
				got, err := fetch(t.Context(), conn, target)
				if err != nil {
					t.Fatal(err)
				}
				req := classifier.Classify(&classify.Inbound{Method: http.MethodGet, Target: target, Host: s.addr})
				switch {
				case got == served{}:
					refusedAlike++
				case req.Kind == authz.KindMalformed || req.Kind == authz.KindUnsupported:
					bySpelling++
					if i < len(s.paths) {
						t.Errorf("%q is served, and refused as %s", target, req.Kind)
					}
				case got.listed != "":
					plain++
					if req.Kind != authz.KindTags || req.Repository != got.listed {
						t.Errorf("%q lists the tags of %s and is taken for %s of %s", target, got.listed, req.Kind, req.Repository)
					}
				default:
					plain++
					reference := req.Tag + req.Digest
					want := s.serves[[2]string{req.Repository, reference}]
					if req.Kind == authz.KindBlob && s.sharesBlobs {
						want = req.Digest
					}
					if want != got.digest {
						t.Errorf("%q serves %s and is taken for %s %s %s", target, got.digest, req.Kind, req.Repository, reference)
					}
				}
			}
			t.Logf("%d paths: %d served and understood alike, %d served and refused for their spelling, %d not served", paths+len(s.paths), plain, bySpelling, refusedAlike)
			if plain < len(s.paths) || bySpelling < 20 {
				t.Errorf("%d understood alike and %d refused are too few to show anything", plain, bySpelling)
			}
		})
	}
}
