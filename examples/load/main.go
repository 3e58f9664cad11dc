// Load asks any Envoy external authorization service (gRPC), as Envoy does, and says how it
// answers.
//
//	go run ./examples/load --addr 127.0.0.1:9191 --host registry.example --keys keys.txt --targets targets.txt
//	go run ./examples/load --addr 127.0.0.1:9191 ... --rate 2000 --duration 30s      # an open loop
//	go run ./examples/load --serve-empty 127.0.0.1:9999                              # what to compare with
//
// keys.txt has a key a line, sent as Basic with the user name "load"; targets.txt has lines of a
// method and a target ("GET /v2/acme/app/manifests/1.4.0"), those asked most first.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var cfg drive.Config
	var mix drive.Mix
	flags.StringVar(&cfg.Addr, "addr", "127.0.0.1:9191", "address of the service: HOST:PORT or unix:PATH")
	flags.IntVar(&cfg.Connections, "connections", 2, "HTTP/2 connections")
	flags.IntVar(&cfg.Concurrency, "concurrency", 0, "requests under way: of a closed loop (default 16), at most of an open one (default 10000)")
	flags.Float64Var(&cfg.Rate, "rate", 0, "requests a second, whatever comes back (an open loop); 0 sends the next when one is answered")
	flags.IntVar(&cfg.Count, "count", 0, "end after so many requests")
	flags.DurationVar(&cfg.Duration, "duration", 0, "end after this time (default 10s without --count)")
	flags.DurationVar(&cfg.Timeout, "timeout", 200*time.Millisecond, "of a request, as in Envoy's filter")
	flags.StringVar(&mix.Host, "host", "registry.example", "Host of the requests")
	flags.Float64Var(&mix.Zipf, "zipf", 1.2, "exponent of the distribution of the targets, above 1; 0 asks each as often")
	flags.IntVar(&mix.Headers, "headers", 16, "headers of a request")
	flags.Uint64Var(&mix.Seed, "seed", 1, "of what is drawn; the same asks the same")
	keys := flags.String("keys", "", "file with a key a line; without it requests are anonymous")
	targets := flags.String("targets", "", "file with lines METHOD TARGET (required)")
	drawn := flags.Int("drawn", 20_000, "requests that are drawn, and asked again from the first")
	format := flags.String("o", "table", "table or json")
	serve := flags.String("serve-empty", "", "serve an ext_authz service that allows everything at this address, to compare with")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serve != "" {
		return serveEmpty(ctx, *serve, out)
	}
	if *format != "table" && *format != "json" {
		return fmt.Errorf("-o %s: table or json", *format)
	}
	if cfg.Count == 0 && cfg.Duration == 0 {
		cfg.Duration = 10 * time.Second
	}
	var err error
	if mix.Who, err = readKeys(*keys); err != nil {
		return err
	}
	if mix.What, err = readTargets(*targets); err != nil {
		return err
	}
	if cfg.Requests, err = mix.Draw(*drawn); err != nil {
		return err
	}
	d, err := drive.Dial(cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := d.Await(waiting); err != nil {
		return err
	}
	return print(out, *format, cfg, d.Run(ctx))
}

func serveEmpty(ctx context.Context, addr string, out io.Writer) error {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "grpc", l.Addr())
	return drive.Empty{}.Serve(ctx, l)
}

func readKeys(file string) ([]string, error) {
	if file == "" {
		return []string{""}, nil
	}
	lines, err := readLines(file)
	for i, key := range lines {
		lines[i] = "Basic " + base64.StdEncoding.EncodeToString([]byte("load:"+key))
	}
	return lines, err
}

func readTargets(file string) ([]drive.Target, error) {
	if file == "" {
		return nil, errors.New("--targets: a file with lines such as GET /v2/acme/app/manifests/1.4.0")
	}
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}
	targets := make([]drive.Target, len(lines))
	for i, line := range lines {
		method, path, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("%s: %q is not METHOD TARGET", file, line)
		}
		targets[i] = drive.Target{Method: method, Path: path}
	}
	return targets, nil
}

// readLines returns the lines of a file but for the empty ones; none is an error.
func readLines(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: no line", file)
	}
	return lines, nil
}

// report is a result with names and units for other programs.
type report struct {
	Addr     string         `json:"addr"`
	Seconds  float64        `json:"seconds"`
	Requests int            `json:"requests"`
	Rate     float64        `json:"requests_per_second"`
	Answers  map[string]int `json:"answers"`
	Timeouts int            `json:"timeouts"`
	Refused  int            `json:"not_sent"`
	Latency  latencies      `json:"latency_ms"`
}

type latencies struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func print(out io.Writer, format string, cfg drive.Config, r *drive.Result) error {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	p := report{
		Addr: cfg.Addr, Seconds: r.Elapsed.Seconds(), Requests: r.Sent, Rate: r.Rate(), Answers: r.Answers, Timeouts: r.Timeouts, Refused: r.Refused,
		Latency: latencies{ms(r.Latency.Mean()), ms(r.Latency.At(.5)), ms(r.Latency.At(.9)), ms(r.Latency.At(.99)), ms(r.Latency.At(.999)), ms(r.Latency.At(1))},
	}
	if format == "json" {
		return json.NewEncoder(out).Encode(p)
	}
	fmt.Fprintf(out, "%d requests in %.1f s: %.0f a second\n", p.Requests, p.Seconds, p.Rate)
	for _, outcome := range slices.Sorted(maps.Keys(p.Answers)) {
		fmt.Fprintf(out, "  %8d  %s\n", p.Answers[outcome], outcome)
	}
	if p.Refused > 0 {
		fmt.Fprintf(out, "  %8d  never sent: %d were under way\n", p.Refused, cfg.Concurrency)
	}
	_, err := fmt.Fprintf(out, "latency in ms: mean %.3f  p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n",
		p.Latency.Mean, p.Latency.P50, p.Latency.P90, p.Latency.P99, p.Latency.P999, p.Latency.Max)
	return err
}
