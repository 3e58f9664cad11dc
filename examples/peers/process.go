package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Process is a running peer. Close ends it; so does the end of this process, however it ends (Linux).
type Process struct {
	name string
	cmd  *exec.Cmd
	out  *tail
	dir  string // removed by Close; "" for none

	done chan struct{}
	err  error // after done

	close sync.Once
}

// start runs a program. What it writes to standard error, and to standard output when
// stdout is nil, is kept for Output.
func start(path string, args []string, stdout io.Writer) (*Process, error) {
	return startWith(path, args, stdout, endWithParent())
}

func startWith(path string, args []string, stdout io.Writer, attr *syscall.SysProcAttr) (*Process, error) {
	p := &Process{name: filepath.Base(path), out: &tail{max: 64 << 10}, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stderr = p.out
	p.cmd.Stdout = p.out
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	p.cmd.WaitDelay = 5 * time.Second
	started := make(chan error)
	go func() {
		// A parent-death signal comes when the thread that started the child ends, not the
		// process. So one thread starts the child and stays until the child is gone. It is never
		// unlocked: it ends with this goroutine and nothing else runs on it.
		runtime.LockOSThread()
		p.cmd.SysProcAttr = attr
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// Start runs any program as a Process, for peers that have no starter of their own.
func Start(path string, args ...string) (*Process, error) { return start(path, args, nil) }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output returns the end of what the process has written, at most 64 KiB.
func (p *Process) Output() string { return p.out.String() }

// Close asks the process to end, kills it after five seconds, and waits until it is gone.
// It may be called more than once. How the process ended is not an error.
func (p *Process) Close() error {
	p.close.Do(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err == nil || errors.Is(err, os.ErrProcessDone) {
			timer := time.NewTimer(5 * time.Second)
			defer timer.Stop()
			select {
			case <-p.done:
			case <-timer.C:
				_ = p.cmd.Process.Kill()
			}
		}
		<-p.done
		if p.dir != "" {
			_ = os.RemoveAll(p.dir)
		}
	})
	return nil
}

// Kill ends the process at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// await calls ready every few milliseconds until it says true. The error is the context's,
// or says that the process ended, with what it wrote.
func (p *Process) await(ctx context.Context, what string, ready func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended before %s: %v\n%s", p.name, what, p.err, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for %s: %w\n%s", p.name, what, ctx.Err(), p.Output())
		}
	}
	return nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	max int
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
