package redisstore

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Who finds a node of a Cluster dead asks the others which nodes there are now, as often as that happens.
func TestTheOthersAreAskedAboutADeadNode(t *testing.T) {
	t.Parallel()
	c := threeNodes(t)
	s := open(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[0]}}).Tombstones("default")
	if _, err := s.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := c.Nodes[0].Do("CLUSTER", "KEYSLOT", s.heartbeat)
	slot, serr := strconv.Atoi(text)
	if err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	dead := c.Primary(slot)
	asked := func() (n int) {
		for _, node := range c.Nodes {
			if node == dead {
				continue
			}
			text, err := node.Do("INFO", "commandstats")
			if err != nil {
				t.Fatal(err)
			}
			if _, calls, found := strings.Cut(text, "cmdstat_cluster|slots:calls="); found {
				var m int
				_, _ = fmt.Sscan(strings.Split(calls, ",")[0], &m)
				n += m
			}
		}
		return n
	}
	before := asked()
	dead.Kill()
	for end := time.Now().Add(patience); asked() < before+5; time.Sleep(20 * time.Millisecond) { // by itself the library asks once a minute
		if _, err := s.Heartbeat(t.Context()); err == nil {
			t.Fatal("a dead node answers")
		}
		if time.Now().After(end) {
			t.Fatalf("asked %d times", asked()-before)
		}
	}
}
