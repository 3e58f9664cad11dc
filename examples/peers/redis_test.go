package peers

import (
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
	for _, c := range []struct {
		auth []string
		want string
	}{
		{nil, "NOAUTH"},
		{[]string{"AUTH", "gate", "else"}, "WRONGPASS"},
		{[]string{"AUTH", "gate", "secret"}, "NOPERM"}, // for names that are not pullgate's
		{[]string{"AUTH", "admin", r.cfg.admin}, ""},
	} {
		_, err := redisDoor{addr: r.Addr, auth: c.auth}.do("GET", "a")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v", c.auth, err)
		}
	}
}

// shieldings are the ways to come in.
func shieldings(t *testing.T) map[string]RedisConfig {
	certs, err := NewCertificates(t.TempDir(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]RedisConfig{"open": {}, "shielded": {TLS: certs, User: "gate", Password: "secret"}}
}

// soon waits until something is so.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > time.Minute {
			t.Fatalf("not so: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%s after %s", what, time.Since(began).Round(time.Millisecond))
}

func TestSentinelElects(t *testing.T) {
	for name, cfg := range shieldings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := StartSentinel(t.Context(), Redis(t), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if _, err := (redisDoor{addr: s.Addr, tls: cfg.TLS}).do("PING"); (err == nil) != (cfg.User == "") {
				t.Errorf("without a password: %v", err)
			}
			s.Primary.Kill()
			soon(t, "the replica is elected", func() bool { return s.Elected() == s.Replica })
		})
	}
}

func TestRedisClusterTakesEverySlot(t *testing.T) {
	c, err := StartRedisCluster(t.Context(), Redis(t), RedisConfig{}, 0)
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

func TestAReplicaOfARedisClusterIsPromoted(t *testing.T) {
	for name, cfg := range shieldings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := StartRedisCluster(t.Context(), Redis(t), cfg, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			for i, slot := range []int{0, slots / 2, slots - 1} {
				if got := c.Primary(slot); got != c.Nodes[i] {
					t.Errorf("slot %d is not that of node %d", slot, i)
				}
			}
			gone := c.Nodes[1]
			gone.Kill()
			soon(t, "the replica is promoted", func() bool { return c.Primary(slots/2, gone) == c.Nodes[4] })
		})
	}
}
