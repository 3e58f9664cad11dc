package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/examples/peers"
)

// opaServer is a running `opa run --server`.
type opaServer struct {
	*peers.Process
	client *http.Client
}

// startOPA runs the pinned OPA with arguments of a deployment and waits until it answers. It
// listens on a socket in a directory of its own: OPA does not tell which port it got for 0.
func startOPA(t *testing.T, args ...string) *opaServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "opa-") // the test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	args = append([]string{"run", "--server", "--addr", "unix://" + socket, "--skip-version-check", "--log-level", "error"}, args...)
	p, err := peers.Start(peers.OPA(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &opaServer{Process: p, client: &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial}}}
}

// ready waits until the server answers; the error is that it ended before.
func (o *opaServer) ready(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := o.client.Get("http://opa/health"); err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-o.Done():
			return errors.New("opa ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// value asks for a document with an input; nil when it is undefined.
func (o *opaServer) value(ctx context.Context, document string, input json.RawMessage) (any, error) {
	body, err := json.Marshal(map[string]any{"input": input})
	if err != nil {
		return nil, err
	}
	target := "http://opa/v1/data/" + strings.ReplaceAll(strings.TrimPrefix(document, "data."), ".", "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, data)
	}
	answer, err := decodeJSON(data)
	if err != nil {
		return nil, err
	}
	return answer.(map[string]any)["result"], nil
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// bundleServer serves one bundle after another to an OPA that long-polls for them.
type bundleServer struct {
	offers chan offer
	polls  chan string // If-None-Match of each poll: what OPA has active
	end    chan struct{}
}

type offer struct {
	etag string
	data []byte
}

func (s *bundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.polls <- r.Header.Get("If-None-Match"):
	case <-r.Context().Done():
		return
	case <-s.end:
		return
	}
	select {
	case o := <-s.offers:
		w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles") // enables long polling
		w.Header().Set("ETag", o.etag)
		_, _ = w.Write(o.data)
	case <-r.Context().Done():
	case <-s.end:
	}
}

// fedOPA is an OPA as it is deployed: it downloads its bundle, verifies it with a configured
// key and scope, and activates it. Nothing about it is pullgate's but the bundle.
type fedOPA struct {
	*opaServer
	signer *bundle.Signer
	bs     *bundleServer
	count  int
}

func newFedOPA(t *testing.T) *fedOPA {
	t.Helper()
	o := &fedOPA{signer: newSigner(t), bs: &bundleServer{offers: make(chan offer), polls: make(chan string), end: make(chan struct{})}}
	web := httptest.NewServer(o.bs)
	t.Cleanup(web.Close)
	pem, err := bundle.MarshalPublic(o.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	config, err := json.Marshal(object{
		"services": object{"publisher": object{"url": web.URL, "response_header_timeout_seconds": 60}},
		"keys":     object{o.signer.KeyID(): object{"algorithm": "ES256", "key": string(pem), "scope": bundle.DefaultName}},
		"bundles": object{"default": object{
			"service": "publisher", "resource": "bundle.tar.gz", "signing": object{"keyid": o.signer.KeyID()},
			"polling": object{"long_polling_timeout_seconds": 600, "min_delay_seconds": 1, "max_delay_seconds": 1},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "opa.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	o.opaServer = startOPA(t, "--config-file", file)
	t.Cleanup(func() { close(o.bs.end); o.Close() }) // before the web server's, which waits for the poll
	if _, err := o.polled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.ready(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, o.Output())
	}
	return o
}

// polled waits until OPA asks for a bundle and returns what it has.
func (o *fedOPA) polled(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case has := <-o.bs.polls:
		return has, nil
	case <-o.Done():
	case <-ctx.Done():
	}
	return "", fmt.Errorf("opa does not ask for a bundle\n%s", o.Output())
}

// offer hands OPA a bundle and says whether it is active now: the next poll names it.
func (o *fedOPA) offer(ctx context.Context, data []byte) (active bool, err error) {
	o.count++
	etag := fmt.Sprintf(`"%d"`, o.count)
	select {
	case o.bs.offers <- offer{etag, data}:
	case <-o.Done():
		return false, fmt.Errorf("opa ended\n%s", o.Output())
	case <-ctx.Done():
		return false, ctx.Err()
	}
	has, err := o.polled(ctx)
	return strings.HasPrefix(has, etag), err
}

func newSigner(t *testing.T) *bundle.Signer {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := bundle.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rewritten is a bundle with other content, signed again: as it is shipped, and as it is read.
func rewritten(b *bundle.Bundle, s *bundle.Signer, change func(files map[string][]byte)) ([]byte, *bundle.Bundle, error) {
	files := map[string][]byte{}
	for _, p := range b.Paths() {
		if p != bundle.ManifestPath && p != bundle.SignaturesPath {
			files[p] = b.File(p)
		}
	}
	if change != nil {
		change(files)
	}
	var buf bytes.Buffer
	c := &bundle.Content{Name: b.Name(), Serial: b.Serial(), IssuedAt: b.IssuedAt(), NotAfter: b.NotAfter(), Files: files}
	if _, err := bundle.Write(&buf, c, s); err != nil {
		return nil, nil, err
	}
	data := buf.Bytes()
	ring, err := bundle.NewKeyRing(s.Public())
	if err != nil {
		return nil, nil, err
	}
	again, err := bundle.Read(bytes.NewReader(data), ring, bundle.ReadOptions{Name: b.Name()})
	return data, again, err
}

// changed is a shipped bundle with other bytes in one file and all else as it was.
func changed(t *testing.T, shipped []byte, path string, change func([]byte) []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(shipped))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	to := gzip.NewWriter(&out)
	from, w := tar.NewReader(gz), tar.NewWriter(to)
	done := false
	for {
		h, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == path {
			is := change(slices.Clone(data))
			if len(is) != len(data) || bytes.Equal(is, data) {
				t.Fatalf("%s is not changed in place", path)
			}
			data, done = is, true
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	if !done {
		t.Fatalf("no file %s in the bundle", path)
	}
	return out.Bytes()
}
