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
	Answer   *Answer // nil for refusals and lines that were not asked
}

// Runner runs scripts through a door.
type Runner struct {
	Door    Door
	Catalog CatalogReader
}

// Run checks every line of a script. The error is a script that cannot be run at all; a
// line that fails is a Result. What the door cannot carry is left out.
func (r *Runner) Run(ctx context.Context, s *Script) ([]Result, error) {
	door := r.Door
	src, err := s.load(r.Catalog)
	var mistake *ParseError
	if errors.As(err, &mistake) {
		return nil, err
	}
	if len(s.Refusals) > 0 {
		if err == nil { // what only the compiler refuses
			_, err = src.world(ctx, time.Unix(0, 0))
		}
		return s.checkRefusals(err), nil
	}
	if err != nil {
		return s.failAll("the files are refused: " + strings.ReplaceAll(err.Error(), "\n", "; ")), nil
	}
	var (
		results []Result
		above   *Answer
		entered time.Time
	)
	for i := range s.Steps {
		st := &s.Steps[i]
		if !st.At.Equal(entered) || i == 0 {
			w, err := src.world(ctx, st.At)
			if err == nil {
				err = door.Enter(ctx, w)
			}
			if err != nil {
				return s.failAll(fmt.Sprintf("no bundle for %s: %v", st.At.Format(time.RFC3339), err)), nil
			}
			entered = st.At
		}
		x, err := src.exchange(st)
		if err != nil {
			return nil, &ParseError{s.Path, st.Line, err.Error()}
		}
		res := Result{Path: s.Path, Line: st.Line, Text: st.Text}
		var a *Answer
		if st.Product != "" {
			vd, ok := door.(VersionDoor)
			if !ok {
				continue
			}
			a, err = vd.AskVersion(ctx, x, st.Product, st.Version)
		} else {
			if !door.Carries(x) {
				continue
			}
			a, err = door.Ask(ctx, x)
		}
		if err != nil {
			res.Problems = []string{fmt.Sprintf("%s: %v", door.Name(), err)}
		} else {
			res.Answer, res.Problems = a, st.Want.check(a, above)
			if !a.NoHTTP {
				above = a
			}
		}
		results = append(results, res)
	}
	return results, nil
}

func (s *Script) failAll(why string) []Result {
	var out []Result
	for _, st := range s.Steps {
		out = append(out, Result{Path: s.Path, Line: st.Line, Text: st.Text, Problems: []string{why}})
	}
	return out
}

// checkRefusals checks that err, what check says of the files, contains each text.
func (s *Script) checkRefusals(err error) []Result {
	said := ""
	if err != nil {
		said = err.Error()
	}
	var out []Result
	for _, f := range s.Refusals {
		r := Result{Path: s.Path, Line: f.Line, Text: "fails: " + f.Want}
		switch {
		case err == nil:
			r.Problems = []string{"the files are accepted"}
		case !strings.Contains(said, f.Want):
			r.Problems = []string{fmt.Sprintf("no error contains this; they are:\n\t%s", strings.ReplaceAll(said, "\n", "\n\t"))}
		}
		out = append(out, r)
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
