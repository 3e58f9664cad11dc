package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is how long this thread has computed; 0 when nobody knows.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
