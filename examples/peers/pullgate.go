package peers

import (
	"context"
	"net/http"
	"regexp"
	"time"
)

// PullgateProcess is a running `pullgate serve`.
type PullgateProcess struct {
	*Process
	GRPC  string // where Envoy asks: host:port or unix:PATH
	Admin string // host:port of its admin interface
}

// StartPullgate runs the pullgate at path with a configuration file, whose ports may be 0,
// and waits until it listens. AwaitReady waits until it decides.
func StartPullgate(ctx context.Context, path, config string) (*PullgateProcess, error) {
	p, err := Start(path, "serve", "--config", config)
	if err != nil {
		return nil, err
	}
	g := &PullgateProcess{Process: p}
	err = p.await(ctx, "listening", func() bool {
		g.GRPC, g.Admin = printed(grpcLine, p.Output()), printed(adminLine, p.Output())
		return g.GRPC != "" && g.Admin != ""
	})
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return g, nil
}

var (
	grpcLine  = regexp.MustCompile(`(?m)^grpc (\S+)$`)
	adminLine = regexp.MustCompile(`(?m)^admin (\S+)$`)
)

func printed(line *regexp.Regexp, output string) string {
	if m := line.FindStringSubmatch(output); m != nil {
		return m[1]
	}
	return ""
}

// AwaitReady waits until pullgate has read the registry and decides.
func (g *PullgateProcess) AwaitReady(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}
	return g.await(ctx, "being ready", func() bool {
		resp, err := client.Get("http://" + g.Admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// PublisherProcess is a running `pullgate publish`.
type PublisherProcess struct {
	*PullgateProcess
	Bundles string // URL that names of bundles are put behind
}

// StartPublisher runs `pullgate publish` as StartPullgate runs `pullgate serve`.
func StartPublisher(ctx context.Context, path, config string) (*PublisherProcess, error) {
	p, err := Start(path, "publish", "--config", config)
	if err != nil {
		return nil, err
	}
	g := &PublisherProcess{PullgateProcess: &PullgateProcess{Process: p}}
	err = p.await(ctx, "listening", func() bool {
		g.Admin, g.Bundles = printed(adminLine, p.Output()), printed(bundlesLine, p.Output())
		return g.Admin != "" && g.Bundles != ""
	})
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return g, nil
}

var bundlesLine = regexp.MustCompile(`(?m)^bundles (\S+)$`)
