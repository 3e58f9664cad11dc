package envoy_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request inside another's body, for whom proxy and registry would disagree about where that
// ends: whatever reaches the registry was asked about.
func TestSmuggledRequestsAreAskedAboutOrNeverArrive(t *testing.T) {
	const hidden = "GET /v2/acme/smuggled/manifests/9.9.9 HTTP/1.1\r\nHost: registry.acme.example\r\n\r\n"
	r := newRig(t, nil)
	r.authz.answer = allow
	for name, head := range map[string]string{
		"length and chunks":     "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length":     "Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n0\r\n\r\n",
		"two lengths":           "Content-Length: 0\r\nContent-Length: 83\r\n\r\n",
		"lengths in a list":     "Content-Length: 0, 83\r\n\r\n",
		"a length with a sign":  "Content-Length: +0\r\n\r\n",
		"two encodings":         "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an unknown encoding":   "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a folded encoding":     "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"a space before colon":  "Transfer-Encoding : chunked\r\nContent-Length: 83\r\n\r\n0\r\n\r\n",
		"a tab in the encoding": "Transfer-Encoding: \tchunked\x0b\r\n\r\n0\r\n\r\n",
		"bare line feeds":       "Content-Length: 0\n\n",
		"a bare return":         "X-A: b\rContent-Length: 83\r\n\r\n",
		"a chunk too large":     "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
		"an upgrade":            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"a websocket":           "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"expect":                "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
		"no length at all":      "\r\n",
	} {
		conn, err := tls.Dial("tcp", r.addr, r.client.Transport.(*http.Transport).TLSClientConfig)
		r.must(err)
		_, err = io.WriteString(conn, "POST /v2/acme/app/manifests/1.4.0 HTTP/1.1\r\nHost: registry.acme.example\r\n"+head+hidden)
		r.must(err)
		_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		answer, _ := io.ReadAll(conn)
		conn.Close()
		t.Logf("%s: %.60q", name, answer)
		if strings.HasPrefix(string(answer), "HTTP/1.1 101") {
			t.Errorf("%s: the connection was given away", name)
		}
	}
	arrived := r.upstream() // before it is counted what was asked about: more may come
	r.authz.mu.Lock()
	asked := len(r.authz.paths)
	r.authz.mu.Unlock()
	for _, req := range arrived { // what was asked about arrives under the path that the answer set
		if strings.Contains(req.RequestURI, "smuggled") {
			t.Errorf("%s arrived and nobody was asked about it", req.RequestURI)
		}
	}
	if len(arrived) > asked {
		t.Errorf("%d requests arrived, %d were asked about", len(arrived), asked)
	}
}
