package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/spf13/cobra"
	"pgregory.net/rapid"
)

// explainedLicenses are the licenses of testdata/explain, each at an instant that shows it.
var explainedLicenses = map[string]string{
	"renews": "2026-11-22T03:20:00Z", "cancelled": "2026-11-22T03:20:00Z", "too-late": "2026-12-20T03:20:00Z",
	"perpetual": "2026-11-22T03:20:00Z", "kept": "2026-07-08T03:20:00Z", "suspended": "2026-03-10T12:00:00Z",
	"fiscal": "2026-11-22T00:00:00Z", "old": "2026-05-01T00:00:00Z", "new": "2026-12-01T00:00:00Z",
	"monthly": "2026-05-05T00:00:00Z", "trial": "2026-03-10T00:00:00Z", "revoked": "2026-06-01T00:00:00Z",
	"forever": "2026-05-05T00:00:00Z", "far": "2026-05-05T00:00:00Z",
}

func explainOne(t testing.TB, id, at, output string) []byte {
	t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	cmd.SetContext(t.Context())
	err := explainLicense(cmd, explainLicenseFlags{license: id, licenses: filepath.Join("testdata", "explain", "licenses"), at: at, output: output})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Every kind of license in every form. -update rewrites the files.
func TestExplainLicense(t *testing.T) {
	for id, at := range explainedLicenses {
		for _, output := range []string{"table", "json", "svg"} {
			file := filepath.Join("testdata", "explain", id+"."+strings.Replace(output, "table", "txt", 1))
			got := explainOne(t, id, at, output)
			if !bytes.Equal(got, explainOne(t, id, at, output)) {
				t.Errorf("%s: not the same twice", file)
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("not as in %s (-update writes it):\n%s", file, got)
			}
		}
	}
	kept, err := filepath.Glob("testdata/explain/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept {
		if id, _, _ := strings.Cut(filepath.Base(file), "."); explainedLicenses[id] == "" && id != "catalog" {
			t.Errorf("%s is of no license that is explained", file)
		}
	}
}

func TestExplainLicenseTableIsNotWide(t *testing.T) {
	for id, at := range explainedLicenses {
		for line := range strings.Lines(string(explainOne(t, id, at, "table"))) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > tableWidth {
				t.Errorf("%s has a line of %d characters:\n%s", id, n, line)
			}
			if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
				t.Errorf("%s has a line that ends with spaces:\n%s", id, line)
			}
		}
	}
}

// A picture is XML that stands alone, whatever a name holds.
func TestLicensePictureStandsAlone(t *testing.T) {
	for id, at := range explainedLicenses {
		svg := explainOne(t, id, at, "svg")
		dec := xml.NewDecoder(bytes.NewReader(svg))
		dec.Strict = true
		var text strings.Builder
		elements := map[string]int{}
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			switch token := token.(type) {
			case xml.StartElement:
				elements[token.Name.Local]++
				for _, a := range token.Attr {
					if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || a.Name.Local == "src" {
						t.Errorf("%s: <%s> has %s=%q", id, token.Name.Local, a.Name.Local, a.Value)
					}
				}
			case xml.CharData:
				text.Write(token)
			}
		}
		for name := range elements {
			if !slices.Contains([]string{"svg", "title", "desc", "style", "defs", "pattern", "line", "rect", "path", "text"}, name) {
				t.Errorf("%s has an element <%s>", id, name)
			}
		}
		if elements["title"] != 1 || elements["desc"] != 1 || elements["text"] < 5 {
			t.Errorf("%s: %v", id, elements)
		}
		if foreign := strings.Count(string(svg), "://") - strings.Count(string(svg), "http://www.w3.org/2000/svg"); foreign > 0 || bytes.Contains(svg, []byte("@import")) {
			t.Errorf("%s refers to something elsewhere", id)
		}
		if id == "trial" && !strings.Contains(text.String(), `License trial of <script>alert("1 & 2")</script> ]]>`) {
			t.Errorf("the customer's name is not in the picture:\n%s", text.String())
		}
	}
}

// Property: whatever a license is, at any time, its picture has no text that lies on another or
// is crossed by the line of another, and none that leaves the picture.
func TestLicensePictureIsReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(label string, most int) int { return rapid.IntRange(0, most).Draw(t, label) }
		date := func(label string) string {
			return time.Date(2020+n(label+" year", 12), 1, 1+n(label+" day", 365), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		}
		name := rapid.SampledFrom([]string{"Acme", strings.Repeat("W", 80), "東京の株式会社" + strings.Repeat("東", 40), "<b>&amp;\"'"}).Draw(t, "name")
		lines := []string{
			"kind: Customer", "id: acme", "name: " + strconv.Quote(name), "zone: " + rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Pacific/Apia"}).Draw(t, "zone"),
			"---", "kind: License", "id: " + rapid.SampledFrom([]string{"l", strings.Repeat("long-", 12)}).Draw(t, "id"), "customer: acme", "grants: []",
		}
		switch n("type", 3) {
		case 0:
			lines = append(lines, "type: perpetual", "ends: never", "updates: {until: "+date("updates")+"}")
			if n("starts", 1) == 1 {
				lines = append(lines, "starts: "+date("start"))
			}
		case 1:
			lines = append(lines, "type: trial", "starts: "+date("start"), "term: P14D")
		default:
			lines = append(lines, "type: subscription", "starts: "+date("start"), "term: "+rapid.SampledFrom([]string{"P1Y", "P1M", "PT12H", "P7000Y"}).Draw(t, "term"))
			if n("renews", 2) > 0 {
				line := "renews: {every: " + rapid.SampledFrom([]string{"P1Y", "P1M", "P1D"}).Draw(t, "every") + ", notice: P" + strconv.Itoa(n("notice", 60)) + "D"
				if n("cancelled", 1) == 1 {
					line += ", cancelled: " + date("cancelled") + "T10:11:12Z"
				}
				lines = append(lines, line+"}")
			}
			lines = append(lines, fmt.Sprintf("grace: P%dD", n("grace", 40)), fmt.Sprintf("terminates: P%dD", n("terminates", 400)), "keep_versions: true")
		}
		switch n("status", 3) {
		case 0:
			lines = append(lines, "status: {suspended: {at: "+date("suspended")+"}}")
		case 1:
			lines = append(lines, "status: {revoked: {at: "+date("revoked")+"T12:34:56Z}}")
		}
		id := strings.TrimPrefix(lines[6], "id: ")
		if n("replaced", 2) == 0 {
			lines = append(lines, "---", "kind: License", "id: "+strings.Repeat("next-", 12), "customer: acme", "grants: []", "type: perpetual", "ends: never", "updates: forever", "starts: "+date("replaced"), "replaces: "+id)
		}
		file := []byte(strings.Join(lines, "\n") + "\n")
		set, err := license.Parse(map[string][]byte{"a.yaml": file})
		if err != nil {
			t.Fatalf("%v in\n%s", err, file)
		}
		at, err := time.Parse(time.DateOnly, date("at"))
		if err != nil {
			t.Fatal(err)
		}
		tl, err := set.Timeline(id, at.Unix()+int64(n("seconds", 86399)), func(string) ([]byte, error) { return file, nil })
		if err != nil {
			t.Fatal(err)
		}
		svg := drawTimeline(explained{tl})
		if err := unreadablePicture(svg); err != nil {
			t.Fatalf("%v\n%s\n%s", err, file, svg)
		}
	})
}

