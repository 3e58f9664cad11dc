package catalog

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const webhookSecret = "correct horse battery staple"

// hook is a Webhook of the registries main and broken, whose repositories begin with acme/.
func hook(t *testing.T) (handler http.Handler, taken *[]Hint, reg *prometheus.Registry) {
	t.Helper()
	taken, reg = &[]Hint{}, prometheus.NewRegistry()
	h, err := NewWebhook(func(registry string) ([]string, error) {
		switch registry {
		case "main":
			return []string{webhookSecret, "the secret before it"}, nil
		case "broken":
			return []string{webhookSecret}, errors.New("secret file is gone")
		case "empty":
			return []string{""}, nil
		}
		return nil, nil
	}, func(_ string, hints []Hint) (n int) {
		for _, h := range hints {
			if strings.HasPrefix(h.Repository, "acme/") {
				*taken = append(*taken, h)
				n++
			}
		}
		return n
	}, reg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/webhooks/{registry}", h)
	return mux, taken, reg
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestWebhookAsksForTheSecret(t *testing.T) {
	h, taken, _ := hook(t)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	body := envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", DigestOf("x")))
	for _, c := range []struct {
		registry      string
		authorization []string
		want          int
	}{
		{"main", []string{webhookSecret}, http.StatusAccepted},
		{"main", []string{"Bearer " + webhookSecret}, http.StatusAccepted},
		{"main", []string{"bearer the secret before it"}, http.StatusAccepted},
		{"main", []string{basic("zot:" + webhookSecret)}, http.StatusAccepted},
		{"main", nil, http.StatusUnauthorized},
		{"main", []string{""}, http.StatusUnauthorized},
		{"main", []string{"Bearer "}, http.StatusUnauthorized},
		{"main", []string{basic("zot:")}, http.StatusUnauthorized},
		{"main", []string{basic(webhookSecret)}, http.StatusUnauthorized},
		{"main", []string{basic(webhookSecret + ":x")}, http.StatusUnauthorized},
		{"main", []string{"Basic %%%"}, http.StatusUnauthorized},
		{"main", []string{webhookSecret + " "}, http.StatusUnauthorized},
		{"main", []string{webhookSecret[:len(webhookSecret)-1]}, http.StatusUnauthorized},
		{"main", []string{"x", webhookSecret}, http.StatusUnauthorized},
		{"main", []string{webhookSecret, webhookSecret}, http.StatusUnauthorized},
		{"none", []string{webhookSecret}, http.StatusUnauthorized},
		{"none", nil, http.StatusUnauthorized},
		{"empty", []string{""}, http.StatusUnauthorized},
		{"empty", []string{"Bearer "}, http.StatusUnauthorized},
		{"broken", []string{webhookSecret}, http.StatusUnauthorized},
	} {
		*taken = nil
		var in io.Reader = strings.NewReader(body)
		if c.want == http.StatusUnauthorized {
			in = unread{t}
		}
		req := httptest.NewRequest(http.MethodPost, "/v1/webhooks/"+c.registry, in)
		req.Header.Set("Content-Type", docker)
		req.Header["Authorization"] = c.authorization
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != c.want || (len(*taken) == 1) != (c.want == http.StatusAccepted) {
			t.Errorf("%s %q: %d %s, %v", c.registry, c.authorization, w.Code, w.Body, *taken)
		}
		if c.want == http.StatusUnauthorized && w.Body.String() != "refused\n" {
			t.Errorf("%s %q: %q", c.registry, c.authorization, w.Body)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	h, taken, reg := hook(t)
	for _, c := range []struct {
		name, method, contentType, body string
		want                            int
		hints                           []Hint
	}{
		{"a push", "POST", docker, envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", DigestOf("x"))), http.StatusAccepted, []Hint{{"acme/app", "1.0.0", ""}}},
		{"a repository that is not crawled", "POST", docker, envelope(dockerEvent("push", typeOCIIndex, "other/app", "1.0.0", DigestOf("x"))), http.StatusAccepted, nil},
		{"a pull", "POST", docker, envelope(dockerEvent("pull", typeOCIIndex, "acme/app", "1.0.0", DigestOf("x"))), http.StatusAccepted, nil},
		{"no notification", "POST", "application/json", `{"hello":"world"}`, http.StatusBadRequest, nil},
		{"too large", "POST", docker, strings.Repeat(" ", maxEvent+1), http.StatusRequestEntityTooLarge, nil},
		{"another method", "GET", docker, "", http.StatusMethodNotAllowed, nil},
	} {
		*taken = nil
		req := httptest.NewRequest(c.method, "/v1/webhooks/main", strings.NewReader(c.body))
		req.Header.Set("Content-Type", c.contentType)
		req.Header.Set("Authorization", webhookSecret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if diff := cmp.Diff(c.hints, *taken); w.Code != c.want || diff != "" {
			t.Errorf("%s: %d %s %s", c.name, w.Code, w.Body, diff)
		}
	}
	req := httptest.NewRequest(http.MethodPost, "/v1/webhooks/other", nil)
	h.ServeHTTP(httptest.NewRecorder(), req)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP pullgate_webhook_notifications_total Notifications of registries, by result: accepted (a repository is read again), ignored (nothing that is crawled has changed), refused (wrong secret), malformed, too_large, busy.
# TYPE pullgate_webhook_notifications_total counter
pullgate_webhook_notifications_total{result="accepted"} 1
pullgate_webhook_notifications_total{result="busy"} 0
pullgate_webhook_notifications_total{result="ignored"} 2
pullgate_webhook_notifications_total{result="malformed"} 1
pullgate_webhook_notifications_total{result="refused"} 1
pullgate_webhook_notifications_total{result="too_large"} 1
`)); err != nil {
		t.Error(err)
	}
}

// Bodies that never end are few at a time.
func TestWebhookReadsFewBodiesAtOnce(t *testing.T) {
	h, _, _ := hook(t)
	server := httptest.NewServer(h)
	defer server.Close()
	post := func(body io.Reader) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/webhooks/main", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", webhookSecret)
		req.Header.Set("Content-Type", docker)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return nil
		}
		resp.Body.Close()
		return resp
	}
	var held []*io.PipeWriter
	done := make(chan struct{})
	for range maxEvents {
		body, in := io.Pipe()
		held = append(held, in)
		go func() {
			post(body)
			done <- struct{}{}
		}()
		if _, err := in.Write([]byte("{")); err != nil { // it is being read
			t.Fatal(err)
		}
	}
	busy := func() int {
		resp := post(strings.NewReader(`{"events":[]}`))
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "1" {
			t.Error("no Retry-After")
		}
		return resp.StatusCode
	}
	for busy() != http.StatusServiceUnavailable { // the last of them may not have begun
		if t.Context().Err() != nil {
			t.Fatal("never busy")
		}
	}
	for _, in := range held {
		in.Close()
		<-done
	}
	if got := busy(); got != http.StatusAccepted {
		t.Errorf("%d", got)
	}
}

// Who does not know the secret is answered before a body comes, and holds no connection.
func TestWebhookWaitsForNoBodyWithoutTheSecret(t *testing.T) {
	h, _, _ := hook(t)
	mux := http.NewServeMux()
	mux.Handle("POST /v1/webhooks/{registry}", h)
	s := httptest.NewServer(mux)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(8 * time.Second)) // less than a body may take
	if _, err := io.WriteString(conn, "POST /v1/webhooks/main HTTP/1.1\r\nHost: hook\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("%q, %v: want 401 and the end of the connection", answer, err)
	}
}
