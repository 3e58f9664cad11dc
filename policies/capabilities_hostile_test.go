//go:build unix

package policies_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/pullgate/pullgate/policies"
)

// What one call may take: what the request carries has at most as many bytes as texts here, and
// lists are longer than any. A call that does not end in many times its usual 5 ms never asks
// whether it should.
const (
	longText   = 32 << 10
	longList   = 4000
	mostTime   = time.Second
	mostMemory = 128 << 20
	mostCalls  = 400
)

// budget cancels as the engine does, by steps and time.
type budget struct {
	steps int
	ends  time.Time
}

func (b *budget) Cancel() {}

func (b *budget) Cancelled() bool {
	b.steps++
	return b.steps > 5000 || b.steps%8 == 0 && time.Now().After(b.ends)
}

var errStop = errors.New("stop")

// Every builtin that a policy may use ends soon and stays small with arguments that somebody
// chose for the opposite, where Check accepts them.
func TestNoBuiltinRunsAwayWithHostileArguments(t *testing.T) {
	for _, b := range policies.Capabilities().Builtins {
		call := topdown.GetBuiltin(b.Name)
		if call == nil { // assign, eq, print: part of the evaluation
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			var choices [][]*ast.Term
			total := 1
			for i, arg := range b.Decl.FuncArgs().Args {
				var list []*ast.Term
				for _, term := range hostile(arg, 0) {
					if must, accepted := policies.Written(b.Name, i, term); !must || accepted {
						list = append(list, term)
					}
				}
				if len(list) == 0 {
					t.Fatalf("no argument %d is accepted", i)
				}
				choices, total = append(choices, list), total*len(list)
			}
			stride := max(1, total/mostCalls)
			for stride > 1 && (stride%2 == 0 || stride%3 == 0 || stride%5 == 0 || stride%7 == 0) {
				stride++
			}
			for i := 0; i < total; i += stride {
				run(t, b.Name, call, choose(choices, i))
			}
			var worst [][]*ast.Term
			most := map[int]int{1: 100, 2: 15, 3: 8, 4: 4}[len(choices)]
			total = 1
			for _, list := range choices {
				worst, total = append(worst, list[:min(most, len(list))]), total*min(most, len(list))
			}
			for i := range total {
				run(t, b.Name, call, choose(worst, i))
			}
		})
	}
}

// processorTime is what the test has used of processors: machines that run it are busy.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// choose is the nth combination of one of each.
func choose(choices [][]*ast.Term, n int) []*ast.Term {
	args := make([]*ast.Term, len(choices))
	for i, list := range choices {
		args[i] = list[n%len(list)]
		n /= len(list)
	}
	return args
}

// run calls a builtin and measures it.
func run(t *testing.T, name string, call topdown.BuiltinFunc, args []*ast.Term) {
	t.Helper()
	ctx := context.Background()
	config, err := cache.ParseCachingConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &budget{ends: time.Now().Add(20 * time.Millisecond)}
	values := 0
	var value ast.Value
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan error, 1)
	start := processorTime(t)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		err := call(topdown.BuiltinContext{
			Context: ctx, Cancel: b, Location: ast.NewLocation(nil, "", 1, 1),
			InterQueryBuiltinValueCache: cache.NewInterQueryValueCache(ctx, config),
		}, args, func(v *ast.Term) error {
			if v != nil {
				value = v.Value
			}
			if values++; b.Cancelled() {
				return errStop
			}
			return nil
		})
		if number, ok := value.(ast.Number); ok { // what is done with it next
			_ = ast.NumberCompare(number, "0")
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-time.After(20 * mostTime):
		t.Fatalf("%s%s does not end", name, shown(args))
	}
	took := processorTime(t) - start
	runtime.ReadMemStats(&after)
	if err != nil && strings.HasPrefix(err.Error(), "panic") {
		t.Errorf("%s%s: %v", name, shown(args), err)
	}
	if took > mostTime {
		t.Errorf("%s%s took %s", name, shown(args), took)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > mostMemory {
		t.Errorf("%s%s took %d MB", name, shown(args), grown>>20)
	}
	if err == nil && values == 0 && name != "walk" && !strings.HasPrefix(name, "internal.") && !policies.MaybeUndefined(name) {
		t.Errorf("%s%s has no value and no error: a negation must not be handed it", name, shown(args))
	}
}

// shown are arguments, shortened.
func shown(args []*ast.Term) string {
	out := make([]string, len(args))
	for i, t := range args {
		if out[i] = ast.ValueName(t.Value); out[i] == "string" || out[i] == "number" {
			out[i] = fmt.Sprintf("%.40s", t.Value)
		}
	}
	return "(" + strings.Join(out, ", ") + ")"
}

