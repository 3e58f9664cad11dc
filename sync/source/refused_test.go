package source

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// While files have mistakes, what they take back is reported, also when the mistakes are still the same.
func TestWatchReportsWhatFilesWithMistakesTakeBack(t *testing.T) {
	dir := directory(t, map[string]string{"main.yaml": base, "acme.yaml": customer("acme"), "mill.yaml": "kind: Customer\nid: mill\nnmae: x\n"})
	ctx, cancel := context.WithCancel(t.Context())
	reports, done := make(chan error, 10), make(chan error, 1)
	go func() {
		done <- Dir{Path: dir}.Watch(ctx, func(_ *Snapshot, err error) { reports <- err })
	}()
	defer func() { cancel(); must(t, <-done) }()
	next := func() error {
		select {
		case err := <-reports:
			return err
		case <-time.After(time.Minute):
			t.Fatal("no report")
			return nil
		}
	}
	banned := func() string {
		var refused *Refused
		if err := next(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "nmae") {
			t.Fatalf("reported: %v", err)
		}
		var ids []string
		for _, c := range refused.Stated.Customers {
			ids = append(ids, c.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := banned(); got != "" {
		t.Errorf("banned: %s", got)
	}
	write(t, filepath.Join(dir, "acme.yaml"), customer("acme")+"status: banned\n")
	if got := banned(); got != "acme" {
		t.Errorf("banned: %s", got)
	}
	write(t, filepath.Join(dir, "mill.yaml"), customer("mill"))
	if err := next(); err != nil {
		t.Error(err)
	}
}
