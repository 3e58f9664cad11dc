package classify

import (
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// MaxBody is the longest body of a token request, in bytes.
const MaxBody = 8 << 10

// Limits of what one token may be asked for.
const (
	maxScopes     = 16
	maxScopeBytes = 2048 // all together
)

// parseTokenRequest reads a request for a bearer token: GET with Basic (distribution's token
// authentication specification) or POST with the key in a form (its OAuth 2 variant). Scopes come as several
// parameters or in one, divided by spaces, in both: clients do either. What is not understood in a scope
// is left out; other parameters mean nothing here. The user name is ignored.
func parseTokenRequest(r *authz.Request, in *Inbound, query string) {
	text := query
	if in.Method == "POST" {
		if query != "" || len(in.Body) > MaxBody || !isForm(in) {
			return
		}
		text = string(in.Body)
	}
	form, err := url.ParseQuery(text)
	if err != nil || len(form["service"]) > 1 || len(form.Get("service")) > maxHost {
		return
	}
	pulls, ok := parseScopes(form["scope"])
	if !ok {
		return
	}
	if in.Method == "POST" && !parseGrant(r, in, form) {
		r.Credential = authz.Credential{}
		return
	}
	r.Kind, r.Service, r.Pulls = authz.KindToken, strings.ToLower(form.Get("service")), pulls
}

// isForm reports whether a body is said, once, to be a form.
func isForm(in *Inbound) bool {
	said, forms := 0, 0
	for i := range in.Headers {
		if !strings.EqualFold(in.Headers[i].Name, "content-type") {
			continue
		}
		said++
		if kind, _, err := mime.ParseMediaType(in.Headers[i].Value); err == nil && kind == "application/x-www-form-urlencoded" {
			forms++
		}
	}
	return said == 1 && forms == 1
}

// parseGrant takes the key out of a form (RFC 6749, sections 4.3 and 6). Clients that were told to keep an "identity
// token" send it as a refresh token: there are none, but what they were told may be the key.
func parseGrant(r *authz.Request, in *Inbound, form url.Values) bool {
	field := map[string]string{"password": "password", "refresh_token": "refresh_token"}[form.Get("grant_type")]
	authorization := slices.ContainsFunc(in.Headers, func(h Header) bool { return strings.EqualFold(h.Name, "authorization") })
	if field == "" || authorization || len(form["grant_type"]) > 1 || len(form["password"])+len(form["refresh_token"]) != 1 || len(form[field]) != 1 {
		return false // none, or two that could disagree
	}
	r.Credential = password([]byte(form.Get(field)))
	return true
}

// parseScopes reads scopes and returns the names that pulling is asked for, each once. It
// reports false when there is too much of it.
func parseScopes(values []string) (pulls []string, ok bool) {
	count, size := 0, 0
	for _, value := range values {
		for scope := range strings.SplitSeq(value, " ") {
			if scope == "" {
				continue
			}
			count++
			size += len(scope)
			if count > maxScopes || size > maxScopeBytes {
				return nil, false
			}
			if name, ok := parseScope(scope); ok && !slices.Contains(pulls, name) {
				pulls = append(pulls, name)
			}
		}
	}
	return pulls, true
}

// parseScope reads type[(class)]:name:action[,action]. The name may hold a colon, that of a port, so
// it is what stands between the first and the last.
func parseScope(scope string) (name string, ok bool) {
	kind, rest, _ := strings.Cut(scope, ":")
	last := strings.LastIndexByte(rest, ':')
	if last < 0 || kind != "repository" && kind != "repository(image)" || !slices.Contains(strings.Split(rest[last+1:], ","), "pull") {
		return "", false
	}
	name = rest[:last]
	host, path, hasPort := strings.Cut(name, "/")
	if address, port, found := strings.Cut(host, ":"); hasPort && found {
		return name, len(name) <= maxName && validName(path) && validName(address) && len(port) <= 5 && digits(port)
	}
	return name, validName(name)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
