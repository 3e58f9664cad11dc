package license

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/policies/version"
)

// year3000 is later than any tag leaves a digest.
const year3000 = 32503680000

// defaultHistory is how long a digest that left its tag stays reachable.
var defaultHistory = Period{days: 400}

func (p *parser) registry(doc *document, o *object) Registry {
	r := Registry{ID: doc.id, Pos: doc.pos, History: defaultHistory}
	if v, ok := o.need("hosts", "the authorities customers use, like [registry.acme.example]"); ok {
		items, isList := v.list()
		for _, item := range items {
			text, ok := item.textLike("a host like registry.acme.example")
			if !ok {
				continue
			}
			host, err := authority(text)
			if err != nil {
				item.fail("%v", err)
				continue
			}
			r.Hosts = append(r.Hosts, host)
			p.once(item, "the host "+host, "a host is one registry's")
		}
		if isList && len(items) == 0 {
			v.fail("is empty: a registry is asked under at least one host")
		}
	}
	if v, ok := o.need("upstream", "where the registry is, like https://harbor.internal"); ok {
		if s, ok := v.textLike("the address of a registry like https://harbor.internal"); ok {
			if err := upstream(s); err != nil {
				v.fail("%v", err)
			}
			r.Upstream = strings.TrimSuffix(s, "/")
		}
	}
	if v, ok := o.take("history"); ok {
		if h, ok := v.period(); ok {
			r.History = h
			if h.addTo(year3000, time.UTC) > lastInstant {
				v.fail("%s reaches past the year 9999: write a shorter one, like P400D", v.n.text)
			}
		}
	}
	if v, ok := o.take("catalog"); ok {
		s, _ := v.oneOf("off", "listed")
		r.Catalog = s == "listed"
	}
	if v, ok := o.take("revoked_digests"); ok {
		items, _ := v.list()
		for _, item := range items {
			if d, ok := item.revokedDigest(); ok {
				r.RevokedDigests = append(r.RevokedDigests, d)
			}
		}
	}
	return r
}

var digestSyntax = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (v value) revokedDigest() (d RevokedDigest, ok bool) {
	v.missing = v.n.pos()
	o, ok := v.object()
	if !ok {
		return d, false
	}
	defer o.done()
	if f, ok := o.need("repository", "the repository whose digest is revoked"); ok {
		d.Repository, _ = f.repository()
	}
	if f, ok := o.need("digest", "`sha256:` and 64 hexadecimal digits"); ok {
		if d.Digest, ok = f.textLike("`sha256:` and 64 lower-case hexadecimal digits"); ok && !digestSyntax.MatchString(d.Digest) {
			f.fail("%q is no digest: `sha256:` and 64 lower-case hexadecimal digits", d.Digest)
		}
	}
	if f, ok := o.need("at", "the date or instant from which the digest is refused"); ok {
		m, _ := f.moment()
		d.At = m.begins(time.UTC)
	}
	if f, ok := o.take("reason"); ok {
		d.Reason, _ = f.text()
	}
	return d, true
}

var dnsName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// authority normalises a host with an optional port, as the Host header of a request has it.
func authority(s string) (string, error) {
	host, port := strings.ToLower(s), ""
	if strings.ContainsAny(s, "/@") {
		return "", fmt.Errorf("%q has more than a host: leave out scheme, user and path, like registry.acme.example", s)
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + host + "]"
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
			return "", fmt.Errorf("%q: %q is no port", s, port)
		}
		port = ":" + port
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", fmt.Errorf("%q is no IPv6 address: write one like [2001:db8::1] or [2001:db8::1]:5000", s)
		}
		return "[" + addr.String() + "]" + port, nil
	}
	if len(host) > 253 || !dnsName.MatchString(host) {
		return "", fmt.Errorf("%q is no host: write a DNS name or an IP address, with a port where needed, like registry.acme.example or registry.acme.example:5000", s)
	}
	return host + port, nil
}

func upstream(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is no address of a registry: write one like https://harbor.internal", s)
	case u.User != nil:
		return fmt.Errorf("credentials do not belong in license files: keep them in pullgate.yaml under `credentials`")
	case u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(s, "?#"):
		return fmt.Errorf("%q has more than scheme, host and port: write %s://%s", s, u.Scheme, u.Host)
	}
	return nil
}

// repository reads a literal repository name.
func (v value) repository() (string, bool) {
	s, ok := v.text()
	switch {
	case !ok:
		return "", false
	case strings.Contains(s, "*"):
		v.fail("%q is a pattern, a repository must be named here", s)
	case !version.ValidRepository(s):
		v.fail("%q is no repository name: lower-case letters and digits, joined by '.', '_', '__' or '-', in parts separated by '/', without a host", s)
	default:
		return s, true
	}
	return "", false
}

func (p *parser) product(doc *document, o *object) Product {
	r := Product{ID: doc.id, Name: doc.id, Pos: doc.pos}
	if v, ok := o.take("name"); ok {
		r.Name, _ = v.text()
	}
	if v, ok := o.take("registry"); ok {
		r.Registry, _ = v.reference("Registry")
	} else if len(p.docs["Registry"]) == 1 {
		for r.Registry = range p.docs["Registry"] {
		}
	} else if len(p.docs["Registry"]) > 1 {
		o.lack("registry", "there are several, so a product says which one it is in")
	}
	if v, ok := o.take("repositories"); ok {
		items, _ := v.list()
		for _, item := range items {
			if repository, ok := item.productRepository(); ok {
				p.once(item, "the repository "+repository.Name+" of registry "+r.Registry, "a repository is one product's")
				r.Repositories = append(r.Repositories, repository)
			}
		}
	}
	if v, ok := o.take("variants"); ok {
		r.Variants, _ = v.texts(version.ValidTagPattern)
	}
	if v, ok := o.take("requires"); ok {
		r.Requires = v.features()
	}
	return r
}

func (v value) features() []string {
	out, _ := v.texts(nil)
	slices.Sort(out)
	return out
}

func (v value) productRepository() (r ProductRepository, ok bool) {
	r.Versions = true
	if v.n.kind != objectNode {
		r.Name, ok = v.repository()
		return r, ok
	}
	v.missing = v.n.pos()
	o, _ := v.object()
	defer o.done()
	if f, has := o.need("name", "the repository, like acme/app"); has {
		r.Name, ok = f.repository()
	}
	if f, has := o.take("type"); has {
		s, _ := f.oneOf("chart", "image")
		r.Chart = s == "chart"
	}
	if f, has := o.take("versions"); has {
		s, _ := f.oneOf("none", "tags")
		r.Versions = s != "none"
	}
	return r, ok
}

var channelSyntax = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func validChannel(s string) error {
	if channelSyntax.MatchString(s) {
		return nil
	}
	if l := strings.ToLower(s); channelSyntax.MatchString(l) {
		return fmt.Errorf("channels are lower case: write %q", l)
	}
	return fmt.Errorf("%q is no channel: write one like stable, rc or beta", s)
}

func (p *parser) release(doc *document, o *object) (r Release, ok bool) {
	r.ID, r.Pos = doc.id, doc.pos
	var named, versioned bool
	if v, has := o.need("product", "the product it is a version of"); has {
		r.Product, named = v.reference("Product")
	}
	if v, has := o.need("version", "the version the facts are about"); has {
		if s, good := v.text(); good {
			parsed, err := version.Parse(s)
			if err != nil {
				v.fail("%v: write one like 1.4.1 or 2.0.0-rc.1", err)
			}
			r.Version, versioned = parsed, err == nil
		}
	}
	instant := func(name string) *int64 {
		if v, has := o.take(name); has {
			if m, good := v.moment(); good {
				at := m.begins(time.UTC)
				return &at
			}
		}
		return nil
	}
	r.Released, r.CountsFrom = instant("released"), instant("counts_from")
	if v, has := o.take("channel"); has {
		if s, good := v.text(); good {
			if err := validChannel(s); err != nil {
				v.fail("%v", err)
			}
			r.Channel = s
		}
	}
	if v, has := o.take("withdrawn"); has {
		r.Withdrawn = v.withdrawal()
	}
	if v, has := o.take("requires"); has {
		r.Requires = v.features()
	}
	return r, named && versioned
}

func (v value) withdrawal() *Withdrawal {
	o, ok := v.object()
	if !ok {
		return nil
	}
	defer o.done()
	w := &Withdrawal{}
	if f, ok := o.need("at", "the date or instant from which the version is refused"); ok {
		m, _ := f.moment()
		w.At = m.begins(time.UTC)
	}
	if f, ok := o.take("reason"); ok {
		w.Reason, _ = f.text()
	}
	if f, ok := o.take("except"); ok {
		items, _ := f.list()
		for _, item := range items {
			if id, ok := item.reference("Customer"); ok {
				w.Except = append(w.Except, id)
			}
		}
		slices.Sort(w.Except)
		w.Except = slices.Compact(w.Except)
	}
	return w
}

func (p *parser) public(doc *document, o *object) Public {
	r := Public{ID: doc.id, Pos: doc.pos}
	if v, ok := o.need("repositories", "the patterns of the repositories that are open"); ok {
		r.Repositories, _ = v.texts(version.ValidRepositoryPattern)
	}
	if v, ok := o.need("tags", "`all` or a list of tag patterns"); ok {
		r.Tags = v.tags()
	}
	return r
}

// tags reads `all` or a list of tag patterns.
func (v value) tags() []string {
	if v.n.kind == scalarNode && v.n.text == "all" {
		return []string{"*"}
	}
	if v.n.kind != listNode {
		v.fail("is %s, it must be `all` or a list of tag patterns like [\"1.4\", \"1.4.*\"]", v.what())
		return nil
	}
	out, _ := v.texts(version.ValidTagPattern)
	return out
}
