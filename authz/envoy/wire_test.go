package envoy

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/reply"
)

// understood is what decode must say, written with the types of go-control-plane.
func understood(req *authv3.CheckRequest) *classify.Inbound {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	in := &classify.Inbound{Method: http.GetMethod(), Target: http.GetPath(), Host: http.GetHost(), Body: http.GetRawBody(), Via: via}
	in.Address, _ = netip.ParseAddr(attributes.GetSource().GetAddress().GetSocketAddress().GetAddress())
	in.Identity.SAN = attributes.GetSource().GetPrincipal()
	in.Identity.JWTIssuer, in.Identity.JWTSubject = issuerSubject(attributes.GetMetadataContext().GetFilterMetadata()[jwtFilter])
	if len(in.Body) == 0 {
		in.Body = []byte(http.GetBody())
	}
	if http.GetHeaderMap() == nil {
		for name, value := range http.GetHeaders() {
			in.Headers = append(in.Headers, classify.Header{Name: name, Value: value})
		}
		return in
	}
	paths := 0
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := h.GetValue()
		if raw := h.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		if h.GetKey() == ":path" {
			if paths++; paths > 1 {
				value = ""
			}
			in.Target = value
		}
		in.Headers = append(in.Headers, classify.Header{Name: h.GetKey(), Value: value})
	}
	return in
}

var sameInbound = []cmp.Option{
	cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}),
	cmpopts.SortSlices(func(a, b classify.Header) bool { return a.Name+"\x00"+a.Value < b.Name+"\x00"+b.Value }),
}

// decode reads with a decoder of its own.
func decode(data string) (*classify.Inbound, error) { return new(decoder).decode(data) }

// agrees checks that decode reads bytes as protobuf reads them. It may refuse more: groups, and
// what stands in fields that nobody asks for.
func agrees(t interface {
	Helper()
	Fatalf(string, ...any)
}, data []byte,
) {
	t.Helper()
	req := new(authv3.CheckRequest)
	theirs := proto.Unmarshal(data, req)
	got, ours := decode(string(data))
	if ours != nil {
		if theirs == nil && !hasGroup(data, 0) {
			t.Fatalf("refused, and protobuf reads %v from %x", req, data)
		}
		return
	}
	if theirs != nil {
		if text := theirs.Error(); !strings.Contains(text, "invalid UTF-8") && !skipped(data) {
			t.Fatalf("read as %+v, and protobuf says %v of %x", got, theirs, data)
		}
		return
	}
	want := understood(req)
	if repeats(got.Headers) {
		return // a map's key twice: of the map only the last one is left
	}
	if diff := cmp.Diff(want, got, sameInbound...); diff != "" {
		t.Fatalf("of %x protobuf to ours:\n%s", data, diff)
	}
}

func repeats(headers []classify.Header) bool {
	seen := map[string]bool{}
	for _, h := range headers {
		if seen[h.Name] {
			return true
		}
		seen[h.Name] = true
	}
	return false
}

// skipped reports whether the message without the fields that decode does not look into is one
// that protobuf reads: it then differs by what nobody asks for.
func skipped(data []byte) bool {
	return proto.Unmarshal(pruned(data, (*authv3.CheckRequest)(nil).ProtoReflect().Descriptor()), new(authv3.CheckRequest)) == nil
}

// asked are the messages that decode looks into, and of each the fields.
var asked = map[protoreflect.FullName][]protowire.Number{
	"envoy.service.auth.v3.CheckRequest":                 {requestAttributes},
	"envoy.service.auth.v3.AttributeContext":             {attributesSource, attributesRequest, attributesMetadata},
	"envoy.service.auth.v3.AttributeContext.Peer":        {peerAddress, peerPrincipal},
	"envoy.config.core.v3.Address":                       {addressSocket},
	"envoy.config.core.v3.SocketAddress":                 {socketAddressText},
	"envoy.service.auth.v3.AttributeContext.Request":     {requestHTTP},
	"envoy.service.auth.v3.AttributeContext.HttpRequest": {httpMethod, httpPath, httpHost, httpBody, httpRawBody},
}

