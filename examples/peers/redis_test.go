package peers

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestRedisStartsAgainEmpty(t *testing.T) {
	r, err := StartRedis(t.Context(), Redis(t), RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Do("SET", "a", "b c"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Do("GET", "a"); got != "b c" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	addr := r.Addr
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Do("GET", "a"); got != "" || err != nil || r.Addr != addr {
		t.Errorf("after the restart, at %s: %q, %v", r.Addr, got, err)
	}
	if _, err := r.Do("NONSENSE"); err == nil {
		t.Error("an error of Redis is none")
	}
}

func TestRedisWithAUserTakesNobodyElse(t *testing.T) {
	r, err := StartRedis(t.Context(), Redis(t), RedisConfig{User: "gate", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := r.Do("GET", "a"); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without a password: %v", err)
	}
}

func TestSentinelElects(t *testing.T) {
	s, err := StartSentinel(t.Context(), Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.Primary.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	_, port, _ := net.SplitHostPort(s.Replica.Addr)
	err = s.sentinel.await(ctx, "another primary", func() bool {
		text, err := redisDo(s.Addr, "SENTINEL", "get-master-addr-by-name", "main")
		return err == nil && strings.HasSuffix(text, "\n"+port)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("elected after %s", time.Since(began).Round(time.Millisecond))
}

func TestRedisClusterTakesEverySlot(t *testing.T) {
	c, err := StartRedisCluster(t.Context(), Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	moved := 0
	for _, n := range c.Nodes {
		if _, err := n.Do("SET", "a", "b"); err != nil && strings.HasPrefix(err.Error(), "MOVED ") {
			moved++
		} else if err != nil {
			t.Error(err)
		}
	}
	if moved != 2 {
		t.Errorf("%d of 3 nodes say that the key is another's, want 2", moved)
	}
}
