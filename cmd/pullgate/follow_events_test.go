package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pullgate/pullgate/sync/pull"
)

// Verdicts of the pull that is asked about.
const (
	allowed  = "200 ok"                  // by serial 5
	revoked  = "403 version_not_granted" // by what came after it
	notReady = "503 not_ready"           // nothing is in use
	tooOld   = "503 stale"               // what is in use is too old
)

// What can happen to a sidecar that follows a publisher, and what then is answered, counted and
// said. Every sidecar begins with serial 5, which allows, unless the event says otherwise. Nothing
// wrong is ever in use, and the last good bundle stays.
func TestFollowingEvents(t *testing.T) {
	kept := func(f *followed, name string) string { return filepath.Join(f.data, "bundles", "default", name) }
	restart := func(f *followed) { f.start() }
	serves := func(file func(f *followed) []byte) func(*followed) {
		return func(f *followed) {
			data := file(f)
			f.pub.say("", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
		}
	}
	answers := func(status int, header ...string) func(*followed) {
		return func(f *followed) {
			f.pub.say("", func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(status)
			})
		}
	}
	edit := func(name string, change func([]byte) []byte) func(*followed) {
		return func(f *followed) {
			f.stop()
			data, err := os.ReadFile(kept(f, name))
			must(f.T, err)
			must(f.T, os.WriteFile(kept(f, name), change(data), 0o600))
			f.pub.down()
			f.start()
		}
	}
	remove := func(names ...string) func(*followed) {
		return func(f *followed) {
			f.stop()
			for _, name := range names {
				must(f.T, os.Remove(kept(f, name)))
			}
			f.pub.down()
			f.start()
		}
	}
	flip := func(data []byte) []byte {
		data = bytes.Clone(data)
		data[len(data)/2] ^= 1
		return data
	}
	type row struct {
		name    string
		flags   []string
		empty   bool            // nothing is published before the event, and nothing kept
		event   func(*followed) // what happens
		verdict string
		metric  string // NAME{LABELS} VALUE, or "" for none
		health  string // within /healthz; "ok" is all of it
	}
	counted := func(reason pull.Reason) string {
		return fmt.Sprintf("pullgate_bundle_pulls_total{result=%q} >0", reason)
	}
	state := func(s pull.Freshness) string { return fmt.Sprintf("pullgate_bundle_freshness{state=%q} 1", s) }
	inUse := "degraded\nbundle: the last good one is in use: "
	rows := []row{
		{"the first bundle", nil, true, func(f *followed) { f.pub.has(f.world.allowing(f.T, 5)) }, allowed, "pullgate_bundle_serial 5", "ok"},
		{"a revocation", nil, false, func(f *followed) { f.pub.has(f.world.denying(f.T, 6)) }, revoked, "pullgate_bundle_highest_serial 6", "ok"},

		// The publisher is away.
		{"down at the start, nothing kept", nil, true, func(f *followed) { f.pub.down() }, notReady, state(pull.None), "not ready: no bundle yet; bundle: http://127.0.0.1"},
		{"down at the start, a bundle kept", nil, false, func(f *followed) { f.pub.down(); restart(f) }, allowed, state(pull.Fresh), "ok"},
		{"down for a while", nil, false, func(f *followed) { f.pub.down(); f.clock.pass(14 * time.Minute) }, allowed, counted(pull.Failing), "ok"},
		{"down for longer than degraded_after", nil, false, func(f *followed) { f.pub.down(); f.clock.pass(16 * time.Minute) }, allowed, state(pull.Degraded), "degraded\nbundle: not refreshed since 2026-05-28T20:2"},
		{"down for longer than stale_after", []string{"--stale-after=1h"}, false, func(f *followed) { f.pub.down(); f.clock.pass(time.Hour) }, tooOld, state(pull.Stale), "not ready: the publisher has not been heard of for stale_after: every request is refused as stale\nbundle: not refreshed since"},
		{"the same after a restart", []string{"--stale-after=1h"}, false, func(f *followed) { f.pub.down(); f.clock.pass(time.Hour); restart(f) }, tooOld, state(pull.Stale), "not ready: the publisher has not been heard of for stale_after"},
		{"back after stale_after", []string{"--stale-after=1h"}, false, func(f *followed) {
			f.pub.down()
			f.clock.pass(2 * time.Hour)
			f.await("stale", func() bool { return f.verdict() == tooOld })
			f.pub.has(f.world.allowing(f.T, 5))
		}, allowed, state(pull.Fresh), "ok"},
		{"down for longer than not_after", nil, false, func(f *followed) { f.pub.down(); f.clock.pass(72 * time.Hour) }, tooOld, state(pull.Stale), "not ready: the bundle is past its not_after: every request is refused as stale\nbundle: not refreshed since"},
		{"the same after a restart, never active", nil, false, func(f *followed) { f.pub.down(); f.clock.pass(72 * time.Hour); restart(f) }, notReady, state(pull.None), "the kept one is not used: "},
		{"nothing but 304", nil, false, func(f *followed) { f.clock.pass(48 * time.Hour); f.pub.confirms() }, allowed, state(pull.Fresh), "ok"},
		{"nothing but 304 for longer than not_after", nil, false, func(f *followed) { f.clock.pass(72 * time.Hour); f.pub.confirms() }, tooOld, counted(pull.Expired), "the publisher has no newer one"},

		// The publisher, or who answers for it, is wrong.
		{"401", nil, false, answers(http.StatusUnauthorized), allowed, counted(pull.Unauthorized), inUse},
		{"403", nil, false, answers(http.StatusForbidden), allowed, counted(pull.Unauthorized), inUse},
		{"404", nil, false, answers(http.StatusNotFound), allowed, counted(pull.NotFound), inUse},
		{"500", nil, false, answers(http.StatusInternalServerError), allowed, counted(pull.Failing), "ok"},
		{"another origin", nil, false, answers(http.StatusFound, "Location", "http://127.0.0.1:1/"), allowed, counted(pull.Redirected), inUse},
		{"a page with status 200", nil, false, func(f *followed) {
			f.pub.say("", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "<html>log in</html>")
			})
		}, allowed, counted(pull.Garbage), `it is sent as "text/html"`},
		{"set back: a lower serial", nil, false, serves(func(f *followed) []byte { return f.world.denying(f.T, 4) }), allowed, counted(pull.Rollback), inUse},
		{"set back while the sidecar was away", nil, false, func(f *followed) { f.pub.has(f.world.denying(f.T, 4)); restart(f) }, allowed, counted(pull.Rollback), inUse},
		{"the same serial, other bytes", nil, false, serves(func(f *followed) []byte { return f.world.denying(f.T, 5) }), allowed, counted(pull.Changed), inUse},
		{"signed by a removed key", nil, false, serves(func(f *followed) []byte { return f.world.bundle(f.T, f.world.denies, 6, f.world.keys[1]) }), allowed, counted(pull.UnknownKey), inUse},
		{"no kid", nil, false, serves(func(f *followed) []byte {
			return f.world.resigned(f.T, f.world.denying(f.T, 6), `{"alg":"ES256"}`, "default")
		}), allowed, counted(pull.Garbage), inUse},
		{"an unknown kid", nil, false, serves(func(f *followed) []byte {
			return f.world.resigned(f.T, f.world.denying(f.T, 6), `{"alg":"ES256","kid":"0123456789abcdef"}`, "default")
		}), allowed, counted(pull.UnknownKey), inUse},
		{"unsigned", nil, false, serves(func(f *followed) []byte { return f.world.bundle(f.T, f.world.denies, 6, nil) }), allowed, counted(pull.Unsigned), inUse},
		{"another name", []string{"--bundle-name=acme"}, true, serves(func(f *followed) []byte { return f.world.denying(f.T, 6) }), notReady, counted(pull.WrongName), "not ready: no bundle yet; bundle: "},
		{"another scope", nil, false, serves(func(f *followed) []byte { return f.world.resigned(f.T, f.world.denying(f.T, 6), "", "acme") }), allowed, counted(pull.WrongName), inUse},
		{"the right scope", nil, false, serves(func(f *followed) []byte { return f.world.resigned(f.T, f.world.denying(f.T, 6), "", "default") }), revoked, "", "ok"},
		{"issued in the future", nil, false, serves(func(f *followed) []byte { return f.world.denying(f.T, 6, issuedAfter(7*time.Minute)) }), allowed, counted(pull.Future), inUse},
		{"past its not_after", nil, false, serves(func(f *followed) []byte { return f.world.denying(f.T, 6, issuedAfter(-72*time.Hour)) }), allowed, counted(pull.Expired), inUse},
		{"a flipped bit", nil, false, serves(func(f *followed) []byte { return flip(f.world.denying(f.T, 6)) }), allowed, "", inUse},
		{"bytes appended", nil, false, serves(func(f *followed) []byte { return append(f.world.denying(f.T, 6), 0) }), allowed, counted(pull.Garbage), inUse},
		{"a bomb", nil, false, serves(func(*followed) []byte {
			var out bytes.Buffer
			gz := gzip.NewWriter(&out)
			_, _ = gz.Write(make([]byte, 32<<20))
			_ = gz.Close()
			return out.Bytes()
		}), allowed, counted(pull.Garbage), inUse},
		{"larger than bundle_max_bytes", []string{"--bundle-max-bytes=1048576"}, false, serves(func(f *followed) []byte {
			return retar(f.T, f.world.denying(f.T, 6), func(name string, body []byte) []byte {
				if name == "index.bin" {
					return make([]byte, 2<<20)
				}
				return body
			})
		}), allowed, counted(pull.TooLarge), inUse},
		{"cut off", nil, false, func(f *followed) {
			data := f.world.denying(f.T, 6)
			f.pub.say("", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:len(data)/2])
			})
		}, allowed, counted(pull.Unreachable), "ok"},
		{"a body that trickles", nil, false, func(f *followed) {
			data := f.world.denying(f.T, 6)
			begun := make(chan struct{})
			f.pub.say("", func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write(data[:len(data)/2])
				_ = http.NewResponseController(w).Flush()
				close(begun)
				<-r.Context().Done()
			})
			<-begun
		}, allowed, state(pull.Fresh), "ok"},

		// The disk.
		{"the kept bundle is cut", nil, false, edit("bundle.tar.gz", func(b []byte) []byte { return b[:len(b)-100] }), notReady, state(pull.None), "the kept one is not used: "},
		{"the kept bundle is altered", nil, false, edit("bundle.tar.gz", flip), notReady, state(pull.None), "the kept one is not used: "},
		{"the kept bundle is gone", nil, false, remove("bundle.tar.gz"), notReady, state(pull.None), "the kept one is not used: "},
		{"the kept bundle is older than the state", nil, false, func(f *followed) {
			old := f.world.allowing(f.T, 5)
			f.pub.has(f.world.denying(f.T, 6))
			f.await("serial 6", func() bool { return f.verdict() == revoked })
			edit("bundle.tar.gz", func([]byte) []byte { return old })(f)
		}, notReady, "pullgate_bundle_highest_serial 6", "serial 5, at least 6"},
		{"the state is gone", nil, false, remove("state"), allowed, "pullgate_bundle_highest_serial 5", "degraded\nbundle: "},
		{"the state is altered", nil, false, edit("state", flip), allowed, "pullgate_bundle_highest_serial 5", "damaged; the highest serial is not known, 5 of the kept bundle is the lowest that is taken"},
		{"bundle and state are gone", nil, false, remove("bundle.tar.gz", "state"), notReady, "pullgate_bundle_highest_serial 0", "not ready: no bundle yet; bundle: http://127.0.0.1"},
		{"the disk is full", nil, false, func(f *followed) {
			fill(f)
			f.pub.has(f.world.denying(f.T, 6))
		}, revoked, "pullgate_bundle_unkept 1", "degraded\nbundle: serial 6 is in use but not kept: "},
		{"the directory is read-only", nil, false, func(f *followed) {
			remount(f, syscall.MS_RDONLY, "")
			f.pub.has(f.world.denying(f.T, 6))
		}, revoked, "pullgate_bundle_unkept 1", "read-only file system"},

		// The clock.
		{"the clock is set ahead", nil, false, func(f *followed) { f.clock.set(10 * 365 * 24 * time.Hour) }, tooOld, state(pull.Stale), "not ready: the bundle is past its not_after"},
		{"the clock is set ahead, and right again", nil, false, func(f *followed) {
			f.clock.set(10 * 365 * 24 * time.Hour)
			f.await("stale", func() bool { return f.verdict() == tooOld })
			restart(f)
			f.clock.set(-10 * 365 * 24 * time.Hour)
		}, allowed, state(pull.Fresh), "ok"},
		{"the clock is set back", nil, false, func(f *followed) { f.clock.set(-10 * 365 * 24 * time.Hour) }, allowed, "pullgate_clock_behind_seconds >3e8", "degraded\nclock: this machine's is 87599h"},
		{"the clock is set back after the end of a bundle", nil, false, func(f *followed) {
			f.pub.down()
			f.clock.pass(72 * time.Hour)
			f.await("stale", func() bool { return f.verdict() == tooOld })
			f.clock.set(-30 * 24 * time.Hour)
			restart(f)
		}, notReady, state(pull.None), "past its not_after"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			f := newFollowed(t)
			if strings.Contains(r.name, "disk is full") || strings.Contains(r.name, "read-only") {
				small(f)
			}
			f.more = r.flags
			if !r.empty {
				f.pub.has(f.world.allowing(t, 5))
			}
			f.start()
			if !r.empty {
				f.await("serial 5", func() bool { return f.verdict() == allowed && f.metric("pullgate_bundle_serial") == "5" })
			}
			r.event(f)
			name, want, _ := strings.Cut(r.metric, " ")
			last := ""
			f.await(r.verdict+", "+r.metric+", "+r.health, func() bool {
				last = f.get("/healthz")
				verdict := f.verdict()
				t.Logf("%s", verdict)
				return verdict == r.verdict && (r.metric == "" || holds(f.metric(name), want)) &&
					(r.health == "ok" && last == "ok\n" || r.health != "ok" && strings.Contains(last, r.health))
			})
			ready := r.verdict == allowed || r.verdict == revoked
			f.await("gRPC health", func() bool { return f.serving() == ready })
			if got := f.get("/readyz"); (got == "ok\n") != ready {
				t.Errorf("/readyz: %s", got)
			}
		})
	}
}

