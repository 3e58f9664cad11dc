package pull

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

func TestNewBundleIsTakenAndKept(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL+"/bundles/default").open()
	r.expect(NotFound, 0)
	pub.has(made(t, 5))
	r.expect("", 5)
	r.expect("", 5) // 304
	pub.has(made(t, 6))
	r.expect("", 6)
	r.says()
	if tags := pub.requests(); tags[1].Header.Get("If-None-Match") != "" || tags[2].Header.Get("If-None-Match") == "" {
		t.Error("If-None-Match")
	}
	pub.Close()
	r.open()
	if r.serial() != 6 || len(r.delivered) != 1 {
		t.Errorf("after a restart serial %d, delivered %v", r.serial(), r.delivered)
	}
	r.expect(Unreachable, 6)
	r.says() // a publisher that is restarted is nothing to wake somebody for
}

// A bundle shares what is the same with the active one, also after a restart; one that could not be
// made active shares nothing with the next.
func TestBundlesShareWhatIsTheSame(t *testing.T) {
	const path = "pullgate/b/data.json"
	of := func(value string) func(*bundle.Content) {
		return func(c *bundle.Content) { c.Files[path] = []byte(value) }
	}
	pub := newPublisher(t)
	r := newRig(t, pub.URL+"/bundles/default")
	var last *bundle.Section
	deliver := r.cfg.Deliver
	r.cfg.Deliver = func(ctx context.Context, b *bundle.Bundle) error {
		last = b.Object(path).Sections()[0]
		return deliver(ctx, b)
	}
	r.open()
	take := func(serial int64, value string) *bundle.Section {
		t.Helper()
		pub.has(made(t, serial, of(value)))
		r.expect("", serial)
		return last
	}
	first := take(5, `{"a":1}`)
	if take(6, `{"a":1}`) != first {
		t.Error("the same is not shared")
	}
	if take(7, `{"a":2}`) == first {
		t.Error("what differs is shared")
	}
	r.refuse = errors.New("no")
	pub.has(made(t, 8, of(`{"a":3}`)))
	r.expect(Refused, 7)
	refused := last
	r.refuse = nil
	if take(9, `{"a":3}`) == refused {
		t.Error("it shares with one that was refused")
	}
	r.open()
	kept := last
	if take(10, `{"a":3}`) != kept {
		t.Error("it does not share with the kept one")
	}
}

// What a publisher, or whoever answers in its place, may say: nothing wrong is ever active, and the
// last good bundle stays.
func TestWrongAnswersAreRefused(t *testing.T) {
	good := made(t, 5)
	raw := unpacked(t, good)
	flip := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[at] ^= 1
		return data
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	file := func(data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
	}
	other := httptest.NewServer(file(made(t, 6)))
	t.Cleanup(other.Close)
	tests := []struct {
		name   string
		answer http.HandlerFunc
		reason Reason
		text   string
	}{
		{"401", status(401), Unauthorized, "answered 401"},
		{"403", status(403), Unauthorized, "answered 403"},
		{"404", status(404), NotFound, "answered 404"},
		{"410", status(410), NotFound, ""},
		{"500", status(500), Failing, "answered 500"},
		{"503", status(503), Failing, ""},
		{"204", status(204), Failing, "answered 204"},
		{"304 for something else", status(304), "", ""},
		{"a page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<html>please log in</html>")
		}, Garbage, `not gzip: gzip: invalid header (it is sent as "text/html")`},
		{"nothing", file(nil), Garbage, ""},
		{"another origin", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, Redirected, "redirects to http://127.0.0.1:"},
		{"the same origin", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/there" {
				http.Redirect(w, r, "/there", http.StatusFound)
				return
			}
			_, _ = w.Write(made(t, 6))
		}, "", ""},
		{"round and round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, Redirected, "more than 3 times"},
		{"unsigned", file(signedBy(t, nil, 6)), Unsigned, ""},
		{"another key", file(signedBy(t, keys()[1], 6)), UnknownKey, ""},
		{"a changed signature", file(packed(flip(raw, bytes.Index(raw, []byte(".signatures.json"))+512+300))), BadSignature, ""},
		{"another name", file(made(t, 6, func(c *bundle.Content) { c.Name = "acme" })), WrongName, `named "acme", want "default"`},
		{"a lower serial", file(made(t, 4)), Rollback, "serial 4, at least 5"},
		{"the same serial, other bytes", file(made(t, 5, func(c *bundle.Content) { c.IssuedAt-- })), Changed, "serial 5"},
		{"issued in the future", file(made(t, 6, issued(start+60+301))), Future, "2026-05-28T20:32:41Z, when it is 2026-05-28T20:27:40Z here"},
		{"issued a little ahead", file(made(t, 6, issued(start+60+300))), "", ""},
		{"past its not_after", file(made(t, 6, issued(start+60-72*3600))), Expired, ""},
		{"cut", file(good[:len(good)-20]), Garbage, "the file ends early"},
		{"bytes appended", file(append(bytes.Clone(made(t, 6)), 'x')), Garbage, "bytes after the end of the file"},
		{"an altered file", file(packed(flip(unpacked(t, made(t, 6)), len(raw)-1024-512))), Garbage, "not what was signed"},
		{"a newer format", file(packed(bytes.Replace(raw, []byte(`"format":1`), []byte(`"format":2`), 1))), Newer, "update it before the publisher; until it is updated, or the publisher set back, no edit and no revocation counts here"},
		{"a bomb of zeros", file(packed(make([]byte, 64<<20))), Garbage, ""},
		{"a bomb of content", file(made(t, 6, func(c *bundle.Content) { c.Files["index.bin"] = make([]byte, 9<<20) })), TooLarge, "index.bin has 9437184 bytes"},
		{"a huge body, announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000000000")
			w.WriteHeader(200)
		}, TooLarge, "the answer has 1000000000000 bytes"},
		{"a huge body", func(w http.ResponseWriter, _ *http.Request) {
			endless, _ := gzip.NewWriterLevel(w, gzip.NoCompression)
			_, _ = endless.Write(unpacked(t, made(t, 6))[:512]) // the header of a manifest
			for {
				if _, err := endless.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, Garbage, ""},
		{"a huge body that is no gzip in the end", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := bytes.Repeat([]byte{0x1f, 0x8b, 8, 0x10}, 1<<18); ; { // a comment without an end
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, Garbage, ""},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(good)))
			_, _ = w.Write(good[:200])
		}, Unreachable, "broke off"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Slow, "no answer"},
		{"a body that trickles", func(w http.ResponseWriter, r *http.Request) {
			for _, b := range good {
				if _, err := w.Write([]byte{b}); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, Slow, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pub := newPublisher(t)
			r := newRig(t, pub.URL+"/bundles/default")
			r.cfg.MaxBytes = 8 << 20
			r.open()
			pub.has(good)
			r.expect("", 5)
			if tt.reason == Slow {
				r.sources[0].source.(*httpSource).limits = limits{answer: 300 * time.Millisecond, stall: 300 * time.Millisecond}
			}
			pub.says(tt.answer)
			r.round(t.Context())
			f := r.Status().Failure
			switch {
			case f == nil && (tt.reason != "" || tt.text != ""):
				t.Fatal("taken")
			case f != nil && tt.text != "" && !strings.Contains(f.Error(), tt.text):
				t.Errorf("%q is not in %q", tt.text, f.Error())
			case f != nil && tt.reason != "" && f.Reason != tt.reason:
				t.Errorf("reason %s, want %s: %v", f.Reason, tt.reason, f)
			case f != nil && r.serial() != 5:
				t.Errorf("serial %d is active", r.serial())
			}
			if f == nil {
				return
			}
			// Neither does a restart take anything of it, nor is anything left.
			pub.Close()
			if r.open(); r.serial() != 5 {
				t.Errorf("after a restart serial %d is active", r.serial())
			}
			if left, _ := filepath.Glob(r.cfg.Dir + "/incoming*"); left != nil {
				t.Errorf("left: %s", left)
			}
			// And what the publisher mends counts.
			r.expect(Unreachable, 5)
		})
	}
}