// pruned keeps of an encoded message the fields that are asked, as deep as single messages go.
func pruned(data []byte, d protoreflect.MessageDescriptor) (out []byte) {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeField(data)
		if size < 0 {
			return append(out, data...)
		}
		if kind == protowire.BytesType && slices.Contains(asked[d.FullName()], n) {
			_, _, tag := protowire.ConsumeTag(data)
			value, _ := protowire.ConsumeBytes(data[tag:])
			if f := d.Fields().ByNumber(n); f != nil && f.Message() != nil {
				value = pruned(value, f.Message())
			}
			out = protowire.AppendBytes(protowire.AppendTag(out, n, kind), value)
		}
		data = data[size:]
	}
	return out
}

// hasGroup reports whether there may be a group somewhere: protobuf skips them, decode does not.
func hasGroup(data []byte, depth int) bool {
	for len(data) > 0 && depth < 12 {
		_, kind, size := protowire.ConsumeField(data)
		if kind == protowire.StartGroupType || kind == protowire.EndGroupType {
			return true
		}
		if size < 0 {
			return false
		}
		if kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(data)
			if value, n := protowire.ConsumeBytes(data[tag:]); n >= 0 && hasGroup(value, depth+1) {
				return true
			}
		}
		data = data[size:]
	}
	return false
}

// aRequest draws a CheckRequest with anything in the fields that are read, and in some others.
func aRequest(t *rapid.T) *authv3.CheckRequest {
	text := rapid.OneOf(rapid.StringN(0, 12, 40), rapid.SampledFrom([]string{"", "GET", "/v2/", "authorization", ":path", "10.0.0.7", "::1", "registry.example"}))
	some := func(label string) bool { return rapid.Bool().Draw(t, label) }
	http := &authv3.AttributeContext_HttpRequest{
		Id: text.Draw(t, "id"), Method: text.Draw(t, "method"), Path: text.Draw(t, "path"), Host: text.Draw(t, "host"), Scheme: "https",
		Size: rapid.Int64().Draw(t, "size"), Protocol: "HTTP/1.1",
	}
	if some("body") {
		http.Body, http.RawBody = text.Draw(t, "text"), []byte(text.Draw(t, "raw"))
	}
	if some("map") {
		http.Headers = rapid.MapOfN(text, text, 0, 8).Draw(t, "headers")
	}
	if some("list") {
		http.HeaderMap = &corev3.HeaderMap{}
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			h := &corev3.HeaderValue{Key: text.Draw(t, "key"), Value: text.Draw(t, "value")}
			if some("bytes") {
				h.RawValue = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "raw value")
			}
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, h)
		}
	}
	source := &authv3.AttributeContext_Peer{Principal: text.Draw(t, "principal"), Service: "s", Labels: map[string]string{"a": "b"}}
	switch rapid.IntRange(0, 2).Draw(t, "address") {
	case 1:
		source.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}
	case 2:
		source.Address = &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: text.Draw(t, "ip"), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 7},
		}}}
	}
	a := &authv3.AttributeContext{Source: source, Destination: source, Request: &authv3.AttributeContext_Request{Http: http}}
	if some("metadata") {
		payload := structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			"iss": structpb.NewStringValue(text.Draw(t, "iss")), "sub": structpb.NewStringValue(text.Draw(t, "sub")),
		}})
		a.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			jwtFilter: {Fields: map[string]*structpb.Value{"payload": payload}},
			"other":   {Fields: map[string]*structpb.Value{"iss": structpb.NewStringValue("x")}},
		}}
	}
	return &authv3.CheckRequest{Attributes: a}
}

func TestDecodeReadsWhatProtobufReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data, err := proto.Marshal(aRequest(t))
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, data)
		if rapid.Bool().Draw(t, "twice") { // two messages after one another are their union
			more, err := proto.Marshal(aRequest(t))
			if err != nil {
				t.Fatal(err)
			}
			agrees(t, append(data, more...))
		}
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			if len(data) > 0 {
				data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		agrees(t, data)
		agrees(t, data[:rapid.IntRange(0, len(data)).Draw(t, "cut")])
	})
}

