package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// edits counts the publications of default because of an edit.
func (p *published) edits() int {
	p.Helper()
	_, text := p.get("/metrics")
	m := regexp.MustCompile(`(?m)^pullgate_publications_total\{bundle="default",result="published"\} (\d+)$`).FindStringSubmatch(text)
	if m == nil {
		p.Fatal(text)
	}
	n, err := strconv.Atoi(m[1])
	p.must(err)
	return n
}

// Many edits in a row are few publications, and the last edit is in the last one.
func TestBurstOfEditsIsFewPublications(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	p := v.publish("max_loss: 100%\n", "--licenses", db)
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	before, began := p.edits(), time.Now()
	const edits = 50
	for i := range edits {
		v.sql(db, fmt.Sprintf("UPDATE pullgate.licenses SET ends = date '2080-01-01' + %d WHERE id = 'acme-app'", i))
	}
	wrote := time.Since(began)
	last := fmt.Sprint(time.Date(2080, 1, 1+edits, 0, 0, 0, 0, time.UTC).Unix()) // the day after is not granted
	p.await("the last edit is published", 20*time.Second, func() bool {
		b, _ := p.bundle("default")
		return strings.Contains(string(b.File("pullgate/customers/data.json")), last)
	})
	n, took := p.edits()-before, time.Since(began)
	t.Logf("%d edits in %s, %d publications in %s", edits, wrote.Round(time.Millisecond), n, took.Round(time.Millisecond))
	if most := 5 + int(took/time.Second); n < 1 || n > most {
		t.Errorf("%d publications of %d edits, want at most %d in %s", n, edits, most, took)
	}
	if b, _ := p.bundle("default"); b.Serial() > time.Now().Unix()+4 {
		t.Errorf("serial %d is far ahead of the clock", b.Serial())
	}
}
