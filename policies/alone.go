package policies

import "sync"

// compiling is held by whoever compiles Rego: OPA's compilers write to types that all of a process
// have in common (v1.22.2, ast.mergeTypes changes the declared types of builtins), and every type
// check reads them.
var compiling sync.Mutex

// Alone runs f, which compiles Rego or prepares queries, while nobody else in this process does.
// Evaluations go on meanwhile: they look at no types.
func Alone(f func()) {
	compiling.Lock()
	defer compiling.Unlock()
	f()
}
