package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says which Redis. Files are read when a connection is made, so that what is in them may
// change; nothing else is reloaded.
type Config struct {
	// URLs name one of three, with rediss for TLS:
	//
	//	redis://[USER@]HOST[:PORT][/DB]                one Redis: one URL
	//	redis+sentinel://[USER@]HOST[:PORT]/NAME[/DB]  the primary that Sentinels know as NAME: a URL for each Sentinel
	//	redis+cluster://[USER@]HOST[:PORT]             a Cluster: a URL for each of some nodes
	//
	// USER is a user of Redis (ACL); passwords are in files.
	URLs                 []string
	PasswordFile         string // of USER, or of the default user
	SentinelPasswordFile string // of Sentinels that want one
	CAFile               string // CAs (PEM) to trust in place of the system's
	CertFile, KeyFile    string // client certificate (PEM) and its private key
	Insecure             bool   // allows redis:// off loopback
	// Secret reads a file with a password and refuses one that others can read; nil: os.ReadFile.
	Secret func(path string) (string, error)
}

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"

	dialTimeout = time.Second
	timeout     = 2 * time.Second // of what does not wait on purpose
	// maxReply bounds what is read of one answer: somebody else may have written it.
	maxReply = 16 << 20
)

// endpoints is what the URLs say.
type endpoints struct {
	kind   string // "", sentinel or cluster
	tls    bool
	user   string
	addrs  []string
	master string
	db     int
}

// Check says what is wrong with the configuration, without reading files.
func (c *Config) Check() error {
	_, err := c.endpoints()
	if (c.CertFile == "") != (c.KeyFile == "") {
		err = errors.Join(err, errors.New("a client certificate and its key belong together"))
	}
	return err
}

func (c *Config) endpoints() (*endpoints, error) {
	var all *endpoints
	for _, text := range c.URLs {
		e, err := c.endpoint(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", redacted(text), err)
		}
		if all == nil {
			all = e
			continue
		}
		addrs := append(slices.Clone(all.addrs), e.addrs...)
		same := *all
		same.addrs = e.addrs
		switch {
		case same.kind == "":
			return nil, errors.New("several addresses: write redis+sentinel:// or redis+cluster:// if that is what they are of; there is one Redis otherwise")
		case !slices.Equal(same.addrs, e.addrs) || same.kind != e.kind || same.tls != e.tls || same.user != e.user || same.master != e.master || same.db != e.db:
			return nil, fmt.Errorf("%s: differs from the first in more than host and port", redacted(text))
		}
		all.addrs = addrs
	}
	if all == nil {
		return nil, errors.New("no URL of a Redis")
	}
	return all, nil
}

func (c *Config) endpoint(text string) (*endpoints, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("no URL")
	}
	e := &endpoints{user: u.User.Username()}
	base, kind, _ := strings.Cut(u.Scheme, "+")
	if e.kind = kind; base != "redis" && base != "rediss" || !slices.Contains([]string{"", "sentinel", "cluster"}, kind) || kind == "" && strings.Contains(u.Scheme, "+") {
		return nil, errors.New("want redis://, redis+sentinel:// or redis+cluster://, or the same with rediss for TLS")
	}
	e.tls = base == "rediss"
	if _, has := u.User.Password(); has {
		return nil, errors.New("a password in the URL shows in lists of processes and in logs: put it into a file")
	}
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("want SCHEME://[USER@]HOST[:PORT] and a path")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: defaultSentinelPort, false: defaultPort}[kind == "sentinel"]
	}
	e.addrs = []string{net.JoinHostPort(u.Hostname(), port)}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if kind == "sentinel" {
		if e.master = path[0]; e.master == "" {
			return nil, errors.New("want the name by which the Sentinels know the primary as the path")
		}
		path = path[1:]
	} else if path[0] == "" {
		path = nil
	}
	if len(path) > 0 {
		if e.db, err = strconv.Atoi(path[0]); err != nil || e.db < 0 || len(path) > 1 || kind == "cluster" {
			return nil, fmt.Errorf("path %s: want the number of a database, and none for a Cluster", u.Path)
		}
	}
	if !e.tls && !c.Insecure && !isLoopback(u.Hostname()) {
		return nil, errors.New("names of customers would cross the network in the open: write rediss:// for TLS")
	}
	return e, nil
}

// redacted is a URL without a password that is in it by mistake.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "URL of a Redis"
	}
	return u.Redacted()
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// options are those of a client that keeps at most so many connections.
func (c *Config) options(connections int) (*redis.UniversalOptions, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	e, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	if _, err := c.secret(c.PasswordFile); err != nil {
		return nil, err
	}
	sentinel, err := c.secret(c.SentinelPasswordFile)
	if err != nil {
		return nil, err
	}
	if e.tls {
		if _, err := c.tls("redis"); err != nil {
			return nil, err
		}
	}
	return &redis.UniversalOptions{
		Addrs: e.addrs, DB: e.db, MasterName: e.master, IsClusterMode: e.kind == "cluster", SentinelPassword: sentinel,
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			password, err := c.secret(c.PasswordFile)
			return e.user, password, err
		},
		Dialer: c.dialer(e.tls),
		// RESP2 has nothing that the server sends unasked, and with it goes all that is experimental.
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		MaxRetries: 3, MinRetryBackoff: 5 * time.Millisecond, MaxRetryBackoff: 100 * time.Millisecond, // of connections that Redis has closed, nearly always
		PoolSize: connections, PoolTimeout: timeout, PipelinePoolSize: -1,
	}, nil
}

func (c *Config) secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if c.Secret != nil {
		return c.Secret(path)
	}
	text, err := os.ReadFile(path)
	return strings.TrimRight(string(text), "\r\n"), err
}

func (c *Config) tls(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// dialer makes the connections to all nodes, the Sentinels included.
func (c *Config) dialer(secure bool) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		tcp, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn := &boundedConn{Conn: tcp}
		if !secure {
			return conn, nil
		}
		host, _, err := net.SplitHostPort(addr)
		if err == nil {
			var config *tls.Config
			if config, err = c.tls(host); err == nil {
				inside := tls.Client(conn, config)
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				if err = inside.HandshakeContext(ctx); err == nil {
					return inside, nil
				}
			}
		}
		return nil, errors.Join(err, tcp.Close())
	}
}

var errLongReply = fmt.Errorf("an answer of more than %d bytes", maxReply)

// boundedConn ends when an answer is too long to be one that is expected.
type boundedConn struct {
	net.Conn
	read int // since the last command; commands and answers alternate
}

// SyscallConn lets the library see, before it uses a connection, that the server has closed it.
func (c *boundedConn) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

func (c *boundedConn) Write(p []byte) (int, error) {
	c.read = 0
	return c.Conn.Write(p)
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.read > maxReply {
		return 0, errLongReply
	}
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}