// texts are what somebody could write, or send, to keep OPA busy.
func texts() []string {
	r := strings.Repeat
	return []string{
		"*a*a*a*b*", r("a", longText), "0x1p-100000000", r("[a-z]*[a-b]+", 12), r("a", 30) + "!", "{{range .}}{{range $}}{{range $}}x{{end}}{{end}}{{end}}", "", "a",
		r("é", longText/2), r("a/", longText/2), r("[", longText), r(`{"a":`, longText/8) + "1" + r("}", longText/8),
		"[a-q][^u-z]{190}x", "((a?){8}){12}b", "^(([a-z])+.)+[A-Z]([a-z])+$", r("(a|b|ab)*", 20), `a{1000}{1000}`,
		"%999d%.999f%s%[1]v", "%999999999d", "%*d", r("%v", longText/2),
		r("{a,b}", 20), "0.0.0.0/0", "::/0", "1e999999999", r("9", longText),
		"2026-01-01T00:00:00Z", "999999999h", "Local", "UTC", "1.0.0-" + r("a.", longText/2), "1.0.0", "http://" + r("a", longText), r("a=b&", longText/4),
		"=" + r("%41", longText/3),
	}
}

var hostileNumbers = []string{"0", "1", "-1", "16", "1000000000", "9223372036854775807", "-9223372036854775808", "123456789012345678901234567890", "1e100", "-1e100", "1e-100", "0.1"}

// hostile are arguments of a type.
func hostile(t types.Type, depth int) (out []*ast.Term) {
	switch t := t.(type) {
	case types.String:
		for _, s := range texts() {
			if depth == 0 || len(s) < 1000 {
				out = append(out, ast.StringTerm(s))
			}
		}
	case types.Number:
		for _, n := range hostileNumbers {
			out = append(out, ast.NewTerm(ast.Number(n)))
		}
	case types.Boolean:
		out = append(out, ast.BooleanTerm(true))
	case types.Null:
		out = append(out, ast.NullTerm())
	case *types.Array:
		out = hostileArrays(t, depth)
	case *types.Set:
		some := hostile(t.Of(), depth+1)
		out = append(out, ast.SetTerm(), ast.SetTerm(some...), ast.SetTerm(names(longList)...))
	case *types.Object:
		out = hostileObjects()
	case types.Any:
		if len(t) == 0 {
			t = types.Any{types.S, types.N, types.B, types.Nl, types.NewArray(nil, types.S), types.NewSet(types.N), types.NewObject(nil, types.NewDynamicProperty(types.S, types.S))}
			out = append(out, ast.ArrayTerm(names(longList)...), deep(1000))
		}
		lists := make([][]*ast.Term, len(t))
		most := 0
		for i, one := range t {
			lists[i] = hostile(one, depth)
			most = max(most, len(lists[i]))
		}
		for i := range most { // some of each, the worst first
			for _, list := range lists {
				if i < len(list) {
					out = append(out, list[i])
				}
			}
		}
	default:
		out = append(out, ast.StringTerm("a"))
	}
	return out
}

func hostileArrays(t *types.Array, depth int) (out []*ast.Term) {
	if t.Len() > 0 {
		var parts [][]*ast.Term
		most := 0
		for i := range t.Len() {
			parts = append(parts, hostile(t.Select(i), depth+1))
			most = max(most, len(parts[i]))
		}
		for i := range most {
			row := make([]*ast.Term, len(parts))
			for j := range parts {
				row[j] = parts[j][i*(j+1)%len(parts[j])]
			}
			out = append(out, ast.ArrayTerm(row...))
		}
	}
	if of := t.Dynamic(); of != nil {
		some := hostile(of, depth+1)
		many := make([]*ast.Term, 60)
		for i := range many {
			many[i] = some[i%len(some)]
		}
		if depth == 0 {
			out = append(out, ast.ArrayTerm(networks(longList)...), ast.ArrayTerm(names(longList)...))
		}
		out = append(out, ast.ArrayTerm(), ast.ArrayTerm(some...), ast.ArrayTerm(many...))
	}
	return out
}

func hostileObjects() []*ast.Term {
	var wide, all, written [][2]*ast.Term
	for i, name := range names(longList) {
		wide = append(wide, [2]*ast.Term{name, ast.InternedTerm(i % 7)})
	}
	few := names(60)
	for _, name := range few {
		all = append(all, [2]*ast.Term{name, ast.ArrayTerm(few...)}) // a graph with every edge
	}
	short := hostile(types.S, 1)
	for i, s := range short {
		written = append(written, [2]*ast.Term{s, short[len(short)-1-i]})
	}
	nested := ast.ObjectTerm()
	for range 1000 {
		nested = ast.ObjectTerm([2]*ast.Term{ast.StringTerm("a"), nested})
	}
	options := ast.ObjectTerm([2]*ast.Term{ast.StringTerm("prefix"), ast.StringTerm(strings.Repeat("a", longText))}, [2]*ast.Term{ast.StringTerm("pretty"), ast.BooleanTerm(true)})
	return []*ast.Term{options, ast.ObjectTerm(wide...), ast.ObjectTerm(all...), ast.ObjectTerm(written...), nested, ast.ObjectTerm()}
}

func names(n int) []*ast.Term {
	out := make([]*ast.Term, n)
	for i := range out {
		out[i] = ast.StringTerm(fmt.Sprintf("n%d", i))
	}
	return out
}

func networks(n int) []*ast.Term {
	out := make([]*ast.Term, n)
	for i := range out {
		out[i] = ast.StringTerm(fmt.Sprintf("10.%d.%d.0/24", i/250, i%250))
	}
	return out
}

func deep(n int) *ast.Term {
	t := ast.ArrayTerm()
	for range n {
		t = ast.ArrayTerm(t)
	}
	return t
}
