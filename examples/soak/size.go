package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// A size is what a process takes.
type size struct {
	rss        int // bytes
	goroutines int
	files      int // descriptors
}

func (a size) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d file descriptors", a.rss>>20, a.goroutines, a.files)
}

// How much more a process may take after a load than before it: of memory what the caches have room for
// (4 MiB of verdicts, what is kept of a generation, and as much again until it is collected).
const (
	moreMemory     = 96 << 20
	moreGoroutines = 20
	moreFiles      = 16
)

// grown says what has grown beyond its bounds.
func (a size) grown(b size) (err error) {
	if b.rss > a.rss*3/2+moreMemory {
		err = errors.Join(err, fmt.Errorf("memory grew from %d to %d MiB", a.rss>>20, b.rss>>20))
	}
	if b.goroutines > a.goroutines+moreGoroutines {
		err = errors.Join(err, fmt.Errorf("%d goroutines, %d before", b.goroutines, a.goroutines))
	}
	if b.files > a.files+moreFiles {
		err = errors.Join(err, fmt.Errorf("%d file descriptors, %d before", b.files, a.files))
	}
	return err
}

// settled is the size of the process when nothing is asked: with what it was before, as soon as it is within
// bounds of that, for connections end a while after their last request.
func (s *soak) settled(ctx context.Context, before *size) (now size, err error) {
	for end := time.Now().Add(30 * time.Second); ; {
		if now, err = s.size(ctx); err != nil {
			return now, err
		}
		if before == nil || before.grown(now) == nil || time.Now().After(end) {
			return now, nil
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// size reads what the kernel and the process say (proc(5)).
func (s *soak) size(ctx context.Context) (now size, err error) {
	pid := s.process.PID()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return now, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		return now, fmt.Errorf("/proc/%d/status does not say VmRSS", pid)
	}
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		return now, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return now, err
	}
	goroutines, err := s.metric(ctx, "go_goroutines", "")
	return size{rss: kib << 10, goroutines: int(goroutines), files: len(files)}, err
}

// metric is one of the process that is soaked.
func (s *soak) metric(ctx context.Context, name, labels string) (float64, error) {
	return metric(ctx, s.process.Admin, name, labels)
}

// metric sums the values of a metric whose labels have a text.
func metric(ctx context.Context, admin, name, labels string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") || !strings.Contains(line, labels) {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, lines.Err()
}
