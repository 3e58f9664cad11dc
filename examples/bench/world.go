package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/load/drive"
	"github.com/pullgate/pullgate/examples/peers"
)

// A world is a vendor with a real registry and license files, each customer's in a file of its own, and
// what runs of it: pullgates, and an Envoy before each that answers customers.
type world struct {
	b        *bench
	dir      string
	crane    string
	registry *peers.RegistryProcess
	random   *rand.ChaCha8 // of keys

	admin     string // of who reads licenses and registry
	ways      []*way // who is asked
	processes []*process
	running   []func() error
}

// A process is a pullgate that runs.
type process struct {
	name string // whose memory it is; "" when there is one process
	pid  int
	rest float64 // its memory when nothing happens, bytes
}

// newWorld makes the files of so many customers with a key and three licenses each, and a registry with
// acme/app:1.4.0, to whose configuration sections may be added.
func (b *bench) newWorld(ctx context.Context, name string, customers int, sections ...string) (_ *world, err error) {
	w := &world{b: b, dir: filepath.Join(b.dir, name), random: rand.NewChaCha8([32]byte{1})}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := os.MkdirAll(w.path("registry"), 0o755); err != nil {
		return nil, err
	}
	path, err := peers.Path(ctx, "registry")
	if err != nil {
		return nil, err
	}
	if w.crane, err = peers.Path(ctx, "crane"); err != nil {
		return nil, err
	}
	if w.registry, err = peers.StartRegistry(ctx, path, w.path("registry"), nil, sections...); err != nil {
		return nil, err
	}
	if err := w.push(ctx, "1.4.0"); err != nil {
		return nil, err
	}
	if err := w.write("vendor", fmt.Sprintf("kind: Registry\nid: main\nhosts: [%s]\nupstream: http://%s\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n", host, w.registry.Addr)); err != nil {
		return nil, err
	}
	for i := range customers {
		if err := errors.Join(ctx.Err(), w.write(fmt.Sprintf("c%03d/c%06d", i%1000, i), among(i))); err != nil {
			return nil, err
		}
	}
	out, err := w.pullgate(ctx, "bundle", "keygen", "--out", w.path("release")).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pullgate bundle keygen: %w\n%s", err, out)
	}
	return w, nil
}