func FuzzDecode(f *testing.F) {
	for seed := range uint64(16) {
		random := rand.New(rand.NewPCG(seed, 1))
		example := rapid.Custom(aRequest).Example(int(random.Uint32() >> 1))
		data, err := proto.Marshal(example)
		if err != nil {
			continue
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { agrees(t, data) })
}

// said is what encode must say, written with the types of go-control-plane.
func said(p *reply.Reply) *authv3.CheckResponse {
	options := func(headers []reply.Header) (out []*corev3.HeaderValueOption) {
		for _, h := range headers {
			out = append(out, &corev3.HeaderValueOption{
				Header: &corev3.HeaderValue{Key: h.Name, Value: h.Value},
				//lint:ignore SA1019 Envoy still reads it
				Append:       wrapperspb.Bool(false),
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			})
		}
		return out
	}
	out := &authv3.CheckResponse{Status: &status.Status{}, DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{}}}
	for name, value := range map[string]string{"decision_id": p.Metadata.DecisionID, "code": p.Metadata.Code, "customer": p.Metadata.Customer, "license": p.Metadata.License} {
		if value != "" {
			out.DynamicMetadata.Fields[name] = structpb.NewStringValue(strings.ToValidUTF8(value, "?"))
		}
	}
	if p.Allow {
		ok := &authv3.OkHttpResponse{Headers: options(p.UpstreamSet), HeadersToRemove: p.UpstreamRemove, ResponseHeadersToAdd: options(p.ResponseAdd)}
		if p.Path != "" {
			ok.Headers = append(ok.Headers, options([]reply.Header{{Name: ":path", Value: p.Path}})...)
		}
		out.HttpResponse = &authv3.CheckResponse_OkResponse{OkResponse: ok}
		return out
	}
	out.Status.Code = int32(code(p.Status))
	out.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(p.Status)}, Headers: options(p.Headers), Body: string(p.Body),
	}}
	return out
}

func TestEncodeSaysWhatProtobufSays(t *testing.T) {
	text := rapid.OneOf(rapid.StringN(0, 10, 300), rapid.Map(rapid.IntRange(100, 40_000), func(n int) string { return strings.Repeat("x", n) }))
	headers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) reply.Header {
		return reply.Header{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}
	}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		p := &reply.Reply{Metadata: reply.Metadata{DecisionID: text.Draw(t, "id"), Code: "ok\xff", Customer: text.Draw(t, "customer")}}
		if p.Allow = rapid.Bool().Draw(t, "allow"); p.Allow {
			p.Status, p.Path = 200, text.Draw(t, "path")
			p.UpstreamSet, p.ResponseAdd = headers.Draw(t, "set"), headers.Draw(t, "add")
			p.UpstreamRemove = rapid.SliceOfN(text, 0, 3).Draw(t, "remove")
		} else {
			p.Status = rapid.SampledFrom([]int{200, 400, 401, 403, 404, 405, 429, 503}).Draw(t, "status")
			p.Headers, p.Body = headers.Draw(t, "headers"), []byte(text.Draw(t, "body"))
		}
		got := new(authv3.CheckResponse)
		if err := proto.Unmarshal(encode(nil, p), got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(said(p), got, protocmp.Transform(), protocmp.IgnoreEmptyMessages()); diff != "" {
			t.Fatal(diff)
		}
		if got.Status == nil || got.GetOkResponse() == nil && got.GetDeniedResponse() == nil {
			t.Fatalf("without a status or a reply: %v", got)
		}
	})
}

// Envoy ends the stream over text that is no UTF-8, and over a status that it does not know.
func TestWhatEnvoyWouldNotTakeIs503(t *testing.T) {
	for name, p := range map[string]*reply.Reply{
		"an allow with bytes": {Allow: true, Path: "/v2/\xff"},
		"a header with bytes": {Status: 403, Headers: []reply.Header{{Name: "a", Value: "\xff"}}},
		"a body with bytes":   {Status: 403, Body: []byte("\xff")},
		"no status":           {},
		"an unknown status":   {Status: 299},
	} {
		got := new(authv3.CheckResponse)
		if err := proto.Unmarshal(encode(nil, p), got); err != nil {
			t.Fatal(err)
		}
		if s := got.GetDeniedResponse().GetStatus().GetCode(); s != 503 || got.Status.Code == 0 {
			t.Errorf("%s: HTTP %d, gRPC %d", name, s, got.Status.Code)
		}
	}
	for s := range 600 {
		if written(s) && typev3.StatusCode_name[int32(s)] == "" {
			t.Errorf("%d is no status of Envoy's", s)
		}
	}
}

