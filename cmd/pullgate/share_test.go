package main

import (
	"math"
	"strings"
	"testing"
)

func TestShares(t *testing.T) {
	for text, want := range map[string]struct {
		share float64
		again string
	}{
		"0.1%": {.001, "0.1%"}, "0": {0, "0"}, "0%": {0, "0"}, "100%": {1, "100%"}, " 2.5 %": {.025, "2.5%"}, "0.0001%": {.000001, "0.0001%"},
	} {
		var s share
		if err := s.Set(text); err != nil || math.Abs(float64(s)-want.share) > 1e-12 || s.String() != want.again {
			t.Errorf("%q is %v, written %s: %v", text, float64(s), s.String(), err)
		}
	}
	for _, text := range []string{"", "%", "0.1", "1", "101%", "-1%", "NaN%", "Inf%", "some"} {
		s := share(.5)
		if err := s.Set(text); err == nil || !strings.Contains(err.Error(), "0.1%") || s != .5 {
			t.Errorf("%q is %v: %v", text, s, err)
		}
	}
}
