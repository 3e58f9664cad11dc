package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/sync/source"
)

// mostTestLines bounds what is told of tests that fail.
const mostTestLines = 20

// vet runs the vendor's own tests, after an edit and before it counts.
func (p *publishSettings) vet(ctx context.Context, _ *source.Snapshot) error {
	if len(p.Test) == 0 {
		return nil
	}
	t, err := newTests(&testFlags{}, p.Test)
	if err != nil {
		return fmt.Errorf("--test: %w", err)
	}
	var out bytes.Buffer
	err = t.run(ctx, &out)
	if err == nil || ctx.Err() != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if n := len(lines) - mostTestLines; n > 0 { // the last says how many failed
		lines = append(append(lines[:mostTestLines-1:mostTestLines-1], fmt.Sprintf("… %d lines; `pullgate test %s` prints all", n, strings.Join(p.Test, " "))), lines[len(lines)-1])
	}
	text := "tests fail:\n" + strings.Join(lines, "\n")
	if !errors.Is(err, errNo) {
		text += "\n" + err.Error()
	}
	return errors.New(text)
}
