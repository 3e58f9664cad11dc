package authztest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// Exchange is one request as a door must carry it.
type Exchange struct {
	Method, Host, Target string
	Header               []Header // the Authorization of the speaker included
	Address              netip.Addr
	Identity             authz.Identity
}

// Door is a way in: the Gate itself, gRPC ext_authz, Envoy.
type Door interface {
	Name() string
	// Enter makes the door answer from w, until the next Enter.
	Enter(ctx context.Context, w *World) error
	// Ask carries a request. An error is the door's own failure.
	Ask(ctx context.Context, x *Exchange) (*Answer, error)
	// Carries says whether the door can carry this speaker at all; what it cannot is not
	// counted there.
	Carries(x *Exchange) bool
}

// VersionDoor is a Door that also answers `ask`, which is no HTTP.
type VersionDoor interface {
	AskVersion(ctx context.Context, x *Exchange, product, version string) (*Answer, error)
}

// Result is one checked line. Problems is empty when it passed.
type Result struct {
	Path     string
	Line     int
	Text     string
	Problems []string
	// Mismatches says the same field by field. It is empty for problems that are no field's.
	Mismatches []Mismatch
	// Why is the decision behind an answer that is not as expected, line by line.
	Why    []string
	Answer *Answer       // nil for refusals and lines that were not asked
	Took   time.Duration // of the question alone
}

// Runner runs scripts through a door.
type Runner struct {
	Door    Door
	Catalog CatalogReader
	// Select says which lines are checked; nil: all. A line that is not is asked only when one
	// that is compares itself with its reply.
	Select func(line int, text string) bool
	// Shared is that of runners which run at the same time; nil: there are none.
	Shared *Shared
}

func (r *Runner) shared() *Shared {
	if r.Shared == nil {
		return &Shared{}
	}
	return r.Shared
}

func (r *Runner) selected(line int, text string) bool { return r.Select == nil || r.Select(line, text) }

// Run checks the lines of a script. The error is a script that cannot be run at all; a
// line that fails is a Result. What is not selected or the door cannot carry is left out.
func (r *Runner) Run(ctx context.Context, s *Script) ([]Result, error) {
	shared := r.shared()
	src, err := s.load(r.Catalog, shared)
	var mistake *ParseError
	if errors.As(err, &mistake) {
		return nil, err
	}
	if len(s.Refusals) > 0 {
		if err == nil { // what only the compiler refuses
			_, err = src.world(ctx, time.Unix(0, 0))
		}
		return r.checkRefusals(s, err), nil
	}
	if err != nil {
		return r.failAll(s, "the files are refused: "+strings.ReplaceAll(s.show(err).Error(), "\n", "; ")), nil
	}
	return r.ask(ctx, s, src)
}

// ask asks the questions of a script in their order.
func (r *Runner) ask(ctx context.Context, s *Script, src *sources) ([]Result, error) {
	var (
		results []Result
		above   *Answer
		entered *time.Time
		needed  = r.needed(s)
	)
	for i := range s.Steps {
		st := &s.Steps[i]
		if !needed[i] {
			continue
		}
		if entered == nil || !st.At.Equal(*entered) {
			w, err := src.world(ctx, st.At)
			if err == nil {
				err = r.enter(ctx, src.shared, w)
			}
			if err != nil {
				why := strings.ReplaceAll(s.show(err).Error(), "\n", "; ")
				return r.failAll(s, fmt.Sprintf("no bundle for %s: %s", st.At.Format(time.RFC3339), why)), nil
			}
			entered = &st.At
		}
		x, err := src.exchange(st)
		if err != nil {
			return nil, &ParseError{s.Path, st.Line, err.Error()}
		}
		start := time.Now()
		a, carried, err := r.put(ctx, st, x)
		if !carried {
			continue
		}
		res := Result{Path: s.Path, Line: st.Line, Text: st.Text, Answer: a, Took: time.Since(start)}
		if err != nil {
			res.Problems = []string{fmt.Sprintf("%s: %v", r.Door.Name(), err)}
		} else {
			c := st.Want.check(a, above)
			res.Problems, res.Mismatches = c.problems, c.mismatches
			if !a.NoHTTP {
				above = a
			}
			if len(c.problems) > 0 {
				src.shared.Prepare(func() { res.Why = r.why(ctx, st, x, a) })
			}
		}
		if r.selected(st.Line, st.Text) {
			results = append(results, res)
		}
	}
	return results, nil
}

