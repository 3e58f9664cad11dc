package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

const (
	lookupCommand = "getrange"
	probeCommand  = "ping"
	writeCommand  = "set"

	tripInRow   = 5 // failures one after the other
	tripAtLeast = 20
	tripWindow  = 10 * time.Second // of which half may fail
	openFor     = time.Second
)

// breakers keep requests from asking a node of Redis that has not answered of late: there is one for
// each node. Only look-ups count, and they alone wait for nobody; a probe, off the path of requests,
// finds out whether the node is well again.
type breakers struct {
	changed func(node string, to change)

	mu    sync.Mutex
	nodes map[string]*breaker
}

// change is what becomes of a node.
type change int

const (
	leaves  change = iota // it is left alone
	returns               // it answers again
	retires               // nothing is asked of it any more
)

// watch puts a breaker before a node.
func (b *breakers) watch(c *redis.Client) {
	node := c.Options().Addr
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes == nil {
		b.nodes = map[string]*breaker{}
	}
	one := b.nodes[node] // of a node that was away from the Cluster
	if one == nil {
		one = &breaker{}
		one.CircuitBreaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Name: node, MaxRequests: 1, Interval: tripWindow, BucketPeriod: tripWindow / 10, Timeout: openFor,
			ReadyToTrip: func(n gobreaker.Counts) bool {
				return n.ConsecutiveFailures >= tripInRow || n.Requests >= tripAtLeast && n.TotalFailures > n.Requests/2
			},
			IsSuccessful: answers,
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) }, // whoever asked went away
			OnStateChange: func(node string, from, to gobreaker.State) {
				switch {
				case to == gobreaker.StateHalfOpen || from == gobreaker.StateHalfOpen && to == gobreaker.StateOpen:
				case to == gobreaker.StateOpen:
					b.changed(node, leaves)
				case one.retired.Load():
					b.changed(node, retires)
				default:
					b.changed(node, returns)
				}
			},
		})
		b.nodes[node] = one
	}
	c.AddHook(one)
}

// retire closes the breakers of all nodes but these, which alone are asked. Of another nobody would ever find
// out that it is well again: in a Cluster a replica has its place, and it may never return. If it does, and
// fails, it is left alone as any other.
func (b *breakers) retire(but []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node, one := range b.nodes {
		if !slices.Contains(but, node) && one.State() == gobreaker.StateHalfOpen {
			one.retired.Store(true)
			_, _ = one.Execute(func() (struct{}, error) { return struct{}{}, nil })
			one.retired.Store(false)
		}
	}
}

// open counts the nodes that are left alone.
func (b *breakers) open() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.nodes {
		if one.State() != gobreaker.StateClosed {
			n++
		}
	}
	return n
}

// answers says whether a node does what it is for. That a key holds another type is its writer's doing,
// and that it is another node's the Cluster's.
func answers(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return true
	}
	var said redis.Error
	if !errors.As(err, &said) {
		return false
	}
	text := said.Error()
	return strings.HasPrefix(text, "WRONGTYPE ") || strings.HasPrefix(text, "MOVED ") || strings.HasPrefix(text, "ASK ")
}

// breaker is that of one node, as a hook of its client.
type breaker struct {
	*gobreaker.CircuitBreaker[struct{}]
	retired atomic.Bool // while it is closed for that
}

func (b *breaker) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return b.run(cmd.Name(), []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return b.run(cmds[0].Name(), cmds, func() (err error) {
			// In a Cluster this is a goroutine of the library's: a panic here would be the process'.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("redis: panic: %v", r)
					for _, cmd := range cmds {
						cmd.SetErr(err)
					}
				}
			}()
			err = next(ctx, cmds)
			for _, cmd := range cmds { // the library tells of the first error, or of none
				if e := cmd.Err(); answers(err) && !answers(e) {
					err = e
				}
			}
			return err
		})
	}
}

// run sends commands that all have this name, or that make a connection ready.
func (b *breaker) run(name string, cmds []redis.Cmder, send func() error) error {
	var err error
	switch name {
	case lookupCommand:
		if err = errLeftAlone; b.State() == gobreaker.StateClosed {
			_, err = b.Execute(func() (struct{}, error) { return struct{}{}, send() })
		}
	case probeCommand:
		_, err = b.Execute(func() (struct{}, error) { return struct{}{}, send() })
	case writeCommand: // may fail, and does not wait for a node that is away
		if err = errLeftAlone; b.State() == gobreaker.StateClosed {
			err = send()
		}
	default:
		return send()
	}
	if leftAlone(err) {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}

// errLeftAlone is what is said of a node that is left alone.
var errLeftAlone = gobreaker.ErrOpenState

// leftAlone says that a breaker has not let a command through.
func leftAlone(err error) bool {
	return errors.Is(err, errLeftAlone) || errors.Is(err, gobreaker.ErrTooManyRequests)
}
