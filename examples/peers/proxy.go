package peers

import (
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands between a client and a TCP server, and makes the network what it can be. The zero
// fault is none.
type Proxy struct {
	Addr string // where clients connect to

	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	server string
	fault  Fault
	met    int
	conns  []net.Conn
}

// Fault is what is wrong with a Proxy's network.
type Fault struct {
	Delay   time.Duration // of each piece of an answer
	Mute    bool          // nothing comes through any more, in either direction, and no end of it either
	Refuses bool          // connections are closed as soon as they are made
	Cuts    bool          // connections end in the middle of an answer
}

// StartProxy runs a proxy before a server.
func StartProxy(server string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, server: server}
	p.serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(client) })
		}
	})
	return p, nil
}

// Set makes the network have a fault, connections that there are included.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Met counts the connections, and the pieces of what goes through them, that a fault has met.
func (p *Proxy) Met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// Close ends the proxy.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Set(Fault{Refuses: true})
	p.Cut()
	p.serving.Wait()
	return err
}

// meets is what is wrong with what comes now.
func (p *Proxy) meets(matters func(Fault) bool) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if matters(p.fault) {
		p.met++
	}
	return p.fault
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	if p.meets(func(f Fault) bool { return f.Refuses }).Refuses {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.fault.Refuses {
		p.mu.Unlock()
		return
	}
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		p.copy(client, server, true)
		_ = client.Close()
	})
	p.copy(server, client, false)
	_ = server.Close()
	back.Wait()
}

func (p *Proxy) copy(to io.Writer, from io.Reader, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		f := p.meets(func(f Fault) bool { return n > 0 && (f.Mute || answers && (f.Delay > 0 || f.Cuts)) })
		if answers {
			time.Sleep(f.Delay)
		}
		cut := answers && f.Cuts
		if cut {
			n = min(n, 3) // no answer of Redis is so short
		}
		if n > 0 && !f.Mute {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if cut {
			return
		}
		if err != nil {
			return
		}
	}
}