// unreadablePicture finds texts that overlap, are crossed by a line of a flag, or stick out.
func unreadablePicture(svg []byte) error {
	type box struct {
		x0, y0, x1, y1 float64
		text           string
	}
	var picture struct {
		Width  float64 `xml:"width,attr"`
		Height float64 `xml:"height,attr"`
		Texts  []struct {
			X      float64 `xml:"x,attr"`
			Y      float64 `xml:"y,attr"`
			Class  string  `xml:"class,attr"`
			Anchor string  `xml:"text-anchor,attr"`
			Text   string  `xml:",chardata"`
		} `xml:"text"`
		Lines []struct {
			X     float64 `xml:"x1,attr"`
			Y1    float64 `xml:"y1,attr"`
			Y2    float64 `xml:"y2,attr"`
			Class string  `xml:"class,attr"`
		} `xml:"line"`
	}
	if err := xml.Unmarshal(svg, &picture); err != nil {
		return err
	}
	var boxes []box
	for _, s := range picture.Texts {
		size := map[string]float64{"h1": 18, "h2": 12, "h2 soft": 12}[s.Class]
		if size == 0 {
			size = 11
		}
		b := box{x0: s.X, y0: s.Y - 9, y1: s.Y + 2, text: s.Text}
		w := textWidth(s.Text) * size / 11
		switch {
		case s.Anchor == "end":
			b.x0 -= w
		case s.Anchor == "middle" || strings.HasPrefix(s.Class, "in"):
			b.x0 -= w / 2
		}
		b.x1 = b.x0 + w
		if b.x0 < 0 || b.x1 > picture.Width || b.y0 < 0 || b.y1 > picture.Height {
			return fmt.Errorf("%q leaves the picture", s.Text)
		}
		for _, other := range boxes {
			if b.x0 < other.x1 && other.x0 < b.x1 && b.y0 < other.y1 && other.y0 < b.y1 {
				return fmt.Errorf("%q lies on %q", b.text, other.text)
			}
		}
		boxes = append(boxes, b)
	}
	for _, l := range picture.Lines {
		if l.Class != "line" && l.Class != "stop" && l.Class != "now" {
			continue
		}
		y0, y1 := min(l.Y1, l.Y2), max(l.Y1, l.Y2)
		for _, b := range boxes {
			if b.x0 < l.X-0.5 && l.X+0.5 < b.x1 && b.y0 < y1 && y0 < b.y1 {
				return fmt.Errorf("a line at %.1f crosses %q", l.X, b.text)
			}
		}
	}
	return nil
}

// docs/explain.md names every field, clock, state, event and phase of the JSON.
func TestExplainLicenseJSONIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				collect(item)
			}
		case map[string]any:
			for name, value := range v {
				names[name] = true
				if text, ok := value.(string); ok && slices.Contains([]string{"state", "event", "phase", "word", "versions", "from", "status"}, name) {
					names[text] = true
				}
				collect(value)
			}
		}
	}
	for id, at := range explainedLicenses {
		var answer any
		if err := json.Unmarshal(explainOne(t, id, at, "json"), &answer); err != nil {
			t.Fatal(err)
		}
		collect(answer)
	}
	if len(names) < 80 {
		t.Errorf("only %d names", len(names))
	}
	for name := range names {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/explain.md does not name `%s`", name)
		}
	}
}

func TestExplainLicenseRefuses(t *testing.T) {
	for want, f := range map[string]explainLicenseFlags{
		"want table, json or svg":  {license: "renews", licenses: "testdata/explain/licenses", output: "yaml"},
		"needs --licenses":         {license: "renews"},
		"did you mean \"renews\"?": {license: "renew", licenses: "testdata/explain/licenses"},
		"--at tomorrow":            {license: "renews", licenses: "testdata/explain/licenses", at: "tomorrow"},
		"cannot be read":           {license: "renews", licenses: "testdata/nowhere"},
	} {
		cmd := &cobra.Command{}
		cmd.SetOut(io.Discard)
		cmd.SetContext(t.Context())
		if err := explainLicense(cmd, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}
