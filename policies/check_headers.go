package policies

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxHeaderValue bounds the value of a vendor's header.
const maxHeaderValue = 256

var headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,127}$`)

// forbiddenHeaders are those that no rule may set, in lower case, with the reason; a name that
// ends in - stands for all that begin so. authz/reply is the last fence behind this.
var forbiddenHeaders = map[string]string{
	"authorization": carriesKeys, "proxy-authorization": carriesKeys, "cookie": carriesKeys, "set-cookie": carriesKeys,
	"www-authenticate": carriesKeys, "proxy-authenticate": carriesKeys,
	"host": framesMessage, "connection": framesMessage, "proxy-connection": framesMessage, "keep-alive": framesMessage, "te": framesMessage,
	"trailer": framesMessage, "transfer-encoding": framesMessage, "upgrade": framesMessage, "expect": framesMessage,
	"content-": describesContent, "docker-": describesContent, "oci-": describesContent, "etag": describesContent, "last-modified": describesContent,
	"accept": choosesContent, "accept-": choosesContent, "range": choosesContent, "if-": choosesContent,
	"cache-control": isPullgates, "warning": isPullgates, "link": isPullgates, "retry-after": isPullgates, "location": isPullgates,
	"x-pullgate-": "which says who was let through", "x-envoy-": "which steers the proxy",
}

const (
	carriesKeys      = "which carries credentials"
	framesMessage    = "which belongs to the connection"
	describesContent = "which describes what is delivered"
	choosesContent   = "which chooses what is delivered"
	isPullgates      = "which pullgate sets"
)

// forbiddenHeader is why a rule must not set a header, "" when it may. Some servers read
// underscores as dashes.
func forbiddenHeader(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for i := range name {
		if why := forbiddenHeaders[name[:i+1]]; why != "" && (name[i] == '-' || i == len(name)-1) {
			return why
		}
	}
	return ""
}

// header refuses headers that no rule may set.
func (c *checker) header(file string, fields map[string]*ast.Term) {
	const instead = "choose a name of your own, such as X-Region"
	if t := fields["name"]; t != nil {
		switch s, ok := t.Value.(ast.String); {
		case !ok:
			c.refuse(file, t.Loc(), "the name of a header must be written as a text, since a client's header of that name is removed beforehand: write \"name\": \"X-Region\"")
		case forbiddenHeader(string(s)) != "":
			c.refuse(file, t.Loc(), "a rule must not set %s, %s: %s", s, forbiddenHeader(string(s)), instead)
		case !headerName.MatchString(string(s)):
			c.refuse(file, t.Loc(), "%s is no name of a header: letters, digits and -, at most 128: %s", s, instead)
		}
	}
	if t := fields["to"]; t != nil {
		if s, ok := t.Value.(ast.String); !ok || s != "upstream" && s != "client" {
			c.refuse(file, t.Loc(), "\"to\" says who gets the header: write \"upstream\" (the registry) or \"client\", as a text")
		}
	}
	if t := fields["value"]; t != nil {
		c.text(file, t, "the header's value", maxHeaderValue)
	}
}

// UpstreamHeaders returns the names of the upstream headers that rules which Check accepts may
// set, in lower case, sorted.
func UpstreamHeaders(rules map[string][]byte) []string {
	names := map[string]bool{}
	eachHead(rules, func(_, kind string, fields map[string]string) {
		if kind == "header" && fields["to"] == "upstream" {
			names[strings.ToLower(fields["name"])] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

// VendorCodes returns the codes that rules which Check accepts may give, such as
// vendor.region.outside, sorted.
func VendorCodes(rules map[string][]byte) []string {
	codes := map[string]bool{}
	eachHead(rules, func(name, kind string, fields map[string]string) {
		if kind == "deny" || kind == "grant" || kind == "warn" {
			codes["vendor."+name+"."+fields["code"]] = true
		}
	})
	return slices.Sorted(maps.Keys(codes))
}

// eachHead calls visit with the package's name, the set and the literal fields of each
// contribution.
func eachHead(rules map[string][]byte, visit func(name, kind string, fields map[string]string)) {
	for file, text := range rules {
		m, err := ast.ParseModuleWithOpts(file, string(text), parserOptions())
		if err != nil || m == nil || len(words(m.Package.Path)) != 3 {
			continue
		}
		for _, rule := range m.Rules {
			if rule.Head.Key == nil {
				continue
			}
			object, ok := rule.Head.Key.Value.(ast.Object)
			if !ok {
				continue
			}
			fields := map[string]string{}
			object.Foreach(func(k, v *ast.Term) {
				key, _ := k.Value.(ast.String)
				value, _ := v.Value.(ast.String)
				fields[string(key)] = string(value)
			})
			visit(words(m.Package.Path)[2], headName(rule), fields)
		}
	}
}
