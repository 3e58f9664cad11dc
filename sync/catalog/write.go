package catalog

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Write encodes catalogs as YAML, one document each, in the form that Read reads. The same
// catalogs give the same bytes; reading them back gives equal catalogs, but for when they were read.
func Write(w io.Writer, catalogs ...*Catalog) error {
	b := bufio.NewWriter(w)
	for i, c := range catalogs {
		if i > 0 {
			b.WriteString("---\n")
		}
		b.WriteString("kind: Catalog\n")
		if c.Registry != "" {
			fmt.Fprintf(b, "registry: %s\n", strconv.Quote(c.Registry))
		}
		if len(c.Repositories) == 0 {
			b.WriteString("repositories: {}\n")
			continue
		}
		b.WriteString("repositories:\n")
		for _, name := range slices.Sorted(maps.Keys(c.Repositories)) {
			writeRepository(b, name, c.Repositories[name])
		}
	}
	return b.Flush()
}

func writeRepository(b *bufio.Writer, name string, r *Repository) {
	if len(r.Tags)+len(r.History)+len(r.Manifests)+len(r.Referrers) == 0 {
		fmt.Fprintf(b, "  %s: {}\n", strconv.Quote(name))
		return
	}
	fmt.Fprintf(b, "  %s:\n", strconv.Quote(name))
	tags := slices.Sorted(maps.Keys(r.Tags))
	section(b, "tags", tags, func(t string) string { return r.Tags[t].Digest })
	section(b, "history", slices.Sorted(maps.Keys(r.History)), func(t string) string {
		var past []string
		for _, p := range r.History[t] {
			past = append(past, "{digest: "+p.Digest+", until: "+instantText(p.Until)+"}")
		}
		return "[" + strings.Join(past, ", ") + "]"
	})
	seen := slices.DeleteFunc(tags, func(t string) bool { return r.Tags[t].Seen == Always })
	section(b, "seen", seen, func(t string) string { return instantText(r.Tags[t].Seen) })
	section(b, "manifests", slices.Sorted(maps.Keys(r.Manifests)), func(d string) string {
		return manifestText(r.Manifests[d])
	})
	section(b, "referrers", slices.Sorted(maps.Keys(r.Referrers)), func(d string) string {
		return "[" + strings.Join(r.Referrers[d], ", ") + "]"
	})
}

func section(b *bufio.Writer, name string, keys []string, value func(key string) string) {
	if len(keys) == 0 {
		return
	}
	fmt.Fprintf(b, "    %s:\n", name)
	for _, k := range keys {
		fmt.Fprintf(b, "      %s: %s\n", strconv.Quote(k), value(k))
	}
}

func manifestText(m *Manifest) string {
	var fields []string
	add := func(name, value string) { fields = append(fields, name+": "+value) }
	if m.MediaType != "" {
		add("media_type", strconv.Quote(m.MediaType))
	}
	if m.ArtifactType != "" {
		add("artifact_type", strconv.Quote(m.ArtifactType))
	}
	if m.Size != 0 {
		add("size", strconv.FormatInt(m.Size, 10))
	}
	if m.Created != Always {
		add("created", instantText(m.Created))
	}
	if len(m.Index) > 0 {
		add("index", "["+strings.Join(m.Index, ", ")+"]")
	}
	if m.Config != "" {
		add("config", m.Config)
	}
	if len(m.Layers) > 0 {
		add("layers", "["+strings.Join(m.Layers, ", ")+"]")
	}
	if m.Subject != "" {
		add("subject", m.Subject)
	}
	if len(m.Annotations) > 0 {
		var as []string
		for _, k := range slices.Sorted(maps.Keys(m.Annotations)) {
			as = append(as, strconv.Quote(k)+": "+strconv.Quote(m.Annotations[k]))
		}
		add("annotations", "{"+strings.Join(as, ", ")+"}")
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func instantText(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }
