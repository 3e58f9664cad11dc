package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// list reads a paginated list (OCI end-8 and Docker's _catalog) to its end. field is the JSON
// field with the names. A page that is full but names no next one is followed all the same,
// because some registries cut without saying so.
func (c *client) list(ctx context.Context, path, field string, most int) ([]string, error) {
	const page = 1000
	var names []string
	seen, asked := map[string]bool{}, map[string]bool{}
	target := path + "?n=" + strconv.Itoa(page)
	for {
		if asked[target] || len(asked) > most {
			return nil, fmt.Errorf("%w: a list whose pages never end", errGarbage)
		}
		asked[target] = true
		a, err := c.do(ctx, request{kind: "list", method: http.MethodGet, target: target, accept: "application/json", max: 16 << 20})
		if err != nil {
			return nil, err
		}
		got, err := listed(a.body, field)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, n := range got {
			if !seen[n] {
				seen[n], fresh = true, true
				names = append(names, n)
			}
		}
		if len(names) > most {
			return nil, fmt.Errorf("%w: more than %d names in a list", errTooMany, most)
		}
		next, err := c.next(a.header, target)
		switch {
		case err != nil:
			return nil, err
		case next != "":
			target = next
		case fresh && len(got) >= page:
			target = path + "?n=" + strconv.Itoa(page) + "&last=" + url.QueryEscape(got[len(got)-1])
		default:
			return names, nil
		}
	}
}

// errTooMany: more names, or more bytes, than a crawl follows.
var errTooMany = errors.New("the answer is too large")

func listed(body []byte, field string) ([]string, error) {
	var page map[string]json.RawMessage
	var names []string
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("%w: a list that is not JSON", errGarbage)
	}
	raw, ok := page[field]
	if _, named := page["name"]; !ok && !named {
		return nil, fmt.Errorf("%w: a list without %q", errGarbage, field)
	}
	if ok && json.Unmarshal(raw, &names) != nil {
		return nil, fmt.Errorf("%w: %q is not a list of names", errGarbage, field)
	}
	return names, nil
}

// next is the path and query of the next page in a Link header (RFC 8288), "" for none.
func (c *client) next(h http.Header, from string) (string, error) {
	for _, link := range h.Values("Link") {
		uri, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		base, err := c.base.Parse(from)
		if err != nil {
			return "", err
		}
		u, err := base.Parse(uri)
		if err != nil {
			return "", fmt.Errorf("%w: a Link that is no URL", errGarbage)
		}
		if origin(u) != origin(c.base) {
			return "", fmt.Errorf("%w: the next page of a list is on %s", errForeign, origin(u))
		}
		return u.RequestURI(), nil
	}
	return "", nil
}