func unpacked(t *testing.T, data []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func packed(raw []byte) []byte {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	_, _ = gz.Write(raw)
	_ = gz.Close()
	return out.Bytes()
}

// Two keys vouch while the publisher changes its own; then the old one is taken out.
func TestKeysRotate(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	both, err := bundle.NewKeyRing(&keys()[0].PublicKey, &keys()[1].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Ring = both
	r.open()
	pub.has(made(t, 5))
	r.expect("", 5)
	pub.has(signedBy(t, keys()[1], 6))
	r.expect("", 6)
	if r.cfg.Ring, err = bundle.NewKeyRing(&keys()[1].PublicKey); err != nil {
		t.Fatal(err)
	}
	if r.open(); r.serial() != 6 {
		t.Errorf("serial %d", r.serial())
	}
	pub.has(made(t, 7))
	r.expect(UnknownKey, 6)
	r.says("bundle: the last good one is in use: " + pub.URL + ": bundle is signed with a key that is not configured")
	// What the removed key signed is not used from the disk either.
	if r.cfg.Ring, err = bundle.NewKeyRing(&keys()[0].PublicKey); err != nil {
		t.Fatal(err)
	}
	pub.Close()
	if r.open(); r.serial() != 0 {
		t.Errorf("serial %d", r.serial())
	}
	r.says("the kept one is not used: " + filepath.Join(r.cfg.Dir, bundleFile) + ": bundle is signed with a key that is not configured")
}

func TestMinSerialHoldsForBoth(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	r.cfg.MinSerial = 6
	r.open()
	r.expect(Rollback, 0)
	pub.has(made(t, 6))
	r.expect("", 6)
}

// A bundle that cannot be made active is not the end of the one that is, nor of the one on disk;
// and it is tried again.
func TestBundleThatCannotBeMadeActive(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	r.refuse = errTest
	pub.has(made(t, 6))
	r.expect(Refused, 5)
	r.says("serial 6: a test says so")
	pub.has(made(t, 5, large(1))) // 6 was seen
	r.expect(Rollback, 5)
	r.refuse = nil
	if r.open(); r.serial() != 5 {
		t.Fatalf("after a restart serial %d", r.serial())
	}
	pub.has(made(t, 6))
	r.expect("", 6)
	if r.open(); r.serial() != 6 {
		t.Errorf("after a restart serial %d", r.serial())
	}
}

func TestFileSource(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "default.tar.gz")
	put := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range []string{"file://" + path, "file://" + dir} {
		_ = os.Remove(path)
		r := newRig(t, url).open()
		r.expect(NotFound, 0)
		put(made(t, 5))
		r.expect("", 5)
		r.expect("", 5)
		put(made(t, 6)[:300])
		r.expect(Garbage, 5)
		put(made(t, 6))
		r.expect("", 6)
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		r.expect("", 6)
		if a, err := r.sources[0].ask(t.Context(), r.sources[0].tag, 0); err != nil || !a.unchanged {
			t.Errorf("it is read again: %v", err)
		}
		if pause := r.round(t.Context()); pause != filePoll {
			t.Errorf("pause %s", pause)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.expect(NotFound, 6)
		if err := syscall.Mkfifo(path, 0o600); err != nil { // whoever opens it waits for a writer
			t.Fatal(err)
		}
		r.expect(NotFound, 6)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
