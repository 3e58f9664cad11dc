package postgres

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy stands between a client and the server, and can fail in the ways of networks.
type proxy struct {
	addr    string
	server  string
	left    atomic.Int64 // bytes of the server's that still come through; negative: no end
	stalls  atomic.Bool  // at that end it stalls, else it closes the connection
	stalled atomic.Bool  // nothing comes through, in either direction, and nobody is told

	mu    sync.Mutex
	conns []net.Conn
	done  chan struct{}
	wg    sync.WaitGroup
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: l.Addr().String(), server: running(t).Addr, done: make(chan struct{})}
	p.left.Store(-1)
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(p.done)
		p.cut()
		p.wg.Wait()
	})
	return p
}

// through is the URL of a database by way of the proxy.
func (p *proxy) through(t testing.TB, url string) string {
	t.Helper()
	db := open(t, url)
	return server.process.Through(p.addr, db.conn.User, db.conn.Database)
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	both := sync.OnceFunc(func() { client.Close(); server.Close() })
	p.wg.Go(func() { defer both(); p.copy(server, client, nil) })
	defer both()
	p.copy(client, server, &p.left)
}

func (p *proxy) copy(to, from net.Conn, left *atomic.Int64) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		for p.stalled.Load() {
			select {
			case <-p.done:
				return
			default:
			}
			time.Sleep(10 * time.Millisecond)
		}
		if left != nil && left.Load() >= 0 {
			rest := left.Add(-int64(n)) + int64(n)
			if rest <= int64(n) {
				left.Store(0)
				_, _ = to.Write(b[:max(rest, 0)])
				if !p.stalls.Load() {
					return
				}
				p.stalled.Store(true)
				<-p.done
				return
			}
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