// among is the file of one customer among many.
func among(i int) string {
	return fmt.Sprintf("kind: Customer\nid: c%d\nname: Customer %d GmbH\nzone: Europe/Berlin\nlabels: {region: eu, tier: gold}\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", i, i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-a\ncustomer: c%d\ntype: subscription\ngrace: P14D\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D}\ngrants: [{product: app, versions: \">=1.0.0 <3.0.0\"}]\n", i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-b\ncustomer: c%d\ntype: subscription\nstarts: 2026-01-01\nends: 2098-12-31\nfeatures: {sso: true, nodes: 10}\ngrants: [{product: app, versions: \">=1.0.0 <3.0.0\"}]\n", i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-c\ncustomer: c%d\ntype: perpetual\nends: never\nupdates: {until: 2098-12-31}\ngrants: [{repository: acme/app, tags: [\"1.4.0\", \"1.4.*\"]}]\n", i, i)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write writes a license file.
func (w *world) write(name, text string) error {
	file := filepath.Join(w.path("licenses"), name+".yaml")
	err := os.WriteFile(file, []byte(text), 0o600)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
	}
	return err
}

func (w *world) pullgate(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, w.b.o.pullgate, args...)
}

// customer adds one who asks, with license ID-app for 1.x, and returns its Authorization value.
func (w *world) customer(id string) (string, error) {
	key, hash := license.NewKey(w.random)
	return basic(key), errors.Join(w.write(id, fmt.Sprintf("kind: Customer\nid: %s\nkeys: [{id: ci, hash: \"%s\"}]\n", id, hash)), w.grant(id, ">=1.0.0 <2.0.0"))
}

// grant writes the license of a customer.
func (w *world) grant(id, versions string) error {
	return w.write(id+"-app", fmt.Sprintf("kind: License\nid: %[1]s-app\ncustomer: %[1]s\ntype: subscription\nstarts: 2025-01-01\nends: 2099-12-31\ngrants: [{product: app, versions: %[2]q}]\n", id, versions))
}

// push pushes an image of acme/app as nobody has it yet.
func (w *world) push(ctx context.Context, tag string) error {
	var layer bytes.Buffer
	t := tar.NewWriter(&layer)
	err := t.WriteHeader(&tar.Header{Name: "version", Mode: 0o644, Size: int64(len(tag))})
	if err == nil {
		_, err = t.Write([]byte(tag))
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	if err := os.WriteFile(w.path("layer.tar"), layer.Bytes(), 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, w.crane, "append", "-f", w.path("layer.tar"), "-t", w.registry.Addr+"/acme/app:"+tag).CombinedOutput(); err != nil {
		return fmt.Errorf("crane append: %w\n%s", err, out)
	}
	return nil
}

// one starts one process that does everything, with further settings.
func (w *world) one(ctx context.Context, more string) error {
	s, err := startServing(ctx, w.b.o.pullgate, w.path("one"), fmt.Sprintf("licenses: %q\n%s", w.path("licenses"), more))
	if err != nil {
		return err
	}
	w.admin = s.admin
	return w.before(ctx, "", s)
}

// split starts a publisher and two sidecars that follow it over HTTP.
func (w *world) split(ctx context.Context, publisher, sidecars string) error {
	config, err := configure(w.path("publisher"), fmt.Sprintf("licenses: %q\nsigning_key: %q\nbundle_addr: 127.0.0.1:0\n%s", w.path("licenses"), w.path("release.key"), publisher))
	if err != nil {
		return err
	}
	p, err := peers.StartPublisher(ctx, w.b.o.pullgate, config)
	if err != nil {
		return err
	}
	w.admin, w.running = p.Admin, append(w.running, p.Close)
	w.processes = append(w.processes, &process{name: "the publisher's", pid: p.PID()})
	if err := p.AwaitReady(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Output())
	}
	for i := range 2 {
		s, err := startFollowing(ctx, w.b.o.pullgate, w.path(fmt.Sprintf("sidecar-%d", i+1)), p.Bundles+"default", w.path("release.pub"), sidecars)
		if err != nil {
			return err
		}
		if err := w.before(ctx, "a sidecar's", s); err != nil {
			return err
		}
	}
	return nil
}

// before starts an Envoy before a pullgate, whose memory goes by a name.
func (w *world) before(ctx context.Context, name string, s *server) error {
	w.running = append(w.running, s.close)
	w.processes = append(w.processes, &process{name: name, pid: s.pids[0]})
	x := &way{server: s}
	err := x.startEnvoy(ctx, w.dir, w.registry.Addr)
	w.running = append(w.running, x.close...)
	w.ways = append(w.ways, x)
	return err
}

// stop ends what one or split has started.
func (w *world) stop() (err error) {
	for _, f := range slices.Backward(w.running) {
		err = errors.Join(err, f())
	}
	w.running, w.ways, w.processes = nil, nil, nil
	return err
}

// rest takes the memory of all processes at rest, from which their peaks count.
func (w *world) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(w.b.o.spell): // memory that is free goes back to the system
	}
	for _, p := range w.processes {
		var err error
		if p.rest, err = memory(p.pid, "VmRSS"); err != nil {
			return err
		}
		if err := forgetPeak(p.pid); err != nil {
			return err
		}
	}
	return nil
}

// peaks are the rows of memory, of processes of one name together.
func (w *world) peaks(what string) (rows []row, err error) {
	for _, p := range w.processes {
		most, err := memory(p.pid, "VmHWM")
		if err != nil {
			return nil, err
		}
		name := what + ": " + strings.TrimSpace(p.name+" memory (RSS)")
		if len(rows) == 0 || rows[len(rows)-2].what != name {
			rows = append(rows, row{what: name, unit: " MB"}, row{what: name + ", the most meanwhile", against: "before", unit: "×"})
		}
		rest, peak := &rows[len(rows)-2], &rows[len(rows)-1]
		rest.samples, peak.samples = append(rest.samples, p.rest/mb), append(peak.samples, most/p.rest)
	}
	return rows, nil
}

// close ends everything.
func (w *world) close() error {
	err := w.stop()
	if w.registry != nil {
		err = errors.Join(err, w.registry.Close())
	}
	return err
}

// await asks for a tag until everybody answers so.
func (w *world) await(ctx context.Context, authorization, tag string, status int) error {
	for _, x := range w.ways {
		if err := x.await(ctx, drive.Choice{Authorization: authorization, Target: drive.Target{Method: "GET", Path: "/v2/acme/app/manifests/" + tag}}, status); err != nil {
			return err
		}
	}
	return nil
}

// await asks until the answer is of a status.
func (w *way) await(ctx context.Context, c drive.Choice, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		got, body, err := w.ask(ctx, c)
		if err == nil && got == status {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %s: %w: want %d, got %d %s", c.Path, w.addr, ctx.Err(), status, got, body)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