// What decoding and encoding allocate is part of a decision's budget (design §16).
func TestAllocationsOfTheWire(t *testing.T) {
	headers := []*corev3.HeaderValue{}
	for _, h := range [][2]string{{":authority", "r"}, {":path", "/v2/a/manifests/1"}, {"authorization", "Basic x"}, {"accept", "a"}, {"x-request-id", "1"}} {
		headers = append(headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	data, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/v2/a/manifests/1", Host: "r", HeaderMap: &corev3.HeaderMap{Headers: headers}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	p := &reply.Reply{Allow: true, Status: 200, Path: "/v2/a", UpstreamRemove: []string{"authorization"}, ResponseAdd: []reply.Header{{Name: "cache-control", Value: "no-store"}}}
	buffer, used := make([]byte, 0, 1024), new(decoder)
	for name, c := range map[string]struct {
		max float64
		f   func()
	}{
		"decode": {2, func() { // the path and the host, which are kept
			if _, err := used.decode(text); err != nil {
				t.Fatal(err)
			}
		}},
		"encode": {0, func() { encode(buffer, p) }},
	} {
		if n := testing.AllocsPerRun(200, c.f); n > c.max {
			t.Errorf("%s: %v allocations, want at most %v", name, n, c.max)
		}
	}
}

// A message may hold the headers both ways, in any order. The two lists are two.
func TestListsOfHeadersAreApart(t *testing.T) {
	request := func(h *authv3.AttributeContext_HttpRequest) []byte {
		data, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: h}}})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	raw := request(&authv3.AttributeContext_HttpRequest{HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "authorization", RawValue: []byte("Basic raw")}, {Key: "x-raw", RawValue: []byte("1")},
	}}})
	joined := request(&authv3.AttributeContext_HttpRequest{Headers: map[string]string{"authorization": "Basic joined"}})
	for _, data := range [][]byte{append(slices.Clone(raw), joined...), append(slices.Clone(joined), raw...)} {
		agrees(t, data)
		in, err := decode(string(data))
		want := []classify.Header{{Name: "authorization", Value: "Basic raw"}, {Name: "x-raw", Value: "1"}}
		if err != nil || !slices.Equal(in.Headers, want) {
			t.Errorf("%v %+v", err, in)
		}
	}
}

// A decoder that waits for its next use has nothing of the last request, above all no key, and
// what was more than it has room for does not show in the next one.
func TestDecodersKeepNothing(t *testing.T) {
	many := map[string]string{}
	for i := range 3 * usualHeaders {
		many["x-"+strconv.Itoa(i)] = "Basic secret"
	}
	var data [2]string
	for i, headers := range []map[string]string{many, {"authorization": "Basic other"}} {
		b, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source:  &authv3.AttributeContext_Peer{Principal: "spiffe://a/" + strconv.Itoa(i)},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/v2/", Headers: headers, Body: "secret"[:6-6*i]}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		data[i] = string(b)
	}
	d := new(decoder)
	for range 2 {
		for _, text := range data {
			got, err := d.decode(text)
			want, errWant := decode(text)
			if diff := cmp.Diff(want, got, sameInbound...); diff != "" || err != nil || errWant != nil {
				t.Fatalf("%v %v %s", err, errWant, diff)
			}
		}
	}
	d.release()
	if !reflect.DeepEqual(d, new(decoder)) {
		t.Fatalf("%+v is left", d)
	}
}

// What records and shadows keep of a request does not keep its headers, the key among them.
func TestWhatIsKeptKeepsNoMessage(t *testing.T) {
	const messages, size = 200, 64 << 10
	live := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	var keep []string
	for i := range messages {
		data, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: &authv3.AttributeContext_Peer{Principal: "spiffe://a/b"},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "PROPFIND", Path: "/v2/acme/r" + strconv.Itoa(i) + "/manifests/1.0", Host: "h", Headers: map[string]string{"x": strings.Repeat("x", size)},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		in, err := decode(string(data))
		if err != nil {
			t.Fatal(err)
		}
		r := classify.Classify(in)
		keep = append(keep, r.Path, r.Host, r.Method, r.Repository, r.Tag, r.Identity.SAN, in.Method)
	}
	if after := live(); after > before+messages*size/2 {
		t.Errorf("%d bytes for %d texts of messages with %d bytes", after-before, len(keep), messages*size)
	}
	runtime.KeepAlive(keep)
}
