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

// headersOfTwo refuses a header that two packages may set to different values: then nothing is
// decided. Within a package whoever writes one value sees the other.
func (c *checker) headersOfTwo() {
	type setting struct {
		pkg   string
		value ast.Value
		rule  *ast.Rule
	}
	settings := map[[2]string][]setting{} // by name in lower case, and to
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		if !strings.HasSuffix(name, ".header") {
			continue
		}
		for _, rule := range c.rules[name] {
			fields := contributed(rule)
			header, _ := fields["name"].(ast.String)
			to, _ := fields["to"].(ast.String)
			if header == "" || to == "" || fields["value"] == nil {
				continue // refused
			}
			key := [2]string{strings.ToLower(string(header)), string(to)}
			for _, before := range settings[key] {
				if before.pkg != packageOf(name) && !(ast.IsConstant(fields["value"]) && before.value.Compare(fields["value"]) == 0) {
					c.refuse(rule.Loc().File, rule.Loc(), "package %s sets the header %s too (%s), and where both do, with different values, nothing is decided: set it in one package, or give it another name",
						strings.TrimPrefix(before.pkg, "data."), header, place(before.rule))
					break
				}
			}
			settings[key] = append(settings[key], setting{packageOf(name), fields["value"], rule})
		}
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
			fields := map[string]string{}
			for key, value := range contributed(rule) {
				text, _ := value.(ast.String)
				fields[key] = string(text)
			}
			if len(fields) > 0 {
				visit(words(m.Package.Path)[2], headName(rule), fields)
			}
		}
	}
}

// contributed are the fields of the object that a rule's head contains, by their key.
func contributed(rule *ast.Rule) map[string]ast.Value {
	if rule.Head.Key == nil {
		return nil
	}
	fields := map[string]ast.Value{}
	if object, ok := rule.Head.Key.Value.(ast.Object); ok {
		object.Foreach(func(k, v *ast.Term) {
			key, _ := k.Value.(ast.String)
			fields[string(key)] = v.Value
		})
	}
	return fields
}
