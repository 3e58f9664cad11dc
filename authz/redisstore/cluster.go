package redisstore

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// newClient makes a client of options. One of a Cluster asks again which nodes have what as soon as a node
// does not answer, because a replica may have its place. By itself the library asks when a node says that a
// key is another's, which one that is dead never says, and else once a minute.
func newClient(options *redis.UniversalOptions) redis.UniversalClient {
	client := redis.NewUniversalClient(options)
	if cluster, is := client.(*redis.ClusterClient); is {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(reload{cluster}) })
	}
	return client
}

// reload is a hook of a node's client. What it asks for happens beside the request, and once at a time.
type reload struct{ cluster *redis.ClusterClient }

func (r reload) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (r reload) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return r.unlessAnswered(ctx, next(ctx, cmd)) }
}

func (r reload) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return r.unlessAnswered(ctx, next(ctx, cmds)) }
}

func (r reload) unlessAnswered(ctx context.Context, err error) error {
	var said redis.Error
	if err != nil && !errors.As(err, &said) && !leftAlone(err) && !errors.Is(err, context.Canceled) {
		r.cluster.ReloadState(ctx)
	}
	return err
}
