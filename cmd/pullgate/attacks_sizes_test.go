package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// digestOfText is the digest of a blob that says this.
func digestOfText(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// metric is the value of a counter with these labels.
func (s *served) metric(name string) int {
	s.Helper()
	_, text := s.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			s.must(err)
			return n
		}
	}
	return 0
}

// askForTooMuch: long and numerous things are refused, or answered as if they were short.
func (a *attacked) askForTooMuch() {
	a.Helper()
	tags := "/v2/acme/app/tags/list"
	whole := a.refused("the list", tried{target: tags, authorization: a.user}, http.StatusOK)
	for _, n := range []string{"1000", "1001", "999999999"} {
		if got := a.refused("n="+n, tried{target: tags + "?n=" + n, authorization: a.user}, http.StatusOK); got.body != whole.body {
			a.Errorf("n=%s: %s", n, got.body)
		}
	}
	for what, x := range map[string]tried{
		"n twice":              {target: tags + "?n=1&n=1"},
		"n 400 times":          {target: tags + "?" + strings.Repeat("n=1&", 400) + "n=1"},
		"n 1,000 times":        {target: tags + "?" + strings.Repeat("n=1&", 1000) + "n=1"},
		"n of 1,000 digits":    {target: tags + "?n=" + strings.Repeat("9", 1000)},
		"a path of 8 KiB":      {target: "/v2/" + strings.Repeat("a/", 4096) + "manifests/1.4.0"},
		"4,000 names":          {target: "/v2/" + strings.Repeat("manifests/", 4000) + "1.4.0"},
		"a key of 9 KiB":       {target: manifest140, authorization: basic("acme", strings.Repeat("k", 9<<10))},
		"an If-None-Match too": {target: tags + "?n=1&n=2", header: []string{"If-None-Match: *"}},
	} {
		if x.authorization == "" {
			x.authorization = a.user
		}
		a.refused(what, x, http.StatusBadRequest, http.StatusUnauthorized)
	}
	a.refused("a path of 100 KiB", tried{target: "/v2/" + strings.Repeat("a", 100<<10), authorization: a.user}, 0, http.StatusRequestHeaderFieldsTooLarge)
	filler := make([]string, 5000)
	for i := range filler {
		filler[i] = fmt.Sprintf("x-filler-%d: x", i)
	}
	a.refused("5,000 headers", tried{target: manifest140, authorization: a.user, header: filler}, 0, http.StatusRequestHeaderFieldsTooLarge)

	// 10,000 ranges are what the registry makes of them, and never more than what is there: the
	// decision is the same as for one.
	ranges := "Range: bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", 10000), ",")
	for target, most := range map[string]int{manifest140: 4 << 10, "/v2/acme/app/blobs/" + digestOfText("layer of 1.4.0"): 4 << 10} {
		got := a.try(tried{target: target, authorization: a.user, header: []string{ranges}})
		a.Logf("10,000 ranges of %s: %d, %d bytes", target[:20], got.status, len(got.body))
		if got.status/100 == 5 || got.status == 0 || len(got.body) > most || len(got.arrived) > 1 {
			a.Errorf("10,000 ranges of %s: status %d, %d bytes, %v arrived", target, got.status, len(got.body), got.arrived)
		}
	}
	for _, target := range []string{"/v2/acme/app/manifests/2.0.0", "/v2/acme/app/blobs/" + digestOfText("layer of 2.0.0"), "/v2/acme/secret/blobs/" + digestOfText("layer of 1.4.0")} {
		a.refused("10,000 ranges of what is not granted", tried{target: target, authorization: a.user, header: []string{ranges}}, http.StatusForbidden, http.StatusNotFound)
	}
	a.works("after long requests")
}

// resetStreams: requests that are taken back as soon as they are sent (CVE-2023-44487), a bounded
// number of them over each of a few connections. pullgate answers afterwards.
func (a *attacked) resetStreams() {
	a.Helper()
	const connections, streams = 3, 2000
	sent := 0
	for range connections {
		conn, err := tls.Dial("tcp", a.addr, &tls.Config{RootCAs: a.certs.Pool, ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
		a.must(err)
		if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
			a.Fatalf("Envoy speaks %q", got)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		ended := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, conn); close(ended) }()
		block := headerBlock(a.addr, "/v2/acme/app/manifests/2.0.0", a.user)
		_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(4, 0, 0, ""))
		a.must(err)
		for n := range streams {
			id := uint32(2*n + 1)
			// The whole request (END_STREAM, END_HEADERS), then CANCEL.
			if _, err := io.WriteString(conn, frame(1, 0x5, id, block)+frame(3, 0, id, "\x00\x00\x00\x08")); err != nil {
				break // Envoy has had enough
			}
			sent++
		}
		conn.Close()
		<-ended
	}
	a.Logf("%d requests were sent and reset", sent)
	if sent < 100 {
		a.Errorf("only %d requests were sent and reset", sent)
	}
	a.works("after resets") // within patience
	if code, body := a.get("/readyz"); code != http.StatusOK {
		a.Errorf("/readyz after resets: %d %s", code, body)
	}
}

// frame is a frame of HTTP/2 (RFC 9113, 4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	head := make([]byte, 9)
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return string(head) + payload
}

// headerBlock is a GET in HPACK (RFC 7541): fields of the static table, values as they are.
func headerBlock(authority, path, authorization string) string {
	text := func(s string) string {
		if len(s) < 127 {
			return string([]byte{byte(len(s))}) + s
		}
		return string(binary.AppendUvarint([]byte{127}, uint64(len(s)-127))) + s
	}
	return "\x82\x87" + // :method GET, :scheme https
		"\x01" + text(authority) + "\x04" + text(path) + "\x0f\x08" + text(authorization)
}
