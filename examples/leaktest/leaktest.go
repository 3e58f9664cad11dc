// Package leaktest is for the tests of other packages: they fail when a goroutine is left running.
package leaktest

import (
	"time"

	"go.uber.org/goleak"
)

// Main is what TestMain calls: it runs the tests, and ends the process with an error when they fail, or when
// a goroutine still runs after them.
func Main(m goleak.TestingM) { goleak.VerifyTestMain(unhurried{m, 20 * time.Second}) }

// unhurried gives what ends by itself, as the goroutines of connections do, time to end on a busy machine.
type unhurried struct {
	goleak.TestingM
	patience time.Duration
}

func (m unhurried) Run() int {
	code := m.TestingM.Run()
	for end := time.Now().Add(m.patience); goleak.Find() != nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	return code
}