// Keeper is a Door that may have the policy of a world compiled already.
type Keeper interface {
	Keeps(w *World) bool
}

// enter makes the door answer from w.
func (r *Runner) enter(ctx context.Context, shared *Shared, w *World) (err error) {
	during := shared.Compile
	if k, ok := r.Door.(Keeper); ok && k.Keeps(w) {
		during = shared.Prepare
	}
	during(func() { err = r.Door.Enter(ctx, w) })
	return err
}

// put asks one question. carried is false when the door cannot.
func (r *Runner) put(ctx context.Context, st *Step, x *Exchange) (a *Answer, carried bool, err error) {
	if st.Product == "" {
		if !r.Door.Carries(x) {
			return nil, false, nil
		}
		a, err = r.Door.Ask(ctx, x)
		return a, true, err
	}
	door, ok := r.Door.(VersionDoor)
	if !ok {
		return nil, false, nil
	}
	a, err = door.AskVersion(ctx, x, st.Product, st.Version)
	return a, true, err
}

// needed says which steps are asked: those selected, and those whose reply a selected `same`
// means.
func (r *Runner) needed(s *Script) []bool {
	needed := make([]bool, len(s.Steps))
	above := false // the next reply above is meant by one below
	for i := len(s.Steps) - 1; i >= 0; i-- {
		st := &s.Steps[i]
		needed[i] = r.selected(st.Line, st.Text)
		if st.Product != "" {
			continue
		}
		needed[i] = needed[i] || above
		above = needed[i] && st.Want.Same
	}
	return needed
}

func (r *Runner) failAll(s *Script, why string) []Result {
	var out []Result
	for _, st := range s.Steps {
		if r.selected(st.Line, st.Text) {
			out = append(out, Result{Path: s.Path, Line: st.Line, Text: st.Text, Problems: []string{why}})
		}
	}
	return out
}

// checkRefusals checks that err, what check says of the files, contains each text.
func (r *Runner) checkRefusals(s *Script, err error) []Result {
	said := ""
	if err != nil {
		said = err.Error()
	}
	var out []Result
	for _, f := range s.Refusals {
		if !r.selected(f.Line, f.Text()) {
			continue
		}
		res := Result{Path: s.Path, Line: f.Line, Text: f.Text()}
		switch {
		case err == nil:
			res.Problems = []string{"the files are accepted"}
		case !strings.Contains(said, f.Want):
			res.Problems = []string{fmt.Sprintf("no error contains this; they are:\n\t%s", strings.ReplaceAll(said, "\n", "\n\t"))}
		}
		out = append(out, res)
	}
	return out
}

// exchange is what goes over the wire for a step.
func (src *sources) exchange(st *Step) (*Exchange, error) {
	x := &Exchange{Method: st.Method, Host: st.Host, Target: st.Target, Address: st.From}
	if x.Host == "" {
		x.Host = src.host
	}
	switch as := st.As; {
	case as.Raw != "":
		x.Header = append(x.Header, Header{"Authorization", as.Raw})
	case as.Issuer != "":
		x.Identity = authz.Identity{JWTIssuer: as.Issuer, JWTSubject: as.Subject}
	case as.Customer != "" || as.Key != "":
		secret := src.secrets[as.Customer+as.Key]
		if secret == "" {
			return nil, fmt.Errorf("no key for %s%s", as.Customer, as.Key)
		}
		x.Header = append(x.Header, Header{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("script:"+secret))})
	}
	x.Header = append(x.Header, st.Header...)
	return x, nil
}
