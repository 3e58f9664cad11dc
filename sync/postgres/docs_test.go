package postgres

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The statements of the documentation, in its order, each as the role that it names. Between them a
// publisher reads what there is.
func TestDocumentedSQL(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	p := running(t)
	super, licenses := p.URL("postgres", "postgres"), p.URL("postgres", "licenses")
	t.Cleanup(func() {
		execute(t, super, "DROP DATABASE licenses WITH (FORCE)", "DROP ROLE pullgate_owner", "DROP ROLE pullgate_editor", "DROP ROLE pullgate_publisher")
	})
	as := func(role string) string { return licenses + "&role=pullgate_" + role }
	blocks := regexp.MustCompile("(?s)```sql (\\w+)\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of SQL", len(blocks))
	}
	for _, b := range blocks {
		role, text := string(b[1]), string(b[2])
		switch role {
		case "superuser":
			for statement := range strings.SplitSeq(text, ";\n") { // some run in no transaction
				execute(t, super, statement)
			}
			must(t, open(t, as("owner")).Import(t.Context(), content(t, small()), false, nil))
		default:
			execute(t, as(role), text)
		}
		if role == "editor" {
			if s, err := open(t, as("publisher")).Load(t.Context()); err != nil || customers(s) != "a b globex" {
				t.Errorf("after\n%s%v", text, err)
			}
		}
	}

	l, err := candidate(t, as("publisher")).Lead(t.Context(), "publisher", nil)
	must(t, err)
	serial, err := l.Reserve(t.Context(), "default", 0)
	must(t, err, l.Published(t.Context(), "default", serial, revision))
	l.Close()

	// Nobody may more than the page says.
	for role, statements := range map[string][]string{
		"publisher": {"UPDATE pullgate.licenses SET ends = NULL", "DELETE FROM pullgate.keys", "TRUNCATE pullgate.rules", "DELETE FROM pullgate.publications", "SELECT pullgate.reread()"},
		"editor": {
			"UPDATE pullgate.revision SET revision = 1", "DELETE FROM pullgate.deletions", "UPDATE pullgate.leaders SET fence = 9", "TRUNCATE pullgate.keys",
			"SELECT pullgate.reread()", "ALTER TABLE pullgate.keys DISABLE TRIGGER ALL", "CREATE TABLE pullgate.x ()", "SELECT pullgate.gone('keys', 'a', 1)",
		},
	} {
		for _, s := range statements {
			if err := try(t, as(role), s); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %s: error %v, want that it may not", role, s, err)
			}
		}
	}
	// Who edits cannot hide an edit.
	before := revisionOf(t, licenses)
	execute(t, as("editor"), "UPDATE pullgate.customers SET rev = 0 WHERE id = 'a'")
	if rev := revisionOf(t, licenses); rev != before+1 {
		t.Errorf("the revision is %d, it was %d", rev, before)
	}
}

func revisionOf(t *testing.T, url string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	must(t, conn.QueryRow(t.Context(), "SELECT max(rev) FROM pullgate.customers").Scan(&n))
	return n
}
