package authztest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
)

// longList is from what length on a list is shown by what it lacks and what it has too many.
const longList = 100

// diffBody compares a body with the one that is wanted, as JSON if both are; nil when equal.
func diffBody(want string, got []byte) []Mismatch {
	var w, g any
	if json.Unmarshal([]byte(want), &w) != nil || json.Unmarshal(got, &g) != nil {
		return diffBytes(want, string(got))
	}
	return diffJSON("body", w, g, nil)
}

// diffBytes compares two bodies byte by byte.
func diffBytes(want, got string) []Mismatch {
	if want == got {
		return nil
	}
	return []Mismatch{{"body", orEmpty(want), orEmpty(got)}}
}

func orEmpty(s string) string {
	if s == "" {
		return "(empty)"
	}
	return s
}

// absent is what is not there, in a Mismatch.
const absent = "(absent)"

// diffJSON appends where two decoded JSON values differ, by path.
func diffJSON(path string, want, got any, out []Mismatch) []Mismatch {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return diffObjects(path, w, g, out)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return diffLists(path, w, g, out)
		}
	}
	if reflect.DeepEqual(want, got) {
		return out
	}
	return append(out, Mismatch{path, jsonText(want), jsonText(got)})
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func diffObjects(path string, want, got map[string]any, out []Mismatch) []Mismatch {
	names := slices.Sorted(maps.Keys(want))
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		at := path + "." + name
		if !plainKey.MatchString(name) {
			at = fmt.Sprintf("%s[%q]", path, name)
		}
		w, wanted := want[name]
		g, there := got[name]
		switch {
		case !there:
			out = append(out, Mismatch{at, jsonText(w), absent})
		case !wanted:
			out = append(out, Mismatch{at, absent, jsonText(g)})
		default:
			out = diffJSON(at, w, g, out)
		}
	}
	return out
}

// diffLists shows short lists of texts whole, long ones by what is missing and what is too
// much, and others entry by entry.
func diffLists(path string, want, got []any, out []Mismatch) []Mismatch {
	if reflect.DeepEqual(want, got) {
		return out
	}
	if scalars(want) && scalars(got) {
		w, g := jsonText(want), jsonText(got)
		if len(w) <= longList && len(g) <= longList {
			return append(out, Mismatch{path, w, g})
		}
		missing, extra := without(want, got), without(got, want)
		if len(missing)+len(extra) > 0 {
			for _, v := range missing {
				out = append(out, Mismatch{path, jsonText(v), absent})
			}
			for _, v := range extra {
				out = append(out, Mismatch{path, absent, jsonText(v)})
			}
			return out
		}
	}
	for i := range max(len(want), len(got)) {
		at := path + "[" + strconv.Itoa(i) + "]"
		switch {
		case i >= len(got):
			out = append(out, Mismatch{at, jsonText(want[i]), absent})
		case i >= len(want):
			out = append(out, Mismatch{at, absent, jsonText(got[i])})
		default:
			out = diffJSON(at, want[i], got[i], out)
		}
	}
	return out
}

func scalars(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		switch v.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

// without is what is in a and not in b, each as often as there is too much of it.
func without(a, b []any) []any {
	count := map[any]int{}
	for _, v := range b {
		count[v]++
	}
	var out []any
	for _, v := range a {
		if count[v]--; count[v] < 0 {
			out = append(out, v)
		}
	}
	return out
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
