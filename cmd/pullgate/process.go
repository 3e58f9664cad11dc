package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	bundleserve "github.com/pullgate/pullgate/bundle/serve"
	"github.com/pullgate/pullgate/sync/pull"
)

// process is what every pullgate that goes on running has: settings, log, state, metrics, health
// and the admin port.
type process struct {
	cfg      *settings
	log      *slog.Logger
	data     *dataDir
	registry *prometheus.Registry
	status   *status
	effects  *effects
	admin    net.Listener // nil until listenAdmin
	// time reads the machine's clock and uptime.
	time func() (time.Time, time.Duration)
}

func newProcess(cfg *settings, stderr io.Writer) (*process, error) {
	if err := cfg.checkFiles(); err != nil {
		return nil, err
	}
	log, err := newLogger(stderr, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		return nil, err
	}
	for _, stray := range cfg.strays {
		log.Warn(stray.Error())
	}
	data, err := openDataDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &process{cfg: cfg, log: log, data: data, registry: reg, status: newStatus(time.Now, reg), effects: newEffects(reg), time: pull.SystemTime()}, nil
}

// listenAdmin opens the admin port.
func (p *process) listenAdmin() (err error) {
	if p.admin, err = net.Listen("tcp", p.cfg.AdminAddr); err != nil {
		return fmt.Errorf("--admin-addr: %w", portHint(err))
	}
	return nil
}

// Close gives the data directory back. Everything else of the process is closed before.
func (p *process) Close() error {
	if p.admin != nil {
		_ = p.admin.Close() // again, after serveAdmin
	}
	return p.data.Close()
}

// serve serves a port until ctx is done and then lets requests under way finish.
func (p *process) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: bodyless(h), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, ErrorLog: bundleserve.ErrorLog(p.log)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("port %s: %w", l.Addr(), err)
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
		defer cancel()
		err := server.Shutdown(stop)
		if errors.Is(err, context.DeadlineExceeded) { // a download that takes long, say: that is no failure of ours
			p.log.Info("requests under way were cut off", "port", l.Addr().String())
			err = server.Close()
		}
		<-done
		return err
	}
}

// bodyless waits for no request's body, unless the handler says how long: the server would, without end,
// before it answers, and whoever sends half of one could keep as many connections open as they like. With
// HTTP/2 it does not wait.
func bodyless(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.ProtoMajor == 1 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		}
		h.ServeHTTP(w, r)
	})
}

// portHint adds the remedy to the error of a port that somebody else has.
func portHint(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop what listens there, or name another address (port 0 takes a free one and prints it)", err)
	}
	return err
}
