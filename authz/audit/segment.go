package audit

import (
	"os"
	"sort"
	"strings"
	"time"
)

// A segment is one file of records. Its name is the time at which it was begun, so names
// sort like records.
type segment struct {
	name  string
	begin time.Time
	size  int64
}

const (
	segmentPrefix = "decisions-"
	segmentSuffix = ".jsonl"
	segmentTime   = "20060102T150405.000Z"
)

// segmentName returns decisions-20260301T000000.000Z.jsonl.
func segmentName(begin time.Time) string {
	return segmentPrefix + begin.UTC().Format(segmentTime) + segmentSuffix
}

// list returns the segments of a directory, oldest first; other files are none of ours.
func list(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), segmentPrefix)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if text, ok = strings.CutSuffix(text, segmentSuffix); !ok {
			continue
		}
		begin, err := time.Parse(segmentTime, text)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil { // removed in between
			continue
		}
		all = append(all, segment{e.Name(), begin, info.Size()})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, nil
}
