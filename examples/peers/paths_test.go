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
	// listed has the digest of the one referrer of each manifest, by repository and digest, where
	// the registry has the referrers API; else it is nil.
	listed map[[2]string]string
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

func newStocked(t *testing.T, addr string, referrers bool, takes func(repository string) bool) *stocked {
	t.Helper()
	s := &stocked{addr: addr, serves: map[[2]string]string{}}
	if referrers {
		s.listed = map[[2]string]string{}
	}
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
			s.push(t, repository, tag, img)
			if s.listed != nil {
				s.refer(t, repository, tag, img)
			}
		}
	}
	slices.Sort(s.paths)
	return s
}

// push writes an image, and notes what is served because of it.
func (s *stocked) push(t *testing.T, repository, tag string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(s.addr+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context()), remote.WithAuth(account)); err != nil {
		t.Fatal(err)
	}
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

// refer pushes an image that refers to one.
func (s *stocked) refer(t *testing.T, repository, tag string, subject v1.Image) {
	t.Helper()
	digest, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := subject.Size()
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte("about "+repository+":"+tag), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	img = mutate.Subject(img, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: size, Digest: digest}).(v1.Image)
	s.push(t, repository, tag+"-about", img)
	about, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.listed[[2]string{repository, digest.String()}] = about.String()
	s.paths = append(s.paths, "/v2/"+repository+"/referrers/"+digest.String())
}

// spell writes a path in another way: what clients, proxies and attackers do to paths.
func spell(r *rand.Rand, path string) string {
	at := func() int { return 1 + r.IntN(len(path)-1) }
	for range 1 + r.IntN(3) {
		i := at()
		switch r.IntN(17) {
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
		case 15:
			path = strings.Replace(path, "/referrers/", []string{"/Referrers/", "/referrers//", "/referrers%2f", "/manifests/", "/blobs/", "/referrers/./", "/tags/referrers/"}[r.IntN(7)], 1)
		case 16: // one that stays as it is, now and then
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

// served is what a registry answered: the digest of a manifest or blob, the repository whose
// tags it listed, or the referrer that it listed. One that says none of these is mute: an answer
// to HEAD without a digest, or a list without referrers.
type served struct {
	digest, listed, referrer string
	mute                     bool
}

// fetch sends the bytes of a target as they are and follows nothing.
func fetch(ctx context.Context, conn *persistent, method, target string) (served, error) {
	resp, body, err := conn.send(ctx, method, target)
	if err != nil || resp.StatusCode != http.StatusOK {
		return served{}, err
	}
	if d := resp.Header.Get("Docker-Content-Digest"); d != "" {
		return served{digest: d}, nil
	}
	if method == http.MethodHead {
		return served{mute: true}, nil
	}
	var list struct {
		Name      string           `json:"name"`
		Tags      []string         `json:"tags"`
		Manifests *[]v1.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(body, &list) == nil {
		switch {
		case list.Tags != nil:
			return served{listed: list.Name}, nil
		case list.Manifests != nil && len(*list.Manifests) == 1:
			return served{referrer: (*list.Manifests)[0].Digest.String()}, nil
		case list.Manifests != nil:
			return served{mute: true}, nil
		}
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

func (p *persistent) send(ctx context.Context, method, target string) (*http.Response, []byte, error) {
	for range 2 {
		if p.conn == nil {
			conn, err := (&net.Dialer{Timeout: time.Minute}).DialContext(ctx, "tcp", p.addr)
			if err != nil {
				return nil, nil, err
			}
			p.conn, p.r = conn, bufio.NewReader(conn)
		}
		_ = p.conn.SetDeadline(time.Now().Add(time.Minute))
		_, err := fmt.Fprintf(p.conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\nAuthorization: Basic %s\r\n\r\n", method, target, p.addr,
			base64.StdEncoding.EncodeToString([]byte(account.Username+":"+account.Password)))
		if err == nil {
			var resp *http.Response
			if resp, err = http.ReadResponse(p.r, &http.Request{Method: method}); err == nil {
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
			s := httptest.NewServer(gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true)))
			t.Cleanup(s.Close)
			return strings.TrimPrefix(s.URL, "http://")
		},
	} {
		t.Run(name, func(t *testing.T) {
			hasReferrers := name == "olareg" || name == "go-containerregistry"
			s := newStocked(t, start(t), hasReferrers, func(repository string) bool {
				return name != "olareg" || !strings.HasPrefix(repository, "foo/") // it has no names with route words
			})
			s.sharesBlobs = name == "go-containerregistry"
			conn := &persistent{addr: s.addr}
			defer conn.close()
			r := rand.New(rand.NewPCG(1, 2))
			bySpelling, plain, refusedAlike, heads, referrers := 0, 0, 0, 0, 0
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
				got, err := fetch(t.Context(), conn, http.MethodGet, target)
				if err != nil {
					t.Fatal(err)
				}
				switch s.judge(t, http.MethodGet, target, got) {
				case alike:
					plain++
				case refused:
					bySpelling++
					if i < len(s.paths) {
						t.Errorf("%q is served, and refused", target)
					}
				case unserved:
					refusedAlike++
				}
				if got.referrer != "" {
					referrers++
				}
				if i >= len(s.paths) && i%3 != 0 {
					continue
				}
				// HEAD says less. What it leaves open is what GET has said.
				head, err := fetch(t.Context(), conn, http.MethodHead, target)
				if err != nil {
					t.Fatal(err)
				}
				if head.mute && got != (served{}) {
					head = got
				}
				if s.judge(t, http.MethodHead, target, head) == alike {
					heads++
				}
			}
			t.Logf("%d paths: %d served and understood alike, %d of them lists of referrers, %d served and refused for their spelling, %d not served; %d served to HEAD and understood alike",
				paths+len(s.paths), plain, referrers, bySpelling, refusedAlike, heads)
			if plain < len(s.paths) || bySpelling < 20 || heads < len(s.paths)/2 || hasReferrers && referrers < len(s.listed) {
				t.Error("these are too few to show anything")
			}
		})
	}
}

// A reading is how what a registry served compares with what pullgate takes a path for.
type reading int

const (
	unserved reading = iota
	refused          // by pullgate
	alike
	otherwise
)

// judge holds what a registry served against what pullgate takes the request for.
func (s *stocked) judge(t *testing.T, method, target string, got served) reading {
	t.Helper()
	var classifier classify.Classifier
	req := classifier.Classify(&classify.Inbound{Method: method, Target: target, Host: s.addr})
	reference := req.Tag + req.Digest
	var ok bool
	switch {
	case got == served{}:
		return unserved
	case req.Kind == authz.KindMalformed || req.Kind == authz.KindUnsupported:
		return refused
	case got.mute:
		ok = req.Kind == authz.KindReferrers // a list without entries
	case got.listed != "":
		ok = req.Kind == authz.KindTags && req.Repository == got.listed
	case got.referrer != "":
		ok = req.Kind == authz.KindReferrers && s.listed[[2]string{req.Repository, req.Digest}] == got.referrer
	case req.Kind == authz.KindBlob && s.sharesBlobs:
		ok = req.Digest == got.digest
	case req.Kind == authz.KindManifest || req.Kind == authz.KindBlob:
		ok = s.serves[[2]string{req.Repository, reference}] == got.digest
	}
	if !ok {
		t.Errorf("%s %q serves %+v and is taken for %s %s %s", method, target, got, req.Kind, req.Repository, reference)
		return otherwise
	}
	return alike
}
