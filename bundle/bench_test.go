package bundle

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// customers is a content with compiled customers of about 1 kB each.
func customers(n int) *Content {
	all := make(map[string]any, n)
	for i := range n {
		id := fmt.Sprintf("customer-%06d", i)
		grant := map[string]any{
			"license": id + "-2026", "grant": 0, "type": "subscription", "ranges": []any{[]any{[]any{1, 0, 0}, []any{2, 0, 0}}},
			"channels": []string{"stable"}, "starts": 1767225600, "ends": 1798761600, "updates": 1798761600, "grace": 1799971200,
			"terminates": "never", "revoked": "never", "suspended": []string{"never", "never"}, "boundaries": []int{1767225600, 1798761600, 1799971200},
		}
		all[id] = map[string]any{
			"id": id, "name": "Customer GmbH", "labels": map[string]string{"region": "eu"}, "hash": fmt.Sprintf("%064x", i),
			"products": map[string]any{"app": []any{grant, grant}},
		}
	}
	data, err := CanonicalJSON(all)
	if err != nil {
		panic(err)
	}
	return &Content{IssuedAt: 1, NotAfter: 2, Files: map[string][]byte{"pullgate/customers/data.json": data}}
}

func BenchmarkWrite(b *testing.B) {
	b.Run("customers=10k", func(b *testing.B) {
		c := customers(10_000)
		s := signer(b, key(b))
		b.SetBytes(int64(len(c.Files["pullgate/customers/data.json"])))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Write(io.Discard, c, s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	b.Run("customers=10k", func(b *testing.B) {
		c := customers(10_000)
		k := key(b)
		data, _ := write(b, c, signer(b, k))
		keys := ring(b, k)
		b.SetBytes(int64(len(c.Files["pullgate/customers/data.json"])))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Read(bytes.NewReader(data), keys, ReadOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckCanonical(b *testing.B) {
	data := customers(10_000).Files["pullgate/customers/data.json"]
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := CheckCanonical(data); err != nil {
			b.Fatal(err)
		}
	}
}