func holds(got, want string) bool {
	if least, ok := strings.CutPrefix(want, ">"); ok {
		var g, l float64
		_, err := fmt.Sscan(got, &g)
		_, err2 := fmt.Sscan(least, &l)
		return err == nil && err2 == nil && g > l
	}
	return got == want
}

// small puts what is kept on a file system of its own.
func small(f *followed) {
	f.Helper()
	f.disk = filepath.Join(f.data, "bundles")
	must(f.T, os.MkdirAll(f.disk, 0o700))
	if err := syscall.Mount("tmpfs", f.disk, "tmpfs", 0, "size=1m"); err != nil {
		f.Skipf("no file system can be mounted here: %v", err)
	}
	f.Cleanup(func() {
		f.stop()
		if err := syscall.Unmount(f.disk, syscall.MNT_DETACH); err != nil {
			f.Error(err)
		}
	})
}

func remount(f *followed, flags uintptr, data string) {
	f.Helper()
	f.await("no file is being written", func() bool {
		err := syscall.Mount("tmpfs", f.disk, "tmpfs", syscall.MS_REMOUNT|flags, data)
		if !errors.Is(err, syscall.EBUSY) {
			must(f.T, err)
		}
		return err == nil
	})
}

// fill leaves no room on it.
func fill(f *followed) {
	f.Helper()
	rest, err := os.Create(filepath.Join(f.disk, "rest"))
	must(f.T, err)
	defer rest.Close()
	for err == nil {
		_, err = rest.Write(make([]byte, 4096))
	}
}
