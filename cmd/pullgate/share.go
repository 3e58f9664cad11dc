package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// share is a part of a whole, from 0 to 1, written as a percentage: 0.1%.
type share float64

var _ pflag.Value = (*share)(nil)

// Set reads a percentage; 0 needs no sign.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(f >= 0 && f <= 100) || !percent && f != 0 {
		return fmt.Errorf("%q: want a percentage such as 0.1%%, or 0 for none", text)
	}
	*s = share(f / 100)
	return nil
}

func (s *share) String() string {
	if *s == 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(*s)*100, 'g', 6, 64) + "%"
}

// Type is what help calls a value.
func (s *share) Type() string { return "percentage" }
