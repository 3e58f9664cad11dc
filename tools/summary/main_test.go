package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name, in, last string
		want, not      []string
		code           int
	}{
		{
			name: "a passing package",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":1.25}
`,
			want: []string{"ok    p (1.2s)"}, not: []string{"chatter"},
			last: "1 passed, 0 failed, 0 skipped",
		},
		{
			name: "subtests count, their parents do not",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/y","Output":"    got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA/y"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`,
			want: []string{"    got 1, want 2", "FAIL  p"},
			last: "1 passed, 1 failed, 0 skipped", code: 1,
		},
		{
			name: "a skip says why",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: no skopeo\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			want: []string{"SKIP  p TestA", "no skopeo"},
			last: "1 passed, 0 failed, 1 skipped",
		},
		{
			name: "a package that does not build",
			in: `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`,
			want: []string{"undefined: x", "FAIL  p"},
			last: "0 passed, 1 failed, 0 skipped", code: 1,
		},
		{
			name: "a test that ends the process",
			in: `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"fatal error: all goroutines are asleep\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"TestB did not end", "fatal error"},
			last: "1 passed, 1 failed, 0 skipped", code: 1,
		},
		{name: "nothing ran", in: "go: cannot find main module\n", want: []string{"cannot find"}, last: "0 passed, 0 failed, 0 skipped", code: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if code := run(strings.NewReader(tt.in), &out); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			got := out.String()
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("lacks %q:\n%s", w, got)
				}
			}
			for _, n := range tt.not {
				if strings.Contains(got, n) {
					t.Errorf("has %q:\n%s", n, got)
				}
			}
			lines := strings.Split(strings.TrimSpace(got), "\n")
			if last := lines[len(lines)-1]; last != tt.last {
				t.Errorf("last line %q, want %q", last, tt.last)
			}
		})
	}
}
