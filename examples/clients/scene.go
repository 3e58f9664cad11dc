package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A client is a program that pulls.
type client struct {
	name   string   // in the table
	peers  []string // what it needs of tools/peers
	root   bool     // it must be run by root
	extra  bool     // it takes long to build and is tried only with COSIGN=1 in the environment, or by name
	scenes func(c *content) []scene
}

// usable says why a client cannot be tried here, if it cannot. It installs what is missing.
func (c client) usable(ctx context.Context, find finder) error {
	if c.root && os.Geteuid() != 0 {
		return fmt.Errorf("%s is tried only by root", c.name)
	}
	for _, name := range c.peers {
		if _, err := find(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// A scene is one thing that a person does with a client, and what must come of it.
type scene struct {
	name string // for people
	who  string // whose key
	// code of the decision that refuses; allowed when nothing may be refused; unasked.
	code string
	// besides is the code with which something is refused that the client asks for in passing.
	besides string
	// local says that pullgate itself answers, so that nothing arrives at the registry.
	local bool
	// token says that pullgate gives bearer tokens, and that the client pulls with one.
	token   bool
	prepare func(s *seat) error // before the acts; may be nil
	// acts are the commands, usually one. The login that `docker login` would have left is there unless fresh.
	acts  func(s *seat) []act
	fresh bool
	// check looks at what was pulled; nil for nothing to look at.
	check func(ctx context.Context, s *seat) error
}

// Codes of scenes in which nothing is refused.
const (
	allowed = "ok"
	unasked = "unasked" // pullgate is not asked at all
)

// An act is one command.
type act struct {
	args  []string // the program's name in tools/peers, then its arguments
	stdin string
	exit  int
	says  string // must be in the output, as plain leaves it
}

// outcome is an act that was played.
type outcome struct {
	act
	gotExit int
	said    string   // plain
	ids     []string // of decisions that it shows
}

// played is a scene that was played.
type played struct {
	scene
	client   string
	stage    *stage
	registry string
	address  string
	outcomes []outcome
	asked    bool     // pullgate has a record
	codes    []string // of all refusals on record, sorted
	wrong    []string
}

func (p *played) wrongf(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// unavailable says that a client was told 503, as it is when the machine is starved.
func (p *played) unavailable() bool {
	return slices.ContainsFunc(p.outcomes, func(o outcome) bool { return strings.Contains(strings.ToLower(o.said), "unavailable") })
}

// play does what the scene says and compares what can be compared at once.
func (sc scene) play(ctx context.Context, s *seat) (*played, error) {
	p := &played{scene: sc, address: s.address}
	if !sc.fresh {
		if err := s.save(); err != nil {
			return nil, err
		}
	}
	if sc.prepare != nil {
		if err := sc.prepare(s); err != nil {
			return nil, err
		}
	}
	for _, a := range sc.acts(s) {
		program, ok := s.programs[a.args[0]]
		if !ok {
			return nil, fmt.Errorf("%s: the client does not name the peer %s", sc.name, a.args[0])
		}
		output, exit, err := s.run(ctx, a.stdin, program, a.args[1:]...)
		if err != nil {
			return nil, err
		}
		if s.key != "" && strings.Contains(output, s.key) {
			p.wrongf("the key is in the output")
		}
		o := outcome{act: a, gotExit: exit, said: s.plain(output), ids: uuid.FindAllString(output, -1)}
		p.outcomes = append(p.outcomes, o)
		if exit != a.exit {
			p.wrongf("exit code %d, want %d", exit, a.exit)
		}
		if !strings.Contains(o.said, a.says) {
			p.wrongf("did not print %q", a.says)
		}
	}
	if sc.check != nil && len(p.wrong) == 0 {
		if err := sc.check(ctx, s); err != nil {
			p.wrongf("%v", err)
		}
	}
	return p, nil
}

var (
	uuid      = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	digest    = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	digestTag = regexp.MustCompile(`sha256-[0-9a-f]{64}`)
	timestamp = regexp.MustCompile(`(?m)\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |time="?\d[^" ]*"? `)
	ansi      = regexp.MustCompile(`\x1b\[[0-9;]*[a-zA-Z]`)
	progress  = regexp.MustCompile(`(?m)\|[-+]*\|| *elapsed: .*$|^retrying EOF$`) // crane also tries HTTP when TLS takes long
	spaces    = regexp.MustCompile(`[ \t]+`)
	date      = regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`)
)

// plain takes out of an output what is of one run only: HOST, DIR, ID (of a decision) and DATE
// stand for such values, DIGEST(NAME) for the digest of an object.
func (s *seat) plain(output string) string {
	output = strings.NewReplacer(s.host, "HOST", s.dir, "DIR", filepath.Base(s.dir), "DIR").Replace(output)
	names := s.content.names()
	output = digest.ReplaceAllStringFunc(output, func(d string) string {
		if name, ok := names[d]; ok {
			return "DIGEST(" + name + ")"
		}
		return "DIGEST"
	})
	output = digestTag.ReplaceAllString(output, "sha256-HEX")
	output = timestamp.ReplaceAllString(ansi.ReplaceAllString(output, ""), "")
	output = spaces.ReplaceAllString(progress.ReplaceAllString(output, ""), " ")
	output = uuid.ReplaceAllString(output, "ID")
	return strings.TrimSpace(date.ReplaceAllString(output, "DATE"))
}
