package drive

import (
	"fmt"
	"math/rand/v2"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A Mix says what is asked: who, by Authorization value, and what, by method and target. Who is
// drawn evenly; what is drawn by a Zipf distribution, the first most often, because few images
// are pulled most.
type Mix struct {
	Host    string
	Who     []string // Authorization values; "" sends none
	What    []Target
	For     func(who int) []Target // what the one asks, in place of What; nil: everybody asks What
	Zipf    float64                // exponent, above 1; 0 draws evenly
	Headers int                    // headers of each request, the pseudo headers counted; default 16
	Seed    uint64
}

// Target is a request line.
type Target struct{ Method, Path string }

// A Choice is who asks, by Authorization value, and what.
type Choice struct {
	Authorization string
	Target
}

// Choose draws n questions, the same for the same Mix.
func (m Mix) Choose(n int) []Choice {
	out := make([]Choice, n)
	m.choose(n, func(i int, c Choice, _ *rand.Rand) { out[i] = c })
	return out
}

func (m Mix) choose(n int, each func(int, Choice, *rand.Rand)) {
	random := rand.New(rand.NewPCG(m.Seed, 1))
	for i := range n {
		who, what := random.IntN(len(m.Who)), m.What
		if m.For != nil {
			what = m.For(who)
		}
		j := 0
		if m.Zipf > 0 {
			j = int(rand.NewZipf(random, m.Zipf, 1, uint64(len(what)-1)).Uint64())
		} else {
			j = random.IntN(len(what))
		}
		each(i, Choice{m.Who[who], what[j]}, random)
	}
}

// Draw returns n encoded CheckRequests, the same for the same Mix.
func (m Mix) Draw(n int) ([][]byte, error) {
	if m.Zipf != 0 && m.Zipf <= 1 {
		return nil, fmt.Errorf("exponent %v of the Zipf distribution: it must be above 1", m.Zipf)
	}
	out := make([][]byte, n)
	var failed error
	m.choose(n, func(i int, c Choice, random *rand.Rand) {
		id := fmt.Sprintf("%08x-0000-4000-8000-%012x", random.Uint32(), i)
		data, err := proto.Marshal(m.request(c.Authorization, c.Target, id))
		if err != nil {
			failed = err
		}
		out[i] = data
	})
	return out, failed
}

// request is what Envoy 1.40 sends with encode_raw_headers for a client such as crane.
func (m Mix) request(authorization string, t Target, id string) *authv3.CheckRequest {
	headers := [][2]string{
		{":authority", m.Host},
		{":path", t.Path},
		{":method", t.Method},
		{":scheme", "https"},
		{"user-agent", "crane/v0.22.1 go-containerregistry/v0.22.1"},
		{"accept", "application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.list.v2+json,application/vnd.oci.image.index.v1+json"},
		{"accept-encoding", "gzip"},
		{"x-forwarded-proto", "https"},
		{"x-request-id", id},
		{"x-forwarded-for", "10.0.0.7"},
		{"x-envoy-external-address", "10.0.0.7"},
		{"x-envoy-expected-rq-timeout-ms", "15000"},
	}
	if authorization != "" {
		headers = append(headers, [2]string{"authorization", authorization})
	}
	want := m.Headers
	if want == 0 {
		want = 16
	}
	for i := 0; len(headers) < want; i++ {
		headers = append(headers, [2]string{fmt.Sprintf("x-site-%d", i), "0123456789abcdef"})
	}
	list := make([]*corev3.HeaderValue, len(headers))
	for i, h := range headers {
		list[i] = &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      peer("10.0.0.7", 51000),
		Destination: peer("10.0.0.1", 8443),
		Request: &authv3.AttributeContext_Request{
			Time: &timestamppb.Timestamp{Seconds: 1_800_000_000},
			Http: &authv3.AttributeContext_HttpRequest{
				Id: "12345678901234567890", Method: t.Method, Path: t.Path, Host: m.Host, Scheme: "https", Protocol: "HTTP/1.1",
				HeaderMap: &corev3.HeaderMap{Headers: list},
			},
		},
		MetadataContext:      &corev3.Metadata{},
		RouteMetadataContext: &corev3.Metadata{},
	}}
}

func peer(ip string, port uint32) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}}
}
